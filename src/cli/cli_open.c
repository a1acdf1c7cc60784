/* Opening a model to look at its values, or to run it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

int cli_open_values(const char *path, bool stored, tola_checkpoint **out) {
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.threads = cli.threads;
    options.weights = stored ? TOLA_WEIGHTS_STORED : TOLA_WEIGHTS_EXACT;
    tola_status status = tola_checkpoint_open(path, &options, out, &err);
    if (status == TOLA_E_UNSUPPORTED && !stored) {
        tola_error why = err;
        options.weights = TOLA_WEIGHTS_STORED;
        err = (tola_error)TOLA_ERROR_INIT;
        status = tola_checkpoint_open(path, &options, out, &err);
        if (status == TOLA_OK) cli_warn("%s; its tensors are taken as they are stored", why.message);
    }
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

/* "path:0.5": a number behind the last colon is a scale. */
static tola_adapter parse_adapter(char *text) {
    char *colon = strrchr(text, ':'), *end;
    tola_adapter a = { text, 1 };
    if (!colon || !colon[1] || strpbrk(colon, "/ ")) return a;
    double scale = strtod(colon + 1, &end);
    if (*end || !isfinite(scale)) return a;
    *colon = 0;
    a.scale = (float)scale;
    return a;
}

static int open_with(const char *path, tola_model_options *options, tola_model **out) {
    tola_error err = TOLA_ERROR_INIT;
    cli_status("opening %s", path);
    tola_status status = tola_model_open(path, options, out, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    const tola_model_info *about = tola_model_about(*out);
    /* hidden states need no output matrix, and encoders come with heads for tasks of their training */
    if (about->unused_tensors && !about->hidden)
        cli_warn("%s: %llu tensors are no part of the model as its configuration describes it (%s)", path,
                 (unsigned long long)about->unused_tensors, about->unused_tensor);
    return CLI_YES;
}

tola_adapter *cli_adapters(const cli_list *list) {
    size_t bytes = (list->count + 1) * sizeof(tola_adapter);
    for (size_t i = 0; i < list->count; i++) bytes += strlen(list->items[i]) + 1;
    tola_adapter *adapters = frame_alloc(bytes);
    char *text = (char *)(adapters + list->count + 1);
    for (size_t i = 0; i < list->count; i++) {
        size_t length = strlen(list->items[i]) + 1;
        adapters[i] = parse_adapter(memcpy(text, list->items[i], length));
        text += length;
    }
    return adapters;
}

int cli_open_model(const char *path, const cli_list *adapters, tola_model_options *options, tola_model **out) {
    tola_adapter *parsed = adapters ? cli_adapters(adapters) : NULL;
    options->adapters = parsed;
    options->adapter_count = adapters ? adapters->count : 0;
    int code = open_with(path, options, out);
    free(parsed);
    return code;
}
