/* What the verbs that measure a model share. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "cli.h"

/* Opens MODEL to be run, with adapters or NULL; `hidden`: for its hidden states; `context`: positions that will be
 * used, 0: as many as it was made for. CLI_YES, or CLI_ERROR after a message. */
int measure_open(const char *path, const cli_list *adapters, bool hidden, uint64_t context, tola_model **out);
/* --name N into 32 bits; CLI_ERROR after a message where N is larger. */
int measure_u32(const char *name, uint64_t value, uint32_t *out);
/* The same text in every locale, as short as it can be; NaN is "-". */
const char *measure_number(char *buf, size_t n, double value, int digits);

/* key and key_error */
void measure_json_estimate(tola_json *json, const char *key, tola_estimate e);

#endif
