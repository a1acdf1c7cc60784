/* ONNX models: a ModelProto whose graph holds weights as initializers. See onnx.h for the specification.
 *
 * Listed are the initializers of the graph and its subgraphs, the parts of sparse initializers, and the tensors of
 * Constant nodes under the name of their output. Nothing is computed: a graph is not run, functions are not expanded.
 * Names in subgraphs are prefixed with the node and attribute they belong to, so that they cannot clash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/onnx.h"

enum { MODEL_IR_VERSION = 1, MODEL_GRAPH = 7, MODEL_OPSETS = 8, MODEL_PROPS = 14, MODEL_TRAINING = 20 };
enum { MODEL_FUNCTIONS = 25 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_DOC = 10, GRAPH_SPARSE = 15 };
enum { NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, FUNCTION_NAME = 1, FUNCTION_NODE = 7 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_TENSOR = 5, ATTRIBUTE_GRAPH = 6, ATTRIBUTE_GRAPHS = 11 };

/* ---- names ---- */

/* prefix + text of a field + suffix, in the arena; NULL with the reader failed. */
static char *make_name(onnx_model *model, const char *prefix, uint64_t at, uint64_t bytes, const char *suffix) {
    size_t before = strlen(prefix), after = strlen(suffix);
    if (bytes > CK_MAX_NAME || before + bytes + after > CK_MAX_NAME) {
        reader_fail(&model->r, TOLA_E_LIMIT, at, "a name is longer than %d bytes", CK_MAX_NAME);
        return NULL;
    }
    model->name_bytes += before + bytes + after;
    if (model->name_bytes > ONNX_MAX_NAMES) {
        reader_fail(&model->r, TOLA_E_LIMIT, at, "the names of tensors in subgraphs take more than %u bytes",
                    ONNX_MAX_NAMES);
        return NULL;
    }
    char *name = arena_alloc(&model->ck->arena, before + (size_t)bytes + after + 1);
    if (!name) {
        reader_fail(&model->r, TOLA_E_NOMEM, at, "out of memory for a name");
        return NULL;
    }
    memcpy(name, prefix, before);
    reader_seek(&model->r, at);
    if (bytes) reader_bytes(&model->r, name + before, (size_t)bytes);
    memcpy(name + before + bytes, suffix, after + 1);
    if (!reader_ok(&model->r)) return NULL;
    if (memchr(name + before, 0, (size_t)bytes)) {
        reader_fail(&model->r, TOLA_E_FORMAT, at, "a name holds a NUL byte");
        return NULL;
    }
    return name;
}

static bool field_is(onnx_model *model, const pb_field *f, const char *text) {
    size_t n = strlen(text);
    if (f->wire != PB_BYTES || f->bytes != n) return false;
    reader_seek(&model->r, f->start);
    const uint8_t *p = reader_take(&model->r, n);
    return p && memcmp(p, text, n) == 0;
}

/* ---- tensors ---- */

static tola_status add_initializer(onnx_model *model, const pb_message *m, const pb_field *f, const char *prefix,
                                   tola_error *err) {
    onnx_tensor t;
    if (!onnx_parse_tensor(m, f, &t)) return reader_check(&model->r, err);
    if (!t.name_bytes) return err_set(err, TOLA_E_FORMAT, t.at, "an initializer has no name");
    char *name = make_name(model, prefix, t.name_at, t.name_bytes, "");
    return name ? onnx_add_tensor(model, &t, name, 0, err) : reader_check(&model->r, err);
}

/* SparseTensorProto: values = 1 (which bears the name), indices = 2, dims = 3. */
static tola_status add_sparse(onnx_model *model, const pb_message *parent, const pb_field *f, const char *prefix,
                              tola_error *err) {
    pb_message m;
    pb_field g;
    onnx_tensor values, indices;
    bool has_values = false, has_indices = false;
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    while (pb_next(&m, &g)) {
        if (g.number == 1) has_values = onnx_parse_tensor(&m, &g, &values);
        if (g.number == 2) has_indices = onnx_parse_tensor(&m, &g, &indices);
    }
    TRY(reader_check(&model->r, err));
    if (!has_values || !has_indices || !values.name_bytes)
        return err_set(err, TOLA_E_FORMAT, f->at, "a sparse initializer lacks its %s",
                       !has_values ? "values" : !has_indices ? "indices" : "name");
    char *a = make_name(model, prefix, values.name_at, values.name_bytes, ".values");
    char *b = a ? make_name(model, prefix, values.name_at, values.name_bytes, ".indices") : NULL;
    if (!b) return reader_check(&model->r, err);
    TRY(onnx_add_tensor(model, &values, a, TOLA_TENSOR_SPARSE, err));
    return onnx_add_tensor(model, &indices, b, TOLA_TENSOR_SPARSE, err);
}

/* ---- graphs ---- */

static tola_status walk_graph(onnx_model *model, const pb_message *parent, const pb_field *f, const char *prefix,
                              bool top, tola_error *err);

typedef struct onnx_node {
    uint64_t name_at, name_bytes, output_at, output_bytes;
    bool constant, has_attributes;
} onnx_node;

/* What has to be known of a node before its attributes can be named. */
static void scan_node(onnx_model *model, pb_message m, onnx_node *node) {
    pb_field f;
    *node = (onnx_node){ 0 };
    while (pb_next(&m, &f)) {
        if (f.number == NODE_ATTRIBUTE) node->has_attributes = true;
        if (f.number == NODE_OP) node->constant = field_is(model, &f, "Constant");
        if (f.number == NODE_NAME && pb_expect(&m, &f, PB_BYTES)) {
            node->name_at = f.start;
            node->name_bytes = f.bytes;
        }
        if (f.number == NODE_OUTPUT && !node->output_bytes && pb_expect(&m, &f, PB_BYTES)) {
            node->output_at = f.start;
            node->output_bytes = f.bytes;
        }
    }
    if (!node->name_bytes) { /* names of nodes are optional, those of outputs are unique */
        node->name_at = node->output_at;
        node->name_bytes = node->output_bytes;
    }
}

/* The prefix of what lies in graph number `index` of an attribute: "prefix" "node/" "attribute/" */
static char *subgraph_prefix(onnx_model *model, const onnx_node *node, const char *prefix, uint64_t name_at,
                             uint64_t name_bytes, unsigned index) {
    char suffix[24] = "/";
    if (index) snprintf(suffix, sizeof suffix, ".%u/", index);
    char *outer = make_name(model, prefix, node->name_at, node->name_bytes, "/");
    return outer ? make_name(model, outer, name_at, name_bytes, suffix) : NULL;
}

static tola_status walk_attribute(onnx_model *model, pb_message m, const onnx_node *node, const char *prefix,
                                  tola_error *err) {
    pb_message again = m;
    pb_field f;
    uint64_t name_at = m.pos, name_bytes = 0;
    bool is_value = false;
    unsigned graphs = 0;
    while (pb_next(&m, &f))
        if (f.number == ATTRIBUTE_NAME && pb_expect(&m, &f, PB_BYTES)) {
            name_at = f.start;
            name_bytes = f.bytes;
            is_value = field_is(model, &f, "value");
        }
    while (pb_next(&again, &f)) {
        if (f.number == ATTRIBUTE_TENSOR && is_value && node->constant && node->output_bytes) {
            onnx_tensor t;
            if (!onnx_parse_tensor(&again, &f, &t)) return reader_check(&model->r, err);
            char *name = make_name(model, prefix, node->output_at, node->output_bytes, "");
            if (!name) return reader_check(&model->r, err);
            TRY(onnx_add_tensor(model, &t, name, 0, err));
        } else if (f.number == ATTRIBUTE_GRAPH || f.number == ATTRIBUTE_GRAPHS) {
            char *inner = subgraph_prefix(model, node, prefix, name_at, name_bytes, graphs++);
            if (!inner) return reader_check(&model->r, err);
            TRY(walk_graph(model, &again, &f, inner, false, err));
        }
    }
    return reader_check(&model->r, err);
}

static tola_status walk_node(onnx_model *model, const pb_message *parent, const pb_field *f, const char *prefix,
                             tola_error *err) {
    pb_message m, attribute;
    pb_field g;
    onnx_node node;
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    scan_node(model, m, &node);
    while (node.has_attributes && pb_next(&m, &g)) {
        if (g.number != NODE_ATTRIBUTE) continue;
        if (!pb_enter(&m, &g, &attribute)) break;
        TRY(walk_attribute(model, attribute, &node, prefix, err));
    }
    return reader_check(&model->r, err);
}

static tola_status text_metadata(onnx_model *model, const pb_message *m, const pb_field *f, const char *key,
                                 tola_error *err) {
    char *text = pb_text(m, f, ONNX_MAX_TEXT, &model->ck->arena);
    if (!text) return reader_check(&model->r, err);
    if (!f->bytes) return TOLA_OK;
    return ck_add_metadata(model->ck, key,
                           (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, (size_t)f->bytes } }, err);
}

/* Depth is bounded by pb_enter: three messages a graph. */
static tola_status walk_graph(onnx_model *model, const pb_message *parent, const pb_field *f, const char *prefix,
                              bool top, tola_error *err) {
    pb_message m;
    pb_field g;
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    while (pb_next(&m, &g)) {
        switch (g.number) {
        case GRAPH_NODE: TRY(walk_node(model, &m, &g, prefix, err)); break;
        case GRAPH_INITIALIZER: TRY(add_initializer(model, &m, &g, prefix, err)); break;
        case GRAPH_SPARSE: TRY(add_sparse(model, &m, &g, prefix, err)); break;
        case GRAPH_NAME:
            if (top) TRY(text_metadata(model, &m, &g, "graph_name", err));
            break;
        case GRAPH_DOC:
            if (top) TRY(text_metadata(model, &m, &g, "graph_doc_string", err));
            break;
        default: break;
        }
    }
    return reader_check(&model->r, err);
}

/* A FunctionProto: nodes of its own, which may be Constants. */
static tola_status walk_function(onnx_model *model, const pb_message *parent, const pb_field *f, tola_error *err) {
    pb_message m, again;
    pb_field g;
    char *prefix = "function/";
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    again = m;
    while (pb_next(&m, &g))
        if (g.number == FUNCTION_NAME && pb_expect(&m, &g, PB_BYTES))
            prefix = make_name(model, "function/", g.start, g.bytes, "/");
    while (prefix && pb_next(&again, &g))
        if (g.number == FUNCTION_NODE) TRY(walk_node(model, &again, &g, prefix, err));
    return reader_check(&model->r, err);
}

/* TrainingInfoProto: initialization = 1 and algorithm = 2 are graphs. */
static tola_status walk_training(onnx_model *model, const pb_message *parent, const pb_field *f, unsigned index,
                                 tola_error *err) {
    pb_message m;
    pb_field g;
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    while (pb_next(&m, &g)) {
        if (g.number != 1 && g.number != 2) continue;
        char prefix[64];
        snprintf(prefix, sizeof prefix, "training.%u/%s/", index, g.number == 1 ? "initialization" : "algorithm");
        TRY(walk_graph(model, &m, &g, prefix, false, err));
    }
    return reader_check(&model->r, err);
}

/* ---- metadata ---- */

static tola_status number_metadata(onnx_model *model, const pb_message *m, const pb_field *f, const char *key,
                                   tola_error *err) {
    if (!pb_expect(m, f, PB_VARINT)) return reader_check(&model->r, err);
    return ck_add_metadata(model->ck, key, (tola_value){ .kind = TOLA_VALUE_INT, .dtype = TOLA_DTYPE_I64,
                                                         .as.i64 = (int64_t)f->value }, err);
}

/* A map that grows: members in the arena, room doubled at powers of two. */
static tola_member *next_member(onnx_model *model, tola_value *map, tola_error *err) {
    size_t count = map->as.map.count;
    if ((count & (count - 1)) == 0) {
        tola_member *members = arena_alloc_array(&model->ck->arena, count ? count * 2 : 1, sizeof *members);
        if (!members) {
            err_nomem(err, "reading metadata");
            return NULL;
        }
        if (count) memcpy(members, map->as.map.members, count * sizeof *members);
        map->as.map.members = members;
    }
    map->as.map.count = count + 1;
    return (tola_member *)(uintptr_t)&map->as.map.members[count];
}

/* A StringStringEntryProto (key = 1, value = 2) or an OperatorSetIdProto (domain = 1, version = 2). */
static tola_status add_entry(onnx_model *model, const pb_message *parent, const pb_field *f, tola_value *map,
                             tola_error *err) {
    pb_message m;
    pb_field g;
    tola_string key = { "", 0 };
    tola_value value = { .kind = TOLA_VALUE_STRING, .as.string = { "", 0 } };
    bool opset = f->number == MODEL_OPSETS;
    if (opset) value = (tola_value){ .kind = TOLA_VALUE_INT, .dtype = TOLA_DTYPE_I64 };
    if (!pb_enter(parent, f, &m)) return reader_check(&model->r, err);
    while (pb_next(&m, &g)) {
        if (g.number == 2 && opset) {
            if (pb_expect(&m, &g, PB_VARINT)) value.as.i64 = (int64_t)g.value;
        } else if (g.number == 1 || g.number == 2) {
            const char *text = pb_text(&m, &g, ONNX_MAX_TEXT, &model->ck->arena);
            if (!text) break;
            *(g.number == 1 ? &key : &value.as.string) = (tola_string){ text, (size_t)g.bytes };
        }
    }
    TRY(reader_check(&model->r, err));
    if (opset && key.length == 0) key = (tola_string){ "ai.onnx", 7 }; /* the default domain's full name */
    tola_member *member = next_member(model, map, err);
    if (!member) return TOLA_E_NOMEM;
    *member = (tola_member){ key, value };
    return TOLA_OK;
}

/* ---- the model ---- */

static const char *model_text(uint32_t number) {
    switch (number) {
    case 2: return "producer_name";
    case 3: return "producer_version";
    case 4: return "domain";
    case 6: return "doc_string";
    default: return NULL;
    }
}

static tola_status read_model(onnx_model *model, tola_error *err) {
    pb_message m;
    pb_field f;
    tola_value opsets = { .kind = TOLA_VALUE_MAP }, props = { .kind = TOLA_VALUE_MAP };
    bool graph = false;
    unsigned trainings = 0;
    pb_open(&m, &model->r, 0, model->ck->files[model->file].info.bytes);
    while (pb_next(&m, &f)) {
        const char *text = model_text(f.number);
        if (text) TRY(text_metadata(model, &m, &f, text, err));
        else if (f.number == MODEL_IR_VERSION) TRY(number_metadata(model, &m, &f, "ir_version", err));
        else if (f.number == 5) TRY(number_metadata(model, &m, &f, "model_version", err));
        else if (f.number == MODEL_OPSETS) TRY(add_entry(model, &m, &f, &opsets, err));
        else if (f.number == MODEL_PROPS) TRY(add_entry(model, &m, &f, &props, err));
        else if (f.number == MODEL_FUNCTIONS) TRY(walk_function(model, &m, &f, err));
        else if (f.number == MODEL_TRAINING) TRY(walk_training(model, &m, &f, trainings++, err));
        else if (f.number == MODEL_GRAPH) {
            if (graph) return err_set(err, TOLA_E_FORMAT, f.at, "the model has two graphs");
            graph = true;
            TRY(walk_graph(model, &m, &f, "", true, err));
        }
    }
    TRY(reader_check(&model->r, err));
    if (!graph) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the model has no graph");
    if (opsets.as.map.count) TRY(ck_add_metadata(model->ck, "opset_import", opsets, err));
    return props.as.map.count ? ck_add_metadata(model->ck, "metadata_props", props, err) : TOLA_OK;
}

/* ---- external tensors that share bytes ---- */

static uint64_t bytes_of(const ck_add *a) {
    uint64_t n = 1, bytes;
    for (unsigned i = 0; i < a->n_dims; i++) n *= a->shape[i]; /* checked when it was added */
    uint32_t block = tola_dtype_block_elements(a->dtype);
    n += (block - n % block) % block;
    return tola_dtype_size(a->dtype, n, &bytes) == TOLA_OK ? bytes : 0;
}

static int by_place(const void *x, const void *y) {
    const ck_add *a = *(const ck_add *const *)x, *b = *(const ck_add *const *)y;
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    return a < b ? -1 : a > b; /* qsort is not stable */
}

/* Tied weights may name the same bytes of a file: they get one storage. Bytes that overlap without being the same are
 * worth a warning; the format does not forbid them. */
static tola_status share_storages(onnx_model *model, tola_error *err) {
    ck_add **order = mem_alloc((model->count + 1) * sizeof *order);
    if (!order) return err_nomem(err, "comparing external data");
    size_t n = 0;
    for (size_t i = 0; i < model->count; i++)
        if (model->pending[i].file != model->file && !(model->pending[i].flags & TOLA_TENSOR_MISSING))
            order[n++] = &model->pending[i];
    if (n) qsort(order, n, sizeof *order, by_place);
    for (size_t i = 1; i < n; i++) {
        ck_add *a = order[i - 1], *b = order[i];
        uint64_t size = bytes_of(a);
        if (a->file != b->file || size <= b->offset - a->offset) continue;
        if (a->offset != b->offset || size != bytes_of(b))
            ck_warn(model->ck, "tensors '%s' and '%s' overlap in their external file", a->name, b->name);
        if (!a->storage) a->storage = ck_new_storage(model->ck);
        b->storage = a->storage;
    }
    mem_free(order);
    return TOLA_OK;
}

static tola_status onnx_read(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    onnx_model model = { .ck = ck, .file = file };
    reader_init(&model.r, ck->files[file].src, 0, ck->files[file].info.bytes);
    tola_status status = read_model(&model, err);
    if (status == TOLA_OK) status = share_storages(&model, err);
    for (size_t i = 0; i < model.count && status == TOLA_OK; i++) status = ck_add_tensor(ck, &model.pending[i], err);
    reader_free(&model.r);
    mem_free(model.pending);
    mem_free(model.externals);
    mem_free(model.external_files);
    mem_free(model.external_missing);
    return status;
}

/* ---- recognizing ---- */

/* A number of at most `most` bytes at head[*at]; false where there is none. */
static bool probe_number(const uint8_t *head, size_t bytes, size_t *at, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 63 && *at < bytes; shift += 7) {
        uint8_t b = head[(*at)++];
        *value |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) return true;
    }
    return false;
}

/* Protobuf has no magic number. A ModelProto begins with ir_version, a small number, as every writer puts it, and goes
 * on with fields of a ModelProto in their wire types up to a graph that fits into the file and begins like one. */
static int onnx_probe(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    size_t at = 0;
    uint64_t tag, value;
    int unsure = text_ends_with(name, ".onnx") ? 30 : 0;
    if (bytes < 4 || head[0] != (MODEL_IR_VERSION << 3 | PB_VARINT) || head[1] == 0 || head[1] > 100) return unsure;
    while (at < bytes && probe_number(head, bytes, &at, &tag) && probe_number(head, bytes, &at, &value)) {
        uint64_t number = tag >> 3;
        bool is_number = number == 1 || number == 5;
        bool known = number <= 8 || number == 14 || number == 20 || number == 25 || number == 26;
        if (!known || number == 0 || (tag & 7) != (is_number ? PB_VARINT : PB_BYTES)) return unsure;
        if (is_number) continue;
        if (value > file_bytes - at) return unsure;
        if (number == MODEL_GRAPH)
            return value == 0 || (at < bytes && (head[at] & 7) == PB_BYTES && head[at] >> 3 >= 1) ? 85 : unsure;
        if (value > bytes - at) break; /* a long text stands before the graph */
        at += (size_t)value;
    }
    return unsure ? 85 : 0;
}

const format format_onnx = { "onnx", onnx_probe, onnx_read };
