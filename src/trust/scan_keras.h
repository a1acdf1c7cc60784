/* What a Keras model's JSON may have its loader make. */
#ifndef TRUST_SCAN_KERAS_H
#define TRUST_SCAN_KERAS_H

#include "trust/scan.h"
#include <tola/value.h>

/* An object with a class_name. */
void scan_keras_object(scan_job *job, const scan_part *part, const tola_value *map);
/* Every object of a document, by all rules for JSON (scan_json.c). */
void scan_json_tree(scan_job *job, const scan_part *part, const tola_value *root);

#endif
