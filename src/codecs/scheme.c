/* The schemes, in the order in which a checkpoint is held against them. */
#include "codecs/scheme.h"

const scheme *const scheme_table[] = {
    &scheme_gptq,
    &scheme_awq,
    &scheme_mlx,
    NULL,
};
