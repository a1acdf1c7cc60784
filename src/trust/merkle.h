/* Merkle trees over lists that only grow (RFC 6962, section 2.1): leaf = H(0x00 || data), node = H(0x01 || left ||
 * right), SHA-256. Making a root, a path and a proof, and checking them, without a list in memory. */
#ifndef TRUST_MERKLE_H
#define TRUST_MERKLE_H

#include <tola/base.h>

enum {
    MERKLE_BYTES = 32,
    MERKLE_LEVELS = 64,
    MERKLE_PATH = 2 * MERKLE_LEVELS /* more hashes than any path or proof has */
};

typedef uint8_t merkle_hash[MERKLE_BYTES];

tola_status merkle_leaf(const void *data, size_t bytes, merkle_hash out, tola_error *err);
tola_status merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash out, tola_error *err);

/* The right edge of a tree: for each bit of `size` the root of a complete subtree of that level. Zeroed = empty. */
typedef struct merkle_edge {
    uint64_t size;
    merkle_hash peaks[MERKLE_LEVELS];
} merkle_edge;

/* Told of each complete subtree: node `index` of `level` (0 = leaves). */
typedef tola_status (*merkle_put_fn)(void *user, unsigned level, uint64_t index, const merkle_hash hash,
                                     tola_error *err);
/* One leaf more. `put` may be NULL. */
tola_status merkle_append(merkle_edge *edge, const merkle_hash leaf, merkle_put_fn put, void *user, tola_error *err);
/* The root; of an empty tree H(""). */
tola_status merkle_root(const merkle_edge *edge, merkle_hash out, tola_error *err);

/* Gives what `put` was told. */
typedef tola_status (*merkle_get_fn)(void *user, unsigned level, uint64_t index, merkle_hash out, tola_error *err);
/* The path from leaf `index` to the root of the first `size` leaves, lowest first; index < size. */
tola_status merkle_path(uint64_t index, uint64_t size, merkle_get_fn get, void *user, merkle_hash path[MERKLE_PATH],
                        size_t *count, tola_error *err);
/* The proof that the first `size` leaves begin with the first `old`; 0 < old <= size. */
tola_status merkle_proof(uint64_t old, uint64_t size, merkle_get_fn get, void *user, merkle_hash proof[MERKLE_PATH],
                         size_t *count, tola_error *err);

/* The root that the path leads to; false where it has the wrong length or hashing failed. */
bool merkle_path_root(uint64_t index, uint64_t size, const merkle_hash leaf, const merkle_hash *path, size_t count,
                      merkle_hash root, tola_error *err);
/* Does the tree of `size` leaves with `root` begin with that of `old` leaves with `old_root`? An empty tree begins none
 * that a proof could be given for: false. */
bool merkle_consistent(uint64_t old, uint64_t size, const merkle_hash old_root, const merkle_hash root,
                       const merkle_hash *proof, size_t count, tola_error *err);
/* The same for leaves [start, end) of it, where start is a multiple of a power of two not below end - start
 * (draft-ietf-plants-merkle-tree-certs, 4.4). */
bool merkle_subtree_consistent(uint64_t start, uint64_t end, uint64_t size, const merkle_hash subtree_root,
                               const merkle_hash root, const merkle_hash *proof, size_t count, tola_error *err);

#endif
