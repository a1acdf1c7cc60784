/* A dynamically typed value: metadata of a checkpoint, a JSON document, the plain part of a pickle. */
#ifndef TOLA_VALUE_H
#define TOLA_VALUE_H

#include <tola/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_value_kind {
    TOLA_VALUE_NULL = 0,
    TOLA_VALUE_BOOL,
    TOLA_VALUE_INT,    /* dtype says the width it was stored with: i8 .. i64 */
    TOLA_VALUE_UINT,   /* u8 .. u64 */
    TOLA_VALUE_FLOAT,  /* f32 or f64 */
    TOLA_VALUE_STRING, /* bytes, usually UTF-8; may hold NUL; NUL-terminated beyond its length */
    TOLA_VALUE_ARRAY,
    TOLA_VALUE_MAP     /* keys are strings, in file order */
} tola_value_kind;

typedef struct tola_string {
    const char *data;
    size_t length;
} tola_string;

typedef struct tola_value tola_value;
typedef struct tola_member tola_member;

struct tola_value {
    uint8_t kind;    /* tola_value_kind */
    uint8_t element; /* of an array: kind of all elements if `items` is packed, TOLA_VALUE_NULL if it is tola_value[] */
    uint16_t dtype;  /* tola_dtype of a number, or of the elements of a packed array of numbers or bools */
    uint32_t reserved;
    union {
        bool boolean;
        int64_t i64;
        uint64_t u64;
        double f64;
        tola_string string;
        struct {
            const void *items; /* packed numbers in native order, or tola_string[], or tola_value[] */
            size_t count;
        } array;
        struct {
            const tola_member *members;
            size_t count;
        } map;
    } as;
};

struct tola_member {
    tola_string key;
    tola_value value;
};

/* Element i of an array in unpacked form; a NULL value where i is beyond the end or `array` is none. */
TOLA_API tola_value tola_value_at(const tola_value *array, size_t i);
/* The member of a map, NULL where it is absent or `map` is NULL or no map. */
TOLA_API const tola_value *tola_value_get(const tola_value *map, const char *key);
/* Conversions that fall back where the value is NULL, of another kind, or out of range. */
TOLA_API uint64_t tola_value_u64(const tola_value *value, uint64_t fallback);
TOLA_API double tola_value_f64(const tola_value *value, double fallback);
TOLA_API bool tola_value_bool(const tola_value *value, bool fallback);
TOLA_API const char *tola_value_str(const tola_value *value, const char *fallback);

#ifdef __cplusplus
}
#endif
#endif
