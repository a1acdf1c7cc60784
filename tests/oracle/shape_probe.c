/* What a model's shape is counted to be, a line of JSON for each file: shape_probe FILE...
 * For tests/oracle/shape_oracle.py. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/memory.h"

static void print_shape(const char *path, const model_shape *s) {
    const memory_inference o = { .context = s->context ? s->context : 4096 };
    uint64_t kv = 0;
    tola_error err = TOLA_ERROR_INIT;
    printf("{\"path\": \"%s\", \"family\": \"%s\", \"recognised\": %s, \"parameters\": %" PRIu64
           ", \"active\": %" PRIu64 ", \"embedding\": %" PRIu64 ", \"output\": %" PRIu64 ", \"other\": %" PRIu64
           ", \"layers\": %" PRIu64 ", \"width\": %" PRIu64 ", \"context\": %" PRIu64
           ", \"stored_bits\": %.4f, \"stored_bytes\": %" PRIu64 ", \"stored\": \"%s\"",
           path, s->family ? s->family : "", s->recognised ? "true" : "false", s->parameters, s->active, s->embedding,
           s->output, s->other, s->layer_count, s->width, s->context, s->stored_bits, s->stored_bytes,
           s->stored ? s->stored : "");
    if (memory_kv(s, &o, &kv, &err) != TOLA_OK) kv = 0;
    printf(", \"kv_token\": %.1f, \"kv\": %" PRIu64 ", \"values\": %" PRIu64 ", \"kept\": %" PRIu64
           ", \"operations\": %" PRIu64 ", \"rows\": [",
           memory_kv_token(s, &o), kv, s->example_values, s->example_kept, s->example_operations);
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        printf("%s[%u, %d, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %u, %" PRIu64 "]", i ? ", " : "",
               l->count, (int)l->memory, l->window, l->key_width, l->value_width, l->state_elements, l->experts,
               l->expert);
    }
    printf("], \"notes\": [");
    for (size_t i = 0; i < s->note_count; i++) {
        printf("%s\"", i ? ", " : "");
        for (const char *p = s->notes[i]; *p; p++)
            if (*p != '"' && *p != '\\') putchar(*p);
        putchar('"');
    }
    printf("]}\n");
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        model_shape s;
        tola_error err = TOLA_ERROR_INIT;
        if (shape_open(argv[i], &s, &err) == TOLA_OK) {
            print_shape(argv[i], &s);
            shape_dispose(&s);
        } else {
            for (char *p = err.message; *p; p++)
                if (*p == '"' || *p == '\\') *p = '\'';
            printf("{\"path\": \"%s\", \"error\": \"%s\"}\n", argv[i], err.message);
        }
    }
    return 0;
}
