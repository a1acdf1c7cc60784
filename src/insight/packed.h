/* Integer tensors that are weights in disguise: how many weights each stands for.
 *
 * Decided from names, dtypes and shapes of a tensor and its siblings and from config.json; payloads are not read.
 * Formats: GPTQ and AWQ (github.com/AutoGPTQ/AutoGPTQ, github.com/mit-han-lab/llm-awq), compressed-tensors
 * (github.com/vllm-project/compressed-tensors), bitsandbytes, MLX, modelopt's and gpt-oss' four-bit floats. */
#ifndef INSIGHT_PACKED_H
#define INSIGHT_PACKED_H

#include <tola/checkpoint.h>
#include <tola/insight.h>

typedef struct packing {
    const tola_checkpoint *ck;
    const tola_value *config; /* quantization_config or whatever stands for it; NULL where there is none */
    uint64_t bits;            /* of a weight, 0 where the configuration does not say */
    uint64_t group;
} packing;

void packing_init(packing *p, const tola_checkpoint *ck);

/* What tensor `index` is, given the role its name suggests; *weights receives the weights it stands for (its elements
 * where it is not packed). Integers that nothing shows to be quantized weights become TOLA_ROLE_BUFFER. */
tola_role packing_role(const packing *p, const tola_tensor_info *t, tola_role suggested, uint64_t *weights);

/* "gptq 4-bit group 128" into text (cap > 0); false where the checkpoint's configuration names no quantization. */
bool packing_describe(const packing *p, char *text, size_t cap);

#endif
