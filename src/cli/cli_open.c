/* Opening a model to look at its values, or to run it. */
#include "cli.h"

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

int cli_open_model(const char *path, const tola_model_options *options, tola_model **out) {
    tola_error err = TOLA_ERROR_INIT;
    cli_status("opening %s", path);
    tola_status status = tola_model_open(path, options, out, &err);
    cli_progress_end();
    if (status != TOLA_OK) return cli_fail_error(&err);
    const tola_model_info *about = tola_model_about(*out);
    if (about->unused_tensors)
        cli_warn("%s: %llu tensors are no part of the model as its configuration describes it (%s)", path,
                 (unsigned long long)about->unused_tensors, about->unused_tensor);
    return CLI_YES;
}
