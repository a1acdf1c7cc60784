/* The file: 64 bytes (what it is of), then for each row a CRC-32 and the row: `context` times `top` log-probabilities,
 * then as many ids. A row whose check is wrong (never written, or torn by a crash) is made again. */
#include "learn/teacher.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 64
#define MAGIC "tola teacher 1\n"

struct teacher {
    teacher_options o;
    tola_model *model;
    tola_session *session;
    uint32_t vocabulary; /* that is used: the student's */
    int file;            /* -1: none */
    size_t row_bytes;
    uint8_t *row;        /* one of the file, with its check */
    tola_step_token *tokens;
    uint32_t *heap; /* `top` ids */
};

void teacher_close(teacher *t) {
    if (!t) return;
    tola_session_free(t->session);
    tola_model_free(t->model);
    if (t->file >= 0) close(t->file);
    mem_free(t->row);
    mem_free(t->tokens);
    mem_free(t->heap);
    mem_free(t);
}

const tola_model *teacher_model(const teacher *t) { return t->model; }
uint64_t teacher_bytes(const teacher *t) {
    return tola_session_bytes_limit(t->session) + tola_model_about(t->model)->weight_bytes + t->row_bytes;
}

/* ---- the file ---- */

/* What the rows depend on. */
static tola_status key_of(const teacher *t, uint8_t key[SHA256_BYTES], tola_error *err) {
    buf about;
    struct stat st;
    const tola_checkpoint *ck = tola_model_checkpoint(t->model);
    buf_init(&about, 0);
    buf_append(&about, t->o.digest, SHA256_BYTES);
    buf_printf(&about, "%u %u %a %u\n", t->o.context, t->o.top, (double)t->o.temperature, t->vocabulary);
    for (size_t i = 0; i < tola_checkpoint_file_count(ck); i++) {
        const char *path = tola_checkpoint_file(ck, i)->path;
        if (stat(path, &st) != 0) st = (struct stat){ .st_size = 0 };
        buf_printf(&about, "%s %lld %lld.%09ld\n", path_last(path), (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                   st.st_mtim.tv_nsec);
    }
    tola_status status = about.failed ? err_nomem(err, "a teacher") : sha256(about.data, about.length, key, err);
    buf_free(&about);
    return status;
}

static tola_status open_file(teacher *t, tola_error *err) {
    uint8_t head[HEAD] = MAGIC, there[HEAD];
    TRY(key_of(t, head + 16, err));
    t->file = open(t->o.cache, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->file < 0) return err_errno(err, errno, "cannot open", t->o.cache);
    if (pread(t->file, there, HEAD, 0) == HEAD && memcmp(head, there, HEAD) == 0) return TOLA_OK;
    if (ftruncate(t->file, 0) != 0 || pwrite(t->file, head, HEAD, 0) != HEAD)
        return err_errno(err, errno, "cannot write", t->o.cache);
    return TOLA_OK;
}

static off_t place_of(const teacher *t, uint64_t row) { return (off_t)(HEAD + row * t->row_bytes); }

static uint32_t check_of(const teacher *t) { return crc32_update(1, t->row + 4, t->row_bytes - 4); }

static bool read_row(teacher *t, uint64_t row) {
    uint32_t check;
    if (t->file < 0 || pread(t->file, t->row, t->row_bytes, place_of(t, row)) != (ssize_t)t->row_bytes) return false;
    memcpy(&check, t->row, sizeof check);
    return check == check_of(t);
}

static tola_status write_row(teacher *t, uint64_t row, tola_error *err) {
    const uint32_t check = check_of(t);
    if (t->file < 0) return TOLA_OK;
    memcpy(t->row, &check, sizeof check);
    for (size_t done = 0; done < t->row_bytes;) {
        ssize_t n = pwrite(t->file, t->row + done, t->row_bytes - done, place_of(t, row) + (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_errno(err, n < 0 ? errno : ENOSPC, "cannot write", t->o.cache);
        done += (size_t)n;
    }
    return TOLA_OK;
}

/* ---- opening ---- */

static tola_status prepare(teacher *t, uint32_t vocabulary, tola_error *err) {
    const size_t entries = (size_t)t->o.context * t->o.top;
    TRY(tola_model_open(t->o.path, NULL, &t->model, err));
    const tola_model_info *about = tola_model_about(t->model);
    if (about->hidden || about->vocabulary < vocabulary)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: a teacher of %u tokens for a student of %u", t->o.path,
                       about->hidden ? 0 : about->vocabulary, vocabulary);
    if (t->o.top > vocabulary) t->o.top = vocabulary;
    t->vocabulary = vocabulary;
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    o.context = o.batch = o.outputs = t->o.context;
    o.key_type = o.value_type = TOLA_DTYPE_F32;
    o.threads = t->o.threads;
    TRY(tola_session_create(t->model, &o, &t->session, err));
    t->row_bytes = 4 + entries * (sizeof(float) + sizeof(uint32_t));
    t->row = mem_calloc(1, t->row_bytes);
    t->tokens = mem_calloc(t->o.context, sizeof *t->tokens);
    t->heap = mem_calloc(t->o.top, sizeof *t->heap);
    if (!t->row || !t->tokens || !t->heap) return err_nomem(err, "a teacher");
    return t->o.cache ? open_file(t, err) : TOLA_OK;
}

tola_status teacher_open(const teacher_options *o, uint32_t vocabulary, teacher **out, tola_error *err) {
    teacher *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "a teacher");
    t->o = *o;
    t->file = -1;
    tola_status status = prepare(t, vocabulary, err);
    if (status == TOLA_OK) *out = t;
    else teacher_close(t);
    return status;
}

/* ---- rows ---- */

/* Is a less probable than b? */
static bool below(const float *x, uint32_t a, uint32_t b) { return x[a] < x[b] || (x[a] == x[b] && a > b); }

static void sink(const float *x, uint32_t *heap, uint32_t n, uint32_t i) {
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && below(x, heap[child + 1], heap[child])) child++;
        if (!below(x, heap[child], heap[i])) return;
        const uint32_t other = heap[i];
        heap[i] = heap[child];
        heap[child] = other;
    }
}

/* The `top` largest of x with their log-probabilities at the temperature, over all columns. */
static void take_top(const teacher *t, const float *x, float *reference, uint32_t *ids) {
    const uint32_t top = t->o.top;
    const double by = 1 / (double)t->o.temperature;
    for (uint32_t i = 0; i < top; i++) t->heap[i] = i;
    for (uint32_t i = top / 2; i-- > 0;) sink(x, t->heap, top, i);
    for (uint32_t id = top; id < t->vocabulary; id++)
        if (below(x, t->heap[0], id)) {
            t->heap[0] = id;
            sink(x, t->heap, top, 0);
        }
    for (uint32_t n = top; n > 0; n--) { /* the least probable goes to the end */
        ids[n - 1] = t->heap[0];
        t->heap[0] = t->heap[n - 1];
        sink(x, t->heap, n - 1, 0);
    }
    double sum = 0, most = (double)x[ids[0]];
    for (uint32_t id = 0; id < t->vocabulary; id++) sum += exp(((double)x[id] - most) * by);
    for (uint32_t i = 0; i < top; i++) reference[i] = (float)(((double)x[ids[i]] - most) * by - log(sum));
}

/* Places [begin, end) of one document. */
static tola_status ask(teacher *t, const uint32_t *ids, const float *weights, size_t begin, size_t end,
                       float *reference, uint32_t *reference_ids, tola_error *err) {
    size_t wanted = 0;
    for (size_t i = begin; i < end; i++) {
        t->tokens[i - begin] = (tola_step_token){ .id = ids[i], .output = weights[i] > 0 };
        wanted += weights[i] > 0;
    }
    if (wanted == 0) return TOLA_OK;
    TRY(tola_session_truncate(t->session, 0, 0, err));
    TRY(tola_session_step(t->session, t->tokens, end - begin, NULL, NULL, err));
    for (size_t i = begin, n = 0; i < end; i++)
        if (weights[i] > 0)
            take_top(t, tola_session_output(t->session, n++), reference + i * t->o.top, reference_ids + i * t->o.top);
    return TOLA_OK;
}

tola_status teacher_row(teacher *t, uint64_t row, const uint32_t *ids, const uint32_t *first, const float *weights,
                        float *reference, uint32_t *reference_ids, tola_error *err) {
    const size_t n = t->o.context, entries = n * t->o.top;
    if (!read_row(t, row)) {
        memset(reference, 0, entries * sizeof *reference);
        memset(reference_ids, 0, entries * sizeof *reference_ids);
        for (size_t begin = 0, end; begin < n; begin = end) {
            for (end = begin + 1; end < n && first[end] == first[begin]; end++) {}
            TRY(ask(t, ids, weights, begin, end, reference, reference_ids, err));
        }
        memcpy(t->row + 4, reference, entries * sizeof *reference);
        memcpy(t->row + 4 + entries * sizeof *reference, reference_ids, entries * sizeof *reference_ids);
        return write_row(t, row, err);
    }
    memcpy(reference, t->row + 4, entries * sizeof *reference);
    memcpy(reference_ids, t->row + 4 + entries * sizeof *reference, entries * sizeof *reference_ids);
    for (size_t i = 0; i < entries; i++) /* the graph relies on it, whatever the file says */
        if (reference_ids[i] >= t->vocabulary || !(reference[i] <= 1e-3f))
            return err_set(err, TOLA_E_FORMAT, (uint64_t)place_of(t, row), "%s: a row is damaged", t->o.cache);
    return TOLA_OK;
}
