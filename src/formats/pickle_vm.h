/* Inside the pickle machine: what pickle.c (opcodes), pickle_call.c (calls that are not made) and pickle_text.c (text
 * opcodes) share. */
#ifndef FORMATS_PICKLE_VM_H
#define FORMATS_PICKLE_VM_H

#include "formats/pickle.h"

typedef struct memo_slot {
    uint64_t key; /* + 1; 0 = empty */
    pickle_value *value;
} memo_slot;

typedef struct pickle_vm {
    reader *r;
    arena *a;
    unsigned flags;
    uint64_t start;  /* of the pickle, absolute */
    uint64_t op_at;  /* of the current opcode, absolute */
    uint64_t frame_end; /* absolute; 0 = outside a frame */
    uint64_t made;   /* bytes of values and containers */
    pickle_value **stack;
    size_t depth, stack_cap;
    size_t *marks; /* depths */
    size_t mark_count, mark_cap;
    memo_slot *memo; /* open addressing, a power of two */
    size_t memo_count, memo_cap;
    pickle_value *small[256];
    pickle_value *none, *yes, *no;
    const pickle_value *unknown; /* the first name that is not on the list */
    pickle_value *first_persistent, *last_persistent;
    buf line;
    tola_error *err;
} pickle_vm;

tola_status vm_fail(pickle_vm *vm, tola_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* TOLA_E_UNSAFE: "the pickle <verb> <module.name> (offset N); nothing was run". */
tola_status vm_unsafe(pickle_vm *vm, const char *verb, const pickle_global *g);
/* Counts memory of values against what a pickle of this size may take. */
tola_status vm_account(pickle_vm *vm, uint64_t bytes);
tola_status vm_new(pickle_vm *vm, pickle_kind kind, pickle_value **out);
tola_status vm_append(pickle_vm *vm, pickle_value *container, pickle_value *item);
tola_status vm_push(pickle_vm *vm, pickle_value *v);
tola_status vm_push_text(pickle_vm *vm, pickle_kind kind, const void *data, size_t length, bool old);
tola_status vm_push_global(pickle_vm *vm, const char *module, const char *name);

/* pickle_text.c: the text opcodes I L F S V; the argument is the rest of the line. */
tola_status vm_text_opcode(pickle_vm *vm, uint8_t op);
/* A line without its end in vm->line, NUL-terminated. */
tola_status vm_line(pickle_vm *vm, size_t limit);
/* A signed little-endian two's complement number: INT where it fits, otherwise BIGINT. */
tola_status vm_push_long(pickle_vm *vm, const uint8_t *data, size_t length);

/* pickle_call.c */
tola_status vm_call(pickle_vm *vm, pickle_value *callee, pickle_value *args, pickle_value **out);
tola_status vm_build(pickle_vm *vm, pickle_value *target, pickle_value *state);

#endif
