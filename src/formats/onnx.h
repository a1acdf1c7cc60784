/* What the files of the ONNX reader share. Field numbers are those of onnx.proto,
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
#ifndef FORMATS_ONNX_H
#define FORMATS_ONNX_H

#include "base/protobuf.h"
#include "formats/format.h"

#define ONNX_MAX_EXTERNAL 4096        /* files of external data; exporters write one, old ones one a tensor */
#define ONNX_MAX_TEXT (16u << 20)     /* one entry of the metadata */
#define ONNX_MAX_LOCATION 1024        /* bytes of an external file's name */
#define ONNX_MAX_NAMES (256u << 20)   /* bytes of all names: prefixes of subgraphs repeat in each, so they may multiply */

/* An ONNX file being read. */
typedef struct onnx_model {
    tola_checkpoint *ck;
    uint32_t file;
    reader r;
    uint64_t name_bytes;
    ck_add *pending;          /* tensors in file order; added when all are known, since external ones may share bytes */
    size_t count, cap;
    char **externals;         /* locations, in ck->arena */
    uint32_t *external_files; /* their numbers in ck->files */
    bool *external_missing;
    size_t external_count, external_cap, external_file_cap, external_missing_cap;
} onnx_model;

/* A TensorProto taken apart; nothing of its payload has been read. */
typedef struct onnx_tensor {
    uint64_t at, start, end;    /* the message */
    uint64_t shape[TOLA_MAX_DIMS];
    unsigned n_dims;
    uint32_t type;              /* TensorProto.DataType */
    uint64_t name_at, name_bytes;
    uint64_t raw_at, raw_bytes; /* raw_data */
    bool has_raw, external;
    unsigned data_field;        /* float_data = 4, ...; 0 = none */
    uint64_t packed_bytes;      /* of it, in packed fields */
    uint64_t unpacked;          /* values of it that have a field each; of string_data: the strings */
    unsigned chunks;            /* packed fields */
    uint64_t data_at, data_end; /* where data_field begins first and ends last */
    bool scattered;             /* other fields lie between its parts */
    char location[ONNX_MAX_LOCATION + 1];
    uint64_t offset, length;    /* external; length UINT64_MAX = not said */
} onnx_tensor;

/* onnx_tensor.c: reads one TensorProto (false: m->r has failed), and turns it into an entry of model->pending under
 * `name` (in ck->arena). */
bool onnx_parse_tensor(const pb_message *parent, const pb_field *f, onnx_tensor *out);
tola_status onnx_add_tensor(onnx_model *model, const onnx_tensor *t, const char *name, uint32_t flags, tola_error *err);

/* onnx_external.c: the file at `location` beside the model, opened once. *missing where it is not there and the
 * checkpoint is opened tolerantly. */
tola_status onnx_open_external(onnx_model *model, const char *location, uint32_t *file, bool *missing,
                               tola_error *err);

#endif
