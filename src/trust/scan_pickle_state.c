/* The state of the machine: the window over the bytes, what is wrong, stack, marks, boxes, memo. */
#include "trust/scan_machine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

/* ---- the window ---- */

void pm_out_of_memory(pickle_machine *m) {
    tola_error err = TOLA_ERROR_INIT;
    scan_stop(m->job, err_nomem(&err, "following a pickle"), &err);
    m->broken = true;
}

/* Loads the window from `at` on; false at the end or on an error, which stops the job. */
bool pm_refill(pickle_machine *m, uint64_t at) {
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

bool pm_skip(pickle_machine *m, uint64_t n) {
    if (n <= (uint64_t)(m->limit - m->p)) {
        m->p += n;
        return true;
    }
    uint64_t at = pm_here(m);
    if (n > m->part->end - at) {
        m->ended = true;
        return false;
    }
    pm_refill(m, at + n); /* at the very end the window is empty */
    return !m->broken;
}

/* A line up to its LF: where it begins and its bytes without the LF. False where there is none. */
bool pm_line(pickle_machine *m, uint64_t *at, uint64_t *bytes) {
    *at = pm_here(m);
    for (;;) {
        size_t left = (size_t)(m->limit - m->p);
        const uint8_t *lf = left ? memchr(m->p, '\n', left) : NULL;
        if (lf) {
            m->p = lf + 1;
            *bytes = pm_here(m) - *at - 1;
            return true;
        }
        m->p = m->limit;
        if (!pm_refill(m, pm_here(m))) {
            *bytes = pm_here(m) - *at;
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
void pm_doubt(pickle_machine *m) {
    pm_outcome *out = m->out;
    if (out->doubtful) return;
    out->doubtful = true;
    out->spoke_before = out->dangerous || (out->acted && out->worst != TOLA_SAFE);
}

/* CPython raises an error here, whichever of its two unpicklers it is. Only the first is kept: nothing behind it runs.
 */
void pm_malformed(pickle_machine *m, const char *format, ...) {
    if (m->out->malformed) return;
    pm_doubt(m);
    m->out->malformed = true;
    m->out->malformed_at = pm_relative(m, m->op_at);
    va_list args;
    va_start(args, format);
    vsnprintf(m->out->why, sizeof m->out->why, format, args);
    va_end(args);
}

/* A limit of this machine, not of CPython's. */
void pm_limited(pickle_machine *m, const char *what, unsigned limit) {
    pm_malformed(m, "more than %u %s", limit, what);
    m->out->limited = m->broken = true;
}

void pm_tell(pickle_machine *m, tola_verdict verdict, const char *kind, const char *format, ...) {
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
        pm_out_of_memory(m);
        return;
    }
    m->notes[m->note_count++] = (pm_note){ verdict, kind, pm_relative(m, m->op_at), what };
}

/* ---- stack, marks, boxes, memo ---- */

void pm_underflow(pickle_machine *m) { pm_malformed(m, "a value is taken from an empty stack"); }

pm_value pm_pop(pickle_machine *m) {
    if (m->depth <= pm_fence(m)) {
        pm_underflow(m);
        return (pm_value){ .kind = PM_OTHER };
    }
    return m->stack[--m->depth];
}

/* The value on top; NULL, with a note, where there is none. */
pm_value *pm_top(pickle_machine *m) {
    if (m->depth > pm_fence(m)) return &m->stack[m->depth - 1];
    pm_underflow(m);
    return NULL;
}

void pm_push_mark(pickle_machine *m) {
    if (!mem_grow(&m->marks, &m->mark_cap, m->mark_count + 1, sizeof *m->marks)) {
        pm_out_of_memory(m);
        return;
    }
    m->marks[m->mark_count++] = m->depth;
}

/* Takes the last mark; the index of the value after it. */
size_t pm_pop_mark(pickle_machine *m) {
    if (m->mark_count) return m->marks[--m->mark_count];
    pm_malformed(m, "a mark is used that was not set");
    return m->depth;
}

/* A box for a container; 0 (contents are not kept) where there are too many. */
uint32_t pm_new_box(pickle_machine *m) {
    if (m->box_count >= PM_MAX_BOXES) return 0;
    if (!mem_grow(&m->boxes, &m->box_cap, m->box_count + 2, sizeof *m->boxes)) {
        pm_out_of_memory(m);
        return 0;
    }
    if (m->box_count == 0) m->boxes[m->box_count++] = (pm_box){ 0 };
    m->boxes[m->box_count] = (pm_box){ 0 };
    return (uint32_t)m->box_count++;
}

void pm_box_add(pickle_machine *m, uint32_t box, const pm_value *values, size_t count) {
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
            pm_out_of_memory(m);
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
void pm_collect(pickle_machine *m, pm_kind kind, size_t first) {
    size_t count = m->depth - first;
    pm_value v = { .kind = (uint8_t)kind };
    if (m->joblib) pm_hand_on(m, m->stack + first, count);
    if (kind == PM_DICT && count % 2) pm_malformed(m, "a dictionary with a key and no value");
    bool can_grow = kind == PM_LIST || kind == PM_DICT;
    if (can_grow || (kind == PM_TUPLE && count && count <= PM_BOX_ITEMS)) {
        v.n = pm_new_box(m);
        if (count) pm_box_add(m, v.n, m->stack + first, count);
    }
    if (count && !v.n) v.x = 1; /* contents that are not kept */
    m->depth = first;
    pm_push(m, v);
}

void pm_collect_last(pickle_machine *m, size_t count) {
    if (m->depth - pm_fence(m) < count) {
        pm_underflow(m);
        count = m->depth - pm_fence(m);
    }
    pm_collect(m, PM_TUPLE, m->depth - count);
}

static const char *import_name(const pm_import *g, char *dst, size_t cap) {
    char module[200], name[200];
    text_quote(module, sizeof module, g->module, strlen(g->module));
    text_quote(name, sizeof name, g->name, strlen(g->name));
    snprintf(dst, cap, "%s.%s", module, name);
    return dst;
}

/* An import itself, not what it returns, is changed: items put into it, attributes set. */
void pm_change_import(pickle_machine *m, const pm_value *v) {
    char name[420];
    pm_import *g = &m->imports[v->n];
    g->called = true;
    m->out->acted = true;
    pm_tell(m, TOLA_UNKNOWN, "pickle", "changes what %s is for the whole program", import_name(g, name, sizeof name));
}

/* The values above `first` go into the container below them. */
void pm_add_from(pickle_machine *m, pm_kind kind, size_t first) {
    if (first <= pm_fence(m) || first == 0) {
        pm_underflow(m);
        if (first < m->depth) m->depth = first;
        return;
    }
    if (kind == PM_DICT && (m->depth - first) % 2) pm_malformed(m, "a dictionary with a key and no value");
    pm_value target = m->stack[first - 1];
    if (m->joblib) pm_hand_on(m, m->stack + first, m->depth - first);
    if (target.kind == (uint8_t)kind)
        pm_box_add(m, target.n, m->stack + first, m->depth - first);
    else if (target.kind == PM_IMPORT)
        pm_change_import(m, &target);
    else if (target.kind == PM_INT || target.kind == PM_STR || target.kind == PM_TUPLE || target.kind == PM_CONSTANT)
        pm_malformed(m, "items are put into something that is no container");
    m->depth = first;
}

void pm_add_last(pickle_machine *m, pm_kind kind, size_t count) {
    if (m->depth - pm_fence(m) < count) {
        pm_underflow(m);
        m->depth = pm_fence(m);
        return;
    }
    pm_add_from(m, kind, m->depth - count);
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
            pm_out_of_memory(m);
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

void pm_memo_put(pickle_machine *m, uint64_t key) {
    pm_value *v = pm_top(m);
    if (!v) return;
    if (key >= m->memo_cap && key > m->memo_count + DENSE_MEMO) {
        sparse_put(m, key, *v);
        return;
    }
    if (key >= m->memo_cap) {
        size_t old = m->memo_cap, need = (size_t)key + 1 > 256 ? (size_t)key + 1 : 256;
        if (!mem_grow(&m->memo, &m->memo_cap, need, sizeof *m->memo)) {
            pm_out_of_memory(m);
            return;
        }
        memset(m->memo + old, 0, (m->memo_cap - old) * sizeof *m->memo);
    }
    if (!m->memo[key].spare && !sparse_has(m, key)) m->memo_count++;
    m->memo[key] = *v;
    m->memo[key].spare = 1;
    if (key >= m->memo_used) m->memo_used = (size_t)key + 1;
}

void pm_memo_get(pickle_machine *m, uint64_t key) {
    pm_value v = { .kind = PM_OTHER };
    bool found = false;
    if (key < m->memo_cap && m->memo[key].spare) {
        found = true;
        v = m->memo[key];
    } else if (m->sparse_cap) {
        sparse_slot *slot = sparse_find(m->sparse, m->sparse_cap, key);
        if ((found = slot->key)) v = slot->value;
    }
    if (!found) pm_malformed(m, "memo entry %" PRIu64 " is used and was never set", key);
    v.spare = 0;
    pm_push(m, v);
}
