/* tola_sample: distributions and draws for sample_oracle.py. Records of native numbers on stdin, answers on stdout.
 *
 * In:  u32 vocab, history, biases, masked, top_k, window, draws, reserved; u64 seed; f64 temperature, top_p, min_p,
 *      typical_p, repetition, frequency, presence; then logits f32[], history u32[], biases {u32, f32}[], mask u32[].
 * Out: u32 status, count; count times {u32 id, 0; f64 probability}; then `draws` ids of positions 0, 1, ... */
#include <stdio.h>
#include <stdlib.h>

#include "generate/sample.h"

typedef struct record {
    uint32_t vocab, history, biases, masked, top_k, window, draws, reserved;
    uint64_t seed;
    double temperature, top_p, min_p, typical_p, repetition, frequency, presence;
} record;

static void *take(size_t count, size_t size) {
    void *data = calloc(count + 1, size);
    if (!data || fread(data, size, count, stdin) != count) exit(2);
    return data;
}

static void put(const void *data, size_t size) {
    if (fwrite(data, size, 1, stdout) != 1) exit(2);
}

int main(void) {
    record r;
    while (fread(&r, sizeof r, 1, stdin) == 1) {
        float *logits = take(r.vocab, sizeof *logits);
        uint32_t *history = take(r.history, sizeof *history);
        tola_logit_bias *bias = take(r.biases, sizeof *bias);
        uint32_t *mask = take(r.masked ? (r.vocab + 31) / 32 : 0, sizeof *mask);
        tola_sampling o = { sizeof o, r.temperature, r.top_k, r.top_p, r.min_p, r.typical_p, r.repetition, r.frequency,
                            r.presence, r.window, r.seed, bias, r.biases, { 0 } };
        sampler *s = NULL;
        sample_input in = { logits, history, r.history, r.masked ? mask : NULL, 0 };
        const sample_candidate *candidates = NULL;
        size_t count = 0;
        tola_status status = sampler_create(&o, r.vocab, &s, NULL);
        if (status == TOLA_OK) status = sampler_distribution(s, &in, &candidates, &count, NULL);
        uint32_t head[2] = { (uint32_t)status, (uint32_t)count };
        put(head, sizeof head);
        for (size_t i = 0; i < count; i++) put(&candidates[i], sizeof candidates[i]);
        for (uint32_t i = 0; status == TOLA_OK && i < r.draws; i++) {
            uint32_t id;
            in.position = i;
            if (sampler_draw(s, &in, &id, NULL) != TOLA_OK) exit(2);
            put(&id, sizeof id);
        }
        sampler_free(s);
        free(logits);
        free(history);
        free(bias);
        free(mask);
    }
    return 0;
}
