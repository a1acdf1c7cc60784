/* Opening models to be measured, and writing what was found. */
#include "measure.h"

#include <math.h>

int measure_open(const char *path, const cli_list *adapters, bool hidden, uint64_t context, tola_model **out) {
    tola_model_options options = TOLA_MODEL_OPTIONS_INIT;
    options.hidden = hidden;
    options.context = context < UINT32_MAX ? (uint32_t)context : UINT32_MAX; /* measure_u32 refuses what is larger */
    return cli_open_model(path, adapters, &options, out);
}

int measure_u32(const char *name, uint64_t value, uint32_t *out) {
    if (value > UINT32_MAX) return cli_fail("--%s: %llu is too large", name, (unsigned long long)value);
    *out = (uint32_t)value;
    return CLI_YES;
}

const char *measure_number(char *buf, size_t n, double value, int digits) {
    if (isnan(value)) snprintf(buf, n, "-");
    else snprintf(buf, n, "%.*f", digits, value);
    return buf;
}

void measure_json_estimate(tola_json *json, const char *key, tola_estimate e) {
    char name[64];
    out_json_f64(json, key, e.value);
    snprintf(name, sizeof name, "%s_error", key);
    out_json_f64(json, name, e.error);
}
