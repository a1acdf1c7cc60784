/* IDX: two zero bytes, a type, the number of dimensions, their sizes as big-endian u32, then the elements, big-endian
 * (http://yann.lecun.com/exdb/mnist/). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "learn/data_file.h"
#include "learn/data_table_inside.h"

#define MOST_DIMS 8
#define MOST_UNPACKED ((uint64_t)8 << 30) /* of a file under gzip, which lies in memory */

typedef struct idx {
    source *src; /* the file, or what was unpacked from it */
    source *file;
    void *unpacked; /* NULL: the file is as it is */
    uint8_t type;
    unsigned element; /* bytes */
    unsigned n_dims;
    uint64_t dims[MOST_DIMS], start, elements;
} idx;

typedef struct idx_table {
    idx examples, labels;
} idx_table;

static void idx_close(idx *x) {
    if (x->unpacked) {
        source_close(x->src);
        mem_free(x->unpacked);
    }
}

/* ---- gzip (RFC 1952) ---- */

static void *zlib_alloc(void *unused, unsigned items, unsigned size) {
    (void)unused;
    return mem_calloc(items, size);
}
static void zlib_free(void *unused, void *block) {
    (void)unused;
    mem_free(block);
}

static tola_status unpack_fully(source *src, buf *out, z_stream *z, uint8_t *piece, tola_error *err) {
    uint8_t block[32768];
    uint64_t at = 0;
    int code = Z_OK;
    while (code != Z_STREAM_END) {
        if (z->avail_in == 0) {
            size_t bytes = src->size - at < DATA_FILE_PIECE ? (size_t)(src->size - at) : DATA_FILE_PIECE;
            if (bytes == 0) return err_set(err, TOLA_E_FORMAT, at, "gzip: the file ends too early");
            TRY(source_read(src, at, piece, bytes, err));
            z->next_in = piece;
            z->avail_in = (unsigned)bytes;
            at += bytes;
        }
        z->next_out = block;
        z->avail_out = sizeof block;
        code = inflate(z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) return err_nomem(err, "unpacking gzip");
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return err_set(err, TOLA_E_FORMAT, at - z->avail_in, "gzip: %s", z->msg ? z->msg : "damaged");
        buf_append(out, block, sizeof block - z->avail_out);
        if (out->failed)
            return out->full ? err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "gzip: more than %llu bytes when unpacked",
                                       (unsigned long long)MOST_UNPACKED)
                             : err_nomem(err, "unpacking gzip");
    }
    if (at - z->avail_in != src->size)
        return err_set(err, TOLA_E_FORMAT, at - z->avail_in, "gzip: %" PRIu64 " bytes follow its end",
                       src->size - (at - z->avail_in));
    return TOLA_OK;
}

static tola_status unpack(idx *x, tola_error *err) {
    buf out;
    buf_init(&out, (size_t)MOST_UNPACKED);
    z_stream z = { .zalloc = zlib_alloc, .zfree = zlib_free };
    uint8_t *piece = mem_alloc(DATA_FILE_PIECE);
    if (!piece || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        mem_free(piece);
        return err_nomem(err, "unpacking gzip");
    }
    tola_status status = unpack_fully(x->file, &out, &z, piece, err);
    inflateEnd(&z);
    mem_free(piece);
    if (status == TOLA_OK) status = source_open_memory(x->file->path, out.data, out.length, &x->src, err);
    if (status == TOLA_OK)
        x->unpacked = out.data;
    else
        buf_free(&out);
    return status;
}

/* ---- the header ---- */

static unsigned element_bytes(uint8_t type) {
    switch (type) {
    case 0x08:           /* u8 */
    case 0x09: return 1; /* i8 */
    case 0x0b: return 2; /* i16 */
    case 0x0c:           /* i32 */
    case 0x0d: return 4; /* f32 */
    case 0x0e: return 8; /* f64 */
    default: return 0;
    }
}

static tola_status read_header(idx *x, tola_error *err) {
    uint8_t head[4], dims[4 * MOST_DIMS];
    TRY(source_read(x->src, 0, head, sizeof head, err));
    x->type = head[2];
    x->element = element_bytes(head[2]);
    x->n_dims = head[3];
    if (head[0] || head[1] || !x->element)
        return err_set(err, TOLA_E_FORMAT, 0, "it does not begin as IDX does: %02x %02x %02x %02x", head[0], head[1],
                       head[2], head[3]);
    if (x->n_dims == 0 || x->n_dims > MOST_DIMS)
        return err_set(err, TOLA_E_FORMAT, 3, "%u dimensions are not in 1 .. %d", x->n_dims, MOST_DIMS);
    TRY(source_read(x->src, 4, dims, 4 * x->n_dims, err));
    x->start = 4 + 4 * (uint64_t)x->n_dims;
    x->elements = 1;
    uint64_t bytes;
    for (unsigned i = 0; i < x->n_dims; i++) {
        const uint8_t *d = dims + 4 * i;
        x->dims[i] = (uint64_t)d[0] << 24 | (uint64_t)d[1] << 16 | (uint64_t)d[2] << 8 | d[3];
        if (!mul_u64(x->elements, x->dims[i], &x->elements))
            return err_set(err, TOLA_E_FORMAT, 4 + 4 * i, "its dimensions are beyond all files");
    }
    if (!mul_u64(x->elements, x->element, &bytes) || bytes != x->src->size - x->start)
        return err_set(err, TOLA_E_FORMAT, x->start,
                       "%" PRIu64 " elements of %u bytes are announced, %" PRIu64 " bytes follow", x->elements,
                       x->element, x->src->size - x->start);
    if (x->elements == 0) return err_set(err, TOLA_E_FORMAT, 4, "there is nothing in it");
    return TOLA_OK;
}

static tola_status idx_open(idx *x, source *file, tola_error *err) {
    uint8_t magic[2] = { 0 };
    x->file = x->src = file;
    tola_status status = file->size >= 2 ? source_read(file, 0, magic, 2, err) : TOLA_OK;
    if (status == TOLA_OK && magic[0] == 0x1f && magic[1] == 0x8b) status = unpack(x, err);
    if (status == TOLA_OK) status = read_header(x, err);
    return status == TOLA_OK ? TOLA_OK : err_in_file(err, status, file->path);
}

/* Element of `type` at p as a number. */
static double number_at(const uint8_t *p, uint8_t type) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < element_bytes(type); i++) bits = bits << 8 | p[i];
    float single;
    double d;
    uint32_t low = (uint32_t)bits;
    switch (type) {
    case 0x08: return (double)bits;
    case 0x09: return (int8_t)bits;
    case 0x0b: return (int16_t)bits;
    case 0x0c: return (int32_t)low;
    case 0x0d: memcpy(&single, &low, 4); return single;
    default: memcpy(&d, &bits, 8); return d;
    }
}

/* ---- the table ---- */

static tola_status read_idx(const data_table *t, uint64_t example, float *features, tola_error *err) {
    const idx *x = &((const idx_table *)t->own)->examples;
    uint8_t piece[8192];
    size_t at_once = sizeof piece / x->element;
    uint64_t start = x->start + example * t->info.columns * x->element;
    for (uint32_t done = 0; done < t->info.columns;) {
        size_t n = t->info.columns - done < at_once ? t->info.columns - done : at_once;
        tola_status status = source_read(x->src, start + (uint64_t)done * x->element, piece, n * x->element, err);
        if (status != TOLA_OK) return err_in_file(err, status, x->file->path);
        for (size_t i = 0; i < n; i++) features[done + i] = (float)number_at(piece + i * x->element, x->type);
        done += (uint32_t)n;
    }
    return TOLA_OK;
}

static void close_idx(data_table *t) {
    idx_table *own = t->own;
    idx_close(&own->examples);
    idx_close(&own->labels);
    mem_free(own);
}

static tola_status set_shape(data_table *t, const idx *x, tola_error *err) {
    uint64_t columns = x->elements / x->dims[0];
    if (columns > DATA_MAX_COLUMNS) {
        err_set(err, TOLA_E_LIMIT, 4, "%" PRIu64 " elements an example are more than %u", columns, DATA_MAX_COLUMNS);
        return err_in_file(err, TOLA_E_LIMIT, x->file->path);
    }
    t->info.count = x->dims[0];
    t->info.columns = (uint32_t)columns;
    if (x->n_dims == 3 || x->n_dims == 4) {
        t->info.channels = x->n_dims == 4 ? (uint32_t)x->dims[1] : 1;
        t->info.height = (uint32_t)x->dims[x->n_dims - 2];
        t->info.width = (uint32_t)x->dims[x->n_dims - 1];
    }
    return TOLA_OK;
}

static tola_status set_labels(data_table *t, const idx *x, uint32_t classes, tola_error *err) {
    tola_status status = TOLA_OK;
    if (x->n_dims != 1 || x->dims[0] != t->info.count || x->type >= 0x0d)
        status = err_set(err, TOLA_E_FORMAT, 4,
                         "labels are whole numbers, one for each of the %" PRIu64 " examples; here are %" PRIu64
                         " in %u dimensions",
                         t->info.count, x->elements, x->n_dims);
    if (status == TOLA_OK) {
        t->labels = arena_alloc_array(&t->arena, t->info.count, sizeof *t->labels);
        if (!t->labels) return err_nomem(err, "reading labels");
    }
    for (uint64_t i = 0; status == TOLA_OK && i < t->info.count; i++) {
        uint8_t bytes[4];
        uint64_t at = x->start + i * x->element;
        status = source_read(x->src, at, bytes, x->element, err);
        double label = status == TOLA_OK ? number_at(bytes, x->type) : 0;
        if (label < 0 || label >= (classes ? classes : DATA_MAX_CLASSES))
            status = err_set(err, TOLA_E_FORMAT, at, "the label %.0f of example %" PRIu64 " is not in 0 .. %u", label,
                             i, (classes ? classes : DATA_MAX_CLASSES) - 1);
        if (status != TOLA_OK) break;
        t->labels[i] = (uint32_t)label;
        if (t->labels[i] >= t->info.classes) t->info.classes = t->labels[i] + 1;
    }
    if (status != TOLA_OK) return err_in_file(err, status, x->file->path);
    if (classes) t->info.classes = classes;
    return data_table_number_names(t, err);
}

/* One offset and factor for all columns; finds elements that are no number on the way. */
static tola_status set_scale(data_table *t, const idx *x, data_scale scale, tola_error *err) {
    data_range range = { 0 };
    bool bytes_to_unit = scale == DATA_SCALE_UNIT && x->type == 0x08;
    bool look = x->type >= 0x0d || (scale != DATA_SCALE_NONE && !bytes_to_unit);
    float *row = look ? mem_alloc(t->info.columns * sizeof *row) : NULL;
    if (look && !row) return err_nomem(err, "reading IDX");
    tola_status status = TOLA_OK;
    for (uint64_t i = 0; look && i < t->info.count && status == TOLA_OK; i++) {
        status = read_idx(t, i, row, err);
        for (uint32_t c = 0; status == TOLA_OK && c < t->info.columns; c++) {
            data_range_add(&range, row[c]);
            if (row[c] - row[c] == 0) continue;
            err_set(err, TOLA_E_FORMAT, x->start + (i * t->info.columns + c) * x->element,
                    "element %u of example %" PRIu64 " is no finite number", c, i);
            status = err_in_file(err, TOLA_E_FORMAT, x->file->path);
        }
    }
    mem_free(row);
    if (status != TOLA_OK || scale == DATA_SCALE_NONE) return status;
    double offset = 0, factor = 1 / 255.0;
    if (!bytes_to_unit) data_range_scale(&range, scale, &offset, &factor);
    t->offset = arena_alloc_array(&t->arena, t->info.columns, sizeof *t->offset);
    t->factor = arena_alloc_array(&t->arena, t->info.columns, sizeof *t->factor);
    if (!t->offset || !t->factor) return err_nomem(err, "reading IDX");
    for (uint32_t c = 0; c < t->info.columns; c++) {
        t->offset[c] = offset;
        t->factor[c] = factor;
    }
    return TOLA_OK;
}

static tola_status open_both(data_table *t, const char *examples, const char *labels, const data_idx_options *options,
                             tola_error *err) {
    idx_table *own = t->own;
    TRY(source_open_file(examples, &t->sources[0], err));
    if (labels) TRY(source_open_file(labels, &t->sources[1], err));
    TRY(idx_open(&own->examples, t->sources[0], err));
    TRY(set_shape(t, &own->examples, err));
    const data_table *like = options->like;
    uint32_t classes = options->classes ? options->classes : like ? like->info.classes : 0;
    if (labels) {
        TRY(idx_open(&own->labels, t->sources[1], err));
        TRY(set_labels(t, &own->labels, classes, err));
    }
    TRY(set_scale(t, &own->examples, like ? DATA_SCALE_NONE : options->scale, err));
    return like ? data_table_like(t, like, examples, err) : TOLA_OK;
}

tola_status data_idx_open(const char *examples, const char *labels, const data_idx_options *options, data_table **out,
                          tola_error *err) {
    data_table *t;
    TRY(data_table_create(&t, err));
    idx_table *own = mem_calloc(1, sizeof *own);
    tola_status status = TOLA_OK;
    if (own) {
        t->own = own;
        t->close = close_idx;
        t->read = read_idx;
        status = open_both(t, examples, labels, options, err);
    } else {
        status = err_nomem(err, "opening IDX");
    }
    if (status == TOLA_OK)
        *out = t;
    else
        data_table_close(t);
    return status;
}
