/* tola_grammar: grammars and schemas for grammar_oracle.py and schema_oracle.py. Records on stdin, answers on stdout.
 *
 * In:  u32 kind (0 GBNF, 1 schema), u32 length, text; u32 count, count times {u32 length, bytes}; u32 walks; u64 seed.
 * Out: u32 status, u32 length, message; on success: a byte for each text (1: it fits), then for each walk u32 finished,
 *      u32 length, bytes: a text that the grammar made, byte by byte by its masks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate/sample.h"
#include "text/schema.h"

#define END_TOKEN 256
#define MAX_WALK 3000

static uint32_t take_u32(void) {
    uint32_t v;
    if (fread(&v, sizeof v, 1, stdin) != 1) exit(0);
    return v;
}

static char *take_text(uint32_t *length) {
    *length = take_u32();
    char *text = malloc(*length + 1);
    if (!text || fread(text, 1, *length, stdin) != *length) exit(2);
    text[*length] = '\0';
    return text;
}

static void put(const void *data, size_t size) {
    if (size && fwrite(data, size, 1, stdout) != 1) exit(2);
}

static void put_u32(uint32_t v) { put(&v, sizeof v); }

static void check(tola_status status, const tola_error *err) {
    if (status == TOLA_OK) return;
    fprintf(stderr, "%s\n", err->message);
    exit(2);
}

static bool fits(grammar_matcher *m, const char *text, uint32_t length) {
    grammar_state *s;
    bool accepted;
    tola_error err;
    check(grammar_state_create(m, &s, &err), &err);
    check(grammar_state_bytes(s, text, length, &accepted, &err), &err);
    accepted = accepted && grammar_state_can_end(s);
    grammar_state_free(s);
    return accepted;
}

/* A byte that the mask allows; those that end something more often as the text grows. */
static uint32_t choose(const uint32_t *mask, double u, uint32_t length) {
    double weights[257], sum = 0;
    for (uint32_t id = 0; id < 257; id++) {
        bool allowed = mask[id / 32] >> (id % 32) & 1;
        double w = id >= 128 ? 0.05 : 1;
        if (id == END_TOKEN) w = 8;
        else if (id == ' ' || id == '\n' || id == '\t' || id == '\r') w = 0.2;
        else if (strchr("\"]}", (int)id) && id) w = 5 + length / 8.0;
        weights[id] = allowed ? w : 0;
        sum += weights[id];
    }
    double goal = u * sum;
    uint32_t last = 257;
    for (uint32_t id = 0; id < 257; id++) {
        if (weights[id] == 0) continue;
        last = id;
        if ((goal -= weights[id]) < 0) break;
    }
    return last;
}

static void walk(grammar_matcher *m, uint64_t seed) {
    grammar_state *s;
    tola_error err;
    uint8_t text[MAX_WALK];
    uint32_t mask[9], length = 0, finished = 0;
    check(grammar_state_create(m, &s, &err), &err);
    while (length < MAX_WALK) {
        check(grammar_state_mask(s, mask, &err), &err);
        uint32_t id = choose(mask, sample_uniform(seed, length), length);
        if (id == 257) break;
        if (id == END_TOKEN) {
            finished = 1;
            break;
        }
        bool accepted;
        check(grammar_state_token(s, id, &accepted, &err), &err);
        if (!accepted) exit(3);
        text[length++] = (uint8_t)id;
    }
    grammar_state_free(s);
    put_u32(finished);
    put_u32(length);
    put(text, length);
}

int main(void) {
    uint8_t bytes[256];
    grammar_token tokens[257];
    grammar_vocabulary *v;
    tola_error err;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
        tokens[i] = (grammar_token){ bytes + i, 1, false };
    }
    tokens[END_TOKEN] = (grammar_token){ NULL, 0, true };
    check(grammar_vocabulary_create(tokens, 257, &(uint32_t){ END_TOKEN }, 1, &v, &err), &err);
    for (;;) {
        uint32_t kind = take_u32(), length;
        char *text = take_text(&length);
        grammar *g = NULL;
        grammar_matcher *m = NULL;
        tola_status status =
            kind ? grammar_from_schema(text, length, &g, &err) : grammar_parse(text, length, NULL, &g, &err);
        uint32_t message = status == TOLA_OK ? 0 : (uint32_t)strlen(err.message);
        put_u32(status);
        put_u32(message);
        put(err.message, message);
        if (status == TOLA_OK) check(grammar_matcher_create(g, v, 0, &m, &err), &err);
        uint32_t count = take_u32();
        for (uint32_t i = 0; i < count; i++) {
            uint32_t n;
            char *candidate = take_text(&n);
            uint8_t yes = m && fits(m, candidate, n);
            if (m) put(&yes, 1);
            free(candidate);
        }
        uint32_t walks = take_u32();
        uint64_t seed = take_u32();
        seed |= (uint64_t)take_u32() << 32;
        for (uint32_t i = 0; m && i < walks; i++) walk(m, seed + i);
        grammar_matcher_free(m);
        grammar_free(g);
        free(text);
        fflush(stdout);
    }
}
