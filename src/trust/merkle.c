/* Merkle trees of RFC 6962. Nothing here recurses: a path is found from the root down, and checked from the leaf up. */
#include "trust/merkle.h"

#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "trust/crypto.h"

tola_status merkle_leaf(const void *data, size_t bytes, merkle_hash out, tola_error *err) {
    static const uint8_t zero = 0;
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = sha256_update(s, &zero, 1, err);
    if (status == TOLA_OK) status = sha256_update(s, data, bytes, err);
    if (status == TOLA_OK) return sha256_finish(s, out, err);
    sha256_abort(s);
    return status;
}

tola_status merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash out, tola_error *err) {
    uint8_t bytes[1 + 2 * MERKLE_BYTES] = { 1 };
    memcpy(bytes + 1, left, MERKLE_BYTES);
    memcpy(bytes + 1 + MERKLE_BYTES, right, MERKLE_BYTES);
    return sha256(bytes, sizeof bytes, out, err);
}

/* ---- growing ---- */

tola_status merkle_append(merkle_edge *edge, const merkle_hash leaf, merkle_put_fn put, void *user, tola_error *err) {
    merkle_hash h;
    uint64_t index = edge->size;
    unsigned level = 0;
    if (index == UINT64_MAX) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the tree is full");
    memcpy(h, leaf, MERKLE_BYTES);
    for (;; level++, index >>= 1) {
        if (put) TRY(put(user, level, index, h, err));
        if (!(index & 1)) break; /* a left child: its neighbour is still to come */
        TRY(merkle_node(edge->peaks[level], h, h, err));
    }
    memcpy(edge->peaks[level], h, MERKLE_BYTES);
    edge->size++;
    return TOLA_OK;
}

tola_status merkle_root(const merkle_edge *edge, merkle_hash out, tola_error *err) {
    merkle_hash h;
    bool any = false;
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        if (!(edge->size >> level & 1)) continue;
        if (any)
            TRY(merkle_node(edge->peaks[level], h, h, err));
        else
            memcpy(h, edge->peaks[level], MERKLE_BYTES);
        any = true;
    }
    if (!any) return sha256("", 0, out, err);
    memcpy(out, h, MERKLE_BYTES);
    return TOLA_OK;
}

/* ---- paths ---- */

/* The root of `count` leaves from `at` on, which is a multiple of the power of two that `count` is not above. */
static tola_status range_root(uint64_t at, uint64_t count, merkle_get_fn get, void *user, merkle_hash out,
                              tola_error *err) {
    merkle_edge edge = { .size = count };
    for (unsigned level = MERKLE_LEVELS; level-- > 0;) {
        if (!(count >> level & 1)) continue;
        TRY(get(user, level, at >> level, edge.peaks[level], err));
        at += (uint64_t)1 << level;
    }
    return merkle_root(&edge, out, err);
}

/* The largest power of two below n > 1. */
static uint64_t split(uint64_t n) { return (uint64_t)1 << (63 - __builtin_clzll(n - 1)); }

/* They were found from the root down. */
static void turn_round(merkle_hash *list, size_t count) {
    merkle_hash h;
    for (size_t i = 0; i < count / 2; i++) {
        memcpy(h, list[i], MERKLE_BYTES);
        memcpy(list[i], list[count - 1 - i], MERKLE_BYTES);
        memcpy(list[count - 1 - i], h, MERKLE_BYTES);
    }
}

tola_status merkle_path(uint64_t index, uint64_t size, merkle_get_fn get, void *user, merkle_hash path[MERKLE_PATH],
                        size_t *count, tola_error *err) {
    uint64_t at = 0;
    size_t n = 0;
    while (size > 1) {
        uint64_t k = split(size);
        if (index < k) {
            TRY(range_root(at + k, size - k, get, user, path[n++], err));
            size = k;
        } else {
            TRY(range_root(at, k, get, user, path[n++], err));
            at += k;
            index -= k;
            size -= k;
        }
    }
    turn_round(path, n);
    *count = n;
    return TOLA_OK;
}

tola_status merkle_proof(uint64_t old, uint64_t size, merkle_get_fn get, void *user, merkle_hash proof[MERKLE_PATH],
                         size_t *count, tola_error *err) {
    uint64_t at = 0;
    size_t n = 0;
    bool whole = true; /* the old tree is a left part of what is looked at, and its root is known to the reader */
    while (old != size) {
        uint64_t k = split(size);
        if (old <= k) {
            TRY(range_root(at + k, size - k, get, user, proof[n++], err));
            size = k;
        } else {
            TRY(range_root(at, k, get, user, proof[n++], err));
            at += k;
            old -= k;
            size -= k;
            whole = false;
        }
    }
    if (!whole) TRY(range_root(at, size, get, user, proof[n++], err));
    turn_round(proof, n);
    *count = n;
    return TOLA_OK;
}

/* ---- checking ---- */

bool merkle_path_root(uint64_t index, uint64_t size, const merkle_hash leaf, const merkle_hash *path, size_t count,
                      merkle_hash root, tola_error *err) {
    if (index >= size) return false;
    merkle_hash h;
    memcpy(h, leaf, MERKLE_BYTES);
    /* up from the leaf: `last` is the last node of each level. A node without a right neighbour goes up as it is. */
    uint64_t last = size - 1;
    size_t used = 0;
    for (; last > 0; index >>= 1, last >>= 1) {
        if (index == last && !(index & 1)) continue;
        if (used == count) return false;
        tola_status status = index & 1 ? merkle_node(path[used], h, h, err) : merkle_node(h, path[used], h, err);
        if (status != TOLA_OK) return false;
        used++;
    }
    memcpy(root, h, MERKLE_BYTES);
    return used == count;
}

/* Is [start, end) what some node of the tree over the first `end` leaves stands for? */
static bool is_subtree(uint64_t start, uint64_t end) {
    if (start >= end) return false;
    uint64_t n = end - start, power = n == 1 ? 1 : split(n) * 2;
    return start == 0 || (power != 0 && start % power == 0);
}

bool merkle_subtree_consistent(uint64_t start, uint64_t end, uint64_t size, const merkle_hash subtree_root,
                               const merkle_hash root, const merkle_hash *proof, size_t count, tola_error *err) {
    if (!is_subtree(start, end) || end > size) return false;
    /* the first and last node of the part and the last of the tree, on the level that the walk has reached */
    uint64_t first = start, mine = end - 1, last = size - 1;
    size_t used = 0;
    if (mine == last) {
        for (; first != mine; first >>= 1, mine >>= 1, last >>= 1) continue;
    } else {
        for (; first != mine && (mine & 1); first >>= 1, mine >>= 1, last >>= 1) continue;
    }
    merkle_hash part, all;
    if (first != mine) { /* begin with its rightmost complete subtree */
        if (count == 0) return false;
        memcpy(part, proof[used++], MERKLE_BYTES);
    } else {
        memcpy(part, subtree_root, MERKLE_BYTES);
    }
    memcpy(all, part, MERKLE_BYTES);
    for (; used < count; used++) {
        const uint8_t *h = proof[used];
        if (last == 0) return false;
        if ((mine & 1) || mine == last) {
            if (first < mine && merkle_node(h, part, part, err) != TOLA_OK) return false;
            if (merkle_node(h, all, all, err) != TOLA_OK) return false;
            for (; !(mine & 1); first >>= 1, mine >>= 1, last >>= 1) continue;
        } else if (merkle_node(all, h, all, err) != TOLA_OK) {
            return false;
        }
        first >>= 1;
        mine >>= 1;
        last >>= 1;
    }
    return last == 0 && crypto_same(part, subtree_root, MERKLE_BYTES) && crypto_same(all, root, MERKLE_BYTES);
}

bool merkle_consistent(uint64_t old, uint64_t size, const merkle_hash old_root, const merkle_hash root,
                       const merkle_hash *proof, size_t count, tola_error *err) {
    if (old == size) return old > 0 && count == 0 && crypto_same(old_root, root, MERKLE_BYTES);
    return merkle_subtree_consistent(0, old, size, old_root, root, proof, count, err);
}
