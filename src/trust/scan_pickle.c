/* The machine that follows a pickle. See scan_pickle.h. */
#include "trust/scan_pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

#define WINDOW (256u << 10)
#define DENSE_MEMO (1u << 16) /* memo numbers up to this far beyond the count of entries are an array */
#define MAX_NOTES 256

typedef struct sparse_slot {
    uint64_t key; /* + 1; 0 = empty */
    pm_value value;
} sparse_slot;

struct pickle_machine {
    scan_job *job;
    const scan_part *part;
    bool torchscript;
    /* the window */
    uint8_t *window;
    uint64_t window_at;
    size_t window_bytes;
    const uint8_t *p, *limit; /* in the window */
    /* this run */
    uint64_t op_at, frame_end;
    bool framed, ended, broken;
    unsigned nested;
    pm_outcome *out;
    pm_value *stack;
    size_t depth, stack_cap;
    size_t *marks;
    size_t mark_count, mark_cap;
    pm_value *memo;             /* kind + 1 in `spare` where set */
    size_t memo_cap, memo_used; /* no entry is set from memo_used on */
    sparse_slot *sparse;
    size_t sparse_count, sparse_cap;
    uint64_t memo_count;
    pm_box *boxes; /* [0] is none */
    size_t box_count, box_cap;
    pm_value *items;
    size_t item_count, item_cap;
    /* of all runs until commit */
    arena names;
    pm_import *imports;
    size_t import_count, import_cap;
    uint32_t *table; /* hash table of indices + 1 */
    size_t table_cap;
    pm_note *notes;
    size_t note_count, note_cap;
};

/* ---- the window ---- */

static uint64_t here(const pickle_machine *m) { return m->window_at + (uint64_t)(m->p - m->window); }
static uint64_t relative(const pickle_machine *m, uint64_t at) { return at - m->part->start; }

static void out_of_memory(pickle_machine *m) {
    tola_error err = TOLA_ERROR_INIT;
    scan_stop(m->job, err_nomem(&err, "following a pickle"), &err);
    m->broken = true;
}

/* Loads the window from `at` on; false at the end or on an error, which stops the job. */
static bool refill(pickle_machine *m, uint64_t at) {
    m->window_at = at;
    m->window_bytes = 0;
    m->p = m->limit = m->window;
    if (at >= m->part->end) return false;
    uint64_t left = m->part->end - at;
    size_t bytes = left < WINDOW ? (size_t)left : WINDOW;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = source_read(m->part->src, at, m->window, bytes, &err);
    if (status != TOLA_OK) {
        scan_stop(m->job, status, &err);
        m->broken = true;
        return false;
    }
    m->window_bytes = bytes;
    m->limit = m->window + bytes;
    return true;
}

/* `n` (at most 64 KiB) bytes at the cursor in one piece, consumed; NULL, with the run ended, where they are not there.
 */
static const uint8_t *take(pickle_machine *m, size_t n) {
    if (__builtin_expect((size_t)(m->limit - m->p) < n, 0)) {
        uint64_t at = here(m);
        if (m->part->end - at < n || !refill(m, at) || m->window_bytes < n) {
            m->ended = true;
            return NULL;
        }
    }
    const uint8_t *bytes = m->p;
    m->p += n;
    return bytes;
}

static bool skip(pickle_machine *m, uint64_t n) {
    if (n <= (uint64_t)(m->limit - m->p)) {
        m->p += n;
        return true;
    }
    uint64_t at = here(m);
    if (n > m->part->end - at) {
        m->ended = true;
        return false;
    }
    refill(m, at + n); /* at the very end the window is empty */
    return !m->broken;
}

static uint64_t le(const uint8_t *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* A line up to its LF: where it begins and its bytes without the LF. False where there is none. */
static bool line(pickle_machine *m, uint64_t *at, uint64_t *bytes) {
    *at = here(m);
    for (;;) {
        size_t left = (size_t)(m->limit - m->p);
        const uint8_t *lf = left ? memchr(m->p, '\n', left) : NULL;
        if (lf) {
            m->p = lf + 1;
            *bytes = here(m) - *at - 1;
            return true;
        }
        m->p = m->limit;
        if (!refill(m, here(m))) {
            *bytes = here(m) - *at;
            m->ended = true;
            return false;
        }
    }
}

bool pm_read(pickle_machine *m, uint64_t at, void *dst, size_t bytes) {
    if (at >= m->window_at && at - m->window_at <= m->window_bytes && m->window_bytes - (at - m->window_at) >= bytes) {
        memcpy(dst, m->window + (at - m->window_at), bytes);
        return true;
    }
    if (at < m->part->start || at > m->part->end || bytes > m->part->end - at) return false;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = source_read(m->part->src, at, dst, bytes, &err);
    if (status == TOLA_OK) return true;
    scan_stop(m->job, status, &err);
    m->broken = true;
    return false;
}

/* ---- what is wrong ---- */

/* From here on a loader may have stopped: what was found so far is kept for those who only try. */
static void doubt(pickle_machine *m) {
    pm_outcome *out = m->out;
    if (out->doubtful) return;
    out->doubtful = true;
    out->spoke_before = out->dangerous || (out->acted && out->worst != TOLA_SAFE);
}

/* CPython raises an error here, whichever of its two unpicklers it is. Only the first is kept: nothing behind it runs.
 */
static void malformed(pickle_machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void malformed(pickle_machine *m, const char *format, ...) {
    if (m->out->malformed) return;
    doubt(m);
    m->out->malformed = true;
    m->out->malformed_at = relative(m, m->op_at);
    va_list args;
    va_start(args, format);
    vsnprintf(m->out->why, sizeof m->out->why, format, args);
    va_end(args);
}

/* A limit of this machine, not of CPython's. */
static void limited(pickle_machine *m, const char *what, unsigned limit) {
    malformed(m, "more than %u %s", limit, what);
    m->out->limited = m->broken = true;
}

static void note(pickle_machine *m, tola_verdict verdict, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void note(pickle_machine *m, tola_verdict verdict, const char *kind, const char *format, ...) {
    if (verdict > m->out->worst) m->out->worst = verdict;
    if (verdict == TOLA_DANGEROUS) m->out->dangerous = true;
    if (m->note_count >= MAX_NOTES) return;
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < m->note_count; i++) /* the same once more */
        if (strcmp(m->notes[i].what, text) == 0) return;
    char *what = arena_strndup(&m->names, text, strlen(text));
    if (!what || !mem_grow(&m->notes, &m->note_cap, m->note_count + 1, sizeof *m->notes)) {
        out_of_memory(m);
        return;
    }
    m->notes[m->note_count++] = (pm_note){ verdict, kind, relative(m, m->op_at), what };
}

/* ---- stack, marks, boxes, memo ---- */

static void push(pickle_machine *m, pm_value v) {
    if (__builtin_expect(m->depth == m->stack_cap, 0)) {
        if (m->depth >= PM_MAX_STACK) {
            limited(m, "values wait on the stack", PM_MAX_STACK);
            return;
        }
        if (!mem_grow(&m->stack, &m->stack_cap, m->depth + 1, sizeof *m->stack)) {
            out_of_memory(m);
            return;
        }
    }
    m->stack[m->depth++] = v;
}

static void push_kind(pickle_machine *m, pm_kind kind) { push(m, (pm_value){ .kind = (uint8_t)kind }); }

static size_t fence(const pickle_machine *m) { return m->mark_count ? m->marks[m->mark_count - 1] : 0; }

static void underflow(pickle_machine *m) { malformed(m, "a value is taken from an empty stack"); }

static pm_value pop(pickle_machine *m) {
    if (m->depth <= fence(m)) {
        underflow(m);
        return (pm_value){ .kind = PM_OTHER };
    }
    return m->stack[--m->depth];
}

/* The value on top; NULL, with a note, where there is none. */
static pm_value *top(pickle_machine *m) {
    if (m->depth > fence(m)) return &m->stack[m->depth - 1];
    underflow(m);
    return NULL;
}

static void push_mark(pickle_machine *m) {
    if (!mem_grow(&m->marks, &m->mark_cap, m->mark_count + 1, sizeof *m->marks)) {
        out_of_memory(m);
        return;
    }
    m->marks[m->mark_count++] = m->depth;
}

/* Takes the last mark; the index of the value after it. */
static size_t pop_mark(pickle_machine *m) {
    if (m->mark_count) return m->marks[--m->mark_count];
    malformed(m, "a mark is used that was not set");
    return m->depth;
}

/* A box for a container; 0 (contents are not kept) where there are too many. */
static uint32_t new_box(pickle_machine *m) {
    if (m->box_count >= PM_MAX_BOXES) return 0;
    if (!mem_grow(&m->boxes, &m->box_cap, m->box_count + 2, sizeof *m->boxes)) {
        out_of_memory(m);
        return 0;
    }
    if (m->box_count == 0) m->boxes[m->box_count++] = (pm_box){ 0 };
    m->boxes[m->box_count] = (pm_box){ 0 };
    return (uint32_t)m->box_count++;
}

static void box_add(pickle_machine *m, uint32_t box, const pm_value *values, size_t count) {
    if (box == 0 || count == 0) return;
    pm_box *b = &m->boxes[box];
    if (b->cut || count > PM_BOX_ITEMS - b->count || m->item_count > PM_MAX_ITEMS) {
        b->cut = true;
        return;
    }
    if (b->count + count > b->cap) { /* to a new place, twice as large */
        uint32_t cap = b->cap ? b->cap : 4;
        while (cap < b->count + count) cap *= 2;
        if (!mem_grow(&m->items, &m->item_cap, m->item_count + cap, sizeof *m->items)) {
            out_of_memory(m);
            return;
        }
        if (b->count) memcpy(m->items + m->item_count, m->items + b->first, b->count * sizeof *m->items);
        b->first = (uint32_t)m->item_count;
        b->cap = cap;
        m->item_count += cap;
    }
    memcpy(m->items + b->first + b->count, values, count * sizeof *values);
    b->count += (uint32_t)count;
}

/* The values above index `first` become a container in their place. */
static void collect(pickle_machine *m, pm_kind kind, size_t first) {
    size_t count = m->depth - first;
    pm_value v = { .kind = (uint8_t)kind };
    if (kind == PM_DICT && count % 2) malformed(m, "a dictionary with a key and no value");
    bool can_grow = kind == PM_LIST || kind == PM_DICT;
    if (can_grow || (kind == PM_TUPLE && count && count <= PM_BOX_ITEMS)) {
        v.n = new_box(m);
        if (count) box_add(m, v.n, m->stack + first, count);
    }
    if (count && !v.n) v.x = 1; /* contents that are not kept */
    m->depth = first;
    push(m, v);
}

static void collect_last(pickle_machine *m, size_t count) {
    if (m->depth - fence(m) < count) {
        underflow(m);
        count = m->depth - fence(m);
    }
    collect(m, PM_TUPLE, m->depth - count);
}

static const char *import_name(const pm_import *g, char *dst, size_t cap) {
    char module[200], name[200];
    text_quote(module, sizeof module, g->module, strlen(g->module));
    text_quote(name, sizeof name, g->name, strlen(g->name));
    snprintf(dst, cap, "%s.%s", module, name);
    return dst;
}

/* An import itself, not what it returns, is changed: items put into it, attributes set. */
static void change_import(pickle_machine *m, const pm_value *v) {
    char name[420];
    pm_import *g = &m->imports[v->n];
    g->called = true;
    m->out->acted = true;
    note(m, TOLA_UNKNOWN, "pickle", "changes what %s is for the whole program", import_name(g, name, sizeof name));
}

/* The values above `first` go into the container below them. */
static void add_from(pickle_machine *m, pm_kind kind, size_t first) {
    if (first <= fence(m) || first == 0) {
        underflow(m);
        if (first < m->depth) m->depth = first;
        return;
    }
    if (kind == PM_DICT && (m->depth - first) % 2) malformed(m, "a dictionary with a key and no value");
    pm_value target = m->stack[first - 1];
    if (target.kind == (uint8_t)kind)
        box_add(m, target.n, m->stack + first, m->depth - first);
    else if (target.kind == PM_IMPORT)
        change_import(m, &target);
    else if (target.kind == PM_INT || target.kind == PM_STR || target.kind == PM_TUPLE || target.kind == PM_CONSTANT)
        malformed(m, "items are put into something that is no container");
    m->depth = first;
}

static void add_last(pickle_machine *m, pm_kind kind, size_t count) {
    if (m->depth - fence(m) < count) {
        underflow(m);
        m->depth = fence(m);
        return;
    }
    add_from(m, kind, m->depth - count);
}

/* Under the random key of hash_string: with a fixed one, a pickle could choose numbers that all share a slot. */
static sparse_slot *sparse_find(sparse_slot *slots, size_t cap, uint64_t key) {
    size_t i = (size_t)hash_string((const char *)&key, sizeof key) & (cap - 1);
    while (slots[i].key && slots[i].key != key + 1) i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void sparse_put(pickle_machine *m, uint64_t key, pm_value v) {
    if (m->sparse_count * 2 >= m->sparse_cap) {
        size_t cap = m->sparse_cap ? m->sparse_cap * 2 : 256;
        sparse_slot *slots = mem_calloc(cap, sizeof *slots);
        if (!slots) {
            out_of_memory(m);
            return;
        }
        for (size_t i = 0; i < m->sparse_cap; i++)
            if (m->sparse[i].key) *sparse_find(slots, cap, m->sparse[i].key - 1) = m->sparse[i];
        mem_free(m->sparse);
        m->sparse = slots;
        m->sparse_cap = cap;
    }
    sparse_slot *slot = sparse_find(m->sparse, m->sparse_cap, key);
    if (!slot->key) {
        m->sparse_count++;
        m->memo_count++;
    }
    *slot = (sparse_slot){ key + 1, v };
}

/* The array may have grown over an entry of the table; it counts once, and the array's is the newer one. */
static bool sparse_has(pickle_machine *m, uint64_t key) {
    return m->sparse_count && sparse_find(m->sparse, m->sparse_cap, key)->key;
}

static void memo_put(pickle_machine *m, uint64_t key) {
    pm_value *v = top(m);
    if (!v) return;
    if (key >= m->memo_cap && key > m->memo_count + DENSE_MEMO) {
        sparse_put(m, key, *v);
        return;
    }
    if (key >= m->memo_cap) {
        size_t old = m->memo_cap, need = (size_t)key + 1 > 256 ? (size_t)key + 1 : 256;
        if (!mem_grow(&m->memo, &m->memo_cap, need, sizeof *m->memo)) {
            out_of_memory(m);
            return;
        }
        memset(m->memo + old, 0, (m->memo_cap - old) * sizeof *m->memo);
    }
    if (!m->memo[key].spare && !sparse_has(m, key)) m->memo_count++;
    m->memo[key] = *v;
    m->memo[key].spare = 1;
    if (key >= m->memo_used) m->memo_used = (size_t)key + 1;
}

static void memo_get(pickle_machine *m, uint64_t key) {
    pm_value v = { .kind = PM_OTHER };
    bool found = false;
    if (key < m->memo_cap && m->memo[key].spare) {
        found = true;
        v = m->memo[key];
    } else if (m->sparse_cap) {
        sparse_slot *slot = sparse_find(m->sparse, m->sparse_cap, key);
        if ((found = slot->key)) v = slot->value;
    }
    if (!found) malformed(m, "memo entry %" PRIu64 " is used and was never set", key);
    v.spare = 0;
    push(m, v);
}

/* ---- text ---- */

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static size_t put_utf8(char *dst, uint32_t c) {
    if (c < 0x80) return dst[0] = (char)c, 1;
    if (c < 0x800) return dst[0] = (char)(0xc0 | c >> 6), dst[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | c >> 12), dst[1] = (char)(0x80 | (c >> 6 & 63)), dst[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    dst[0] = (char)(0xf0 | c >> 18), dst[1] = (char)(0x80 | (c >> 12 & 63));
    dst[2] = (char)(0x80 | (c >> 6 & 63)), dst[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* V: \uXXXX and \UXXXXXXXX; other bytes are Latin-1. In place of the input, `out` has room for twice as much. */
static size_t decode_raw_unicode(const uint8_t *in, size_t n, char *out) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned digits = i + 1 < n && in[i] == '\\' ? in[i + 1] == 'u' ? 4 : in[i + 1] == 'U' ? 8 : 0 : 0;
        uint32_t c = 0;
        bool escape = digits && i + 2 + digits <= n;
        for (unsigned d = 0; escape && d < digits; d++) {
            int h = hex_digit(in[i + 2 + d]);
            if (h < 0) escape = false;
            c = c << 4 | (uint32_t)(h & 15);
        }
        if (escape && c <= 0x10ffff) {
            length += put_utf8(out + length, c);
            i += 1 + digits;
        } else {
            length += put_utf8(out + length, in[i]);
        }
    }
    return length;
}

/* S: a string literal in quotes, with C's escapes and \xNN (codecs.escape_decode). */
static size_t decode_repr(const uint8_t *in, size_t n, char *out) {
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    size_t length = 0;
    while (n && (in[n - 1] == ' ' || in[n - 1] == '\r' || in[n - 1] == '\t')) n--;
    while (n && (*in == ' ' || *in == '\t')) in++, n--;
    if (n >= 2 && (in[0] == '\'' || in[0] == '"') && in[n - 1] == in[0]) in++, n -= 2;
    for (size_t i = 0; i < n; i++) {
        if (in[i] != '\\' || i + 1 >= n) {
            out[length++] = (char)in[i];
            continue;
        }
        uint8_t c = in[++i];
        const char *found = NULL;
        for (size_t k = 0; k + 1 < sizeof plain - 1 && !found; k += 2)
            if ((uint8_t)plain[k] == c) found = plain + k + 1;
        if (found) {
            out[length++] = *found;
        } else if (c == 'x' && i + 2 < n && hex_digit(in[i + 1]) >= 0 && hex_digit(in[i + 2]) >= 0) {
            out[length++] = (char)(hex_digit(in[i + 1]) << 4 | hex_digit(in[i + 2]));
            i += 2;
        } else if (c >= '0' && c <= '7') {
            unsigned v = 0;
            for (unsigned d = 0; d < 3 && i < n && in[i] >= '0' && in[i] <= '7'; d++) v = v * 8 + (in[i++] - '0');
            i--;
            out[length++] = (char)v;
        } else {
            out[length++] = '\\';
            out[length++] = (char)c;
        }
    }
    return length;
}

bool pm_text(pickle_machine *m, const pm_value *v, char *dst, size_t cap, size_t *length) {
    if (!v || (v->kind != PM_STR && v->kind != PM_BYTES)) return false;
    size_t n = v->n;
    if (n > PM_MAX_NAME || (v->form ? 2 * n : n) >= cap) return false;
    uint8_t raw[PM_MAX_NAME + 1];
    if (!pm_read(m, v->x, raw, n)) return false;
    size_t got = n;
    if (v->form == PM_RAW_UNICODE)
        got = decode_raw_unicode(raw, n, dst);
    else if (v->form == PM_REPR)
        got = decode_repr(raw, n, dst);
    else
        memcpy(dst, raw, n);
    dst[got] = 0;
    if (length) *length = got;
    return true;
}

bool pm_is_text(pickle_machine *m, const pm_value *v, const char *text) {
    char got[2 * 256 + 1];
    size_t length;
    return v && v->n <= 256 && pm_text(m, v, got, sizeof got, &length) && length == strlen(text) &&
           memcmp(got, text, length) == 0;
}

static void push_text(pickle_machine *m, pm_kind kind, pm_form form, uint64_t at, uint64_t bytes) {
    if (bytes > UINT32_MAX) {
        push_kind(m, PM_OTHER);
        return;
    }
    push(m, (pm_value){ .kind = (uint8_t)kind, .form = (uint8_t)form, .n = (uint32_t)bytes, .x = at });
}

static void counted_text(pickle_machine *m, pm_kind kind, unsigned length_bytes) {
    const uint8_t *p = take(m, length_bytes);
    if (!p) return;
    uint64_t bytes = le(p, length_bytes), at = here(m);
    if (skip(m, bytes)) push_text(m, kind, PM_UTF8, at, bytes);
}

/* ---- imports ---- */

/* Letters, digits, underscores, dots, anything beyond ASCII: text that merely looks like a pickle has others. */
static bool plausible(const char *text, size_t n) {
    if (n == 0 || n > PM_MAX_NAME) return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80 || c == '<' || c == '>';
        if (!letter && c != '.' && !(c >= '0' && c <= '9' && i > 0)) return false;
    }
    return true;
}

static uint64_t import_hash(const char *module, const char *name) {
    uint64_t words[2] = { hash_string(module, strlen(module)), hash_string(name, strlen(name)) };
    return hash_string((const char *)words, sizeof words);
}

static bool grow_table(pickle_machine *m) {
    size_t cap = m->table_cap ? m->table_cap * 2 : 256;
    uint32_t *table = mem_calloc(cap, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < m->import_count; i++) {
        size_t slot = (size_t)import_hash(m->imports[i].module, m->imports[i].name) & (cap - 1);
        m->imports[i].next = table[slot];
        table[slot] = (uint32_t)i + 1;
    }
    mem_free(m->table);
    m->table = table;
    m->table_cap = cap;
    return true;
}

static void push_import(pickle_machine *m, const char *module, size_t module_bytes, const char *name,
                        size_t name_bytes) {
    bool sane = plausible(module, module_bytes) && plausible(name, name_bytes) && strlen(module) == module_bytes &&
                strlen(name) == name_bytes;
    if (m->import_count >= m->table_cap && !grow_table(m)) {
        out_of_memory(m);
        return;
    }
    size_t slot = (size_t)import_hash(module, name) & (m->table_cap - 1);
    for (uint32_t i = m->table[slot]; i; i = m->imports[i - 1].next) {
        pm_import *g = &m->imports[i - 1];
        if (strcmp(g->module, module) != 0 || strcmp(g->name, name) != 0) continue;
        g->count++;
        if (g->verdict > m->out->worst) m->out->worst = g->verdict;
        if (g->verdict == TOLA_DANGEROUS) m->out->dangerous = true;
        push(m, (pm_value){ .kind = PM_IMPORT, .n = i - 1 });
        return;
    }
    if (m->import_count >= PM_MAX_IMPORTS) {
        limited(m, "names are imported", PM_MAX_IMPORTS);
        return;
    }
    pm_import g = { .module = arena_strndup(&m->names, module, strlen(module)),
                    .name = arena_strndup(&m->names, name, strlen(name)),
                    .offset = relative(m, m->op_at),
                    .count = 1,
                    .verdict = scan_judge_import(module, name, m->torchscript),
                    .next = m->table[slot] };
    if (!sane && g.verdict == TOLA_SAFE) g.verdict = TOLA_UNKNOWN; /* a NUL inside */
    if (!g.module || !g.name || !mem_grow(&m->imports, &m->import_cap, m->import_count + 1, sizeof *m->imports)) {
        out_of_memory(m);
        return;
    }
    m->imports[m->import_count++] = g;
    m->table[slot] = (uint32_t)m->import_count;
    if (!sane) doubt(m);
    if (g.verdict > m->out->worst) m->out->worst = g.verdict;
    if (g.verdict == TOLA_DANGEROUS && sane) m->out->dangerous = true;
    push(m, (pm_value){ .kind = PM_IMPORT, .n = (uint32_t)m->import_count - 1 });
}

/* GLOBAL, INST: two lines. */
static void import_lines(pickle_machine *m) {
    char text[2][PM_MAX_NAME + 1];
    uint64_t at[2], bytes[2];
    bool complete = line(m, &at[0], &bytes[0]) && line(m, &at[1], &bytes[1]);
    if (!complete && m->broken) return;
    if (!complete && at[0] == here(m)) return;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !complete && at[1] <= at[0]) bytes[1] = 0;
        if (bytes[i] > PM_MAX_NAME) bytes[i] = PM_MAX_NAME;
        if (bytes[i] && !pm_read(m, at[i], text[i], (size_t)bytes[i])) return;
        text[i][bytes[i]] = 0;
    }
    /* a second line that the file's end cuts: Lib/pickle.py takes what is there, but for the last character */
    if (!complete && bytes[1] == 0) return;
    push_import(m, text[0], (size_t)bytes[0], text[1], (size_t)bytes[1]);
}

static void import_from_stack(pickle_machine *m) {
    char module[2 * PM_MAX_NAME + 2], name[2 * PM_MAX_NAME + 2];
    size_t module_bytes, name_bytes;
    pm_value n = pop(m), o = pop(m);
    if (o.kind != PM_STR || n.kind != PM_STR) {
        /* CPython wants texts here; what a call or the outside world gives may be one */
        bool computed = o.kind == PM_RESULT || n.kind == PM_RESULT || o.kind == PM_PERSISTENT ||
                        n.kind == PM_PERSISTENT || o.kind == PM_OTHER || n.kind == PM_OTHER;
        if (computed)
            note(m, TOLA_DANGEROUS, "pickle", "imports a name that is made while it is loaded");
        else
            malformed(m, "a name to import is no text");
        push_kind(m, PM_RESULT);
        return;
    }
    if (!pm_text(m, &o, module, sizeof module, &module_bytes) || !pm_text(m, &n, name, sizeof name, &name_bytes)) {
        if (!m->broken) note(m, TOLA_UNKNOWN, "pickle", "imports a name of more than %u bytes", PM_MAX_NAME);
        push_kind(m, PM_RESULT);
        return;
    }
    push_import(m, module, module_bytes, name, name_bytes);
}

/* ---- calls ---- */

static void call(pickle_machine *m, pm_value callee, pm_value args) {
    pm_value result = { .kind = PM_RESULT, .x = args.kind == PM_TUPLE ? args.n : 0 };
    if (callee.kind == PM_IMPORT) {
        m->imports[callee.n].called = true;
        m->out->acted = true;
        result.n = callee.n + 1;
    } else if (callee.kind == PM_RESULT || callee.kind == PM_PERSISTENT || callee.kind == PM_OTHER) {
        result.n = callee.kind == PM_RESULT ? callee.n : 0;
        m->out->acted = true;
        note(m, TOLA_UNKNOWN, "pickle", "calls something that is only made while it is loaded");
    } else {
        malformed(m, "something is called that is no function");
    }
    push(m, result);
}

static void call_opcode(pickle_machine *m, uint8_t op) {
    pm_value callee, args;
    size_t first;
    switch (op) {
    case 'i':
        import_lines(m);
        if (m->ended || m->broken) return;
        callee = pop(m);
        first = pop_mark(m);
        collect(m, PM_TUPLE, first);
        args = pop(m);
        break;
    case 'o':
        first = pop_mark(m);
        if (m->depth <= first) {
            underflow(m);
            return;
        }
        callee = m->stack[first];
        collect(m, PM_TUPLE, first + 1);
        args = pop(m);
        m->depth = first;
        break;
    case 0x92: /* NEWOBJ_EX */
        pop(m);
        args = pop(m);
        callee = pop(m);
        break;
    default: /* REDUCE, NEWOBJ */
        args = pop(m);
        callee = pop(m);
        break;
    }
    if (args.kind == PM_INT || args.kind == PM_CONSTANT) malformed(m, "the arguments of a call are no tuple");
    call(m, callee, args);
}

/* ---- joblib ---- */

/* A value of the wrapper's state by its name. */
static const pm_value *state_value(pickle_machine *m, const pm_value *state, const char *key) {
    const pm_value *found = NULL;
    for (size_t i = 0; i + 1 < pm_count(m, state); i += 2) {
        const pm_value *k = pm_item(m, state, i);
        if (!k) return NULL;
        if (pm_is_text(m, k, key)) found = pm_item(m, state, i + 1);
    }
    return found;
}

/* Bytes of an element in numpy's words ("f8", "<i4"); 0 where that is not known; *objects for "O8". */
static uint64_t element_bytes(pickle_machine *m, const pm_value *dtype, bool *objects) {
    const pm_import *g = pm_import_of(m, dtype);
    char text[64];
    size_t length;
    *objects = false;
    if (!g || dtype->kind != PM_RESULT || strcmp(g->module, "numpy") != 0 || strcmp(g->name, "dtype") != 0) return 0;
    pm_value args = { .kind = PM_TUPLE, .n = (uint32_t)dtype->x };
    const pm_value *first = pm_item(m, &args, 0);
    if (!first || !pm_text(m, first, text, sizeof text, &length) || length == 0) return 0;
    const char *p = text;
    if (strchr("<>=|", *p) && *p) p++;
    if (!strchr("biufcOSUV", *p) || !*p) return 0;
    *objects = *p == 'O';
    char kind = *p++;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9' && n < (1u << 30); p++) n = n * 10 + (uint64_t)(*p - '0');
    return *p || n == 0 ? 0 : kind == 'U' ? n * 4 : n;
}

/* joblib's NumpyArrayWrapper: once it is built, the array's own bytes follow in the stream, or a pickle where its
 * elements are objects. Source: joblib/numpy_pickle.py, NumpyArrayWrapper.read_array. */
static void joblib_array(pickle_machine *m, const pm_value *state) {
    bool objects;
    const pm_value *shape = state_value(m, state, "shape"), *dtype = state_value(m, state, "dtype");
    const pm_value *alignment = state_value(m, state, "numpy_array_alignment_bytes");
    uint64_t item = dtype ? element_bytes(m, dtype, &objects) : 0, bytes = item;
    size_t n_dims = shape && shape->kind == PM_TUPLE ? pm_count(m, shape) : SIZE_MAX;
    bool known = item && n_dims != SIZE_MAX;
    for (size_t i = 0; known && i < n_dims; i++) {
        const pm_value *d = pm_item(m, shape, i);
        known = d && d->kind == PM_INT && (int64_t)d->x >= 0 && mul_u64(bytes, d->x, &bytes);
    }
    if (!known) {
        note(m, TOLA_UNKNOWN, "joblib", "an array whose size or element type cannot be followed");
        m->broken = true;
        return;
    }
    if (objects) {
        m->nested++;
        return;
    }
    if (alignment && alignment->kind == PM_INT) {
        const uint8_t *padding = take(m, 1);
        if (!padding) return;
        if (*padding == 0xff) malformed(m, "damaged padding before an array");
        if (!skip(m, *padding)) return;
    }
    skip(m, bytes);
}

static void build(pickle_machine *m) {
    pm_value state = pop(m);
    pm_value *target = top(m);
    if (!target) return;
    if (target->kind == PM_IMPORT) {
        change_import(m, target);
    } else if (target->kind == PM_RESULT) {
        const pm_import *g = pm_import_of(m, target);
        if (g && strcmp(g->module, "joblib.numpy_pickle") == 0 && strcmp(g->name, "NumpyArrayWrapper") == 0)
            joblib_array(m, &state);
    }
}

/* ---- numbers ---- */

static void push_int(pickle_machine *m, int64_t v) { push(m, (pm_value){ .kind = PM_INT, .x = (uint64_t)v }); }

/* LONG1, LONG4: little-endian two's complement. */
static void long_opcode(pickle_machine *m, unsigned length_bytes) {
    const uint8_t *p = take(m, length_bytes);
    if (!p) return;
    uint64_t n = le(p, length_bytes), at = here(m);
    if (n > INT32_MAX) malformed(m, "an integer of negative length");
    if (n > 8) {
        if (skip(m, n)) push(m, (pm_value){ .kind = PM_CONSTANT, .n = (uint32_t)n, .x = at });
        return;
    }
    if (!(p = take(m, (size_t)n))) return;
    uint64_t bits = le(p, (unsigned)n);
    if (n && n < 8 && p[n - 1] & 0x80) bits |= UINT64_MAX << (8 * n);
    push_int(m, (int64_t)bits);
}

/* I, L: a decimal number; I also "00" and "01" for False and True. */
static void int_line(pickle_machine *m, bool may_be_bool) {
    uint64_t at, n, v = 0;
    char text[32];
    if (!line(m, &at, &n)) return;
    pm_value other = { .kind = PM_CONSTANT, .x = PM_BIG };
    if (n == 0 || n >= sizeof text || !pm_read(m, at, text, (size_t)n)) {
        if (n == 0) malformed(m, "a number is missing");
        push(m, other);
        return;
    }
    if (may_be_bool && n == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1')) {
        push(m, (pm_value){ .kind = PM_CONSTANT, .x = text[1] == '1' ? PM_TRUE : PM_FALSE });
        return;
    }
    if (!may_be_bool && text[n - 1] == 'L') n--;
    bool negative = text[0] == '-', number = n > (size_t)negative && n < 19;
    for (size_t i = negative; i < n && number; i++) {
        number = text[i] >= '0' && text[i] <= '9';
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    if (number)
        push_int(m, negative ? -(int64_t)v : (int64_t)v);
    else
        push(m, other); /* hexadecimal, underscores, or none: Python says */
}

static void float_line(pickle_machine *m) {
    uint64_t at, n;
    if (!line(m, &at, &n)) return;
    char text[64] = "";
    bool damaged = n < sizeof text && (!pm_read(m, at, text, (size_t)n) || n == 0 ||
                                       strspn(text, "0123456789+-.eEinfatyINFATY_ \r\t\v\f") != n);
    if (damaged) malformed(m, "a number is damaged");
    push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_FLOAT });
}

/* A memo number as int() takes it: spaces around it, a plus, underscores between digits. */
static bool memo_line(pickle_machine *m, uint64_t *key) {
    static const char space[] = " \t\r\v\f";
    uint64_t at, n, v = 0;
    char text[64] = "";
    if (!line(m, &at, &n)) return false;
    if (n >= sizeof text || !pm_read(m, at, text, (size_t)n)) n = 0;
    const char *p = text + strspn(text, space), *end = text + n;
    while (end > p && strchr(space, end[-1])) end--;
    if (p < end && *p == '+') p++;
    bool number = p < end && *p != '_' && end[-1] != '_';
    for (; number && p < end; p++) {
        if (*p == '_') {
            number = p[1] != '_';
            continue;
        }
        number = *p >= '0' && *p <= '9' && v < UINT64_MAX / 16;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *key = v;
    if (!number) malformed(m, "a memo number is damaged");
    return number;
}

static void memo_opcode(pickle_machine *m, uint8_t op) {
    uint64_t key = m->memo_count;
    const uint8_t *p;
    switch (op) {
    case 'g':
    case 'p':
        if (!memo_line(m, &key)) {
            if (op == 'g' && !m->ended) push_kind(m, PM_OTHER);
            return;
        }
        break;
    case 'h':
    case 'q':
        if (!(p = take(m, 1))) return;
        key = *p;
        break;
    case 'j':
    case 'r':
        if (!(p = take(m, 4))) return;
        key = le(p, 4);
        break;
    default: break;
    }
    if (op == 'g' || op == 'h' || op == 'j')
        memo_get(m, key);
    else
        memo_put(m, key);
}

/* ---- other opcodes ---- */

static void frame_opcode(pickle_machine *m) {
    const uint8_t *p = take(m, 8);
    if (!p) return;
    uint64_t bytes = le(p, 8), at = here(m);
    if (bytes > m->part->end - at) {
        note(m, TOLA_UNKNOWN, "pickle", "a frame of %" PRIu64 " bytes, where %" PRIu64 " are left", bytes,
             m->part->end - at);
        bytes = m->part->end - at;
    }
    if (m->framed)
        note(m, TOLA_UNKNOWN, "pickle", "a frame begins inside another one: loaders do not agree on what follows");
    m->framed = bytes > 0;
    m->frame_end = at + bytes;
}

static void persistent_opcode(pickle_machine *m, uint8_t op) {
    pm_value id;
    doubt(m);
    m->out->foreign = true; /* an error but for loaders that give ids a meaning, as torch does */
    if (op == 'P') {
        uint64_t at, n;
        if (!line(m, &at, &n)) return;
        id = (pm_value){ .kind = n > UINT32_MAX ? PM_OTHER : PM_STR, .n = (uint32_t)n, .x = at };
    } else {
        id = pop(m);
    }
    pm_value v = { .kind = PM_PERSISTENT, .n = new_box(m) };
    box_add(m, v.n, &id, 1);
    push(m, v);
}

static void extension_opcode(pickle_machine *m, unsigned bytes) {
    const uint8_t *p = take(m, bytes);
    if (!p) return;
    doubt(m);
    m->out->foreign = true; /* the registry is empty unless the program that loads fills it */
    note(m, TOLA_UNKNOWN, "pickle",
         "refers to number %" PRIu64 " of the extension registry, whatever that is where it is loaded", le(p, bytes));
    push_kind(m, PM_RESULT);
}

static void pop_opcode(pickle_machine *m) {
    if (m->mark_count && m->marks[m->mark_count - 1] == m->depth)
        m->mark_count--;
    else
        pop(m);
}

static void run_opcode(pickle_machine *m, uint8_t op) {
    const uint8_t *p;
    pm_value *v;
    uint64_t at, n;
    switch (op) {
    case 0x80:
        if ((p = take(m, 1)) && *p > 5) malformed(m, "protocol %u; 0 to 5 are known", *p);
        return;
    case 0x95: frame_opcode(m); return;
    case '(': push_mark(m); return;
    case 'N': push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_NONE }); return;
    case 0x88:
    case 0x89: push(m, (pm_value){ .kind = PM_CONSTANT, .x = op == 0x88 ? PM_TRUE : PM_FALSE }); return;
    case ']': collect(m, PM_LIST, m->depth); return;
    case '}': collect(m, PM_DICT, m->depth); return;
    case ')': push_kind(m, PM_TUPLE); return;
    case 0x8f: push_kind(m, PM_SET); return;
    case 'l': collect(m, PM_LIST, pop_mark(m)); return;
    case 'd': collect(m, PM_DICT, pop_mark(m)); return;
    case 't': collect(m, PM_TUPLE, pop_mark(m)); return;
    case 0x91: collect(m, PM_SET, pop_mark(m)); return;
    case 0x85:
    case 0x86:
    case 0x87: collect_last(m, (size_t)(op - 0x84)); return;
    case 'a': add_last(m, PM_LIST, 1); return;
    case 's': add_last(m, PM_DICT, 2); return;
    case 'e': add_from(m, PM_LIST, pop_mark(m)); return;
    case 'u': add_from(m, PM_DICT, pop_mark(m)); return;
    case 0x90: add_from(m, PM_SET, pop_mark(m)); return;
    case 'g':
    case 'h':
    case 'j':
    case 'p':
    case 'q':
    case 'r':
    case 0x94: memo_opcode(m, op); return;
    case 'K':
        if ((p = take(m, 1))) push_int(m, *p);
        return;
    case 'M':
        if ((p = take(m, 2))) push_int(m, (int64_t)le(p, 2));
        return;
    case 'J':
        if ((p = take(m, 4))) push_int(m, (int32_t)(uint32_t)le(p, 4));
        return;
    case 'G':
        if (take(m, 8)) push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_FLOAT });
        return;
    case 0x8a: long_opcode(m, 1); return;
    case 0x8b: long_opcode(m, 4); return;
    case 'I': int_line(m, true); return;
    case 'L': int_line(m, false); return;
    case 'F': float_line(m); return;
    case 'S':
        if (line(m, &at, &n)) push_text(m, PM_STR, PM_REPR, at, n);
        return;
    case 'V':
        if (line(m, &at, &n)) push_text(m, PM_STR, PM_RAW_UNICODE, at, n);
        return;
    case 'X':
    case 'T': counted_text(m, PM_STR, 4); return;
    case 0x8c:
    case 'U': counted_text(m, PM_STR, 1); return;
    case 0x8d: counted_text(m, PM_STR, 8); return;
    case 'C': counted_text(m, PM_BYTES, 1); return;
    case 'B': counted_text(m, PM_BYTES, 4); return;
    case 0x8e:
    case 0x96: counted_text(m, PM_BYTES, 8); return;
    case 'c': import_lines(m); return;
    case 0x93: import_from_stack(m); return;
    case 'R':
    case 0x81:
    case 0x92:
    case 'i':
    case 'o': call_opcode(m, op); return;
    case 'P':
    case 'Q': persistent_opcode(m, op); return;
    case '0': pop_opcode(m); return;
    case '1': m->depth = pop_mark(m); return;
    case '2':
        if ((v = top(m))) push(m, *v);
        return;
    case 'b': build(m); return;
    case 0x82: extension_opcode(m, 1); return;
    case 0x83: extension_opcode(m, 2); return;
    case 0x84: extension_opcode(m, 4); return;
    case 0x97: push_kind(m, PM_OTHER); return; /* NEXT_BUFFER: given by whoever loads it */
    case 0x98: top(m); return;
    default: malformed(m, "0x%02x is no pickle opcode", op); m->broken = true;
    }
}

static void check_frame(pickle_machine *m, uint64_t at) {
    if (at > m->frame_end)
        note(m, TOLA_UNKNOWN, "pickle", "an opcode crosses the end of its frame: loaders do not agree on what follows");
    if (at >= m->frame_end) m->framed = false;
}

static void run_one(pickle_machine *m, uint64_t at, pm_outcome *out);

/* An array of objects: a pickle of its own stands here in the stream. */
static void run_nested(pickle_machine *m, unsigned level) {
    pickle_machine *inner = level < PM_MAX_NESTED ? pm_new(m->job, m->part, m->torchscript) : NULL;
    m->nested = 0;
    if (!inner) {
        if (scan_running(m->job)) limited(m, "pickles in pickles", PM_MAX_NESTED);
        m->broken = true;
        return;
    }
    pm_outcome out;
    inner->nested = level + 1;
    run_one(inner, here(m), &out);
    if (out.worst > m->out->worst) m->out->worst = out.worst;
    m->out->dangerous |= out.dangerous;
    m->out->acted |= out.acted;
    m->out->limited |= out.limited;
    if (out.malformed || out.end != PM_STOPPED) malformed(m, "a pickle inside it is damaged: %.120s", out.why);
    pm_commit(inner);
    pm_free(inner);
    if (out.end != PM_STOPPED)
        m->broken = true;
    else
        refill(m, out.next);
}

/* `m->nested` is the level at first, and then says that a nested pickle follows. */
static void run_one(pickle_machine *m, uint64_t at, pm_outcome *out) {
    unsigned level = m->nested;
    memset(out, 0, sizeof *out);
    m->out = out;
    m->nested = 0;
    m->depth = m->mark_count = m->box_count = m->item_count = 0;
    /* what a run leaves is cleared at its own cost, so that many short ones behind a long one stay cheap */
    if (m->memo_used) memset(m->memo, 0, m->memo_used * sizeof *m->memo);
    mem_free(m->sparse);
    m->sparse = NULL;
    m->memo_used = m->memo_count = m->sparse_count = m->sparse_cap = 0;
    m->framed = m->ended = m->broken = false;
    m->op_at = at;
    if (at < m->window_at || at - m->window_at >= m->window_bytes)
        refill(m, at);
    else
        m->p = m->window + (at - m->window_at);
    bool stopped = false;
    while (!m->ended && !m->broken) {
        m->op_at = here(m);
        const uint8_t *op = take(m, 1);
        if (!op) break;
        if (*op == '.') {
            stopped = true;
            break;
        }
        bool framed = m->framed;
        run_opcode(m, *op);
        if (m->nested) run_nested(m, level);
        if (framed && m->framed && !m->ended) check_frame(m, here(m));
        if (m->framed && here(m) >= m->frame_end) m->framed = false;
    }
    out->next = here(m);
    if (stopped) {
        if (m->depth > fence(m))
            out->top = m->stack[m->depth - 1];
        else
            underflow(m);
        out->end = PM_STOPPED;
    } else {
        out->end = m->ended && !m->broken ? PM_TRUNCATED : PM_BROKEN;
        malformed(m, "the bytes end before the pickle does");
    }
}

void pm_run(pickle_machine *m, uint64_t at, pm_outcome *out) {
    m->nested = 0;
    run_one(m, at, out);
}

/* ---- the machine ---- */

pickle_machine *pm_new(scan_job *job, const scan_part *part, bool torchscript) {
    pickle_machine *m = mem_calloc(1, sizeof *m);
    uint8_t *window = mem_alloc(WINDOW);
    if (!m || !window) {
        tola_error err = TOLA_ERROR_INIT;
        mem_free(m);
        mem_free(window);
        scan_stop(job, err_nomem(&err, "following a pickle"), &err);
        return NULL;
    }
    m->job = job;
    m->part = part;
    m->torchscript = torchscript;
    m->window = window;
    m->p = m->limit = window;
    arena_init(&m->names, 0);
    return m;
}

void pm_discard(pickle_machine *m) {
    if (m->import_count) {
        mem_free(m->table);
        m->table = NULL;
        m->table_cap = 0;
    }
    m->import_count = m->note_count = 0;
    arena_free(&m->names);
    arena_init(&m->names, 0);
}

void pm_free(pickle_machine *m) {
    if (!m) return;
    arena_free(&m->names);
    mem_free(m->window);
    mem_free(m->stack);
    mem_free(m->marks);
    mem_free(m->memo);
    mem_free(m->sparse);
    mem_free(m->boxes);
    mem_free(m->items);
    mem_free(m->imports);
    mem_free(m->table);
    mem_free(m->notes);
    mem_free(m);
}

void pm_commit(pickle_machine *m) {
    for (size_t i = 0; i < m->import_count; i++) {
        const pm_import *g = &m->imports[i];
        scan_add_import(m->job, m->part, g->module, g->name, g->offset, g->count, g->called, g->verdict);
    }
    for (size_t i = 0; i < m->note_count; i++)
        scan_find(m->job, m->part, m->notes[i].verdict, m->notes[i].kind, m->notes[i].offset, "%s", m->notes[i].what);
    pm_discard(m);
}

size_t pm_import_count(const pickle_machine *m) { return m->import_count; }

const pm_import *pm_import_of(const pickle_machine *m, const pm_value *v) {
    if (!v) return NULL;
    if (v->kind == PM_IMPORT) return &m->imports[v->n];
    return v->kind == PM_RESULT && v->n ? &m->imports[v->n - 1] : NULL;
}

static const pm_box *box_of(const pickle_machine *m, const pm_value *v) {
    bool boxed = v && (v->kind == PM_TUPLE || v->kind == PM_LIST || v->kind == PM_DICT || v->kind == PM_PERSISTENT);
    return boxed && v->n ? &m->boxes[v->n] : NULL;
}

const pm_value *pm_item(const pickle_machine *m, const pm_value *v, size_t i) {
    const pm_box *b = box_of(m, v);
    return b && i < b->count ? &m->items[b->first + i] : NULL;
}

size_t pm_count(const pickle_machine *m, const pm_value *v) {
    const pm_box *b = box_of(m, v);
    if (b) return b->cut ? SIZE_MAX : b->count;
    return v && v->kind == PM_TUPLE && v->x == 0 ? 0 : SIZE_MAX;
}
