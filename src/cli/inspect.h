/* The two faces of `tola inspect`: for people (inspect_text.c) and for programs (inspect_json.c). */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli.h"

typedef struct inspect_settings {
    const char *tensors; /* glob; "" = all; NULL = not asked for */
    bool metadata;
    bool digest;
} inspect_settings;

typedef struct inspection {
    const tola_checkpoint *checkpoint;
    const tola_summary *summary;
    const uint8_t *roles; /* one a tensor */
    const char *path;     /* as the user wrote it */
    const char *digest;   /* NULL where it was not asked for */
} inspection;

void inspect_print(const inspection *in, const inspect_settings *settings);
void inspect_write_json(const inspection *in, const inspect_settings *settings);

#endif
