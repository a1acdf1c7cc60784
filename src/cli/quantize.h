/* The faces of `tola quantize`. */
#ifndef CLI_QUANTIZE_H
#define CLI_QUANTIZE_H

#include "cli.h"

typedef struct quantize_view {
    const char *in, *out;
    const tola_quantize_result *result;
    char *const *warnings;
    size_t warning_count;
    bool dry_run;
} quantize_view;

void quantize_print(const quantize_view *v);
void quantize_write_json(tola_json *j, const quantize_view *v);
/* Could quantize_report write this file? A message where it could not. */
bool quantize_can_report(const char *path);
/* By the ending of `path`: .json, .md, .png or .svg; an exit code. */
int quantize_report(const quantize_view *v, const char *path);
/* Error against bits, a point for each tensor and a curve of the types. */
int quantize_plot(const quantize_view *v, const char *path);

#endif
