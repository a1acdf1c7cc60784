/* The two faces of tola comply. */
#ifndef CLI_COMPLY_H
#define CLI_COMPLY_H

#include "cli.h"

void comply_json(const tola_compliance *c);
void comply_text(const tola_compliance *c);
void comply_mof_text(const tola_compliance *c);
bool comply_lacks(const tola_compliance *c, const tola_comply_component *p, int wanted);

#endif
