/* The faces of `tola fit`. */
#ifndef CLI_FIT_H
#define CLI_FIT_H

#include "cli.h"

/* The parts of tola_fit_bytes in the order in which they are shown. */
enum { FIT_PARTS = 6 };
typedef struct fit_part {
    const char *name;
    unsigned colour;          /* of pictures */
    out_style style;          /* of a terminal */
    const char *fill, *plain; /* a character of bars: UTF-8, ASCII */
} fit_part;
extern const fit_part fit_parts[FIT_PARTS];
uint64_t fit_part_bytes(const tola_fit_bytes *b, int part);
/* The largest number to be drawn: of a type's bytes or of a device's memory that is not far beyond them. */
double fit_scale(const tola_fit *f);
const char *fit_shown(const tola_fit *f); /* a name for headings */

void fit_print(const tola_fit *f);
void fit_print_devices(const tola_fit *f);
void fit_write_json(const tola_fit *f);
void fit_write_devices(const tola_fit *f);
/* Stacked bars by type against the devices' lines; CLI_YES, or CLI_ERROR after a message. */
int fit_plot(const tola_fit *f, const char *path);

#endif
