/* The schemes, in the order in which a checkpoint is held against them, and what they are asked for by name. */
#include "codecs/scheme.h"

#include <stdio.h>
#include <string.h>

const scheme *const scheme_table[] = {
    &scheme_gptq, &scheme_awq, &scheme_mlx, &scheme_compressed, &scheme_bnb, &scheme_fp8, &scheme_mxfp4, NULL,
};

static scheme_params floats(tola_dtype element, tola_dtype scale, scheme_grain grain) {
    return (scheme_params){
        .code = SCHEME_FLOAT,
        .bits = (uint8_t)tola_dtype_bits(element),
        .grain = (uint8_t)grain,
        .symmetric = true,
        .element = element,
        .scale = scale,
    };
}

const scheme *scheme_for_type(const char *type, scheme_params *params) {
    unsigned bits = 0;
    int end = 0;
    if (sscanf(type, "int%1u%n", &bits, &end) == 1 && type[end] == '\0' && bits >= 1 && bits <= 8) {
        *params = (scheme_params){
            .code = SCHEME_INT, .bits = (uint8_t)bits, .grain = SCHEME_PER_GROUP, .symmetric = true, .group = 128
        };
        return &scheme_compressed;
    }
    if (strcmp(type, "nf4") == 0 || strcmp(type, "fp4") == 0) {
        *params = (scheme_params){ .code = type[0] == 'n' ? SCHEME_NF4 : SCHEME_FP4, .bits = 4, .group = 64 };
        return &scheme_bnb;
    }
    if (strcmp(type, "fp8") == 0) {
        *params = floats(TOLA_DTYPE_F8_E4M3, TOLA_DTYPE_F32, SCHEME_PER_BLOCK);
        return &scheme_fp8;
    }
    static const struct {
        const char *name;
        tola_dtype element, scale;
        scheme_grain grain;
    } table[] = {
        { "f8_e4m3", TOLA_DTYPE_F8_E4M3, TOLA_DTYPE_NONE, SCHEME_PER_CHANNEL },
        { "mxfp8", TOLA_DTYPE_F8_E4M3, TOLA_DTYPE_F8_E8M0, SCHEME_PER_GROUP },
        { "mxfp6", TOLA_DTYPE_F6_E2M3, TOLA_DTYPE_F8_E8M0, SCHEME_PER_GROUP },
        { "mxfp4", TOLA_DTYPE_F4, TOLA_DTYPE_F8_E8M0, SCHEME_PER_GROUP },
        { "nvfp4", TOLA_DTYPE_F4, TOLA_DTYPE_F8_E4M3, SCHEME_PER_GROUP },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(type, table[i].name) != 0) continue;
        *params = floats(table[i].element, table[i].scale, table[i].grain);
        return &scheme_compressed;
    }
    return NULL;
}
