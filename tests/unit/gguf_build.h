/* Builds GGUF files byte by byte, right and wrong ones, for the unit tests. Included behind cmocka.h. */
#ifndef GGUF_BUILD_H
#define GGUF_BUILD_H

#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"

typedef struct file {
    uint8_t data[1 << 16];
    size_t length;
    bool big; /* big-endian */
} file;

static inline void put(file *f, const void *data, size_t bytes) {
    assert_true(f->length + bytes <= sizeof f->data);
    memcpy(f->data + f->length, data, bytes);
    f->length += bytes;
}

static inline void put_number(file *f, uint64_t v, size_t bytes) {
    uint8_t b[8];
    for (size_t i = 0; i < bytes; i++) b[f->big ? bytes - 1 - i : i] = (uint8_t)(v >> (8 * i));
    put(f, b, bytes);
}

static inline void u8(file *f, uint8_t v) { put_number(f, v, 1); }
static inline void u16(file *f, uint16_t v) { put_number(f, v, 2); }
static inline void u32(file *f, uint32_t v) { put_number(f, v, 4); }
static inline void u64(file *f, uint64_t v) { put_number(f, v, 8); }

static inline void text(file *f, const char *s) {
    u64(f, strlen(s));
    put(f, s, strlen(s));
}

static inline void begin_version(file *f, uint32_t version, uint64_t tensors, uint64_t values) {
    f->length = 0;
    put(f, "GGUF", 4);
    u32(f, version);
    u64(f, tensors);
    u64(f, values);
}

static inline void begin(file *f, uint64_t tensors, uint64_t values) { begin_version(f, 3, tensors, values); }

static inline void key(file *f, const char *name, uint32_t type) {
    text(f, name);
    u32(f, type);
}

static inline void tensor(file *f, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                          uint64_t offset) {
    text(f, name);
    u32(f, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) u64(f, dims[i]);
    u32(f, type);
    u64(f, offset);
}

static inline void tensor1(file *f, const char *name, uint64_t extent, uint32_t type, uint64_t offset) {
    tensor(f, name, 1, &extent, type, offset);
}

static inline void pad(file *f, size_t alignment) {
    while (f->length % alignment) u8(f, 0);
}

static inline void payload(file *f, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) u8(f, (uint8_t)(i * 7 + 1));
}

static inline file *fresh(void) {
    file *f = calloc(1, sizeof *f);
    assert_non_null(f);
    return f;
}

/* Metadata of every type, and how many entries it has. */
static inline void put_values(file *f) {
    key(f, "a.u8", GGUF_U8), u8(f, 200);
    key(f, "a.i8", GGUF_I8), u8(f, (uint8_t)-5);
    key(f, "a.u16", GGUF_U16), u16(f, 60000);
    key(f, "a.i16", GGUF_I16), u16(f, (uint16_t)-300);
    key(f, "a.u32", GGUF_U32), u32(f, 4000000000u);
    key(f, "a.i32", GGUF_I32), u32(f, (uint32_t)-70000);
    key(f, "a.u64", GGUF_U64), u64(f, 18000000000000000000u);
    key(f, "a.i64", GGUF_I64), u64(f, (uint64_t)-5000000000);
    key(f, "a.f32", GGUF_F32), u32(f, 0x3fc00000); /* 1.5 */
    key(f, "a.f64", GGUF_F64), u64(f, 0xc004000000000000); /* -2.5 */
    key(f, "a.bool", GGUF_BOOL), u8(f, 1);
    key(f, "a.string", GGUF_STRING), text(f, "h\xc3\xa9llo");
    key(f, "b.u16", GGUF_ARRAY), u32(f, GGUF_U16), u64(f, 3), u16(f, 1), u16(f, 2), u16(f, 513);
    key(f, "b.bool", GGUF_ARRAY), u32(f, GGUF_BOOL), u64(f, 2), u8(f, 0), u8(f, 1);
    key(f, "b.string", GGUF_ARRAY), u32(f, GGUF_STRING), u64(f, 3), text(f, "x"), text(f, ""), text(f, "yz");
    key(f, "b.none", GGUF_ARRAY), u32(f, GGUF_F32), u64(f, 0);
    key(f, "c.nested", GGUF_ARRAY), u32(f, GGUF_ARRAY), u64(f, 2);
    u32(f, GGUF_I32), u64(f, 2), u32(f, 7), u32(f, (uint32_t)-7);
    u32(f, GGUF_STRING), u64(f, 1), text(f, "deep");
}
#define VALUES 17

#endif
