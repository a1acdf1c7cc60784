/* Names and what is done with them: texts, imports, calls, and the arrays that joblib puts behind some. */
#include "trust/scan_machine.h"

#include <string.h>

#include "base/hash.h"
#include "base/text.h"

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

void pm_push_text(pickle_machine *m, pm_kind kind, pm_form form, uint64_t at, uint64_t bytes) {
    if (bytes > UINT32_MAX) {
        pm_push_kind(m, PM_OTHER);
        return;
    }
    pm_push(m, (pm_value){ .kind = (uint8_t)kind, .form = (uint8_t)form, .n = (uint32_t)bytes, .x = at });
}

void pm_counted_text(pickle_machine *m, pm_kind kind, unsigned length_bytes) {
    const uint8_t *p = pm_take(m, length_bytes);
    if (!p) return;
    uint64_t bytes = pm_le(p, length_bytes), at = pm_here(m);
    if (pm_skip(m, bytes)) pm_push_text(m, kind, PM_UTF8, at, bytes);
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

/* Bytes of an element of torch's storages; 0 for other names. */
static uint8_t storage_item(const char *module, const char *name) {
    static const struct {
        const char *name;
        uint8_t bytes;
    } storages[] = {
        { "DoubleStorage", 8 }, { "FloatStorage", 4 }, { "HalfStorage", 2 },         { "BFloat16Storage", 2 },
        { "LongStorage", 8 },   { "IntStorage", 4 },   { "ShortStorage", 2 },        { "CharStorage", 1 },
        { "ByteStorage", 1 },   { "BoolStorage", 1 },  { "ComplexFloatStorage", 8 }, { "ComplexDoubleStorage", 16 },
    };
    if (strcmp(module, "torch") == 0)
        for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
            if (strcmp(name, storages[i].name) == 0) return storages[i].bytes;
    return strcmp(name, "UntypedStorage") == 0 && strcmp(module, "torch.storage") == 0;
}

static uint8_t role_of(const char *module, const char *name) {
    static const struct {
        const char *module, *name;
        uint8_t role;
    } roles[] = {
        { "numpy", "dtype", PM_DTYPE },
        { "joblib.numpy_pickle", "NumpyArrayWrapper", PM_JOBLIB },
        { "_codecs", "encode", PM_ENCODE },
        { "torch._utils", "_rebuild_tensor_v2", PM_TENSOR },
        { "collections", "OrderedDict", PM_ORDERED },
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name, roles[i].name) == 0 && strcmp(module, roles[i].module) == 0) return roles[i].role;
    return storage_item(module, name) ? PM_STORAGE : PM_PLAIN;
}

static void push_import(pickle_machine *m, const char *module, size_t module_bytes, const char *name,
                        size_t name_bytes) {
    bool sane = plausible(module, module_bytes) && plausible(name, name_bytes) && strlen(module) == module_bytes &&
                strlen(name) == name_bytes;
    if (m->import_count >= m->table_cap && !grow_table(m)) {
        pm_out_of_memory(m);
        return;
    }
    size_t slot = (size_t)import_hash(module, name) & (m->table_cap - 1);
    for (uint32_t i = m->table[slot]; i; i = m->imports[i - 1].next) {
        pm_import *g = &m->imports[i - 1];
        if (strcmp(g->module, module) != 0 || strcmp(g->name, name) != 0) continue;
        g->count++;
        if (g->verdict > m->out->worst) m->out->worst = g->verdict;
        if (g->verdict == TOLA_DANGEROUS) m->out->dangerous = true;
        pm_push(m, (pm_value){ .kind = PM_IMPORT, .n = i - 1 });
        return;
    }
    if (m->import_count >= PM_MAX_IMPORTS) {
        pm_limited(m, "names are imported", PM_MAX_IMPORTS);
        return;
    }
    pm_import g = { .module = arena_strndup(&m->names, module, strlen(module)),
                    .name = arena_strndup(&m->names, name, strlen(name)),
                    .offset = pm_relative(m, m->op_at),
                    .count = 1,
                    .verdict = scan_judge_import(module, name, m->torchscript),
                    .role = role_of(module, name),
                    .item = storage_item(module, name),
                    .next = m->table[slot] };
    if (!sane && g.verdict == TOLA_SAFE) g.verdict = TOLA_UNKNOWN; /* a NUL inside */
    if (!g.module || !g.name || !mem_grow(&m->imports, &m->import_cap, m->import_count + 1, sizeof *m->imports)) {
        pm_out_of_memory(m);
        return;
    }
    m->imports[m->import_count++] = g;
    m->table[slot] = (uint32_t)m->import_count;
    if (g.role == PM_JOBLIB) m->joblib = (uint32_t)m->import_count;
    if (!sane) pm_doubt(m);
    if (g.verdict > m->out->worst) m->out->worst = g.verdict;
    if (g.verdict == TOLA_DANGEROUS && sane) m->out->dangerous = true;
    pm_push(m, (pm_value){ .kind = PM_IMPORT, .n = (uint32_t)m->import_count - 1 });
}

/* GLOBAL, INST: two lines. */
void pm_import_lines(pickle_machine *m) {
    char text[2][PM_MAX_NAME + 1];
    uint64_t at[2], bytes[2];
    bool complete = pm_line(m, &at[0], &bytes[0]) && pm_line(m, &at[1], &bytes[1]);
    if (!complete && m->broken) return;
    if (!complete && at[0] == pm_here(m)) return;
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

/* May it be a text, which a call gave or somebody outside? What is known to give objects of its own gives none. */
static bool may_be_text(const pickle_machine *m, const pm_value *v) {
    if (v->kind != PM_RESULT) return v->kind == PM_PERSISTENT || v->kind == PM_OTHER;
    const pm_import *g = pm_import_of(m, v);
    return !g || (g->role != PM_DTYPE && g->role != PM_JOBLIB && g->role != PM_TENSOR && g->role != PM_ORDERED);
}

void pm_import_from_stack(pickle_machine *m) {
    char module[2 * PM_MAX_NAME + 2], name[2 * PM_MAX_NAME + 2];
    size_t module_bytes, name_bytes;
    pm_value n = pm_pop(m), o = pm_pop(m);
    if (o.kind != PM_STR || n.kind != PM_STR) {
        bool texts = (o.kind == PM_STR || may_be_text(m, &o)) && (n.kind == PM_STR || may_be_text(m, &n));
        if (texts) /* CPython wants texts here */
            pm_tell(m, TOLA_DANGEROUS, "pickle", "imports a name that is made while it is loaded");
        else
            pm_malformed(m, "a name to import is no text");
        pm_push_kind(m, PM_RESULT);
        return;
    }
    if (!pm_text(m, &o, module, sizeof module, &module_bytes) || !pm_text(m, &n, name, sizeof name, &name_bytes)) {
        if (!m->broken) pm_tell(m, TOLA_UNKNOWN, "pickle", "imports a name of more than %u bytes", PM_MAX_NAME);
        pm_push_kind(m, PM_RESULT);
        return;
    }
    push_import(m, module, module_bytes, name, name_bytes);
}

/* ---- calls ---- */

static const pm_value *argument(const pickle_machine *m, const pm_value *args, size_t i) {
    return args->kind == PM_TUPLE ? pm_item(m, args, i) : NULL;
}

static bool is_constant(const pm_value *v, enum pm_constant constant) {
    return v && v->kind == PM_CONSTANT && !v->n && v->x == constant;
}

/* One element in numpy's words ("f8", "<i4", "O8", "M8[ns]"). False for whatever else numpy.dtype takes: lists of
 * fields, several types in one text, names of classes. */
static bool read_element(pickle_machine *m, const pm_value *v, char *kind, uint64_t *bytes) {
    char text[64];
    size_t length;
    if (!v || v->kind != PM_STR || !pm_text(m, v, text, sizeof text, &length) || strlen(text) != length) return false;
    const char *p = text;
    if (*p && strchr("<>=|", *p)) p++;
    if (!*p || !strchr("?biufcmMOSUVa", *p)) return false;
    *kind = *p++;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9' && n < (1u << 30); p++) n = n * 10 + (uint64_t)(*p - '0');
    if (*p == '[' && (*kind == 'm' || *kind == 'M')) p += strspn(p, "[]0123456789abcdefghijklmnopqrstuvwxyzDMWY");
    *bytes = *kind == '?' ? 1 : *kind == 'U' ? n * 4 : n;
    return *p == 0;
}

/* numpy.dtype(text, ...) */
static bool plain_dtype(pickle_machine *m, const pm_value *args) {
    char kind;
    uint64_t bytes;
    size_t n = pm_count(m, args);
    bool plain = n != SIZE_MAX && n >= 1 && n <= 3 && read_element(m, argument(m, args, 0), &kind, &bytes);
    for (size_t i = 1; plain && i < n; i++) {
        const pm_value *v = argument(m, args, i);
        plain = v && (v->kind == PM_INT || is_constant(v, PM_FALSE) || is_constant(v, PM_TRUE));
    }
    return plain;
}

/* What a type is set to behind its call: (version, order, subtype, names, fields, bytes, alignment, flags[, units]).
 * numpy believes sizes and flags as they stand, also those that make it take bytes for pointers to objects, so only
 * what it writes itself for single numbers, texts and objects is plain. Source: numpy/core/src/multiarray/descriptor.c,
 * arraydescr_reduce and arraydescr_setstate. */
static bool plain_dtype_state(pickle_machine *m, const pm_value *args, const pm_value *state) {
    char kind, order[8];
    uint64_t bytes;
    size_t n = state->kind == PM_TUPLE ? pm_count(m, state) : SIZE_MAX;
    if (!read_element(m, argument(m, args, 0), &kind, &bytes)) return false;
    bool times = kind == 'm' || kind == 'M', sized = strchr("SUVa", kind);
    if (n != 8 && !(n == 9 && times)) return false;
    const pm_value *version = pm_item(m, state, 0), *size = pm_item(m, state, 5), *alignment = pm_item(m, state, 6);
    const pm_value *flags = pm_item(m, state, 7);
    if (version->kind != PM_INT || version->x < 3 || version->x > 4) return false;
    if (!pm_text(m, pm_item(m, state, 1), order, sizeof order, NULL) || !order[0] || order[1] ||
        !strchr("<>=|", order[0]))
        return false;
    for (size_t i = 2; i < 5; i++)
        if (!is_constant(pm_item(m, state, i), PM_NONE)) return false;
    if (size->kind != PM_INT || alignment->kind != PM_INT || flags->kind != PM_INT) return false;
    if (size->x != (uint64_t)-1 && !(sized && size->x == bytes)) return false;
    if (alignment->x != (uint64_t)-1 && alignment->x > 16) return false;
    return kind == 'O' ? flags->x == 63 : flags->x == 0 || (kind == 'U' && flags->x == 8);
}

/* ('storage', type, key, device, elements): what an archive has to hold. */
void pm_claim_storage(pickle_machine *m, pm_value *storage) {
    torch_claims *c = m->claims;
    torch_claim claim;
    size_t n = 0;
    const pm_value *id = pm_item(m, storage, 0);
    bool tuple = id && id->kind == PM_TUPLE && pm_count(m, id) == 5;
    const pm_value *type = tuple ? pm_item(m, id, 1) : NULL, *key = tuple ? pm_item(m, id, 2) : NULL;
    const pm_value *elements = tuple ? pm_item(m, id, 4) : NULL;
    bool known = tuple && pm_is_text(m, pm_item(m, id, 0), "storage") && type->kind == PM_IMPORT &&
                 m->imports[type->n].item && elements->kind == PM_INT && (int64_t)elements->x >= 0;
    known = known && key->kind == PM_STR && pm_text(m, key, claim.key, sizeof claim.key, &n) && n &&
            strspn(claim.key, "0123456789") == n && mul_u64(elements->x, m->imports[type->n].item, &claim.bytes);
    if (!known || !mem_grow(&c->list, &c->cap, c->count + 1, sizeof *c->list)) {
        c->lost = true;
        return;
    }
    storage->x = elements->x;
    c->list[c->count++] = claim;
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, ...): does the tensor lie within its storage? */
static bool tensor_fits(pickle_machine *m, const pm_value *args) {
    const pm_value *storage = argument(m, args, 0), *offset = argument(m, args, 1);
    const pm_value *shape = argument(m, args, 2), *strides = argument(m, args, 3);
    if (!strides || storage->kind != PM_PERSISTENT || offset->kind != PM_INT || shape->kind != PM_TUPLE ||
        strides->kind != PM_TUPLE)
        return false;
    size_t n = pm_count(m, shape);
    uint64_t last = offset->x;
    bool empty = false;
    if (n == SIZE_MAX || n != pm_count(m, strides) || (int64_t)offset->x < 0) return false;
    for (size_t i = 0; i < n; i++) {
        const pm_value *size = pm_item(m, shape, i), *stride = pm_item(m, strides, i);
        uint64_t reach;
        if (!size || !stride || size->kind != PM_INT || stride->kind != PM_INT || (int64_t)size->x < 0 ||
            (int64_t)stride->x < 0)
            return false;
        empty |= size->x == 0;
        if (size->x && (!mul_u64(size->x - 1, stride->x, &reach) || !add_u64(last, reach, &last))) return false;
    }
    return empty ? offset->x <= storage->x : last < storage->x;
}

/* Calls of the allow-list that are plain with plain arguments only. */
static void check_call(pickle_machine *m, const pm_import *g, const pm_value *args) {
    if (g->role == PM_DTYPE && !plain_dtype(m, args))
        pm_tell(m, TOLA_UNKNOWN, "pickle", "makes a type of numpy's that cannot be followed");
    const pm_value *codec = g->role == PM_ENCODE ? argument(m, args, 1) : NULL;
    if (g->role == PM_ENCODE && !pm_is_text(m, codec, "latin1") && !pm_is_text(m, codec, "latin-1"))
        pm_tell(m, TOLA_UNKNOWN, "pickle", "encodes a text in another way than Python does for bytes");
}

/* Values that leave the stack for a container or a call. joblib's wrapper of arrays has to be called at once: made in
 * another way, it could not be told from other objects, and joblib would go on behind bytes that seem to be opcodes. */
void pm_hand_on(pickle_machine *m, const pm_value *values, size_t count) {
    for (size_t i = 0; m->joblib && i < count; i++)
        if (values[i].kind == PM_IMPORT && values[i].n == m->joblib - 1) {
            pm_tell(m, TOLA_UNKNOWN, "joblib", "hands on what reads arrays from the file: they cannot be followed");
            return;
        }
}

static void call(pickle_machine *m, pm_value callee, pm_value args) {
    pm_value result = { .kind = PM_RESULT, .x = args.kind == PM_TUPLE ? args.n : 0 };
    if (callee.kind == PM_IMPORT) {
        m->imports[callee.n].called = true;
        m->out->acted = true;
        result.n = callee.n + 1;
        uint8_t role = m->imports[callee.n].role;
        if (role) check_call(m, &m->imports[callee.n], &args);
        if (m->claims && role != PM_ORDERED && !(role == PM_TENSOR && tensor_fits(m, &args))) m->claims->lost = true;
    } else if (callee.kind == PM_RESULT || callee.kind == PM_PERSISTENT || callee.kind == PM_OTHER) {
        result.n = callee.kind == PM_RESULT ? callee.n : 0;
        m->out->acted = true;
        if (m->claims) m->claims->lost = true;
        pm_tell(m, TOLA_UNKNOWN, "pickle", "calls something that is only made while it is loaded");
    } else {
        pm_malformed(m, "something is called that is no function");
    }
    pm_push(m, result);
}

void pm_call_opcode(pickle_machine *m, uint8_t op) {
    pm_value callee, args;
    size_t first;
    switch (op) {
    case 'i':
        pm_import_lines(m);
        if (m->ended || m->broken) return;
        callee = pm_pop(m);
        first = pm_pop_mark(m);
        pm_collect(m, PM_TUPLE, first);
        args = pm_pop(m);
        break;
    case 'o':
        first = pm_pop_mark(m);
        if (m->depth <= first) {
            pm_underflow(m);
            return;
        }
        callee = m->stack[first];
        pm_collect(m, PM_TUPLE, first + 1);
        args = pm_pop(m);
        m->depth = first;
        break;
    case 0x92: /* NEWOBJ_EX */
        pm_pop(m);
        args = pm_pop(m);
        callee = pm_pop(m);
        break;
    default: /* REDUCE, NEWOBJ */
        args = pm_pop(m);
        callee = pm_pop(m);
        break;
    }
    if (args.kind == PM_INT || args.kind == PM_CONSTANT) pm_malformed(m, "the arguments of a call are no tuple");
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

/* Bytes of an element, 0 where that is not known; *objects where each is a pickle's. */
static uint64_t element_bytes(pickle_machine *m, const pm_value *dtype, bool *objects) {
    const pm_import *g = pm_import_of(m, dtype);
    char kind = 0;
    uint64_t bytes = 0;
    *objects = false;
    if (!g || dtype->kind != PM_RESULT || g->role != PM_DTYPE) return 0;
    pm_value args = { .kind = PM_TUPLE, .n = (uint32_t)dtype->x };
    if (pm_count(m, &args) == SIZE_MAX || !read_element(m, pm_item(m, &args, 0), &kind, &bytes)) return 0;
    *objects = kind == 'O';
    return bytes;
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
        pm_tell(m, TOLA_UNKNOWN, "joblib", "an array whose size or element type cannot be followed");
        m->broken = true;
        return;
    }
    if (objects) {
        m->nested++;
        return;
    }
    if (alignment && alignment->kind == PM_INT) {
        const uint8_t *padding = pm_take(m, 1);
        if (!padding) return;
        if (*padding == 0xff) pm_malformed(m, "damaged padding before an array");
        if (!pm_skip(m, *padding)) return;
    }
    pm_skip(m, bytes);
}

void pm_build(pickle_machine *m) {
    pm_value state = pm_pop(m);
    pm_value *target = pm_top(m);
    if (!target) return;
    if (target->kind == PM_IMPORT) {
        pm_change_import(m, target);
        return;
    }
    const pm_import *g = target->kind == PM_RESULT ? pm_import_of(m, target) : NULL;
    if (m->claims && !(g && g->role == PM_ORDERED)) m->claims->lost = true;
    if (g && g->role == PM_JOBLIB) {
        m->out->arrays = true;
        if (m->no_arrays) return;
        /* joblib reads the array from the file itself, behind the frame that it is in */
        if (m->framed && pm_here(m) != m->frame_end)
            pm_tell(m, TOLA_UNKNOWN, "joblib", "an array inside a frame: loaders do not agree on what follows");
        m->framed = false;
        joblib_array(m, &state);
    } else if (g && g->role == PM_DTYPE) {
        pm_value args = { .kind = PM_TUPLE, .n = (uint32_t)target->x };
        if (plain_dtype_state(m, &args, &state)) return;
        pm_tell(m, TOLA_UNKNOWN, "pickle", "makes a type of numpy's that cannot be followed");
        if (args.n) m->boxes[args.n].cut = true; /* arrays of it cannot be, either */
    }
}
