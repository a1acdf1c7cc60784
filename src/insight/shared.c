/* Counting shared storages once. */
#include "insight/shared.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

typedef struct user {
    uint32_t storage;
    uint64_t offset, bytes;
    bool strided;
    size_t tensor;
} user;

/* By storage, then from front to back, the longest first, then in the order of the checkpoint. */
static int by_place(const void *a, const void *b) {
    const user *x = a, *y = b;
    if (x->storage != y->storage) return x->storage < y->storage ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->tensor < y->tensor ? -1 : 1;
}

/* What users[i] holds beyond the end of those before it, which is moved on. A strided view covers its storage with
 * gaps: only one that starts where another of at least its size does (a transposed matrix, an expanded row) is taken to
 * be the same bytes. */
static uint64_t own_of(const user *users, size_t i, uint64_t *reach) {
    const user *u = &users[i];
    bool follows = i > 0 && users[i - 1].storage == u->storage;
    if (!follows) *reach = u->offset;
    if (u->strided) {
        if (follows && users[i - 1].offset == u->offset) return 0;
        return u->bytes;
    }
    uint64_t end = u->offset + u->bytes, from = u->offset > *reach ? u->offset : *reach;
    if (end <= from) return 0;
    *reach = end;
    return end - from;
}

tola_status shared_own_bytes(const tola_checkpoint *ck, uint64_t *own, uint64_t *shared, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(ck), n = 0, cap = 0;
    user *users = NULL;
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        own[i] = t->bytes;
        if (!(t->flags & TOLA_TENSOR_SHARED)) continue;
        if (!mem_grow(&users, &cap, n + 1, sizeof *users)) {
            mem_free(users);
            return err_nomem(err, "counting shared tensors");
        }
        bool strided = (t->flags & TOLA_TENSOR_STRIDED) != 0;
        users[n++] = (user){ t->storage, t->offset == TOLA_NO_OFFSET ? 0 : t->offset, t->bytes, strided, i };
    }
    if (n) qsort(users, n, sizeof *users, by_place);
    uint64_t reach = 0;
    for (size_t i = 0; i < n; i++) own[users[i].tensor] = own_of(users, i, &reach);
    mem_free(users);
    *shared = n;
    return TOLA_OK;
}
