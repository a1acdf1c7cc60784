/* Hashing tensors in chunks on all threads. Memory: a chunk per worker, 32 bytes for each chunk of all tensors. */
#include "insight/tensor_hash.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"

typedef struct hashing {
    job *j;
    const tola_checkpoint *ck;
    const job_item *items;
    uint8_t *buffers;      /* one chunk a worker */
    uint8_t **chunks;      /* of each item: digests of its chunks, one after the other */
} hashing;

/* Hashes chunk after chunk of [offset, offset + bytes). A piece is one chunk, or a tensor that must not be cut. */
static tola_status hash_piece(void *context, const job_piece *p, tola_error *err) {
    const hashing *h = context;
    size_t tensor = h->items[p->item].tensor;
    uint8_t *buffer = h->buffers + (size_t)p->worker * TENSOR_HASH_CHUNK;
    uint8_t *digest = h->chunks[p->item] + p->piece * SHA256_BYTES;
    for (uint64_t done = 0; done < p->size;) {
        uint64_t left = p->size - done;
        size_t n = left < TENSOR_HASH_CHUNK ? (size_t)left : TENSOR_HASH_CHUNK;
        TRY(tola_checkpoint_read(h->ck, tensor, p->offset + done, buffer, n, err));
        TRY(sha256(buffer, n, digest, err));
        TRY(job_advance(h->j, n, err));
        digest += SHA256_BYTES;
        done += n;
    }
    return TOLA_OK;
}

static uint64_t chunks_of(uint64_t bytes) {
    return bytes / TENSOR_HASH_CHUNK + (bytes % TENSOR_HASH_CHUNK != 0);
}

static tola_status run(hashing *h, const job_item *items, size_t count, uint8_t *digests, uint8_t *roots,
                       tola_error *err) {
    uint8_t *at = digests;
    for (size_t i = 0; i < count; i++) {
        h->chunks[i] = at;
        at += chunks_of(items[i].size) * SHA256_BYTES;
    }
    TRY(job_run(h->j, items, count, hash_piece, h, err));
    for (size_t i = 0; i < count; i++)
        TRY(sha256(h->chunks[i], (size_t)chunks_of(items[i].size) * SHA256_BYTES, roots + i * SHA256_BYTES, err));
    return TOLA_OK;
}

tola_status tensor_hash_all(job *j, const tola_checkpoint *ck, const size_t *selected, size_t count, uint8_t *roots,
                            tola_error *err) {
    job_item *items = mem_calloc(count + 1, sizeof *items);
    hashing h = { j, ck, items, NULL, NULL };
    h.chunks = mem_calloc(count + 1, sizeof *h.chunks);
    h.buffers = mem_alloc_aligned(64, (size_t)job_threads(j) * TENSOR_HASH_CHUNK);
    uint64_t chunks = 1; /* never nothing, so that pointers into it are pointers */
    for (size_t i = 0; items && i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, selected[i]);
        items[i] = (job_item){ selected[i], t->bytes, job_can_cut(t) ? TENSOR_HASH_CHUNK : 0 };
        chunks += chunks_of(items[i].size); /* a file of 2^63 bytes has 2^43 chunks: no overflow */
    }
    uint8_t *digests = mem_calloc((size_t)chunks, SHA256_BYTES);
    tola_status status;
    if (!items || !h.chunks || !h.buffers || !digests)
        status = err_nomem(err, "hashing tensors");
    else
        status = run(&h, items, count, digests, roots, err);
    mem_free(digests);
    mem_free(h.buffers);
    mem_free(h.chunks);
    mem_free(items);
    return status;
}
