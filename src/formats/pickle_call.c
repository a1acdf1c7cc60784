/* Calls that are not made: what the pickle machine puts on its stack instead of a result. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "formats/pickle_vm.h"

static tola_status damaged(pickle_vm *vm, const pickle_value *callee) {
    char name[420];
    return vm_fail(vm, TOLA_E_FORMAT, "the arguments of %s are not the ones it takes",
                   pickle_name(name, sizeof name, callee->as.global));
}

/* Items of a container are copied into a new one of another kind. */
static tola_status convert(pickle_vm *vm, pickle_kind kind, const pickle_value *from, pickle_value **out) {
    TRY(vm_new(vm, kind, out));
    for (size_t i = 0; from && i < from->as.list.count; i++) TRY(vm_append(vm, *out, from->as.list.items[i]));
    return TOLA_OK;
}

static bool is_sequence(const pickle_value *v) {
    return v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE || v->kind == PICKLE_SET;
}

/* OrderedDict([(key, value), ...]), Counter({...}), defaultdict(factory, ...). */
static tola_status call_dict(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_value **out) {
    const pickle_value *from = NULL;
    for (size_t i = 0; i < pickle_count(args); i++) {
        const pickle_value *item = pickle_item(args, i);
        if (item->kind == PICKLE_GLOBAL || item->kind == PICKLE_NONE) continue; /* a factory of default values */
        if (from || (item->kind != PICKLE_DICT && !is_sequence(item))) return damaged(vm, callee);
        from = item;
    }
    if (!from || from->kind == PICKLE_DICT) return convert(vm, PICKLE_DICT, from, out);
    TRY(vm_new(vm, PICKLE_DICT, out));
    for (size_t i = 0; i < from->as.list.count; i++) {
        const pickle_value *pair = from->as.list.items[i];
        if (pickle_count(pair) != 2 || pair->kind == PICKLE_DICT) return damaged(vm, callee);
        TRY(vm_append(vm, *out, pair->as.list.items[0]));
        TRY(vm_append(vm, *out, pair->as.list.items[1]));
    }
    return TOLA_OK;
}

static tola_status call_sequence(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_kind kind,
                                 pickle_value **out) {
    const pickle_value *from = pickle_item(args, 0);
    if (from && !is_sequence(from)) return damaged(vm, callee);
    return convert(vm, kind, from, out);
}

/* The Latin-1 encoding of text, which is how protocol 2 carries bytes. */
static tola_status encode_latin1(pickle_vm *vm, pickle_value *callee, const pickle_value *text, pickle_value **out) {
    TRY(vm_new(vm, PICKLE_BYTES, out));
    size_t n = text->as.text.length, made = 0;
    const uint8_t *p = (const uint8_t *)text->as.text.data;
    TRY(vm_account(vm, n));
    uint8_t *bytes = arena_alloc(vm->a, n + 1);
    if (!bytes) return err_nomem(vm->err, "reading a pickle");
    for (size_t i = 0; i < n; i++) {
        if (p[i] < 0x80) {
            bytes[made++] = p[i];
        } else if ((p[i] == 0xc2 || p[i] == 0xc3) && i + 1 < n && (p[i + 1] & 0xc0) == 0x80) {
            bytes[made++] = (uint8_t)((p[i] & 3) << 6 | (p[i + 1] & 63));
            i++;
        } else {
            return damaged(vm, callee);
        }
    }
    bytes[made] = 0;
    (*out)->as.text.data = (const char *)bytes;
    (*out)->as.text.length = made;
    return TOLA_OK;
}

static bool is_latin1(const pickle_value *v) {
    return pickle_is_text(v, "latin1") || pickle_is_text(v, "latin-1") || pickle_is_text(v, "iso-8859-1");
}

/* bytearray(b"..."), bytearray("...", "latin-1"), _codecs.encode("...", "latin1"). */
static tola_status call_bytes(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_value **out) {
    const pickle_value *text = pickle_item(args, 0);
    if (!text || text->kind == PICKLE_TUPLE || text->kind == PICKLE_LIST) {
        if (pickle_count(text)) return damaged(vm, callee);
        TRY(vm_new(vm, PICKLE_BYTES, out));
        (*out)->as.text.data = "";
        return TOLA_OK;
    }
    if (text->kind == PICKLE_BYTES || (text->kind == PICKLE_STR && text->old)) {
        TRY(vm_new(vm, PICKLE_BYTES, out));
        (*out)->as.text = text->as.text;
        (*out)->at = text->at;
        (*out)->shared = text->shared;
        return TOLA_OK;
    }
    if (text->kind != PICKLE_STR || !is_latin1(pickle_item(args, 1))) return damaged(vm, callee);
    return encode_latin1(vm, callee, text, out);
}

/* copyreg._reconstructor(class, base, state): an object of `class`; what base(state) would hold is its content. */
static tola_status call_reconstructor(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_value **out) {
    pickle_value *class = (pickle_value *)pickle_item(args, 0);
    pickle_value *state = (pickle_value *)pickle_item(args, 2), *inner;
    if (pickle_count(args) != 3 || class->kind != PICKLE_GLOBAL) return damaged(vm, callee);
    if (class->as.global->role == ROLE_RECONSTRUCT) return damaged(vm, callee);
    TRY(vm_new(vm, PICKLE_TUPLE, &inner));
    if (state->kind != PICKLE_NONE) TRY(vm_append(vm, inner, state));
    return vm_call(vm, class, inner, out);
}

tola_status vm_call(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_value **out) {
    if (callee->kind != PICKLE_GLOBAL)
        return vm_fail(vm, TOLA_E_UNSAFE, "the pickle calls something that it computed (offset %" PRIu64
                       "); nothing was run", vm->op_at - vm->start);
    pickle_role role = callee->as.global->role;
    switch (role) {
    case ROLE_UNKNOWN:
    case ROLE_NAME:
    case ROLE_TORCH_DTYPE:
    case ROLE_STORAGE: return vm_unsafe(vm, "calls", callee->as.global);
    default: break;
    }
    if (args->kind != PICKLE_TUPLE) return damaged(vm, callee);
    switch (role) {
    case ROLE_DICT: return call_dict(vm, callee, args, out);
    case ROLE_LIST: return call_sequence(vm, callee, args, PICKLE_LIST, out);
    case ROLE_TUPLE: return call_sequence(vm, callee, args, PICKLE_TUPLE, out);
    case ROLE_SET: return call_sequence(vm, callee, args, PICKLE_SET, out);
    case ROLE_BYTES:
    case ROLE_ENCODE: return call_bytes(vm, callee, args, out);
    case ROLE_RECONSTRUCT: return call_reconstructor(vm, callee, args, out);
    case ROLE_IDENTITY:
        if (pickle_count(args) < 1) return damaged(vm, callee);
        *out = args->as.list.items[0];
        return TOLA_OK;
    default: break;
    }
    TRY(vm_new(vm, PICKLE_OBJECT, out));
    (*out)->as.object.callee = callee;
    (*out)->as.object.args = args;
    return TOLA_OK;
}

tola_status vm_build(pickle_vm *vm, pickle_value *target, pickle_value *state) {
    switch (target->kind) {
    case PICKLE_OBJECT: target->as.object.state = state; return TOLA_OK;
    case PICKLE_DICT:
    case PICKLE_LIST:
    case PICKLE_SET: target->as.list.attributes = state; return TOLA_OK;
    case PICKLE_GLOBAL: return vm_unsafe(vm, "changes", target->as.global);
    default: return vm_fail(vm, TOLA_E_FORMAT, "the pickle gives a state to something that has none");
    }
}
