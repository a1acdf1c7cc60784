/* .npz archives: zip files of .npy arrays, stored (numpy.savez) or deflated (numpy.savez_compressed); and their writer.
 *
 * Arrays of Python objects are pickles: they are left out with a warning. Members that are no arrays are ignored with
 * a warning. Names of written members come from tensor names; those that would leave the archive when someone unpacks
 * it are refused. */
#include <inttypes.h>
#include <string.h>

#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/npy.h"
#include "formats/open.h"

/* ---- reading ---- */

typedef struct npz_array {
    zip_archive *zip;
    zip_member *member;
    npy_header header;
} npz_array;

#define CHUNK_BYTES 65536

static bool is_array_name(const zip_member *m) { return m->name_length > 4 && text_ends_with(m->name, ".npy"); }

/* A deflated array in Fortran order: passes over the whole member and picks the elements that belong to
 * [offset, offset + bytes) of the row-major order, walking both orders at once. */
static tola_status read_transposed(const npz_array *x, uint64_t offset, uint8_t *dst, size_t bytes, tola_error *err) {
    const npy_header *h = &x->header;
    uint64_t item = h->type.item_bytes, total, index[TOLA_MAX_DIMS] = { 0 }, strides[TOLA_MAX_DIMS], stride = 1;
    TRY(npy_data_bytes(h, &total, err));
    for (unsigned d = h->n_dims; d-- > 0;) {
        strides[d] = stride;
        stride *= h->shape[d];
    }
    uint8_t *chunk = mem_alloc(CHUNK_BYTES + (size_t)item);
    if (!chunk) return err_nomem(err, "reading an array");
    uint64_t per_chunk = CHUNK_BYTES / item ? CHUNK_BYTES / item : 1, place = 0; /* place: row-major, in elements */
    tola_status status = TOLA_OK;
    for (uint64_t at = 0; at < total && status == TOLA_OK; at += per_chunk * item) {
        uint64_t n = total - at < per_chunk * item ? total - at : per_chunk * item;
        status = zip_read(x->zip, x->member, h->bytes + at, chunk, (size_t)n, err);
        for (uint64_t i = 0; i < n && status == TOLA_OK; i += item) {
            uint64_t from = place * item, to = from + item;
            uint64_t a = from > offset ? from : offset, b = to < offset + bytes ? to : offset + bytes;
            if (a < b) memcpy(dst + (a - offset), chunk + i + (a - from), (size_t)(b - a));
            for (unsigned d = 0; d < h->n_dims; d++) {
                place += strides[d];
                if (++index[d] < h->shape[d]) break;
                place -= strides[d] * h->shape[d];
                index[d] = 0;
            }
        }
    }
    mem_free(chunk);
    return status;
}

/* CK_CUSTOM: bytes of a deflated or remote member, in the order of bytes in which they are stored. */
static tola_status read_member(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                               tola_error *err) {
    (void)ck;
    const npz_array *x = t->context;
    if (npy_is_strided(&x->header))
        return read_transposed(x, offset, dst, bytes, err);
    return zip_read(x->zip, x->member, x->header.bytes + offset, dst, bytes, err);
}

static tola_status read_header(zip_archive *z, zip_member *m, npy_header *h, tola_error *err) {
    uint8_t prefix[NPY_PREFIX] = { 0 };
    size_t available = m->size < sizeof prefix ? (size_t)m->size : sizeof prefix;
    uint64_t bytes;
    TRY(zip_read(z, m, 0, prefix, available, err));
    TRY(npy_header_bytes(prefix, available, &bytes, err));
    if (bytes > m->size)
        return err_set(err, TOLA_E_FORMAT, m->data, "truncated: the array's header has %" PRIu64 " bytes, the member %"
                       PRIu64, bytes, m->size);
    uint8_t *data = mem_alloc((size_t)bytes);
    if (!data) return err_nomem(err, "reading an array's header");
    tola_status status = zip_read(z, m, 0, data, (size_t)bytes, err);
    if (status == TOLA_OK) status = npy_parse_header(data, bytes, h, err);
    mem_free(data);
    return status;
}

static tola_status add_custom(tola_checkpoint *ck, uint32_t file, zip_archive *z, zip_member *m, size_t name_length,
                              tola_error *err) {
    npz_array *x = arena_alloc(&ck->arena, sizeof *x);
    if (!x) return err_nomem(err, "reading an .npz archive");
    *x = (npz_array){ .zip = z, .member = m };
    uint64_t bytes;
    TRY(read_header(z, m, &x->header, err));
    TRY(npy_data_bytes(&x->header, &bytes, err));
    uint64_t there = m->size - x->header.bytes;
    if (bytes > there)
        return err_set(err, TOLA_E_FORMAT, m->data, "truncated: the array has %" PRIu64 " bytes, its member %" PRIu64
                       " (%" PRIu64 " missing)", bytes, there, bytes - there);
    if (bytes < there)
        ck_warn(ck, "%" PRIu64 " bytes after the data of array '%.*s'", there - bytes, (int)name_length, m->name);
    ck_add add = { .name = m->name, .name_length = name_length, .file = file, .offset = m->data, .read = read_member,
                   .context = x };
    npy_describe(&x->header, bytes, &add);
    if (m->method == ZIP_DEFLATED)
        add.flags |= TOLA_TENSOR_PACKED;
    else
        add.offset = m->data + x->header.bytes;
    if (npy_is_strided(&x->header)) add.flags |= TOLA_TENSOR_STRIDED;
    return ck_add_tensor(ck, &add, err);
}

static tola_status add_member(tola_checkpoint *ck, uint32_t file, zip_archive *z, zip_member *m, tola_error *err) {
    size_t name_length = m->name_length - 4;
    tola_error local = TOLA_ERROR_INIT;
    tola_status status;
    if (m->method == ZIP_STORED && !z->src->remote)
        status = npy_add(ck, file, m->data, m->data + m->size, m->name, name_length, z, m, &local);
    else
        status = add_custom(ck, file, z, m, name_length, &local);
    if (status == TOLA_OK) return TOLA_OK;
    char name[200];
    text_quote(name, sizeof name, m->name, m->name_length);
    if (status == TOLA_E_UNSAFE) {
        ck_warn(ck, "'%s' is left out: %s", name, local.message);
        return TOLA_OK;
    }
    if (strstr(local.message, name)) return err_set(err, status, local.offset, "%s", local.message);
    return err_set(err, status, local.offset, "zip member '%s': %s", name, local.message);
}

bool npz_holds_arrays(const zip_archive *z) {
    for (size_t i = 0; i < z->count; i++)
        if (is_array_name(&z->members[i])) return true;
    return false;
}

tola_status npz_add_members(tola_checkpoint *ck, uint32_t file, zip_archive *z, tola_error *err) {
    for (size_t i = 0; i < z->count; i++) {
        zip_member *m = &z->members[i];
        char name[200];
        if (is_array_name(m))
            TRY(add_member(ck, file, z, m, err));
        else if (m->name[m->name_length - 1] != '/')
            ck_warn(ck, "zip member '%s' is no array", text_quote(name, sizeof name, m->name, m->name_length));
    }
    return TOLA_OK;
}

/* The first member's name, which stands at the start of the file, tells .npz from other zip archives. */
static int npz_probe(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)file_bytes;
    if (bytes >= 22 && memcmp(head, "PK\5\6", 4) == 0) return text_ends_with(name, ".npz") ? 60 : 0; /* no members */
    if (bytes < 30 || memcmp(head, "PK\3\4", 4) != 0) return 0;
    size_t length = (size_t)(head[26] | head[27] << 8);
    if (length > 4 && 30 + length <= bytes && memcmp(head + 30 + length - 4, ".npy", 4) == 0) return 100;
    return text_ends_with(name, ".npz") ? 60 : 0;
}

static tola_status npz_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    source *src = ck->files[file].src;
    zip_archive *z;
    TRY(zip_open(src, 0, src->size, &ck->arena, &z, err));
    if (z->trailing) ck_warn(ck, "%" PRIu64 " bytes after the end of the zip archive", z->trailing);
    return npz_add_members(ck, file, z, err);
}

const format format_npz = { "npz", npz_probe, npz_read };

/* ---- writing ---- */

typedef struct npz_state {
    zip_writer *zip;
    size_t *members;        /* of each tensor */
    uint64_t *header_bytes; /* of its .npy header */
} npz_state;

static bool npz_holds(tola_dtype dtype) { return npy_descr(dtype) != NULL; }

static tola_status check_name(const char *name, tola_error *err) {
    bool bad = name[0] == 0 || name[0] == '/' || strchr(name, '\\') || strlen(name) > UINT16_MAX - 4;
    for (const char *p = name; *p && !bad; p = strchr(p, '/') ? strchr(p, '/') + 1 : "")
        bad = strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == 0);
    if (!bad) return TOLA_OK;
    char quoted[200];
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "tensor '%s': its name cannot be a member of an .npz archive (empty, absolute, a backslash or '..')",
                   text_quote(quoted, sizeof quoted, name, strlen(name)));
}

/* Adds the member of one tensor; its header goes to `headers`. */
static tola_status plan_member(npz_state *s, size_t i, const tola_tensor_spec *t, buf *headers, uint64_t *bytes,
                                tola_error *err) {
    TRY(check_name(t->name, err));
    uint64_t elements = 1, total; /* the caller has checked shape and type */
    for (unsigned d = 0; d < t->n_dims; d++) elements *= t->shape[d];
    TRY(tola_dtype_size((tola_dtype)t->dtype, elements, bytes));
    size_t before = headers->length;
    npy_build_header(headers, (tola_dtype)t->dtype, t->shape, t->n_dims);
    if (headers->failed) return err_nomem(err, "laying out an .npz archive");
    s->header_bytes[i] = headers->length - before;
    if (!add_u64(*bytes, s->header_bytes[i], &total))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensor '%s' is too large", t->name);
    buf name;
    buf_init(&name, UINT16_MAX + 1);
    buf_printf(&name, "%s.npy", t->name);
    buf_u8(&name, 0);
    tola_status status = name.failed ? err_nomem(err, "laying out an .npz archive")
                                     : zip_writer_add(s->zip, (const char *)name.data, total, 64, &s->members[i], err);
    buf_free(&name);
    return status;
}

static tola_status write_headers(tola_writer *w, npz_state *s, const uint8_t *headers, tola_error *err) {
    for (size_t i = 0; i < w->count; i++) {
        uint64_t at = zip_writer_data(s->zip, s->members[i]);
        size_t n = (size_t)s->header_bytes[i];
        TRY(output_write(w->files[0], at, headers, n, err));
        TRY(zip_writer_block(s->zip, s->members[i], 0, headers, n, err));
        headers += n;
        w->slots[i].offset = at + n;
    }
    return TOLA_OK;
}

static tola_status plan_and_write(tola_writer *w, npz_state *s, const tola_tensor_spec *tensors,
                                  uint64_t max_shard_size, buf *headers, tola_error *err) {
    for (size_t i = 0; i < w->count; i++) TRY(plan_member(s, i, &tensors[i], headers, &w->slots[i].bytes, err));
    uint64_t total_bytes = zip_writer_total(s->zip);
    if (max_shard_size && total_bytes > max_shard_size)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, ".npz archives are written as one file of %" PRIu64
                       " bytes, not in shards", total_bytes);
    uint32_t file;
    char *path = w->folder ? path_join(w->path, "model.npz") : mem_strdup(w->path);
    if (!path) return err_nomem(err, "preparing output");
    tola_status status = writer_add_file(w, path, total_bytes, &file, err);
    mem_free(path);
    TRY(status);
    for (size_t i = 0; i < w->count; i++) w->slots[i].file = file;
    return write_headers(w, s, headers->data, err);
}

static tola_status npz_open(tola_writer *w, const tola_tensor_spec *tensors, size_t count,
                            const tola_write_options *options, tola_error *err) {
    npz_state *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "laying out an .npz archive");
    w->state = s;
    s->members = mem_calloc(count, sizeof *s->members);
    s->header_bytes = mem_calloc(count, sizeof *s->header_bytes);
    if (!s->members || !s->header_bytes) return err_nomem(err, "laying out an .npz archive");
    TRY(zip_writer_new(&s->zip, err));
    buf headers;
    buf_init(&headers, 0);
    tola_status status = plan_and_write(w, s, tensors, options->max_shard_size, &headers, err);
    buf_free(&headers);
    return status;
}

static tola_status npz_wrote(tola_writer *w, size_t index, uint64_t offset, const void *data, size_t bytes,
                             tola_error *err) {
    npz_state *s = w->state;
    return zip_writer_block(s->zip, s->members[index], s->header_bytes[index] + offset, data, bytes, err);
}

static tola_status npz_finish(tola_writer *w, tola_error *err) {
    npz_state *s = w->state;
    return zip_writer_finish(s->zip, w->files[0], err);
}

static void npz_free(tola_writer *w) {
    npz_state *s = w->state;
    if (!s) return;
    zip_writer_free(s->zip);
    mem_free(s->members);
    mem_free(s->header_bytes);
    mem_free(s);
    w->state = NULL;
}

const writer_format writer_npz = { "npz", ".npz", npz_holds, npz_open, npz_wrote, npz_finish, npz_free };
