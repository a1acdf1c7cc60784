/* Allocation, arenas, growing buffers, fault injection. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <tola/base.h>

enum { LARGE_PAGE = 2 << 20, LARGE = LARGE_PAGE };

/* ---- fault injection ---- */

static struct {
    atomic_bool armed[FAULT_KINDS];
    atomic_uint_fast64_t seen[FAULT_KINDS];
    uint64_t at[FAULT_KINDS];
    bool sticky[FAULT_KINDS];
} faults;
static atomic_bool faults_on; /* counting at all: only after the first fault_arm or fault_disarm */

void fault_arm(fault_kind kind, uint64_t after, bool sticky) {
    faults.at[kind] = after;
    faults.sticky[kind] = sticky;
    atomic_store(&faults.seen[kind], 0);
    atomic_store(&faults.armed[kind], true);
    atomic_store(&faults_on, true);
}

void fault_disarm(void) {
    for (int k = 0; k < FAULT_KINDS; k++) {
        atomic_store(&faults.armed[k], false);
        atomic_store(&faults.seen[k], 0);
    }
    atomic_store(&faults_on, true);
}

uint64_t fault_count(fault_kind kind) { return atomic_load(&faults.seen[kind]); }

bool fault_hit(fault_kind kind) {
    if (!atomic_load_explicit(&faults_on, memory_order_relaxed)) return false;
    uint64_t n = atomic_fetch_add(&faults.seen[kind], 1);
    if (!atomic_load(&faults.armed[kind])) return false;
    return n == faults.at[kind] || (faults.sticky[kind] && n > faults.at[kind]);
}

/* ---- heap ---- */

void *mem_alloc(size_t bytes) { return fault_hit(FAULT_ALLOC) ? NULL : malloc(bytes ? bytes : 1); }

void *mem_calloc(size_t count, size_t size) {
    if (fault_hit(FAULT_ALLOC)) return NULL;
    return count && size ? calloc(count, size) : calloc(1, 1);
}

void *mem_realloc(void *block, size_t bytes) {
    return fault_hit(FAULT_ALLOC) ? NULL : realloc(block, bytes ? bytes : 1);
}

void *mem_realloc_array(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return mem_realloc(block, bytes);
}

void *mem_alloc_aligned(size_t alignment, size_t bytes) {
    size_t rounded;
    if (fault_hit(FAULT_ALLOC) || __builtin_add_overflow(bytes ? bytes : 1, alignment - 1, &rounded)) return NULL;
#if defined(__linux__)
    /* What is large is put on large pages where the system lets a program ask for them: 2 MiB on x86 and on aarch64. */
    if (bytes >= LARGE && alignment <= LARGE_PAGE && !__builtin_add_overflow(bytes, LARGE_PAGE - 1, &rounded)) {
        void *block = aligned_alloc(LARGE_PAGE, rounded & ~(LARGE_PAGE - 1));
        if (block) (void)madvise(block, rounded & ~(LARGE_PAGE - 1), MADV_HUGEPAGE);
        return block;
    }
#endif
    return aligned_alloc(alignment, rounded & ~(alignment - 1));
}

char *mem_strdup(const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = mem_alloc(n);
    if (copy) memcpy(copy, text, n);
    return copy;
}

void mem_free(void *block) { free(block); }

void tola_free(void *data) { mem_free(data); }

bool mem_grow(void *items_pointer, size_t *cap, size_t need, size_t size) {
    if (need <= *cap) return true;
    size_t want = *cap > SIZE_MAX / 2 ? need : *cap + *cap / 2;
    if (want < 8) want = 8;
    if (want < need) want = need; /* exactly, where the caller knows how many will come */
    void *items;
    memcpy(&items, items_pointer, sizeof items);
    items = mem_realloc_array(items, want, size);
    if (!items) return false;
    memcpy(items_pointer, &items, sizeof items);
    *cap = want;
    return true;
}

/* ---- arena ---- */

struct arena_chunk {
    arena_chunk *next;
    size_t cap, used;
    _Alignas(16) uint8_t data[];
};

#define ARENA_FIRST 4096
#define ARENA_LARGEST (1u << 20)

void arena_init(arena *a, size_t limit) { *a = (arena){ NULL, 0, limit }; }

void arena_free(arena *a) {
    for (arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        mem_free(c);
    }
    a->chunks = NULL;
    a->total = 0;
}

void *arena_alloc(arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes == 0) bytes = 16;
    arena_chunk *c = a->chunks;
    if (!c || c->cap - c->used < bytes) {
        /* chunks double up to 1 MiB; a large request has a chunk of its own, behind the one being filled */
        size_t cap = c ? c->cap * 2 : ARENA_FIRST;
        if (cap > ARENA_LARGEST) cap = ARENA_LARGEST;
        bool own = bytes > cap / 4;
        if (own) cap = bytes;
        if (a->limit && (cap > a->limit || a->total > a->limit - cap)) return NULL;
        arena_chunk *fresh = mem_alloc(sizeof *fresh + cap);
        if (!fresh) return NULL;
        fresh->cap = cap;
        fresh->used = 0;
        a->total += cap;
        if (own && c) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->data + c->used;
    c->used += bytes;
    return p;
}

void *arena_alloc_array(arena *a, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(a, bytes);
}

char *arena_strndup(arena *a, const char *text, size_t length) {
    if (length == SIZE_MAX) return NULL;
    char *copy = arena_alloc(a, length + 1);
    if (!copy) return NULL;
    if (length) memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

void arena_merge(arena *to, arena *from) {
    if (!from->chunks) return;
    arena_chunk *last = from->chunks;
    while (last->next) last = last->next;
    if (to->chunks) { /* behind the chunk being filled, so that its free space stays in use */
        last->next = to->chunks->next;
        to->chunks->next = from->chunks;
    } else {
        to->chunks = from->chunks;
    }
    to->total += from->total;
    from->chunks = NULL;
    from->total = 0;
}

/* ---- buf ---- */

void buf_init(buf *b, size_t limit) { *b = (buf){ .limit = limit ? limit : (size_t)1 << 30 }; }

void buf_free(buf *b) {
    mem_free(b->data);
    b->data = NULL;
    b->length = b->cap = 0;
}

static bool buf_room(buf *b, size_t bytes) {
    if (b->failed) return false;
    b->full = bytes > b->limit || b->length > b->limit - bytes;
    if (b->full || !mem_grow(&b->data, &b->cap, b->length + bytes, 1)) {
        b->failed = true;
        return false;
    }
    return true;
}

void buf_append(buf *b, const void *data, size_t bytes) {
    if (!bytes || !buf_room(b, bytes)) return;
    memcpy(b->data + b->length, data, bytes);
    b->length += bytes;
}

void buf_zeros(buf *b, size_t count) {
    if (!count || !buf_room(b, count)) return;
    memset(b->data + b->length, 0, count);
    b->length += count;
}

void buf_u8(buf *b, uint8_t v) { buf_append(b, &v, 1); }
void buf_u16le(buf *b, uint16_t v) { buf_append(b, (uint8_t[]){ (uint8_t)v, (uint8_t)(v >> 8) }, 2); }
void buf_u32le(buf *b, uint32_t v) {
    buf_u16le(b, (uint16_t)v);
    buf_u16le(b, (uint16_t)(v >> 16));
}
void buf_u64le(buf *b, uint64_t v) {
    buf_u32le(b, (uint32_t)v);
    buf_u32le(b, (uint32_t)(v >> 32));
}

void buf_printf(buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && buf_room(b, (size_t)n + 1)) {
        vsnprintf((char *)b->data + b->length, (size_t)n + 1, format, again);
        b->length += (size_t)n;
    }
    va_end(again);
}
