/* See regex.h. A pattern becomes a small program that is run with a stack of places to go back to: alternatives are
 * tried in their order, as Perl, Oniguruma and Rust's fancy-regex do. Three things make it quick: sets are bitmaps,
 * repeated sets do not go back where that could not help, and a byte tells which alternatives can begin with it. */
#include "text/regex.h"
#include "base/err.h"
#include "base/utf8.h"
#include "text/regex_tree.h"

#include <string.h>

#define MAX_PATTERN 65536
#define MOST_OPS 65536u
#define MOST_MARKS 16u
#define MOST_FRAMES ((size_t)1 << 20)
/* Steps: so many at once, and so many for each byte that is passed. Real patterns need about one a byte. */
#define STEPS_AT_ONCE 10000000
#define STEPS_PER_BYTE 500

typedef enum op_kind {
    OP_SET,      /* one character of set a */
    OP_RUN,      /* min a .. max b characters of a set */
    OP_SPLIT,    /* go on at a; later at b */
    OP_JUMP,     /* to a */
    OP_LOOK,     /* flags; the body follows; afterwards on at a */
    OP_ATOMIC,   /* the body follows */
    OP_BODY_END, /* of OP_LOOK, OP_ATOMIC */
    OP_BACK,     /* a characters back */
    OP_ASSERT,   /* flags: assert_kind */
    OP_MARK,     /* the place goes to mark a */
    OP_MOVED,    /* fails where the place is that of mark a */
    OP_MATCH
} op_kind;

typedef struct op {
    uint8_t kind, flags;
    uint16_t set;
    uint32_t a, b;
} op;
enum { RUN_KEEPS = 1 }; /* gives nothing back */

#define MOST_STARTS 64

struct regex {
    op *ops;
    size_t count, cap;
    charset_map **maps;
    size_t map_count;
    charset_map *word; /* of \b; NULL where it is not asked for */
    uint32_t marks;
    uint32_t starts[MOST_STARTS]; /* where alternatives begin */
    size_t start_count;
    uint64_t by_byte[256]; /* which of them a byte can begin */
    uint64_t at_end;       /* which can be empty */
};

typedef enum frame_kind { FRAME_BRANCH, FRAME_RUN, FRAME_LOOK, FRAME_LOOK_NOT, FRAME_ATOMIC, FRAME_MARK } frame_kind;

typedef struct frame {
    uint32_t kind, pc; /* FRAME_MARK: number of the mark */
    size_t at, least;  /* FRAME_RUN: down to `least` */
} frame;

struct regex_match {
    frame *frames;
    size_t count, cap;
    size_t marks[MOST_MARKS];
    int64_t steps; /* that are left */
};

/* ---- compiling ---- */

typedef struct compiler {
    regex *r;
    const regex_tree *tree;
    tola_error *err;
} compiler;

static tola_status put(const compiler *c, op o, uint32_t *at) {
    if (c->r->count >= MOST_OPS) return err_set(c->err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a pattern grows too large");
    if (!mem_grow(&c->r->ops, &c->r->cap, c->r->count + 1, sizeof *c->r->ops))
        return err_nomem(c->err, "compiling a pattern");
    if (at) *at = (uint32_t)c->r->count;
    c->r->ops[c->r->count++] = o;
    return TOLA_OK;
}

static uint32_t here(const compiler *c) { return (uint32_t)c->r->count; }

static bool can_be_empty(const node *n) {
    switch ((node_kind)n->kind) {
    case NODE_SET: return false;
    case NODE_SEQUENCE:
    case NODE_ATOMIC:
        for (const node *k = n->child; k; k = k->next)
            if (!can_be_empty(k)) return false;
        return true;
    case NODE_EITHER:
        for (const node *k = n->child; k; k = k->next)
            if (can_be_empty(k)) return true;
        return false;
    case NODE_REPEAT: return n->min == 0 || can_be_empty(n->child);
    default: return true;
    }
}

/* Characters of a body that always has as many; false where it has not. */
static bool fixed_length(const node *n, uint64_t *out) {
    uint64_t one, sum = 0;
    if (!n) return *out = 0, true;
    switch ((node_kind)n->kind) {
    case NODE_EMPTY:
    case NODE_LOOK:
    case NODE_ASSERT: *out = 0; return true;
    case NODE_SET: *out = 1; return true;
    case NODE_REPEAT:
        if (n->min != n->max || !fixed_length(n->child, &one)) return false;
        *out = one * n->min;
        return *out < 65536;
    case NODE_EITHER:
        if (!fixed_length(n->child, out)) return false;
        for (const node *k = n->child->next; k; k = k->next)
            if (!fixed_length(k, &one) || one != *out) return false;
        return true;
    default:
        for (const node *k = n->child; k; k = k->next) {
            if (!fixed_length(k, &one)) return false;
            sum += one;
        }
        *out = sum;
        return sum < 65536;
    }
}

static tola_status compile(const compiler *c, const node *n);

static tola_status compile_list(const compiler *c, const node *n) {
    for (; n; n = n->next) TRY(compile(c, n));
    return TOLA_OK;
}

/* Each alternative, before it a step back of as many characters as it has, where `back`. */
static tola_status compile_either(const compiler *c, const node *n, bool back) {
    uint32_t split = 0, last = UINT32_MAX; /* jumps to the end, chained through their targets */
    for (; n; n = n->next) {
        uint64_t length = 0;
        if (n->next) TRY(put(c, (op){ .kind = OP_SPLIT }, &split));
        if (n->next) c->r->ops[split].a = here(c);
        if (back) {
            if (!fixed_length(n, &length))
                return err_set(c->err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                               "a pattern looks behind at what has no "
                               "fixed length");
            TRY(put(c, (op){ .kind = OP_BACK, .a = (uint32_t)length }, NULL));
        }
        TRY(compile(c, n));
        if (!n->next) break;
        TRY(put(c, (op){ .kind = OP_JUMP, .a = last }, &last));
        c->r->ops[split].b = here(c);
    }
    while (last != UINT32_MAX) {
        uint32_t next = c->r->ops[last].a;
        c->r->ops[last].a = here(c);
        last = next;
    }
    return TOLA_OK;
}

static tola_status compile_forever(const compiler *c, const node *n) {
    bool lazy = n->mode == REPEAT_LAZY, empty = can_be_empty(n->child);
    uint32_t split, mark = c->r->marks;
    if (empty && c->r->marks++ >= MOST_MARKS)
        return err_set(c->err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a pattern has too many loops");
    TRY(put(c, (op){ .kind = OP_SPLIT }, &split));
    uint32_t body = here(c);
    if (empty) TRY(put(c, (op){ .kind = OP_MARK, .a = mark }, NULL));
    TRY(compile(c, n->child));
    if (empty) TRY(put(c, (op){ .kind = OP_MOVED, .a = mark }, NULL));
    TRY(put(c, (op){ .kind = OP_JUMP, .a = split }, NULL));
    c->r->ops[split].a = lazy ? here(c) : body;
    c->r->ops[split].b = lazy ? body : here(c);
    return TOLA_OK;
}

static tola_status compile_optional(const compiler *c, const node *n) {
    bool lazy = n->mode == REPEAT_LAZY;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = n->min; i < n->max; i++) {
        uint32_t split;
        TRY(put(c, (op){ .kind = OP_SPLIT, .a = last }, &split));
        last = split;
        TRY(compile(c, n->child));
    }
    while (last != UINT32_MAX) {
        op *o = &c->r->ops[last];
        uint32_t next = o->a;
        o->a = lazy ? here(c) : last + 1;
        o->b = lazy ? last + 1 : here(c);
        last = next;
    }
    return TOLA_OK;
}

static tola_status compile_repeat(const compiler *c, const node *n) {
    if (n->child->kind == NODE_SET && n->mode != REPEAT_LAZY)
        return put(c,
                   (op){ .kind = OP_RUN,
                         .flags = n->mode == REPEAT_POSSESSIVE ? RUN_KEEPS : 0,
                         .set = (uint16_t)n->child->set,
                         .a = n->min,
                         .b = n->max },
                   NULL);
    bool keeps = n->mode == REPEAT_POSSESSIVE;
    if (keeps) TRY(put(c, (op){ .kind = OP_ATOMIC }, NULL));
    for (uint32_t i = 0; i < n->min; i++) TRY(compile(c, n->child));
    if (n->max == REGEX_FOREVER)
        TRY(compile_forever(c, n));
    else
        TRY(compile_optional(c, n));
    return keeps ? put(c, (op){ .kind = OP_BODY_END }, NULL) : TOLA_OK;
}

static tola_status compile_look(const compiler *c, const node *n) {
    uint32_t look;
    TRY(put(c, (op){ .kind = OP_LOOK, .flags = n->mode }, &look));
    if (n->mode & LOOK_BEHIND)
        TRY(compile_either(c, n->child->kind == NODE_EITHER ? n->child->child : n->child, true));
    else
        TRY(compile_list(c, n->child));
    TRY(put(c, (op){ .kind = OP_BODY_END }, NULL));
    c->r->ops[look].a = here(c);
    return TOLA_OK;
}

static tola_status compile(const compiler *c, const node *n) {
    switch ((node_kind)n->kind) {
    case NODE_EMPTY: return TOLA_OK;
    case NODE_SET: return put(c, (op){ .kind = OP_SET, .set = (uint16_t)n->set }, NULL);
    case NODE_SEQUENCE: return compile_list(c, n->child);
    case NODE_EITHER: return compile_either(c, n->child, false);
    case NODE_REPEAT: return compile_repeat(c, n);
    case NODE_LOOK: return compile_look(c, n);
    case NODE_ATOMIC:
        TRY(put(c, (op){ .kind = OP_ATOMIC }, NULL));
        TRY(compile_list(c, n->child));
        return put(c, (op){ .kind = OP_BODY_END }, NULL);
    case NODE_ASSERT: return put(c, (op){ .kind = OP_ASSERT, .flags = n->mode }, NULL);
    }
    return TOLA_OK;
}

/* ---- runs that need not give back ---- */

typedef enum following { MAY_HELP, CANT_HELP, MATCHES } following;

/* What comes at `pc`, after a run of `set`: does it always match; else, can it begin where the run has a character? */
static following follow(const compiler *c, uint32_t pc, uint16_t set, unsigned depth) {
    const op *o = &c->r->ops[pc];
    const charset *sets = c->tree->sets;
    bool apart = (o->kind == OP_SET || o->kind == OP_RUN) && !charset_overlaps(&sets[set], &sets[o->set]);
    if (depth > 24) return MAY_HELP;
    switch ((op_kind)o->kind) {
    case OP_MATCH: return MATCHES;
    case OP_SET: return apart ? CANT_HELP : MAY_HELP;
    case OP_RUN:
        if (o->a > 0) return apart ? CANT_HELP : MAY_HELP;
        following next = follow(c, pc + 1, set, depth + 1);
        return next == MATCHES || apart ? next : MAY_HELP;
    case OP_JUMP: return o->a > pc ? follow(c, o->a, set, depth + 1) : MAY_HELP;
    case OP_SPLIT: {
        following a = follow(c, o->a, set, depth + 1), b = follow(c, o->b, set, depth + 1);
        if (a == MATCHES || b == MATCHES) return MATCHES;
        return a == CANT_HELP && b == CANT_HELP ? CANT_HELP : MAY_HELP;
    }
    default: return MAY_HELP;
    }
}

static void keep_runs(const compiler *c) {
    for (uint32_t pc = 0; pc + 1 < c->r->count; pc++)
        if (c->r->ops[pc].kind == OP_RUN && follow(c, pc + 1, c->r->ops[pc].set, 0) != MAY_HELP)
            c->r->ops[pc].flags |= RUN_KEEPS;
}

/* ---- what a match begins with ---- */

/* Adds the characters that can come first; true where what follows can come first, too. */
static bool first_of(const compiler *c, const node *n, charset *out) {
    bool passes = true;
    switch ((node_kind)n->kind) {
    case NODE_SET: charset_add_ranges(out, c->tree->sets[n->set].items, c->tree->sets[n->set].count); return false;
    case NODE_SEQUENCE:
    case NODE_ATOMIC:
        for (const node *k = n->child; k && passes; k = k->next) passes = first_of(c, k, out);
        return passes;
    case NODE_EITHER:
        passes = false;
        for (const node *k = n->child; k; k = k->next) passes = first_of(c, k, out) || passes;
        return passes;
    case NODE_REPEAT:
        if (n->max == 0) return true;
        passes = first_of(c, n->child, out);
        return passes || n->min == 0;
    default: return true;
    }
}

static tola_status note_first(const compiler *c, const node *n, uint64_t bit) {
    charset first = { 0 };
    if (first_of(c, n, &first)) {
        for (unsigned b = 0; b < 256; b++) c->r->by_byte[b] |= bit;
        c->r->at_end |= bit;
    }
    charset_settle(&first);
    for (uint32_t b = 0; b < 0xf5; b++) {
        if (b >= 0x80 && b < 0xc2) continue;
        uint32_t low = b, high = b; /* the characters that this byte begins */
        if (b >= 0xf0)
            low = (b & 7) << 18, high = low | 0x3ffff;
        else if (b >= 0xe0)
            low = (b & 15) << 12, high = low | 0xfff;
        else if (b >= 0xc2)
            low = (b & 31) << 6, high = low | 0x3f;
        unicode_range range = { low, high };
        charset one = { .items = &range, .count = 1 };
        if (charset_overlaps(&first, &one)) c->r->by_byte[b] |= bit;
    }
    bool failed = first.failed;
    charset_free(&first);
    return failed ? err_nomem(c->err, "compiling a pattern") : TOLA_OK;
}

static tola_status compile_start(const compiler *c, const node *n) {
    uint64_t bit = (uint64_t)1 << c->r->start_count;
    c->r->starts[c->r->start_count++] = here(c);
    TRY(compile(c, n));
    TRY(put(c, (op){ .kind = OP_MATCH }, NULL));
    return note_first(c, n, bit);
}

static tola_status compile_starts(const compiler *c, const node *root) {
    size_t count = 0;
    if (root->kind == NODE_EITHER)
        for (const node *k = root->child; k; k = k->next) count++;
    if (count == 0 || count > MOST_STARTS) return compile_start(c, root);
    for (const node *k = root->child; k; k = k->next) TRY(compile_start(c, k));
    return TOLA_OK;
}

static tola_status make_maps(const compiler *c) {
    regex *r = c->r;
    r->maps = mem_calloc(c->tree->set_count + 1, sizeof *r->maps);
    if (!r->maps) return err_nomem(c->err, "compiling a pattern");
    for (; r->map_count < c->tree->set_count; r->map_count++) {
        r->maps[r->map_count] = charset_map_new(&c->tree->sets[r->map_count]);
        if (!r->maps[r->map_count]) return err_nomem(c->err, "compiling a pattern");
    }
    charset word = { 0 };
    charset_add_word(&word, WORD_ALONE);
    charset_settle(&word);
    for (size_t i = 0; i < r->count && !r->word; i++)
        if (r->ops[i].kind == OP_ASSERT && r->ops[i].flags >= ASSERT_WORD_EDGE && !(r->word = charset_map_new(&word))) {
            charset_free(&word);
            return err_nomem(c->err, "compiling a pattern");
        }
    charset_free(&word);
    return TOLA_OK;
}

tola_status regex_compile(const char *pattern, size_t length, regex **out, tola_error *err) {
    if (length > MAX_PATTERN)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a pattern of %zu bytes is too long", length);
    regex *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "compiling a pattern");
    regex_tree tree;
    compiler c = { r, &tree, err };
    tola_status status = regex_parse(pattern, length, &tree, err);
    if (status == TOLA_OK) status = compile_starts(&c, tree.root);
    if (status == TOLA_OK) status = make_maps(&c);
    if (status == TOLA_OK) keep_runs(&c);
    regex_tree_free(&tree);
    if (status == TOLA_OK)
        *out = r;
    else
        regex_free(r);
    return status;
}

void regex_free(regex *r) {
    if (!r) return;
    for (size_t i = 0; i < r->map_count; i++) charset_map_free(r->maps[i]);
    charset_map_free(r->word);
    mem_free(r->maps);
    mem_free(r->ops);
    mem_free(r);
}

regex_match *regex_match_new(const regex *r) {
    (void)r;
    regex_match *m = mem_calloc(1, sizeof *m);
    if (m) m->steps = STEPS_AT_ONCE;
    return m;
}

void regex_match_free(regex_match *m) {
    if (!m) return;
    mem_free(m->frames);
    mem_free(m);
}

/* ---- matching ---- */

/* Bytes of the character at p if it is in the set, else 0. */
static inline size_t in_set(const charset_map *m, const char *p) {
    uint8_t b = (uint8_t)*p;
    uint32_t c;
    if (b < 0x80) return m->ascii[b >> 6] >> (b & 63) & 1;
    size_t n = utf8_next(p, &c);
    return charset_map_has(m, c) ? n : 0;
}

static size_t step_back(const char *text, size_t at) {
    do at--;
    while (at > 0 && ((uint8_t)text[at] & 0xc0) == 0x80);
    return at;
}

static bool asserted(const regex *r, assert_kind kind, const char *text, size_t length, size_t at) {
    switch (kind) {
    case ASSERT_LINE_BEGIN: return at == 0 || (at < length && text[at - 1] == '\n');
    case ASSERT_LINE_END: return at == length || text[at] == '\n';
    case ASSERT_BEGIN: return at == 0;
    case ASSERT_END: return at == length;
    case ASSERT_LAST_LINE_END: return at == length || (at + 1 == length && text[at] == '\n');
    default: break;
    }
    bool before = at > 0 && in_set(r->word, text + step_back(text, at)) != 0;
    bool after = at < length && in_set(r->word, text + at) != 0;
    return (before != after) == (kind == ASSERT_WORD_EDGE);
}

typedef enum outcome { NO_MATCH, MATCHED, TOO_MANY_STEPS, NO_MEMORY } outcome;

static bool push(regex_match *m, frame f) {
    if (m->count >= MOST_FRAMES || !mem_grow(&m->frames, &m->cap, m->count + 1, sizeof *m->frames)) return false;
    m->frames[m->count++] = f;
    return true;
}

/* Takes the newest place to go on from; false where there is none. */
static bool go_back(regex_match *m, const char *text, size_t *at, uint32_t *pc) {
    while (m->count) {
        frame *f = &m->frames[--m->count];
        switch ((frame_kind)f->kind) {
        case FRAME_MARK: m->marks[f->pc] = f->at; continue;
        case FRAME_ATOMIC:
        case FRAME_LOOK: continue; /* its body has failed */
        case FRAME_RUN:
            f->at = step_back(text, f->at);
            if (f->at > f->least) m->count++;
            break;
        default: break;
        }
        *at = f->at;
        *pc = f->pc;
        return true;
    }
    return false;
}

/* The body of a look or an atomic group has matched: what it left to go back to goes. *failed: it must not have. */
static void end_body(regex_match *m, size_t *at, uint32_t *pc, bool *failed) {
    while (m->frames[m->count - 1].kind < FRAME_LOOK || m->frames[m->count - 1].kind == FRAME_MARK) m->count--;
    const frame *f = &m->frames[--m->count];
    *failed = f->kind == FRAME_LOOK_NOT;
    if (f->kind == FRAME_LOOK) {
        *at = f->at;
        *pc = f->pc;
    } else {
        ++*pc;
    }
}

/* A run of characters of a set: the end, and where as many as there must be end; false where there are fewer. */
static bool run_of(const charset_map *map, const op *o, const char *text, size_t length, size_t *at, size_t *least) {
    size_t i = *at, n;
    uint32_t count = 0;
    for (; count < o->a; count++, i += n)
        if (i >= length || !(n = in_set(map, text + i))) return false;
    *least = i;
    for (; count < o->b && i < length && (n = in_set(map, text + i)) != 0; count++) i += n;
    *at = i;
    return true;
}

static outcome match_from(const regex *r, regex_match *m, const char *text, size_t length, size_t at, uint32_t pc,
                          size_t *end) {
    m->count = 0;
    for (;;) {
        const op *o = &r->ops[pc];
        bool failed = false, full = false;
        size_t n, least;
        if (--m->steps < 0) return TOO_MANY_STEPS;
        switch ((op_kind)o->kind) {
        case OP_MATCH: *end = at; return MATCHED;
        case OP_SET:
            n = at < length ? in_set(r->maps[o->set], text + at) : 0;
            failed = n == 0;
            at += n;
            pc++;
            break;
        case OP_RUN:
            n = at;
            failed = !run_of(r->maps[o->set], o, text, length, &at, &least);
            m->steps -= (int64_t)((at - n) / 8);
            pc++;
            if (!failed && at > least && !(o->flags & RUN_KEEPS)) full = !push(m, (frame){ FRAME_RUN, pc, at, least });
            break;
        case OP_SPLIT:
            full = !push(m, (frame){ FRAME_BRANCH, o->b, at, 0 });
            pc = o->a;
            break;
        case OP_JUMP: pc = o->a; break;
        case OP_LOOK:
            full = !push(m, (frame){ o->flags & LOOK_NEGATIVE ? FRAME_LOOK_NOT : FRAME_LOOK, o->a, at, 0 });
            pc++;
            break;
        case OP_ATOMIC:
            full = !push(m, (frame){ FRAME_ATOMIC, 0, at, 0 });
            pc++;
            break;
        case OP_BODY_END: end_body(m, &at, &pc, &failed); break;
        case OP_BACK:
            for (n = o->a; n && at; n--) at = step_back(text, at);
            failed = n != 0;
            pc++;
            break;
        case OP_ASSERT:
            failed = !asserted(r, (assert_kind)o->flags, text, length, at);
            pc++;
            break;
        case OP_MARK:
            full = !push(m, (frame){ FRAME_MARK, o->a, m->marks[o->a], 0 });
            m->marks[o->a] = at;
            pc++;
            break;
        case OP_MOVED:
            failed = m->marks[o->a] == at;
            pc++;
            break;
        }
        if (full) return NO_MEMORY;
        if (failed && !go_back(m, text, &at, &pc)) return NO_MATCH;
    }
}

static outcome match_at(const regex *r, regex_match *m, const char *text, size_t length, size_t at, size_t *end) {
    uint64_t bits = at < length ? r->by_byte[(uint8_t)text[at]] : r->at_end;
    for (; bits; bits &= bits - 1) {
        outcome o = match_from(r, m, text, length, at, r->starts[__builtin_ctzll(bits)], end);
        if (o != NO_MATCH) return o;
    }
    return NO_MATCH;
}

tola_status regex_next(const regex *r, regex_match *m, const char *text, size_t length, size_t from, bool *found,
                       size_t *begin, size_t *end, tola_error *err) {
    outcome o = NO_MATCH;
    size_t at = from, counted = from;
    *found = false;
    for (;;) {
        while (at < length && !r->by_byte[(uint8_t)text[at]]) at++; /* bytes within characters begin nothing */
        m->steps += (int64_t)(at - counted) * STEPS_PER_BYTE;
        counted = at;
        if (m->steps > STEPS_AT_ONCE) m->steps = STEPS_AT_ONCE;
        o = match_at(r, m, text, length, at, end);
        if (o != NO_MATCH || at >= length) break;
        at += utf8_bytes(text[at]);
    }
    if (o == MATCHED) {
        *found = true;
        *begin = at;
        m->steps += (int64_t)(*end - at) * STEPS_PER_BYTE;
    }
    if (o == NO_MATCH || o == MATCHED) return TOLA_OK;
    if (o == NO_MEMORY && m->count < MOST_FRAMES) return err_nomem(err, "cutting text");
    return err_set(err, TOLA_E_LIMIT, at, "a pattern takes too many steps on this text");
}
