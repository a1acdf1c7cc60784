/* The machine that follows a pickle: its opcodes. See scan_pickle.h. */
#include "trust/scan_machine.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"

/* ---- numbers ---- */

/* LONG1, LONG4: little-endian two's complement. */
static void long_opcode(pickle_machine *m, unsigned length_bytes) {
    const uint8_t *p = pm_take(m, length_bytes);
    if (!p) return;
    uint64_t n = pm_le(p, length_bytes), at = pm_here(m);
    if (n > INT32_MAX) pm_malformed(m, "an integer of negative length");
    if (n > 8) {
        if (pm_skip(m, n)) pm_push(m, (pm_value){ .kind = PM_CONSTANT, .n = (uint32_t)n, .x = at });
        return;
    }
    if (!(p = pm_take(m, (size_t)n))) return;
    uint64_t bits = pm_le(p, (unsigned)n);
    if (n && n < 8 && p[n - 1] & 0x80) bits |= UINT64_MAX << (8 * n);
    pm_push_int(m, (int64_t)bits);
}

/* I, L: a decimal number; I also "00" and "01" for False and True. */
static void int_line(pickle_machine *m, bool may_be_bool) {
    uint64_t at, n, v = 0;
    char text[32];
    if (!pm_line(m, &at, &n)) return;
    pm_value other = { .kind = PM_CONSTANT, .x = PM_BIG };
    if (n == 0 || n >= sizeof text || !pm_read(m, at, text, (size_t)n)) {
        if (n == 0) pm_malformed(m, "a number is missing");
        pm_push(m, other);
        return;
    }
    if (may_be_bool && n == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1')) {
        pm_push(m, (pm_value){ .kind = PM_CONSTANT, .x = text[1] == '1' ? PM_TRUE : PM_FALSE });
        return;
    }
    if (!may_be_bool && text[n - 1] == 'L') n--;
    bool negative = text[0] == '-', number = n > (size_t)negative && n < 19;
    for (size_t i = negative; i < n && number; i++) {
        number = text[i] >= '0' && text[i] <= '9';
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    if (number)
        pm_push_int(m, negative ? -(int64_t)v : (int64_t)v);
    else
        pm_push(m, other); /* hexadecimal, underscores, or none: Python says */
}

static void float_line(pickle_machine *m) {
    uint64_t at, n;
    if (!pm_line(m, &at, &n)) return;
    char text[64] = "";
    bool damaged = n < sizeof text && (!pm_read(m, at, text, (size_t)n) || n == 0 ||
                                       strspn(text, "0123456789+-.eEinfatyINFATY_ \r\t\v\f") != n);
    if (damaged) pm_malformed(m, "a number is damaged");
    pm_push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_FLOAT });
}

/* A memo number as int() takes it: spaces around it, a plus, underscores between digits. */
static bool memo_line(pickle_machine *m, uint64_t *key) {
    static const char space[] = " \t\r\v\f";
    uint64_t at, n, v = 0;
    char text[64] = "";
    if (!pm_line(m, &at, &n)) return false;
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
    if (!number) pm_malformed(m, "a memo number is damaged");
    return number;
}

static void memo_opcode(pickle_machine *m, uint8_t op) {
    uint64_t key = m->memo_count;
    const uint8_t *p;
    switch (op) {
    case 'g':
    case 'p':
        if (!memo_line(m, &key)) {
            if (op == 'g' && !m->ended) pm_push_kind(m, PM_OTHER);
            return;
        }
        break;
    case 'h':
    case 'q':
        if (!(p = pm_take(m, 1))) return;
        key = *p;
        break;
    case 'j':
    case 'r':
        if (!(p = pm_take(m, 4))) return;
        key = pm_le(p, 4);
        break;
    default: break;
    }
    if (op == 'g' || op == 'h' || op == 'j')
        pm_memo_get(m, key);
    else
        pm_memo_put(m, key);
}

/* ---- other opcodes ---- */

static void frame_opcode(pickle_machine *m) {
    const uint8_t *p = pm_take(m, 8);
    if (!p) return;
    uint64_t bytes = pm_le(p, 8), at = pm_here(m);
    if (bytes > m->part->end - at) {
        pm_tell(m, TOLA_UNKNOWN, "pickle", "a frame of %" PRIu64 " bytes, where %" PRIu64 " are left", bytes,
                m->part->end - at);
        bytes = m->part->end - at;
    }
    if (m->framed)
        pm_tell(m, TOLA_UNKNOWN, "pickle", "a frame begins inside another one: loaders do not agree on what follows");
    m->framed = bytes > 0;
    m->frame_end = at + bytes;
}

/* Ids that torch gives its storages and, long ago, the source of modules; in its tar archives, numbers. */
static void check_persistent(pickle_machine *m, const pm_value *id) {
    char text[64];
    size_t n;
    if (id->kind == PM_INT) return;
    if (id->kind == PM_STR && pm_text(m, id, text, sizeof text, &n) && n && strspn(text, "0123456789") == n) return;
    const pm_value *first = id->kind == PM_TUPLE ? pm_item(m, id, 0) : NULL;
    if (pm_is_text(m, first, "storage") || pm_is_text(m, first, "module")) return;
    pm_tell(m, TOLA_UNKNOWN, "pickle", "refers to something outside of it by an id that is not torch's");
}

static void persistent_opcode(pickle_machine *m, uint8_t op) {
    pm_value id;
    pm_doubt(m);
    m->out->foreign = true; /* an error but for loaders that give ids a meaning, as torch does */
    if (op == 'P') {
        uint64_t at, n;
        if (!pm_line(m, &at, &n)) return;
        id = (pm_value){ .kind = n > UINT32_MAX ? PM_OTHER : PM_STR, .n = (uint32_t)n, .x = at };
    } else {
        id = pm_pop(m);
        pm_hand_on(m, &id, 1);
    }
    check_persistent(m, &id);
    pm_value v = { .kind = PM_PERSISTENT, .n = pm_new_box(m) };
    pm_box_add(m, v.n, &id, 1);
    if (m->claims) pm_claim_storage(m, &v);
    pm_push(m, v);
}

static void extension_opcode(pickle_machine *m, unsigned bytes) {
    const uint8_t *p = pm_take(m, bytes);
    if (!p) return;
    pm_doubt(m);
    m->out->foreign = true; /* the registry is empty unless the program that loads fills it */
    pm_tell(m, TOLA_UNKNOWN, "pickle",
            "refers to number %" PRIu64 " of the extension registry, whatever that is where it is loaded",
            pm_le(p, bytes));
    if (m->claims) m->claims->lost = true;
    pm_push_kind(m, PM_RESULT);
}

static void pop_opcode(pickle_machine *m) {
    if (m->mark_count && m->marks[m->mark_count - 1] == m->depth)
        m->mark_count--;
    else
        pm_pop(m);
}

static void run_opcode(pickle_machine *m, uint8_t op) {
    const uint8_t *p;
    pm_value *v;
    uint64_t at, n;
    switch (op) {
    case 0x80:
        if ((p = pm_take(m, 1)) && *p > 5) pm_malformed(m, "protocol %u; 0 to 5 are known", *p);
        return;
    case 0x95: frame_opcode(m); return;
    case '(': pm_push_mark(m); return;
    case 'N': pm_push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_NONE }); return;
    case 0x88:
    case 0x89: pm_push(m, (pm_value){ .kind = PM_CONSTANT, .x = op == 0x88 ? PM_TRUE : PM_FALSE }); return;
    case ']': pm_collect(m, PM_LIST, m->depth); return;
    case '}': pm_collect(m, PM_DICT, m->depth); return;
    case ')': pm_push_kind(m, PM_TUPLE); return;
    case 0x8f: pm_push_kind(m, PM_SET); return;
    case 'l': pm_collect(m, PM_LIST, pm_pop_mark(m)); return;
    case 'd': pm_collect(m, PM_DICT, pm_pop_mark(m)); return;
    case 't': pm_collect(m, PM_TUPLE, pm_pop_mark(m)); return;
    case 0x91: pm_collect(m, PM_SET, pm_pop_mark(m)); return;
    case 0x85:
    case 0x86:
    case 0x87: pm_collect_last(m, (size_t)(op - 0x84)); return;
    case 'a': pm_add_last(m, PM_LIST, 1); return;
    case 's': pm_add_last(m, PM_DICT, 2); return;
    case 'e': pm_add_from(m, PM_LIST, pm_pop_mark(m)); return;
    case 'u': pm_add_from(m, PM_DICT, pm_pop_mark(m)); return;
    case 0x90: pm_add_from(m, PM_SET, pm_pop_mark(m)); return;
    case 'g':
    case 'h':
    case 'j':
    case 'p':
    case 'q':
    case 'r':
    case 0x94: memo_opcode(m, op); return;
    case 'K':
        if ((p = pm_take(m, 1))) pm_push_int(m, *p);
        return;
    case 'M':
        if ((p = pm_take(m, 2))) pm_push_int(m, (int64_t)pm_le(p, 2));
        return;
    case 'J':
        if ((p = pm_take(m, 4))) pm_push_int(m, (int32_t)(uint32_t)pm_le(p, 4));
        return;
    case 'G':
        if (pm_take(m, 8)) pm_push(m, (pm_value){ .kind = PM_CONSTANT, .x = PM_FLOAT });
        return;
    case 0x8a: long_opcode(m, 1); return;
    case 0x8b: long_opcode(m, 4); return;
    case 'I': int_line(m, true); return;
    case 'L': int_line(m, false); return;
    case 'F': float_line(m); return;
    case 'S':
        if (pm_line(m, &at, &n)) pm_push_text(m, PM_STR, PM_REPR, at, n);
        return;
    case 'V':
        if (pm_line(m, &at, &n)) pm_push_text(m, PM_STR, PM_RAW_UNICODE, at, n);
        return;
    case 'X':
    case 'T': pm_counted_text(m, PM_STR, 4); return;
    case 0x8c:
    case 'U': pm_counted_text(m, PM_STR, 1); return;
    case 0x8d: pm_counted_text(m, PM_STR, 8); return;
    case 'C': pm_counted_text(m, PM_BYTES, 1); return;
    case 'B': pm_counted_text(m, PM_BYTES, 4); return;
    case 0x8e:
    case 0x96: pm_counted_text(m, PM_BYTES, 8); return;
    case 'c': pm_import_lines(m); return;
    case 0x93: pm_import_from_stack(m); return;
    case 'R':
    case 0x81:
    case 0x92:
    case 'i':
    case 'o': pm_call_opcode(m, op); return;
    case 'P':
    case 'Q': persistent_opcode(m, op); return;
    case '0': pop_opcode(m); return;
    case '1': m->depth = pm_pop_mark(m); return;
    case '2':
        if ((v = pm_top(m))) pm_push(m, *v);
        return;
    case 'b': pm_build(m); return;
    case 0x82: extension_opcode(m, 1); return;
    case 0x83: extension_opcode(m, 2); return;
    case 0x84: extension_opcode(m, 4); return;
    case 0x97: /* NEXT_BUFFER: what whoever loads it gives besides, which pickle.load alone does not have */
        pm_malformed(m, "a buffer from outside is taken");
        pm_push_kind(m, PM_OTHER);
        return;
    case 0x98: pm_top(m); return;
    default: pm_malformed(m, "0x%02x is no pickle opcode", op); m->broken = true;
    }
}

static void check_frame(pickle_machine *m, uint64_t at) {
    if (at > m->frame_end)
        pm_tell(m, TOLA_UNKNOWN, "pickle",
                "an opcode crosses the end of its frame: loaders do not agree on what follows");
    if (at >= m->frame_end) m->framed = false;
}

static void run_one(pickle_machine *m, uint64_t at, pm_outcome *out);

/* An array of objects: a pickle of its own stands here in the stream. */
static void run_nested(pickle_machine *m, unsigned level) {
    pickle_machine *inner = level < PM_MAX_NESTED ? pm_new(m->job, m->part, m->torchscript) : NULL;
    m->nested = 0;
    if (!inner) {
        if (scan_running(m->job)) pm_limited(m, "pickles in pickles", PM_MAX_NESTED);
        m->broken = true;
        return;
    }
    pm_outcome out;
    inner->nested = level + 1;
    run_one(inner, pm_here(m), &out);
    if (out.worst > m->out->worst) m->out->worst = out.worst;
    m->out->dangerous |= out.dangerous;
    m->out->acted |= out.acted;
    m->out->limited |= out.limited;
    if (out.malformed || out.end != PM_STOPPED) pm_malformed(m, "a pickle inside it is damaged: %.120s", out.why);
    pm_commit(inner);
    pm_free(inner);
    if (out.end != PM_STOPPED)
        m->broken = true;
    else
        pm_refill(m, out.next);
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
        pm_refill(m, at);
    else
        m->p = m->window + (at - m->window_at);
    bool stopped = false;
    while (!m->ended && !m->broken) {
        m->op_at = pm_here(m);
        const uint8_t *op = pm_take(m, 1);
        if (!op) break;
        if (*op == '.') {
            stopped = true;
            break;
        }
        bool framed = m->framed;
        run_opcode(m, *op);
        if (m->nested) run_nested(m, level);
        if (framed && m->framed && !m->ended) check_frame(m, pm_here(m));
        if (m->framed && pm_here(m) >= m->frame_end) m->framed = false;
    }
    out->next = pm_here(m);
    if (stopped) {
        if (m->depth > pm_fence(m))
            out->top = m->stack[m->depth - 1];
        else
            pm_underflow(m);
        out->end = PM_STOPPED;
    } else {
        out->end = m->ended && !m->broken ? PM_TRUNCATED : PM_BROKEN;
        pm_malformed(m, "the bytes end before the pickle does");
    }
}

void pm_run(pickle_machine *m, uint64_t at, pm_outcome *out) {
    m->nested = 0;
    run_one(m, at, out);
}

void pm_run_plain(pickle_machine *m, uint64_t at, pm_outcome *out) {
    m->no_arrays = true;
    pm_run(m, at, out);
    m->no_arrays = false;
}

/* ---- the machine ---- */

pickle_machine *pm_new(scan_job *job, const scan_part *part, bool torchscript) {
    pickle_machine *m = mem_calloc(1, sizeof *m);
    size_t cap = part_bytes(part) < WINDOW ? (size_t)part_bytes(part) + 1 : WINDOW; /* archives have many small parts */
    uint8_t *window = mem_alloc(cap);
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
    m->joblib = 0;
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

void pm_note_claims(pickle_machine *m, torch_claims *claims) { m->claims = claims; }

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
