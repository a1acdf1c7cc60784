/* Allocation: every byte on the heap of libtola comes from here, so that tests can make the N-th allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);
void *mem_calloc(size_t count, size_t size); /* NULL on overflow */
void *mem_realloc(void *block, size_t bytes);
void *mem_realloc_array(void *block, size_t count, size_t size); /* NULL on overflow, block stays */
void *mem_alloc_aligned(size_t alignment, size_t bytes); /* freed with mem_free */
char *mem_strdup(const char *text);
void mem_free(void *block);

/* Makes `*items` (capacity `*cap` elements of `size` bytes) hold at least `need`; false when out of memory. */
bool mem_grow(void *items_pointer, size_t *cap, size_t need, size_t size);

/* ---- arena: many small things that die together ---- */
typedef struct arena_chunk arena_chunk;
typedef struct arena {
    arena_chunk *chunks;
    size_t total; /* bytes taken from the heap */
    size_t limit; /* 0 = none; beyond it arena_alloc returns NULL */
} arena;
void arena_init(arena *a, size_t limit);
void arena_free(arena *a);
void *arena_alloc(arena *a, size_t bytes); /* aligned to 16, not cleared */
void *arena_alloc_array(arena *a, size_t count, size_t size); /* NULL on overflow */
char *arena_strndup(arena *a, const char *text, size_t length); /* adds the NUL */
/* Moves everything of `from` into `to`; `from` is empty afterwards. */
void arena_merge(arena *to, arena *from);

/* ---- a growing run of bytes with a cap ---- */
typedef struct buf {
    uint8_t *data;
    size_t length, cap, limit; /* limit 0 = 1 GiB */
    bool failed;               /* sticky: an append did not fit */
    bool full;                 /* it failed because of the limit, not for want of memory */
} buf;
void buf_init(buf *b, size_t limit);
void buf_free(buf *b);
void buf_append(buf *b, const void *data, size_t bytes);
void buf_u8(buf *b, uint8_t v);
void buf_u16le(buf *b, uint16_t v);
void buf_u32le(buf *b, uint32_t v);
void buf_u64le(buf *b, uint64_t v);
void buf_zeros(buf *b, size_t count);
void buf_printf(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- arithmetic that says when it overflows ---- */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *product) { return !__builtin_mul_overflow(a, b, product); }

/* ---- fault injection (always compiled, costs one predictable branch) ----
 * After fault_arm(FAULT_ALLOC, n) the n-th allocation from now (0 = the next) fails, and all after it if `sticky`. */
typedef enum { FAULT_ALLOC, FAULT_READ, FAULT_WRITE, FAULT_KINDS } fault_kind;
void fault_arm(fault_kind kind, uint64_t after, bool sticky);
void fault_disarm(void);
uint64_t fault_count(fault_kind kind); /* operations seen since the last arm or disarm */
bool fault_hit(fault_kind kind);       /* called by mem.c, source_file.c, output.c */

#endif
