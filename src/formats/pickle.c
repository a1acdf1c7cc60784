/* The pickle machine: opcodes, stack, marks, memo. See pickle.h.
 *
 * Opcodes follow CPython's Modules/_pickle.c where that and the documentation differ (a POP right after a MARK takes
 * the mark; an opcode cannot reach below the last mark). Frames must end between opcodes. */
#include "formats/pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats/pickle_vm.h"

/* ---- failing ---- */

tola_status vm_fail(pickle_vm *vm, tola_status status, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(vm->err, status, vm->op_at, "%s", text);
}

tola_status vm_unsafe(pickle_vm *vm, const char *verb, const pickle_global *g) {
    char name[420];
    return vm_fail(vm, TOLA_E_UNSAFE, "the pickle %s %s (offset %" PRIu64 "); nothing was run", verb,
                   pickle_name(name, sizeof name, g), vm->op_at - vm->start);
}

static tola_status underflow(pickle_vm *vm) {
    return vm_fail(vm, TOLA_E_FORMAT, "the pickle takes a value from an empty stack");
}

static tola_status no_memory(pickle_vm *vm) { return err_nomem(vm->err, "reading a pickle"); }

/* ---- values ---- */

tola_status vm_account(pickle_vm *vm, uint64_t bytes) {
    vm->made += bytes;
    uint64_t allowed = (vm->r->pos - vm->start) * PICKLE_VALUES_PER_BYTE + PICKLE_VALUES_FREE;
    if (vm->made <= allowed) return TOLA_OK;
    return vm_fail(vm, TOLA_E_LIMIT, "the pickle's values take more than %u times its size in memory",
                   PICKLE_VALUES_PER_BYTE);
}

tola_status vm_new(pickle_vm *vm, pickle_kind kind, pickle_value **out) {
    TRY(vm_account(vm, sizeof(pickle_value)));
    pickle_value *v = arena_alloc(vm->a, sizeof *v);
    if (!v) return no_memory(vm);
    memset(v, 0, sizeof *v);
    v->kind = (uint8_t)kind;
    v->at = vm->op_at - vm->start;
    *out = v;
    return TOLA_OK;
}

tola_status vm_append(pickle_vm *vm, pickle_value *container, pickle_value *item) {
    if (container->as.list.count == container->as.list.cap) {
        size_t cap = container->as.list.cap ? container->as.list.cap * 2 : 4;
        TRY(vm_account(vm, cap * sizeof(pickle_value *)));
        pickle_value **items = arena_alloc_array(vm->a, cap, sizeof *items);
        if (!items) return no_memory(vm);
        if (container->as.list.count)
            memcpy(items, container->as.list.items, container->as.list.count * sizeof *items);
        container->as.list.items = items;
        container->as.list.cap = cap;
    }
    container->as.list.items[container->as.list.count++] = item;
    return TOLA_OK;
}

tola_status vm_push(pickle_vm *vm, pickle_value *v) {
    if (!mem_grow(&vm->stack, &vm->stack_cap, vm->depth + 1, sizeof *vm->stack)) return no_memory(vm);
    vm->stack[vm->depth++] = v;
    return TOLA_OK;
}

tola_status vm_push_text(pickle_vm *vm, pickle_kind kind, const void *data, size_t length, bool old) {
    pickle_value *v;
    TRY(vm_new(vm, kind, &v));
    v->as.text.data = arena_strndup(vm->a, data, length);
    if (!v->as.text.data) return no_memory(vm);
    v->as.text.length = length;
    v->old = old;
    return vm_push(vm, v);
}

tola_status vm_push_global(pickle_vm *vm, const char *module, const char *name) {
    pickle_value *v;
    TRY(vm_new(vm, PICKLE_GLOBAL, &v));
    v->as.global = pickle_find_global(module, name, vm->flags, vm->a);
    if (!v->as.global) return no_memory(vm);
    if (v->as.global->role == ROLE_UNKNOWN && !vm->unknown) vm->unknown = v;
    return vm_push(vm, v);
}

static tola_status push_new(pickle_vm *vm, pickle_kind kind) {
    pickle_value *v;
    TRY(vm_new(vm, kind, &v));
    return vm_push(vm, v);
}

static tola_status push_int(pickle_vm *vm, int64_t number) {
    pickle_value *v;
    if (number >= 0 && number < 256 && vm->small[number]) return vm_push(vm, vm->small[number]);
    TRY(vm_new(vm, PICKLE_INT, &v));
    v->as.i64 = number;
    if (number >= 0 && number < 256) vm->small[number] = v;
    return vm_push(vm, v);
}

/* None, True and False are made once. */
static tola_status push_constant(pickle_vm *vm, pickle_value **place, pickle_kind kind, bool truth) {
    if (!*place) {
        TRY(vm_new(vm, kind, place));
        (*place)->as.boolean = truth;
    }
    return vm_push(vm, *place);
}

/* ---- stack and marks ---- */

static size_t fence(const pickle_vm *vm) { return vm->mark_count ? vm->marks[vm->mark_count - 1] : 0; }

static tola_status pop(pickle_vm *vm, pickle_value **out) {
    if (vm->depth <= fence(vm)) return underflow(vm);
    *out = vm->stack[--vm->depth];
    return TOLA_OK;
}

static tola_status top(pickle_vm *vm, pickle_value **out) {
    if (vm->depth <= fence(vm)) return underflow(vm);
    *out = vm->stack[vm->depth - 1];
    return TOLA_OK;
}

static tola_status push_mark(pickle_vm *vm) {
    if (!mem_grow(&vm->marks, &vm->mark_cap, vm->mark_count + 1, sizeof *vm->marks)) return no_memory(vm);
    vm->marks[vm->mark_count++] = vm->depth;
    return TOLA_OK;
}

/* Takes the last mark; `*first` is the index of the value after it. */
static tola_status pop_mark(pickle_vm *vm, size_t *first) {
    if (vm->mark_count == 0) return vm_fail(vm, TOLA_E_FORMAT, "the pickle uses a mark that it did not set");
    *first = vm->marks[--vm->mark_count];
    return TOLA_OK;
}

/* Moves the values above index `first` into a new container, which takes their place. */
static tola_status collect(pickle_vm *vm, pickle_kind kind, size_t first) {
    pickle_value *v;
    size_t count = vm->depth - first;
    if (kind == PICKLE_DICT && count % 2) return vm_fail(vm, TOLA_E_FORMAT, "a dictionary with a key and no value");
    TRY(vm_new(vm, kind, &v));
    if (count) {
        TRY(vm_account(vm, count * sizeof(pickle_value *)));
        v->as.list.items = arena_alloc_array(vm->a, count, sizeof *v->as.list.items);
        if (!v->as.list.items) return no_memory(vm);
        memcpy(v->as.list.items, vm->stack + first, count * sizeof *v->as.list.items);
        v->as.list.count = v->as.list.cap = count;
    }
    vm->depth = first;
    return vm_push(vm, v);
}

static tola_status collect_marked(pickle_vm *vm, pickle_kind kind) {
    size_t first = 0;
    TRY(pop_mark(vm, &first));
    return collect(vm, kind, first);
}

static tola_status collect_last(pickle_vm *vm, size_t count) {
    if (vm->depth - fence(vm) < count) return underflow(vm);
    return collect(vm, PICKLE_TUPLE, vm->depth - count);
}

/* The container that APPENDS, SETITEMS or ADDITEMS of `kind` may put values into. */
static tola_status open_container(pickle_vm *vm, pickle_value *v, pickle_kind kind, pickle_value **out) {
    if (v->kind == (uint8_t)kind) {
        *out = v;
        return TOLA_OK;
    }
    if (v->kind == PICKLE_GLOBAL) return vm_unsafe(vm, "changes", v->as.global);
    if (v->kind != PICKLE_OBJECT)
        return vm_fail(vm, TOLA_E_FORMAT, "the pickle puts items into something that is no container");
    if (!v->as.object.entries) TRY(vm_new(vm, kind, &v->as.object.entries));
    if (v->as.object.entries->kind != (uint8_t)kind)
        return vm_fail(vm, TOLA_E_FORMAT, "the pickle treats one object as a list and as a dictionary");
    *out = v->as.object.entries;
    return TOLA_OK;
}

static tola_status add_from(pickle_vm *vm, pickle_kind kind, size_t first) {
    pickle_value *target = NULL;
    if (first == 0 || first <= fence(vm)) return underflow(vm);
    if (kind == PICKLE_DICT && (vm->depth - first) % 2)
        return vm_fail(vm, TOLA_E_FORMAT, "a dictionary with a key and no value");
    TRY(open_container(vm, vm->stack[first - 1], kind, &target));
    for (size_t i = first; i < vm->depth; i++) TRY(vm_append(vm, target, vm->stack[i]));
    vm->depth = first;
    return TOLA_OK;
}

static tola_status add_marked(pickle_vm *vm, pickle_kind kind) {
    size_t first = 0;
    TRY(pop_mark(vm, &first));
    return add_from(vm, kind, first);
}

static tola_status add_last(pickle_vm *vm, pickle_kind kind, size_t count) {
    if (vm->depth - fence(vm) < count) return underflow(vm);
    return add_from(vm, kind, vm->depth - count);
}

/* ---- memo ---- */

/* Under the random key of hash_string: with a fixed one, a pickle could choose numbers that all share a slot. */
static memo_slot *memo_slot_of(memo_slot *slots, size_t cap, uint64_t key) {
    size_t i = (size_t)hash_string((const char *)&key, sizeof key) & (cap - 1);
    while (slots[i].key && slots[i].key != key + 1) i = (i + 1) & (cap - 1);
    return &slots[i];
}

static tola_status memo_put(pickle_vm *vm, uint64_t key) {
    pickle_value *v;
    TRY(top(vm, &v));
    if (vm->memo_count * 2 >= vm->memo_cap) {
        size_t cap = vm->memo_cap ? vm->memo_cap * 2 : 256;
        memo_slot *slots = mem_calloc(cap, sizeof *slots);
        if (!slots) return no_memory(vm);
        for (size_t i = 0; i < vm->memo_cap; i++)
            if (vm->memo[i].key) *memo_slot_of(slots, cap, vm->memo[i].key - 1) = vm->memo[i];
        mem_free(vm->memo);
        vm->memo = slots;
        vm->memo_cap = cap;
    }
    memo_slot *slot = memo_slot_of(vm->memo, vm->memo_cap, key);
    if (!slot->key) vm->memo_count++;
    slot->key = key + 1;
    slot->value = v;
    return TOLA_OK;
}

static tola_status memo_get(pickle_vm *vm, uint64_t key) {
    memo_slot *slot = vm->memo_cap ? memo_slot_of(vm->memo, vm->memo_cap, key) : NULL;
    if (!slot || !slot->key)
        return vm_fail(vm, TOLA_E_FORMAT, "the pickle uses memo entry %" PRIu64 ", which it never set", key);
    return vm_push(vm, slot->value);
}

static tola_status line_number(pickle_vm *vm, uint64_t *out) {
    TRY(vm_line(vm, PICKLE_MAX_LINE));
    uint64_t v = 0;
    for (size_t i = 0; i < vm->line.length; i++) {
        uint8_t c = vm->line.data[i];
        if (c < '0' || c > '9' || v > UINT32_MAX) return vm_fail(vm, TOLA_E_FORMAT, "a memo number is damaged");
        v = v * 10 + (uint64_t)(c - '0');
    }
    if (vm->line.length == 0) return vm_fail(vm, TOLA_E_FORMAT, "a memo number is missing");
    *out = v;
    return TOLA_OK;
}

static tola_status memo_opcode(pickle_vm *vm, uint8_t op) {
    uint64_t key = 0;
    switch (op) {
    case 'g': case 'p': TRY(line_number(vm, &key)); break;
    case 'h': case 'q': key = reader_u8(vm->r); break;
    case 'j': case 'r': key = reader_u32(vm->r); break;
    default: key = vm->memo_count; break; /* MEMOIZE */
    }
    TRY(reader_check(vm->r, vm->err));
    return op == 'g' || op == 'h' || op == 'j' ? memo_get(vm, key) : memo_put(vm, key);
}

/* ---- opcodes with arguments ---- */

/* Text or bytes of `length` that follow in the file. */
static tola_status counted_text(pickle_vm *vm, pickle_kind kind, uint64_t length, bool old) {
    TRY(reader_check(vm->r, vm->err));
    if (length > reader_left(vm->r))
        return vm_fail(vm, TOLA_E_FORMAT, "truncated: a string of %" PRIu64 " bytes, %" PRIu64 " are left", length,
                       reader_left(vm->r));
    pickle_value *v;
    TRY(vm_new(vm, kind, &v));
    v->at = vm->r->pos - vm->start;
    v->shared = true;
    char *data = arena_alloc(vm->a, (size_t)length + 1);
    if (!data) return no_memory(vm);
    reader_bytes(vm->r, data, (size_t)length);
    TRY(reader_check(vm->r, vm->err));
    data[length] = 0;
    v->as.text.data = data;
    v->as.text.length = (size_t)length;
    v->old = old;
    return vm_push(vm, v);
}

static tola_status text_counted_opcode(pickle_vm *vm, uint8_t op) {
    reader *r = vm->r;
    switch (op) {
    case 'X': return counted_text(vm, PICKLE_STR, reader_u32(r), false);
    case 0x8c: return counted_text(vm, PICKLE_STR, reader_u8(r), false);
    case 0x8d: return counted_text(vm, PICKLE_STR, reader_u64(r), false);
    case 'U': return counted_text(vm, PICKLE_STR, reader_u8(r), true);
    case 'T': {
        uint32_t length = reader_u32(r);
        if (length > INT32_MAX) return vm_fail(vm, TOLA_E_FORMAT, "a string of negative length");
        return counted_text(vm, PICKLE_STR, length, true);
    }
    case 'C': return counted_text(vm, PICKLE_BYTES, reader_u8(r), false);
    case 'B': return counted_text(vm, PICKLE_BYTES, reader_u32(r), false);
    default: return counted_text(vm, PICKLE_BYTES, reader_u64(r), false); /* BINBYTES8, BYTEARRAY8 */
    }
}

static tola_status number_opcode(pickle_vm *vm, uint8_t op) {
    reader *r = vm->r;
    uint64_t bits = 0, length;
    pickle_value *v;
    switch (op) {
    case 'K': bits = reader_u8(r); break;
    case 'M': bits = reader_u16(r); break;
    case 'J': bits = (uint64_t)(int64_t)(int32_t)reader_u32(r); break;
    case 'G':
        for (int i = 0; i < 8; i++) bits = bits << 8 | reader_u8(r); /* big-endian */
        TRY(reader_check(r, vm->err));
        TRY(vm_new(vm, PICKLE_FLOAT, &v));
        memcpy(&v->as.f64, &bits, sizeof bits);
        return vm_push(vm, v);
    default: { /* LONG1, LONG4 */
        length = op == 0x8a ? reader_u8(r) : reader_u32(r);
        if (length > PICKLE_MAX_LINE) return vm_fail(vm, TOLA_E_LIMIT, "an integer of %" PRIu64 " bytes", length);
        const uint8_t *p = reader_take(r, (size_t)length);
        TRY(reader_check(r, vm->err));
        return vm_push_long(vm, p, (size_t)length);
    }
    }
    TRY(reader_check(r, vm->err));
    return push_int(vm, (int64_t)bits);
}

static tola_status global_opcode(pickle_vm *vm, uint8_t op) {
    if (op == 0x93) { /* STACK_GLOBAL */
        pickle_value *module, *name;
        TRY(pop(vm, &name));
        TRY(pop(vm, &module));
        if (module->kind != PICKLE_STR || name->kind != PICKLE_STR ||
            strlen(module->as.text.data) != module->as.text.length ||
            strlen(name->as.text.data) != name->as.text.length)
            return vm_fail(vm, TOLA_E_UNSAFE, "the pickle refers to a name that is no text (offset %" PRIu64
                           "); nothing was run", vm->op_at - vm->start);
        return vm_push_global(vm, module->as.text.data, name->as.text.data);
    }
    TRY(vm_line(vm, PICKLE_MAX_LINE));
    char *module = arena_strndup(vm->a, (const char *)vm->line.data, vm->line.length);
    if (!module) return no_memory(vm);
    TRY(vm_line(vm, PICKLE_MAX_LINE));
    return vm_push_global(vm, module, (const char *)vm->line.data);
}

/* REDUCE, NEWOBJ, NEWOBJ_EX, INST, OBJ: callee and arguments in five layouts. */
static tola_status call_opcode(pickle_vm *vm, uint8_t op) {
    pickle_value *callee, *args, *result;
    size_t first = 0;
    switch (op) {
    case 'i':
        TRY(global_opcode(vm, 'c'));
        TRY(pop(vm, &callee));
        TRY(collect_marked(vm, PICKLE_TUPLE));
        TRY(pop(vm, &args));
        break;
    case 'o':
        TRY(pop_mark(vm, &first));
        if (vm->depth <= first) return underflow(vm);
        callee = vm->stack[first];
        TRY(collect(vm, PICKLE_TUPLE, first + 1));
        TRY(pop(vm, &args));
        vm->depth = first;
        break;
    case 0x92: { /* NEWOBJ_EX: keyword arguments become the last positional one of an opaque object */
        pickle_value *keywords;
        TRY(pop(vm, &keywords));
        TRY(pop(vm, &args));
        TRY(pop(vm, &callee));
        if (args->kind != PICKLE_TUPLE || keywords->kind != PICKLE_DICT)
            return vm_fail(vm, TOLA_E_FORMAT, "the arguments of a call are damaged");
        if (keywords->as.list.count) {
            pickle_value *all;
            TRY(vm_new(vm, PICKLE_TUPLE, &all));
            for (size_t i = 0; i < args->as.list.count; i++) TRY(vm_append(vm, all, args->as.list.items[i]));
            TRY(vm_append(vm, all, keywords));
            args = all;
        }
        break;
    }
    default: /* REDUCE, NEWOBJ */
        TRY(pop(vm, &args));
        TRY(pop(vm, &callee));
        break;
    }
    TRY(vm_call(vm, callee, args, &result));
    return vm_push(vm, result);
}

static tola_status persistent_opcode(pickle_vm *vm, uint8_t op) {
    pickle_value *id, *v;
    if (op == 'P') {
        TRY(vm_line(vm, PICKLE_MAX_LINE));
        TRY(vm_push_text(vm, PICKLE_STR, vm->line.data, vm->line.length, true));
    }
    TRY(pop(vm, &id));
    TRY(vm_new(vm, PICKLE_PERSISTENT, &v));
    v->as.object.args = id;
    if (vm->last_persistent)
        vm->last_persistent->as.object.entries = v;
    else
        vm->first_persistent = v;
    vm->last_persistent = v;
    return vm_push(vm, v);
}

static tola_status frame_opcode(pickle_vm *vm) {
    uint64_t length = reader_u64(vm->r);
    TRY(reader_check(vm->r, vm->err));
    if (vm->frame_end) return vm_fail(vm, TOLA_E_FORMAT, "a frame inside a frame");
    if (length > reader_left(vm->r))
        return vm_fail(vm, TOLA_E_FORMAT, "truncated: a frame of %" PRIu64 " bytes, %" PRIu64 " are left", length,
                       reader_left(vm->r));
    vm->frame_end = length ? vm->r->pos + length : 0;
    return TOLA_OK;
}

static tola_status stack_opcode(pickle_vm *vm, uint8_t op) {
    pickle_value *v, *state;
    size_t first = 0;
    switch (op) {
    case '0': /* POP */
        if (vm->mark_count && vm->marks[vm->mark_count - 1] == vm->depth) {
            vm->mark_count--;
            return TOLA_OK;
        }
        return pop(vm, &v);
    case '1': /* POP_MARK */
        TRY(pop_mark(vm, &first));
        vm->depth = first;
        return TOLA_OK;
    case '2': /* DUP */
        TRY(top(vm, &v));
        return vm_push(vm, v);
    default: /* BUILD */
        TRY(pop(vm, &state));
        TRY(top(vm, &v));
        return vm_build(vm, v, state);
    }
}

static tola_status proto_opcode(pickle_vm *vm) {
    unsigned version = reader_u8(vm->r);
    TRY(reader_check(vm->r, vm->err));
    if (version > 5) return vm_fail(vm, TOLA_E_UNSUPPORTED, "pickle protocol %u; 0 to 5 are known", version);
    return TOLA_OK;
}

static tola_status refuse_opcode(pickle_vm *vm, uint8_t op) {
    if (op >= 0x82 && op <= 0x84)
        return vm_fail(vm, TOLA_E_UNSAFE, "the pickle refers to the extension registry (EXT%d, offset %" PRIu64
                       "); nothing was run", 1 << (op - 0x82), vm->op_at - vm->start);
    if (op == 0x97 || op == 0x98)
        return vm_fail(vm, TOLA_E_UNSUPPORTED, "the pickle keeps data outside itself (an out-of-band buffer)");
    return vm_fail(vm, TOLA_E_FORMAT, "0x%02x is no pickle opcode", op);
}

static tola_status run_opcode(pickle_vm *vm, uint8_t op) {
    switch (op) {
    case 0x80: return proto_opcode(vm);
    case 0x95: return frame_opcode(vm);
    case '(': return push_mark(vm);
    case 'N': return push_constant(vm, &vm->none, PICKLE_NONE, false);
    case 0x88: return push_constant(vm, &vm->yes, PICKLE_BOOL, true);
    case 0x89: return push_constant(vm, &vm->no, PICKLE_BOOL, false);
    case ']': return push_new(vm, PICKLE_LIST);
    case '}': return push_new(vm, PICKLE_DICT);
    case ')': return push_new(vm, PICKLE_TUPLE);
    case 0x8f: return push_new(vm, PICKLE_SET);
    case 'l': return collect_marked(vm, PICKLE_LIST);
    case 'd': return collect_marked(vm, PICKLE_DICT);
    case 't': return collect_marked(vm, PICKLE_TUPLE);
    case 0x91: return collect_marked(vm, PICKLE_SET); /* FROZENSET */
    case 0x85: case 0x86: case 0x87: return collect_last(vm, (size_t)(op - 0x84));
    case 'a': return add_last(vm, PICKLE_LIST, 1);
    case 's': return add_last(vm, PICKLE_DICT, 2);
    case 'e': return add_marked(vm, PICKLE_LIST);
    case 'u': return add_marked(vm, PICKLE_DICT);
    case 0x90: return add_marked(vm, PICKLE_SET);
    case 'g': case 'h': case 'j': case 'p': case 'q': case 'r': case 0x94: return memo_opcode(vm, op);
    case 'K': case 'M': case 'J': case 'G': case 0x8a: case 0x8b: return number_opcode(vm, op);
    case 'I': case 'L': case 'F': case 'S': case 'V': return vm_text_opcode(vm, op);
    case 'X': case 0x8c: case 0x8d: case 'U': case 'T': case 'C': case 'B': case 0x8e: case 0x96:
        return text_counted_opcode(vm, op);
    case 'c': case 0x93: return global_opcode(vm, op);
    case 'R': case 0x81: case 0x92: case 'i': case 'o': return call_opcode(vm, op);
    case 'P': case 'Q': return persistent_opcode(vm, op);
    case '0': case '1': case '2': case 'b': return stack_opcode(vm, op);
    default: return refuse_opcode(vm, op);
    }
}

static tola_status run(pickle_vm *vm, pickle_value **out) {
    for (;;) {
        vm->op_at = vm->r->pos;
        uint8_t op = reader_u8(vm->r);
        TRY(reader_check(vm->r, vm->err));
        if (op == '.') break;
        bool framed = vm->frame_end != 0;
        TRY(run_opcode(vm, op));
        TRY(reader_check(vm->r, vm->err));
        if (framed && vm->r->pos > vm->frame_end)
            return vm_fail(vm, TOLA_E_FORMAT, "an opcode straddles the end of a frame");
        if (vm->frame_end && vm->r->pos == vm->frame_end) vm->frame_end = 0;
    }
    TRY(pop(vm, out));
    if (!vm->unknown) return TOLA_OK;
    vm->op_at = vm->start + vm->unknown->at;
    return vm_unsafe(vm, "refers to", vm->unknown->as.global);
}

tola_status pickle_load_linked(reader *r, unsigned flags, arena *a, pickle_value **out, pickle_value **persistent,
                               tola_error *err) {
    pickle_vm vm = { .r = r, .a = a, .flags = flags, .start = r->pos, .op_at = r->pos, .err = err };
    buf_init(&vm.line, 0);
    tola_status status = run(&vm, out);
    buf_free(&vm.line);
    mem_free(vm.stack);
    mem_free(vm.marks);
    mem_free(vm.memo);
    if (status == TOLA_OK) *persistent = vm.first_persistent;
    return status;
}

tola_status pickle_load(reader *r, unsigned flags, arena *a, pickle_value **out, tola_error *err) {
    pickle_value *ignored;
    return pickle_load_linked(r, flags, a, out, &ignored, err);
}

/* ---- looking at values ---- */

bool pickle_is_text(const pickle_value *v, const char *text) {
    if (!v || (v->kind != PICKLE_STR && v->kind != PICKLE_BYTES)) return false;
    return v->as.text.length == strlen(text) && memcmp(v->as.text.data, text, v->as.text.length) == 0;
}

bool pickle_u64(const pickle_value *v, uint64_t *out) {
    if (v && v->kind == PICKLE_BOOL) {
        *out = v->as.boolean;
        return true;
    }
    if (!v || v->kind != PICKLE_INT || v->as.i64 < 0) return false;
    *out = (uint64_t)v->as.i64;
    return true;
}

const pickle_value *pickle_get(const pickle_value *dict, const char *key) {
    if (!dict || dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = dict->as.list.count; i >= 2; i -= 2)
        if (pickle_is_text(dict->as.list.items[i - 2], key)) return dict->as.list.items[i - 1];
    return NULL;
}

const pickle_value *pickle_item(const pickle_value *sequence, size_t i) {
    if (!sequence || (sequence->kind != PICKLE_LIST && sequence->kind != PICKLE_TUPLE)) return NULL;
    return i < sequence->as.list.count ? sequence->as.list.items[i] : NULL;
}

size_t pickle_count(const pickle_value *v) {
    if (!v) return 0;
    if (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE || v->kind == PICKLE_SET) return v->as.list.count;
    return v->kind == PICKLE_DICT ? v->as.list.count / 2 : 0;
}

pickle_role pickle_role_of(const pickle_value *v) {
    if (v && v->kind == PICKLE_OBJECT) v = v->as.object.callee;
    return v && v->kind == PICKLE_GLOBAL ? v->as.global->role : ROLE_UNKNOWN;
}
