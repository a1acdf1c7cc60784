/* The fingerprint of a checkpoint: SHA-256 over names, dtypes, shapes and bytes as stored.
 *
 * docs/digest.md defines it byte for byte. Metadata, files, order and alignment do not enter, so that the same tensors
 * have the same digest in any container. A tensor's bytes are hashed in chunks of 1 MiB, whose digests are hashed
 * again: that way all threads can work inside one large tensor. Needs 32 bytes of memory for each MiB of weights. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "insight/job.h"
#include "insight/tensor_hash.h"
#include <tola/insight.h>

static const char digest_magic[] = "tola-digest-1\n";

static tola_status hash_u64(sha256_stream *s, uint64_t v, tola_error *err) {
    uint8_t bytes[8];
    store_le64(bytes, v);
    return sha256_update(s, bytes, sizeof bytes, err);
}

typedef struct named {
    const tola_tensor_info *info;
    const uint8_t *root;
} named;

/* By the bytes of the name, as memcmp orders them, a prefix first. */
static int by_name(const void *a, const void *b) {
    return strcmp(((const named *)a)->info->name, ((const named *)b)->info->name);
}

static tola_status hash_tensors(sha256_stream *s, const named *tensors, size_t count, tola_error *err) {
    TRY(sha256_update(s, digest_magic, sizeof digest_magic - 1, err));
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tensors[i].info;
        const char *dtype = tola_dtype_name((tola_dtype)t->dtype);
        size_t length = strlen(t->name);
        TRY(hash_u64(s, length, err));
        TRY(sha256_update(s, t->name, length, err));
        TRY(sha256_update(s, dtype, strlen(dtype) + 1, err)); /* with its NUL */
        TRY(hash_u64(s, t->n_dims, err));
        for (unsigned d = 0; d < t->n_dims; d++) TRY(hash_u64(s, t->shape[d], err));
        TRY(sha256_update(s, tensors[i].root, SHA256_BYTES, err));
    }
    return TOLA_OK;
}

/* The digest over tensors whose roots are known. Sorts `tensors`. */
static tola_status combine(named *tensors, size_t count, char out[65], tola_error *err) {
    qsort(tensors, count, sizeof *tensors, by_name);
    sha256_stream *s = NULL;
    TRY(sha256_open(&s, err));
    tola_status status = hash_tensors(s, tensors, count, err);
    if (status != TOLA_OK) {
        sha256_abort(s);
        return status;
    }
    uint8_t digest[SHA256_BYTES];
    TRY(sha256_finish(s, digest, err));
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = 0;
    return TOLA_OK;
}

static tola_status digest_selected(const tola_checkpoint *ck, const tola_job_options *options, size_t *selected,
                                   size_t count, char out[65], tola_error *err) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += tola_checkpoint_tensor(ck, selected[i])->bytes;
    uint8_t *roots = mem_calloc(count + 1, SHA256_BYTES);
    named *tensors = mem_calloc(count + 1, sizeof *tensors);
    job j;
    tola_status status = TOLA_OK;
    if (!roots || !tensors)
        status = err_nomem(err, "hashing tensors");
    else
        status = job_open(&j, options->threads, options->progress, options->progress_user, "hashing", total, err);
    if (status == TOLA_OK) {
        status = tensor_hash_all(&j, ck, selected, count, roots, err);
        job_close(&j);
    }
    if (status == TOLA_OK) {
        for (size_t i = 0; i < count; i++)
            tensors[i] = (named){ tola_checkpoint_tensor(ck, selected[i]), roots + i * SHA256_BYTES };
        status = combine(tensors, count, out, err);
    }
    mem_free(tensors);
    mem_free(roots);
    return status;
}

tola_status tola_digest(const tola_checkpoint *checkpoint, const tola_job_options *options, char out[65],
                        tola_error *err) {
    tola_job_options all = TOLA_JOB_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    TRY(job_need_all(checkpoint, err));
    size_t count = tola_checkpoint_tensor_count(checkpoint), n = 0;
    size_t *selected = mem_alloc((count + 1) * sizeof *selected);
    if (!selected) return err_nomem(err, "hashing tensors");
    for (size_t i = 0; i < count; i++)
        if (!all.glob || glob_match(all.glob, tola_checkpoint_tensor(checkpoint, i)->name))
            selected[n++] = i;
    tola_status status = digest_selected(checkpoint, &all, selected, n, out, err);
    mem_free(selected);
    return status;
}
