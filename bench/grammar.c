/* The time of token masks: bench_grammar VOCABULARY.gguf GRAMMAR.gbnf TEXTS *
 * TEXTS has one text a line, each following the grammar. Each is cut into tokens (the longest that fits, a stand-in for
 * a model's choice), with a mask worked out before each. Two passes: a fresh matcher, then the same again. */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/schema.h"
#include <tola/checkpoint.h>

/* The processor's time of this thread: what else runs on the machine does not count. */
static void fail(const char *what, const tola_error *err) {
    fprintf(stderr, "%s: %s\n", what, err ? err->message : "failed");
    exit(2);
}

static char *read_file(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t cap = 0;
    *length = 0;
    if (!f) fail(path, NULL);
    do {
        if (*length == cap && !(text = realloc(text, cap = cap * 2 + 65536))) fail(path, NULL);
        *length += fread(text + *length, 1, cap - *length, f);
    } while (!feof(f) && !ferror(f));
    fclose(f);
    return text;
}

/* Bytes of a token written in GPT-2's alphabet, where each byte is a printable character. */
static uint32_t decode_gpt2(const char *text, size_t length, uint8_t *out) {
    static int byte_of[512];
    if (!byte_of['a']) {
        int next = 256;
        for (int b = 0; b < 256; b++) {
            bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            byte_of[printable ? b : next++] = b;
        }
    }
    uint32_t n = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned c = (uint8_t)text[i];
        if (c >= 0xc0 && i + 1 < length) c = (c & 0x1f) << 6 | ((uint8_t)text[++i] & 0x3f);
        out[n++] = (uint8_t)(c < 512 ? byte_of[c] : '?');
    }
    return n;
}

static grammar_vocabulary *open_vocabulary(const char *path, grammar_token **tokens, uint32_t *count) {
    tola_error err;
    tola_checkpoint *c;
    if (tola_checkpoint_open(path, NULL, &c, &err) != TOLA_OK) fail(path, &err);
    const tola_value *meta = tola_checkpoint_metadata(c);
    const tola_value *list = tola_value_get(meta, "tokenizer.ggml.tokens");
    const tola_value *kinds = tola_value_get(meta, "tokenizer.ggml.token_type");
    const tola_value *end = tola_value_get(meta, "tokenizer.ggml.eos_token_id");
    if (!list || !kinds) fail("no tokens", NULL);
    *count = (uint32_t)list->as.array.count;
    *tokens = calloc(*count, sizeof **tokens);
    for (uint32_t i = 0; i < *count; i++) {
        tola_value text = tola_value_at(list, i), kind = tola_value_at(kinds, i);
        size_t length = text.as.string.length;
        uint8_t *bytes = malloc(length + 1);
        bool special = tola_value_u64(&kind, 1) != 1;
        uint32_t n = decode_gpt2(text.as.string.data, length, bytes);
        if (special) memcpy(bytes, text.as.string.data, n = (uint32_t)length);
        (*tokens)[i] = (grammar_token){ bytes, n, special };
    }
    uint32_t end_id = end ? (uint32_t)tola_value_u64(end, 0) : 0;
    grammar_vocabulary *v;
    double start = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
    if (grammar_vocabulary_create(*tokens, *count, &end_id, 1, &v, &err) != TOLA_OK) fail(path, &err);
    printf("vocabulary of %u tokens: %.0f ms\n", *count, 1e3 * (bench_seconds(CLOCK_THREAD_CPUTIME_ID) - start));
    tola_checkpoint_close(c);
    return v;
}

static int compare_doubles(const void *x, const void *y) {
    const double *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Ids of tokens by their first byte: first[b] .. first[b + 1] of `ids`. */
typedef struct by_byte {
    uint32_t first[257], *ids;
} by_byte;

static by_byte sort_by_byte(const grammar_token *tokens, uint32_t count) {
    by_byte s = { { 0 }, calloc(count, sizeof(uint32_t)) };
    uint32_t at[256] = { 0 };
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i].length && !tokens[i].special) s.first[tokens[i].bytes[0] + 1]++;
    for (int b = 0; b < 256; b++) s.first[b + 1] += s.first[b];
    memcpy(at, s.first, sizeof at);
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i].length && !tokens[i].special) s.ids[at[tokens[i].bytes[0]]++] = i;
    return s;
}

/* The token whose bytes are the longest beginning of the text, of those that the mask allows; `none` without one. */
static uint32_t longest_token(const grammar_token *tokens, const by_byte *sorted, const uint32_t *mask,
                              const char *text, size_t left, uint32_t none) {
    uint32_t best = none, b = (uint8_t)text[0];
    for (uint32_t i = sorted->first[b]; i < sorted->first[b + 1]; i++) {
        uint32_t id = sorted->ids[i], n = tokens[id].length;
        if (n > left || !(mask[id / 32] >> (id % 32) & 1) || (best != none && n <= tokens[best].length)) continue;
        if (memcmp(tokens[id].bytes, text, n) == 0) best = id;
    }
    return best;
}

static void pass(const char *name, grammar_matcher *m, const grammar_token *tokens, uint32_t count, const char *texts,
                 size_t length) {
    tola_error err;
    uint32_t *mask = calloc((count + 31) / 32, sizeof *mask);
    by_byte sorted = sort_by_byte(tokens, count);
    double *times = NULL, total = 0, steps = 0;
    size_t n = 0, cap = 0, allowed = 0;
    for (const char *line = texts, *all = texts + length; line < all;) {
        const char *end = memchr(line, '\n', (size_t)(all - line));
        if (!end) end = all;
        grammar_state *s;
        if (grammar_state_create(m, &s, &err) != TOLA_OK) fail(name, &err);
        while (line < end) {
            double start = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
            if (grammar_state_mask(s, mask, &err) != TOLA_OK) fail(name, &err);
            double time = bench_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
            if (n == cap && !(times = realloc(times, (cap = cap * 2 + 1024) * sizeof *times))) fail(name, NULL);
            times[n++] = time;
            total += time;
            for (uint32_t w = 0; w < (count + 31) / 32; w++) allowed += (size_t)__builtin_popcount(mask[w]);
            uint32_t id = longest_token(tokens, &sorted, mask, line, (size_t)(end - line), count);
            bool accepted = false;
            start = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
            if (id < count && grammar_state_token(s, id, &accepted, &err) != TOLA_OK) fail(name, &err);
            steps += bench_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
            if (!accepted) {
                fprintf(stderr, "no token of the mask goes on with: %.40s\n", line);
                exit(1);
            }
            line += tokens[id].length;
        }
        if (!grammar_state_can_end(s)) fprintf(stderr, "a text ends where the grammar does not\n");
        grammar_state_free(s);
        line = end + 1;
    }
    qsort(times, n, sizeof *times, compare_doubles);
    size_t slow = 0;
    while (slow < n && times[n - 1 - slow] > 0.5e-3) slow++;
    printf("%s: %zu masks, mean %.1f us, median %.1f, p99 %.1f, worst %.1f, %zu above 500; a step %.2f us; %.0f tokens "
           "allowed\n",
           name, n, 1e6 * total / (double)n, 1e6 * times[n / 2], 1e6 * times[n * 99 / 100], 1e6 * times[n - 1], slow,
           1e6 * steps / (double)n, (double)allowed / (double)n);
    free(sorted.ids);
    free(times);
    free(mask);
}

int main(int argc, char **argv) {
    tola_error err;
    if (argc < 4) return fputs("usage: bench_grammar VOCABULARY.gguf GRAMMAR.gbnf|SCHEMA.json TEXTS\n", stderr), 2;
    grammar_token *tokens;
    uint32_t count;
    grammar_vocabulary *v = open_vocabulary(argv[1], &tokens, &count);
    size_t length, text_length;
    char *text = read_file(argv[2], &length), *texts = read_file(argv[3], &text_length);
    grammar *g;
    double start = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
    bool schema = strlen(argv[2]) > 5 && strcmp(argv[2] + strlen(argv[2]) - 5, ".json") == 0;
    tola_status status =
        schema ? grammar_from_schema(text, length, &g, &err) : grammar_parse(text, length, NULL, &g, &err);
    if (status != TOLA_OK) fail(argv[2], &err);
    printf("grammar of %zu nodes: %.2f ms\n", grammar_node_count(g),
           1e3 * (bench_seconds(CLOCK_THREAD_CPUTIME_ID) - start));
    grammar_matcher *m;
    if (grammar_matcher_create(g, v, 0, &m, &err) != TOLA_OK) fail(argv[2], &err);
    pass("first pass", m, tokens, count, texts, text_length);
    pass("second pass", m, tokens, count, texts, text_length);
    grammar_matcher_free(m);
    grammar_free(g);
    grammar_vocabulary_free(v);
    return 0;
}
