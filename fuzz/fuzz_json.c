/* JSON: pulling tokens, skipping, the tree, and that what the emitter writes of a tree reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include <tola/json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static bool append(void *user, const char *text, size_t length) {
    buf_append(user, text, length);
    return !((buf *)user)->failed;
}

/* Tokens nest, and text lies where it may. Returns whether the document is whole. */
static bool pull(const char *data, size_t bytes) {
    json_reader r;
    json_reader_init(&r, data, bytes, 8);
    r.nonfinite = true;
    int depth = 0;
    json_token token;
    while ((token = json_next(&r)) != JSON_END && token != JSON_ERROR) {
        if (token == JSON_BEGIN_OBJECT || token == JSON_BEGIN_ARRAY) depth++;
        if (token == JSON_END_OBJECT || token == JSON_END_ARRAY) depth--;
        check(depth >= 0 && depth <= JSON_MAX_DEPTH && r.token_at < bytes);
        bool text = token == JSON_KEY || token == JSON_STRING;
        check(!text || r.text_length == 0 || memchr(r.text, 0xff, r.text_length) == NULL);
    }
    tola_error err = TOLA_ERROR_INIT;
    bool whole = json_check(&r, &err) == TOLA_OK;
    check(whole == (token == JSON_END));
    if (!whole) check(err.message[0] && err.offset >= 8 && err.offset <= bytes + 8);
    json_reader_free(&r);
    json_reader_init(&r, data, bytes, 0);
    r.nonfinite = true;
    check(!whole || (json_skip(&r) && json_next(&r) == JSON_END));
    json_reader_free(&r);
    return whole;
}

/* False where the emitter refuses it, which only nesting beyond 64 levels may cause. */
static bool emit(const tola_value *v, int indent, buf *out) {
    tola_json j;
    tola_json_init(&j, append, out, indent);
    tola_json_value(&j, v);
    return tola_json_finish(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 16) return 0;
    bool whole = pull((const char *)data, bytes);
    arena a, b;
    arena_init(&a, 64 << 20);
    arena_init(&b, 64 << 20);
    tola_value v, again;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = json_parse((const char *)data, bytes, &a, &v, &err);
    check(status != TOLA_OK || whole);
    check(status == TOLA_OK || !whole || strstr(err.message, "appears twice"));
    if (status == TOLA_OK) {
        buf first, second;
        buf_init(&first, 64 << 20);
        buf_init(&second, 64 << 20);
        if (emit(&v, data[0] % 4, &first)) {
            check(json_parse((const char *)first.data, first.length, &b, &again, NULL) == TOLA_OK);
            check(emit(&again, data[0] % 4, &second));
            check(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
        }
        buf_free(&first);
        buf_free(&second);
    }
    arena_free(&a);
    arena_free(&b);
    return 0;
}
