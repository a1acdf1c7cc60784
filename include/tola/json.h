/* Writing JSON: a small emitter with a callback sink. Reading JSON is internal (src/base/json.h). */
#ifndef TOLA_JSON_H
#define TOLA_JSON_H

#include <tola/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Receives text; returns false where it could not be taken, after which the emitter stays silent. */
typedef bool (*tola_json_sink)(void *user, const char *text, size_t length);

/* Owned by the caller, no heap. Commas, quoting and escaping are done here; nesting beyond 64 levels sets `failed`. */
typedef struct tola_json {
    tola_json_sink sink;
    void *user;
    int indent;      /* spaces a level; 0 = one line */
    int depth;
    bool failed;
    bool after_key;
    uint64_t used; /* bit d: level d has a member already */
    size_t fill;
    char buffer[4096];
} tola_json;

TOLA_API void tola_json_init(tola_json *json, tola_json_sink sink, void *user, int indent);
TOLA_API void tola_json_begin_object(tola_json *json);
TOLA_API void tola_json_end_object(tola_json *json);
TOLA_API void tola_json_begin_array(tola_json *json);
TOLA_API void tola_json_end_array(tola_json *json);
TOLA_API void tola_json_key(tola_json *json, const char *key);
TOLA_API void tola_json_key_n(tola_json *json, const char *key, size_t length);
/* Bytes that are no valid UTF-8 come out as U+FFFD, so that the document always is. */
TOLA_API void tola_json_string(tola_json *json, const char *text);
TOLA_API void tola_json_string_n(tola_json *json, const char *text, size_t length);
TOLA_API void tola_json_u64(tola_json *json, uint64_t value);
TOLA_API void tola_json_i64(tola_json *json, int64_t value);
/* Shortest text that reads back to the same double; NaN and infinities, which JSON lacks, come out as null. */
TOLA_API void tola_json_f64(tola_json *json, double value);
TOLA_API void tola_json_bool(tola_json *json, bool value);
TOLA_API void tola_json_null(tola_json *json);
TOLA_API void tola_json_value(tola_json *json, const tola_value *value);
/* Flushes what is buffered; false where anything failed. */
TOLA_API TOLA_MUST_CHECK bool tola_json_finish(tola_json *json);

#ifdef __cplusplus
}
#endif
#endif
