/* Inside the machine that follows pickles: what scan_pickle.c (opcodes), scan_pickle_state.c (bytes, stack, memo) and
 * scan_pickle_names.c (texts, imports, calls) share. */
#ifndef TRUST_SCAN_MACHINE_H
#define TRUST_SCAN_MACHINE_H

#include "trust/scan_pickle.h"

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
    bool no_arrays;  /* as a loader that is not joblib's */
    torch_claims *claims;
    uint32_t joblib; /* of the wrapper of joblib's arrays in imports, + 1 */
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

void pm_out_of_memory(pickle_machine *m);
bool pm_refill(pickle_machine *m, uint64_t at);
bool pm_skip(pickle_machine *m, uint64_t n);
bool pm_line(pickle_machine *m, uint64_t *at, uint64_t *bytes);
void pm_doubt(pickle_machine *m);
void pm_malformed(pickle_machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pm_limited(pickle_machine *m, const char *what, unsigned limit);
void pm_tell(pickle_machine *m, tola_verdict verdict, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void pm_underflow(pickle_machine *m);
pm_value pm_pop(pickle_machine *m);
pm_value *pm_top(pickle_machine *m);
void pm_push_mark(pickle_machine *m);
size_t pm_pop_mark(pickle_machine *m);
uint32_t pm_new_box(pickle_machine *m);
void pm_box_add(pickle_machine *m, uint32_t box, const pm_value *values, size_t count);
void pm_collect(pickle_machine *m, pm_kind kind, size_t first);
void pm_collect_last(pickle_machine *m, size_t count);
void pm_change_import(pickle_machine *m, const pm_value *v);
void pm_add_from(pickle_machine *m, pm_kind kind, size_t first);
void pm_add_last(pickle_machine *m, pm_kind kind, size_t count);
void pm_memo_put(pickle_machine *m, uint64_t key);
void pm_memo_get(pickle_machine *m, uint64_t key);
void pm_push_text(pickle_machine *m, pm_kind kind, pm_form form, uint64_t at, uint64_t bytes);
void pm_counted_text(pickle_machine *m, pm_kind kind, unsigned length_bytes);
void pm_import_lines(pickle_machine *m);
void pm_import_from_stack(pickle_machine *m);
void pm_call_opcode(pickle_machine *m, uint8_t op);
void pm_build(pickle_machine *m);
void pm_claim_storage(pickle_machine *m, pm_value *storage);
void pm_hand_on(pickle_machine *m, const pm_value *values, size_t count);

static inline uint64_t pm_here(const pickle_machine *m) { return m->window_at + (uint64_t)(m->p - m->window); }
static inline uint64_t pm_relative(const pickle_machine *m, uint64_t at) { return at - m->part->start; }

static inline uint64_t pm_le(const uint8_t *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* `n` (at most 64 KiB) bytes at the cursor in one piece, consumed; NULL, with the run ended, where there are fewer. */
static inline const uint8_t *pm_take(pickle_machine *m, size_t n) {
    if (__builtin_expect((size_t)(m->limit - m->p) < n, 0)) {
        uint64_t at = pm_here(m);
        if (m->part->end - at < n || !pm_refill(m, at) || m->window_bytes < n) {
            m->ended = true;
            return NULL;
        }
    }
    const uint8_t *bytes = m->p;
    m->p += n;
    return bytes;
}

static inline void pm_push(pickle_machine *m, pm_value v) {
    if (__builtin_expect(m->depth == m->stack_cap, 0)) {
        if (m->depth >= PM_MAX_STACK) {
            pm_limited(m, "values wait on the stack", PM_MAX_STACK);
            return;
        }
        if (!mem_grow(&m->stack, &m->stack_cap, m->depth + 1, sizeof *m->stack)) {
            pm_out_of_memory(m);
            return;
        }
    }
    m->stack[m->depth++] = v;
}

static inline void pm_push_kind(pickle_machine *m, pm_kind kind) { pm_push(m, (pm_value){ .kind = (uint8_t)kind }); }

static inline size_t pm_fence(const pickle_machine *m) { return m->mark_count ? m->marks[m->mark_count - 1] : 0; }

static inline void pm_push_int(pickle_machine *m, int64_t v) {
    pm_push(m, (pm_value){ .kind = PM_INT, .x = (uint64_t)v });
}

#endif
