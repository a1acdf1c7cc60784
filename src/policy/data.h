/* The tables of data/, which the build carries into the library: devices, rules, licences. A change of a price or of a
 * law is a change of such a file. */
#ifndef POLICY_DATA_H
#define POLICY_DATA_H

#include "base/yaml.h"

typedef struct data_file {
    const char *name; /* "devices.yaml" */
    const unsigned char *text;
    size_t length;
} data_file;
extern const data_file data_files[]; /* ends with a row whose name is NULL; written by scripts/embed.cmake */

/* Opens data/NAME as carried. Its errors name "data/NAME". */
tola_status data_open(const char *name, yaml **out, tola_error *err);

#endif
