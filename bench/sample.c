/* The time of drawing a token: bench_sample [VOCABULARY_SIZE]. Logits are of a normal distribution, a few raised. */
#include "bench.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "generate/sample.h"

static void run(const char *name, const float *logits, uint32_t vocab, tola_sampling o) {
    sampler *s;
    uint32_t history[64], id;
    double best = INFINITY;
    if (sampler_create(&o, vocab, &s, NULL) != TOLA_OK) exit(2);
    for (uint32_t i = 0; i < 64; i++) history[i] = i * 17 % vocab;
    for (uint64_t i = 0; i < 200; i++) {
        sample_input in = { logits, history, 64, NULL, i };
        double start = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
        if (sampler_draw(s, &in, &id, NULL) != TOLA_OK) exit(2);
        double time = bench_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
        best = time < best ? time : best;
    }
    printf("%-28s %8.1f us\n", name, 1e6 * best);
    sampler_free(s);
}

int main(int argc, char **argv) {
    uint32_t vocab = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 128256;
    float *logits = calloc(vocab, sizeof *logits);
    if (!logits || !vocab) return 2;
    for (uint32_t i = 0; i < vocab; i++) {
        double u = sample_uniform(1, 2 * i) + 1e-12, v = sample_uniform(1, 2 * i + 1);
        logits[i] = (float)(2 * sqrt(-2 * log(u)) * cos(6.283185307179586 * v) + (i % 9973 == 5 ? 12 : 0));
    }
    const tola_sampling off = { sizeof off, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, NULL, 0, { 0 } };
    tola_sampling o = off, defaults = TOLA_SAMPLING_INIT;
    printf("%u logits, least of 200 draws\n", vocab);
    run("defaults", logits, vocab, defaults);
    defaults.repetition_penalty = 1.1;
    run("defaults and a penalty", logits, vocab, defaults);
    o.temperature = 0;
    run("greedy", logits, vocab, o);
    o = off;
    run("all tokens", logits, vocab, o);
    o.top_k = 1000;
    run("top_k 1000", logits, vocab, o);
    o = off;
    o.top_p = 0.9;
    run("top_p 0.9", logits, vocab, o);
    o.top_p = 0.9999;
    run("top_p 0.9999", logits, vocab, o);
    o = off;
    o.min_p = 0.05;
    run("min_p 0.05", logits, vocab, o);
    o = off;
    o.typical_p = 0.9;
    run("typical_p 0.9", logits, vocab, o);
    free(logits);
    return 0;
}
