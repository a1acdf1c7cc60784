/* Graphs in protocol buffers: TensorFlow's SavedModel, MetaGraph and GraphDef, Keras' metadata beside them, ONNX,
 * SentencePiece.
 *
 * TensorFlow runs whatever operations a graph names, and some of them read and write files or call Python. ONNX has no
 * such operations of its own; operators of other domains come from libraries, and tensors may lie in files that the
 * model names. Sources: tensorflow/core/protobuf/{saved_model,meta_graph}.proto,
 * framework/{graph,function,node_def}.proto; onnx/onnx.proto; sentencepiece_model.proto. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/protobuf.h"
#include "base/text.h"
#include "formats/format.h"
#include "trust/scan_keras.h"
#include "trust/scan_tensorflow_ops.h"

#define MAX_NAME 1024u
#define MAX_JSON_TEXT (64u << 20)

typedef struct graph_scan {
    scan_job *job;
    const scan_part *part;
    reader r;
    arena a;
    bool refused; /* something in it was no message of this kind */
    bool seen;    /* something that only this kind has */
    uint64_t nodes;
    const char **functions; /* names of a graph's own functions, sorted; ONNX: name, a tab, domain */
    size_t function_count, function_cap;
} graph_scan;

static uint64_t relative(const graph_scan *g, uint64_t at) { return at - g->part->start; }

/* A short text; NULL where it is longer. */
static const char *text_of(graph_scan *g, const pb_message *m, const pb_field *f) {
    if (f->wire != PB_BYTES || f->bytes > MAX_NAME) return NULL;
    return pb_text(m, f, MAX_NAME, &g->a);
}

/* ---- TensorFlow ----
 *
 * What an operation may be is a list (scan_tensorflow_ops.h); the table here only chooses the word for those that are
 * known to do more than to compute. */

static const struct {
    const char *op, *does;
    tola_verdict verdict;
} operations[] = {
    { "ReadFile", "reads files", TOLA_DANGEROUS },
    { "WriteFile", "writes files", TOLA_DANGEROUS },
    { "MatchingFiles", "lists files", TOLA_DANGEROUS },
    { "PyFunc", "calls Python", TOLA_DANGEROUS },
    { "PyFuncStateless", "calls Python", TOLA_DANGEROUS },
    { "EagerPyFunc", "calls Python", TOLA_DANGEROUS },
    { "NumpyFunction", "calls Python", TOLA_DANGEROUS },
    { "Save", "writes files", TOLA_UNKNOWN },
    { "SaveSlices", "writes files", TOLA_UNKNOWN },
    { "WriteRawProtoSummary", "writes files", TOLA_UNKNOWN },
    { "CreateSummaryFileWriter", "writes files", TOLA_DANGEROUS },
    { "CreateSummaryDbWriter", "writes files", TOLA_DANGEROUS },
    { "PrintV2", "can write files", TOLA_UNKNOWN },
    { "DebugIdentity", "sends values to an address", TOLA_DANGEROUS },
    { "DebugIdentityV2", "sends values to an address", TOLA_DANGEROUS },
    { "DebugIdentityV3", "sends values to an address", TOLA_DANGEROUS },
    { "DebugNanCount", "sends values to an address", TOLA_DANGEROUS },
    { "DebugNumericSummary", "sends values to an address", TOLA_DANGEROUS },
    { "DebugNumericSummaryV2", "sends values to an address", TOLA_DANGEROUS },
    { "TextLineDataset", "reads files", TOLA_DANGEROUS },
    { "TFRecordDataset", "reads files", TOLA_DANGEROUS },
    { "TFRecordDatasetV2", "reads files", TOLA_DANGEROUS },
    { "FixedLengthRecordDataset", "reads files", TOLA_DANGEROUS },
    { "FixedLengthRecordDatasetV2", "reads files", TOLA_DANGEROUS },
    { "ExperimentalCSVDataset", "reads files", TOLA_DANGEROUS },
    { "CSVDataset", "reads files", TOLA_DANGEROUS },
    { "CSVDatasetV2", "reads files", TOLA_DANGEROUS },
    { "SqlDataset", "reads data bases", TOLA_DANGEROUS },
    { "ExperimentalSqlDataset", "reads data bases", TOLA_DANGEROUS },
    { "LMDBReader", "reads files", TOLA_DANGEROUS },
    { "LMDBDataset", "reads files", TOLA_DANGEROUS },
    { "SaveDataset", "writes files", TOLA_DANGEROUS },
    { "SaveDatasetV2", "writes files", TOLA_DANGEROUS },
    { "LoadDataset", "reads files", TOLA_DANGEROUS },
    { "SnapshotDataset", "writes files", TOLA_DANGEROUS },
    { "SnapshotDatasetV2", "writes files", TOLA_DANGEROUS },
    { "CacheDataset", "can write files", TOLA_UNKNOWN },
    { "CacheDatasetV2", "can write files", TOLA_UNKNOWN },
    { "DatasetToTFRecord", "writes files", TOLA_DANGEROUS },
    { "DistributedSave", "writes files", TOLA_DANGEROUS },
    { "SnapshotDatasetReader", "reads files", TOLA_DANGEROUS },
    { "SnapshotChunkDataset", "reads files", TOLA_DANGEROUS },
    { "ListSnapshotChunksDataset", "reads files", TOLA_DANGEROUS },
    { "ExperimentalLMDBDataset", "reads files", TOLA_DANGEROUS },
    { "InitializeTableFromTextFile", "reads files", TOLA_UNKNOWN },
    { "InitializeTableFromTextFileV2", "reads files", TOLA_UNKNOWN },
    { "TextLineReader", "reads files", TOLA_DANGEROUS },
    { "TextLineReaderV2", "reads files", TOLA_DANGEROUS },
    { "WholeFileReader", "reads files", TOLA_DANGEROUS },
    { "WholeFileReaderV2", "reads files", TOLA_DANGEROUS },
    { "FixedLengthRecordReader", "reads files", TOLA_DANGEROUS },
    { "FixedLengthRecordReaderV2", "reads files", TOLA_DANGEROUS },
    { "TFRecordReader", "reads files", TOLA_DANGEROUS },
    { "TFRecordReaderV2", "reads files", TOLA_DANGEROUS },
    { "ImmutableConst", "maps a region of memory or a file", TOLA_UNKNOWN },
    { "LoadAndRemapMatrix", "reads files", TOLA_UNKNOWN },
    { "GenerateVocabRemapping", "reads files", TOLA_UNKNOWN },
    { "DataServiceDataset", "reaches a server", TOLA_DANGEROUS },
    { "DataServiceDatasetV2", "reaches a server", TOLA_DANGEROUS },
    { "DataServiceDatasetV3", "reaches a server", TOLA_DANGEROUS },
    { "DataServiceDatasetV4", "reaches a server", TOLA_DANGEROUS },
    { "RegisterDataset", "reaches a server", TOLA_DANGEROUS },
    { "RegisterDatasetV2", "reaches a server", TOLA_DANGEROUS },
    { "RpcCall", "reaches a server", TOLA_DANGEROUS },
    { "RpcClient", "reaches a server", TOLA_DANGEROUS },
    { "RpcServer", "opens a server", TOLA_DANGEROUS },
    { "RpcServerStart", "opens a server", TOLA_DANGEROUS },
    { "DecodeProtoV2", "can read files", TOLA_UNKNOWN },
    { "EncodeProto", "can read files", TOLA_UNKNOWN },
    { "TRTEngineOp", "loads a compiled engine", TOLA_UNKNOWN },
    { "XlaCustomCall", "calls compiled code", TOLA_DANGEROUS },
    { "XlaCustomCallV2", "calls compiled code", TOLA_DANGEROUS },
    { "RemoteFusedGraphExecute", "loads compiled code", TOLA_DANGEROUS },
    { "BigQueryReader", "reaches a server", TOLA_DANGEROUS },
};

#define MAX_INPUTS 32u
#define MAX_NODES (1u << 22)
#define MAX_ATTRIBUTE (1u << 16) /* bytes; no path is longer */

typedef struct tf_node {
    const char *name, *op;
    const char **inputs; /* names without outputs; control inputs left out */
    uint32_t input_count;
    bool cut;         /* more inputs than are kept */
    const char *text; /* of a constant: one of its texts, the most telling one; NULL = no text */
    uint64_t at;
    bool seen;
} tf_node;

/* The nodes of one graph or one function: inputs are names in it. */
typedef struct tf_body {
    tf_node *nodes;
    size_t count, cap;
} tf_body;

static int compare_words(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_nodes(const void *a, const void *b) {
    return strcmp(((const tf_node *)a)->name, ((const tf_node *)b)->name);
}

static bool is_own_function(const graph_scan *g, const char *name) {
    return name && g->function_count && bsearch(&name, g->functions, g->function_count, sizeof name, compare_words);
}

static bool is_plain_operation(const graph_scan *g, const char *op) {
    size_t n = sizeof tensorflow_ops / sizeof *tensorflow_ops;
    if (bsearch(&op, tensorflow_ops, n, sizeof *tensorflow_ops, compare_words)) return true;
    return is_own_function(g, op);
}

static void check_operation(graph_scan *g, const tf_node *n) {
    char quoted[200], op[200];
    text_quote(quoted, sizeof quoted, n->name, strlen(n->name));
    text_quote(op, sizeof op, n->op, strlen(n->op));
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(n->op, operations[i].op) != 0) continue;
        scan_find(g->job, g->part, operations[i].verdict, "tensorflow", relative(g, n->at),
                  "operation %s %s (node '%s')", op, operations[i].does, quoted);
        return;
    }
    if (!is_plain_operation(g, n->op))
        scan_find(g->job, g->part, TOLA_UNKNOWN, "tensorflow", relative(g, n->at),
                  "operation %s is not known to be plain (node '%s')", op, quoted);
}

/* Texts of which savers make their paths, behind the name that they are given. */
static bool is_saver_text(const char *text) {
    static const char *const known[] = {
        "", ".part", "part", "_temp/part", "/part", "^s3://.*", "model", "checkpoint"
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0) return true;
    return strncmp(text, "_temp_", 6) == 0 && strspn(text + 6, "0123456789abcdef") == 32 &&
           strcmp(text + 38, "/part") == 0;
}

/* AttrValue: tensor 8 {string_val 8}. A text that no saver has counts more than one that it has. */
static const char *constant_text(graph_scan *g, const pb_message *attribute, const pb_field *f) {
    pb_message value, tensor;
    pb_field field, inner;
    const char *found = NULL;
    bool texts = false, packed = false; /* in whatever order */
    if (!pb_enter(attribute, f, &value)) return NULL;
    while (pb_next(&value, &field)) {
        if (field.number != 8 || field.wire != PB_BYTES || !pb_enter(&value, &field, &tensor)) continue;
        while (pb_next(&tensor, &inner)) {
            texts |= inner.number == 1 && inner.value == 7; /* DT_STRING */
            packed |= inner.number == 4 && inner.bytes;
            if (inner.number != 8 || inner.wire != PB_BYTES) continue;
            const char *text = text_of(g, &tensor, &inner);
            if (!found || !text || !is_saver_text(text)) found = text ? text : "(a long text)";
        }
    }
    return texts && packed ? "(texts in one piece)" : found;
}

/* NodeDef: name 1, op 2, input 3, attr 5 {key 1, value 2}. */
static void scan_node(graph_scan *g, tf_body *body, const pb_message *parent, const pb_field *f) {
    pb_message node, entry;
    pb_field field, inner;
    tf_node n = { .at = f->at };
    const char *inputs[MAX_INPUTS];
    if (!pb_enter(parent, f, &node)) return;
    while (pb_next(&node, &field)) {
        if (field.number > 7 || field.wire != PB_BYTES) {
            g->refused = true;
            return;
        }
        if (field.number == 1) n.name = text_of(g, &node, &field);
        if (field.number == 2) n.op = text_of(g, &node, &field);
        if (field.number == 3) {
            char *input = (char *)text_of(g, &node, &field);
            if (input && input[0] == '^') continue;
            if (input) input[strcspn(input, ":")] = 0;
            if (input && n.input_count < MAX_INPUTS)
                inputs[n.input_count++] = input;
            else
                n.cut = true;
        }
        if (field.number == 5 && field.bytes >= MAX_ATTRIBUTE)
            n.text = "(a large constant)";
        else if (field.number == 5 && pb_enter(&node, &field, &entry)) {
            const char *key = NULL;
            pb_field value;
            unsigned values = 0;
            while (pb_next(&entry, &inner)) { /* the key may come behind its value */
                if (inner.number == 1) key = text_of(g, &entry, &inner);
                if (inner.number == 2 && values++ == 0) value = inner;
            }
            if (values && key && strcmp(key, "value") == 0)
                n.text = values == 1 ? constant_text(g, &entry, &value) : "(a value in several pieces)";
        }
    }
    if (!reader_ok(&g->r) || !n.op) {
        g->refused = true;
        return;
    }
    if (!n.name) n.name = "";
    g->nodes++;
    check_operation(g, &n);
    if (n.input_count) {
        n.inputs = arena_alloc_array(&g->a, n.input_count, sizeof *n.inputs);
        if (n.inputs) memcpy(n.inputs, inputs, n.input_count * sizeof *inputs);
    }
    if (body->count >= MAX_NODES || (n.input_count && !n.inputs) ||
        !mem_grow(&body->nodes, &body->cap, body->count + 1, sizeof *body->nodes)) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(g->job, err_nomem(&err, "reading a graph"), &err);
        return;
    }
    body->nodes[body->count++] = n;
}

static tf_node *find_node(const tf_body *body, const char *name) {
    tf_node key = { .name = name };
    return body->count ? bsearch(&key, body->nodes, body->count, sizeof key, compare_nodes) : NULL;
}

/* What savers make their paths with. */
static bool makes_paths(const char *op) {
    static const char *const known[] = { "Const",
                                         "Placeholder",
                                         "PlaceholderWithDefault",
                                         "_Arg",
                                         "Identity",
                                         "Pack",
                                         "StringJoin",
                                         "Select",
                                         "SelectV2",
                                         "NoOp",
                                         "StaticRegexFullMatch",
                                         "ShardedFilename" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(op, known[i]) == 0) return true;
    return false;
}

/* Savers write where they are told when they are called. A path that is written in the graph is the graph's own. */
static void check_path(graph_scan *g, tf_body *body, tf_node *saver) {
    tf_node **waiting = mem_alloc((body->count + 1) * sizeof *waiting);
    size_t count = 0, paths = strcmp(saver->op, "MergeV2Checkpoints") == 0 ? 2 : 1;
    bool given = false;
    const char *fixed = NULL;
    if (!waiting) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(g->job, err_nomem(&err, "reading a graph"), &err);
        return;
    }
    for (size_t i = 0; i < body->count; i++) body->nodes[i].seen = false;
    if (saver->cut || saver->input_count < paths) fixed = "(a path that cannot be followed)";
    saver->seen = true;
    for (uint32_t i = 0; i < paths && i < saver->input_count; i++) {
        tf_node *n = find_node(body, saver->inputs[i]);
        if (!n) given = true; /* an argument of the function */
        if (n && !n->seen) waiting[count++] = n, n->seen = true;
    }
    while (count) {
        tf_node *n = waiting[--count];
        given |= strcmp(n->op, "Placeholder") == 0 || strcmp(n->op, "PlaceholderWithDefault") == 0 ||
                 strcmp(n->op, "_Arg") == 0;
        if (n->text && !is_saver_text(n->text)) fixed = n->text;
        if (n->cut || !makes_paths(n->op)) fixed = "(a path that cannot be followed)";
        for (uint32_t i = 0; i < n->input_count; i++) {
            tf_node *from = find_node(body, n->inputs[i]);
            if (!from) given = true;
            if (from && !from->seen) waiting[count++] = from, from->seen = true;
        }
    }
    mem_free(waiting);
    char quoted[200];
    if (fixed || !given)
        scan_find(g->job, g->part, TOLA_DANGEROUS, "tensorflow", relative(g, saver->at),
                  "operation %s has a path of the graph's own: '%s'", saver->op,
                  text_quote(quoted, sizeof quoted, fixed ? fixed : "", fixed ? strlen(fixed) : 0));
}

static void finish_body(graph_scan *g, tf_body *body) {
    static const char *const savers[] = { "SaveV2", "RestoreV2", "MergeV2Checkpoints" };
    size_t checked = 0;
    if (body->count) qsort(body->nodes, body->count, sizeof *body->nodes, compare_nodes);
    for (size_t i = 0; i < body->count && !g->refused; i++)
        for (size_t k = 0; k < sizeof savers / sizeof *savers; k++) {
            if (strcmp(body->nodes[i].op, savers[k]) != 0) continue;
            if (++checked <= 256)
                check_path(g, body, &body->nodes[i]);
            else
                scan_find(g->job, g->part, TOLA_UNKNOWN, "limit", TOLA_NO_OFFSET, "more than 256 savers in one graph");
        }
    mem_free(body->nodes);
}

/* FunctionDefLibrary: function 1 {signature 1 {name 1}, node_def 3}. */
static void scan_library(graph_scan *g, const pb_message *parent, const pb_field *f, bool names_only) {
    pb_message library, function, signature;
    pb_field field, inner, name;
    if (!pb_enter(parent, f, &library)) return;
    while (pb_next(&library, &field)) {
        if (field.number != 1 || field.wire != PB_BYTES || !pb_enter(&library, &field, &function)) continue;
        tf_body body = { 0 };
        while (pb_next(&function, &inner)) {
            if (inner.number == 3 && inner.wire == PB_BYTES && !names_only) scan_node(g, &body, &function, &inner);
            if (inner.number != 1 || !names_only || !pb_enter(&function, &inner, &signature)) continue;
            while (pb_next(&signature, &name)) {
                const char *text = name.number == 1 ? text_of(g, &signature, &name) : NULL;
                if (text && mem_grow(&g->functions, &g->function_cap, g->function_count + 1, sizeof text))
                    g->functions[g->function_count++] = text;
            }
        }
        finish_body(g, &body);
    }
}

/* GraphDef: node 1, library 2, version 3, versions 4. Functions are known by their names before nodes call them. */
static void scan_graph_def(graph_scan *g, pb_message *graph) {
    pb_message again = *graph;
    pb_field f;
    tf_body body = { 0 };
    while (!g->refused && pb_next(&again, &f))
        if (f.number == 2 && f.wire == PB_BYTES) scan_library(g, &again, &f, true);
    if (g->function_count) qsort(g->functions, g->function_count, sizeof *g->functions, compare_words);
    while (!g->refused && pb_next(graph, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            scan_node(g, &body, graph, &f);
        else if (f.number == 2 && f.wire == PB_BYTES)
            scan_library(g, graph, &f, false);
        else if (!(f.number == 3 && f.wire == PB_VARINT) && !((f.number == 4 || f.number == 5) && f.wire == PB_BYTES))
            g->refused = true;
    }
    finish_body(g, &body);
}

/* MetaGraphDef: meta_info_def 1, graph_def 2, saver_def 3, collection_def 4, signature_def 5, asset_file_def 6,
 * object_graph_def 7. */
static void scan_meta_graph(graph_scan *g, pb_message *meta) {
    pb_field f;
    pb_message graph;
    unsigned graphs = 0;
    while (!g->refused && pb_next(meta, &f)) {
        if (f.number > 7 || f.wire != PB_BYTES)
            g->refused = true;
        else if (f.number == 2 && pb_enter(meta, &f, &graph)) {
            if (graphs++ == 1) /* readers put them together; nodes of one may be the inputs of another's */
                scan_find(g->job, g->part, TOLA_UNKNOWN, "tensorflow", relative(g, f.at), "a graph in several pieces");
            scan_graph_def(g, &graph);
            g->seen = true;
        }
    }
}

/* SavedModel: version 1, meta_graphs 2. */
static void scan_saved_model(graph_scan *g, pb_message *top) {
    pb_field f;
    pb_message meta;
    while (!g->refused && pb_next(top, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) continue;
        if (f.number != 2 || f.wire != PB_BYTES)
            g->refused = true;
        else if (pb_enter(top, &f, &meta))
            scan_meta_graph(g, &meta);
    }
}

static void scan_graph_file(graph_scan *g, pb_message *top) {
    scan_graph_def(g, top);
    g->seen = g->nodes > 0;
}

/* ---- Keras' metadata: SavedMetadata {nodes 1 {node_id 2, node_path 3, identifier 4, metadata 5: JSON}} ---- */

static void scan_metadata_json(graph_scan *g, const pb_message *m, const pb_field *f) {
    tola_error err = TOLA_ERROR_INIT;
    tola_value v;
    arena a;
    if (f->bytes > MAX_JSON_TEXT) {
        scan_find(g->job, g->part, TOLA_UNKNOWN, "keras", relative(g, f->at), "a configuration that is too large");
        return;
    }
    arena_init(&a, (size_t)3 << 30);
    const char *text = pb_text(m, f, MAX_JSON_TEXT, &a);
    tola_status status = text ? json_parse(text, (size_t)f->bytes, &a, &v, &err) : TOLA_E_FORMAT;
    if (status == TOLA_OK)
        scan_json_tree(g->job, g->part, &v);
    else if (text && f->bytes)
        scan_find(g->job, g->part, TOLA_UNKNOWN, "keras", relative(g, f->at), "a configuration that is no JSON");
    arena_free(&a);
}

static void scan_keras_metadata(graph_scan *g, pb_message *top) {
    pb_field f, inner;
    pb_message node;
    while (!g->refused && pb_next(top, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES || !pb_enter(top, &f, &node)) {
            g->refused = true;
            break;
        }
        const char *kind = NULL;
        while (!g->refused && pb_next(&node, &inner)) {
            bool text = inner.number >= 3 && inner.number <= 5 && inner.wire == PB_BYTES;
            if (!text && !(inner.number <= 2) && !(inner.number == 1 && inner.wire == PB_BYTES)) g->refused = true;
            if (inner.number == 4) kind = text_of(g, &node, &inner);
            if (inner.number == 5 && inner.wire == PB_BYTES && !g->refused) scan_metadata_json(g, &node, &inner);
        }
        if (!kind || strncmp(kind, "_tf_keras_", 10) != 0) g->refused = true;
        g->seen = true;
    }
}

/* ---- ONNX ---- */

static void scan_onnx_graph(graph_scan *g, const pb_message *parent, const pb_field *f);

static bool leaves_folder(const char *path) {
    return path[0] == '/' || path[0] == '\\' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 ||
           strstr(path, "/../") || strstr(path, "..\\") || text_ends_with(path, "/..") || (path[0] && path[1] == ':') ||
           strstr(path, "://");
}

/* TensorProto: external_data 13 {key 1, value 2}. */
static void scan_onnx_tensor(graph_scan *g, const pb_message *parent, const pb_field *f) {
    pb_message tensor, entry;
    pb_field field, inner;
    if (!pb_enter(parent, f, &tensor)) return;
    while (pb_next(&tensor, &field)) {
        if (field.number != 13 || field.wire != PB_BYTES || !pb_enter(&tensor, &field, &entry)) continue;
        const char *key = NULL, *value = NULL;
        bool whole = true;
        while (pb_next(&entry, &inner)) {
            if (inner.number == 1) key = text_of(g, &entry, &inner);
            if (inner.number == 2) value = text_of(g, &entry, &inner);
            if (inner.number == 2 && value) whole = strlen(value) == inner.bytes;
        }
        if (!key || strcmp(key, "location") != 0) continue;
        char quoted[200];
        if (!value || !whole)
            scan_find(g->job, g->part, TOLA_UNKNOWN, "onnx", relative(g, field.at),
                      "a file of tensors without a name that can be read");
        else if (leaves_folder(value) || strlen(value) != strcspn(value, "\n\r"))
            scan_find(g->job, g->part, TOLA_DANGEROUS, "onnx", relative(g, field.at),
                      "tensors in a file outside of the model's folder: '%s'",
                      text_quote(quoted, sizeof quoted, value, strlen(value)));
    }
}

/* AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22. */
static void scan_onnx_attribute(graph_scan *g, const pb_message *parent, const pb_field *f) {
    pb_message attribute;
    pb_field field;
    if (!pb_enter(parent, f, &attribute)) return;
    while (pb_next(&attribute, &field)) {
        if (field.wire != PB_BYTES) continue;
        if (field.number == 5 || field.number == 10) scan_onnx_tensor(g, &attribute, &field);
        if (field.number == 6 || field.number == 11) scan_onnx_graph(g, &attribute, &field);
    }
}

/* One word for a function of ONNX; NULL without memory. */
static const char *function_name(graph_scan *g, const char *name, const char *domain) {
    size_t n = strlen(name) + strlen(domain) + 2;
    char *word = arena_alloc(&g->a, n);
    if (word) snprintf(word, n, "%s\t%s", name, domain);
    return word;
}

/* NodeProto: name 3, op_type 4, attribute 5, domain 7. */
static void scan_onnx_node(graph_scan *g, const pb_message *parent, const pb_field *f) {
    static const char *const known[] = { "",
                                         "ai.onnx",
                                         "ai.onnx.ml",
                                         "ai.onnx.training",
                                         "ai.onnx.preview.training",
                                         "com.microsoft",
                                         "com.microsoft.nchwc",
                                         "com.microsoft.experimental",
                                         "com.ms.internal.nhwc",
                                         "org.pytorch.aten" };
    pb_message node;
    pb_field field;
    const char *op = "", *domain = "";
    if (!pb_enter(parent, f, &node)) return;
    while (pb_next(&node, &field)) {
        if (field.number == 4 && field.wire == PB_BYTES) op = text_of(g, &node, &field);
        if (field.number == 7 && field.wire == PB_BYTES) domain = text_of(g, &node, &field);
        if (field.number == 5 && field.wire == PB_BYTES) scan_onnx_attribute(g, &node, &field);
    }
    if (!reader_ok(&g->r)) return;
    /* these call Python; this one loads a program for an accelerator, out of a file that it names */
    static const char *const odd[] = { "PythonOp", "PyOp", "EPContext" };
    bool plain = false, is_odd = false;
    for (size_t i = 0; domain && i < sizeof known / sizeof *known && !plain; i++) plain = strcmp(domain, known[i]) == 0;
    for (size_t i = 0; op && i < sizeof odd / sizeof *odd; i++) is_odd |= strcmp(op, odd[i]) == 0;
    plain = plain && !is_odd; /* nor does a function of the model's of that name make it plain */
    if (!plain && !is_odd && op && domain) plain = is_own_function(g, function_name(g, op, domain));
    if (plain && op) return;
    char name[120], from[120];
    scan_find(g->job, g->part, TOLA_UNKNOWN, "onnx", relative(g, f->at),
              "operator '%s' of '%s', which a library has to bring",
              text_quote(name, sizeof name, op ? op : "?", op ? strlen(op) : 1),
              text_quote(from, sizeof from, domain ? domain : "?", domain ? strlen(domain) : 1));
}

/* GraphProto: node 1, initializer 5, sparse_initializer 15 {values 1, indices 2}. */
static void scan_onnx_graph(graph_scan *g, const pb_message *parent, const pb_field *f) {
    pb_message graph, sparse;
    pb_field field, inner;
    if (!pb_enter(parent, f, &graph)) return;
    while (pb_next(&graph, &field)) {
        if (field.wire != PB_BYTES) continue;
        if (field.number == 1) scan_onnx_node(g, &graph, &field);
        if (field.number == 5) scan_onnx_tensor(g, &graph, &field);
        if (field.number == 15 && pb_enter(&graph, &field, &sparse))
            while (pb_next(&sparse, &inner))
                if ((inner.number == 1 || inner.number == 2) && inner.wire == PB_BYTES)
                    scan_onnx_tensor(g, &sparse, &inner);
    }
}

/* FunctionProto: name 1, node 7, domain 10. The model brings it itself, no library; others of its domain it does not.
 */
static void note_function(graph_scan *g, const pb_message *parent, const pb_field *f) {
    pb_message function;
    pb_field field;
    const char *name = NULL, *domain = "";
    if (!pb_enter(parent, f, &function)) return;
    while (pb_next(&function, &field)) {
        if (field.number == 1) name = text_of(g, &function, &field);
        if (field.number == 10) domain = text_of(g, &function, &field);
    }
    const char *word = name && domain ? function_name(g, name, domain) : NULL;
    if (word && mem_grow(&g->functions, &g->function_cap, g->function_count + 1, sizeof word))
        g->functions[g->function_count++] = word;
}

/* ModelProto: graph 7, functions 25. */
static void scan_onnx(graph_scan *g, pb_message *top) {
    pb_message again = *top, function;
    pb_field f, inner;
    while (pb_next(&again, &f))
        if (f.number == 25 && f.wire == PB_BYTES) note_function(g, &again, &f);
    if (g->function_count) qsort(g->functions, g->function_count, sizeof *g->functions, compare_words);
    while (pb_next(top, &f)) {
        if (f.number == 7 && f.wire == PB_BYTES) {
            scan_onnx_graph(g, top, &f);
            g->seen = true;
        } else if (f.number == 25 && f.wire == PB_BYTES && pb_enter(top, &f, &function)) {
            while (pb_next(&function, &inner))
                if (inner.number == 7 && inner.wire == PB_BYTES) scan_onnx_node(g, &function, &inner);
        }
    }
}

/* ---- SentencePiece: pieces 1 {piece 1, score 2, type 3}, specifications 2 to 5 ---- */

static void scan_sentencepiece(graph_scan *g, pb_message *top) {
    pb_field f, inner;
    pb_message piece;
    uint64_t pieces = 0;
    while (!g->refused && pb_next(top, &f)) {
        if (f.wire != PB_BYTES || f.number > 5) g->refused = true;
        if (f.number != 1 || g->refused || !pb_enter(top, &f, &piece)) continue;
        bool text = false;
        while (pb_next(&piece, &inner)) {
            text |= inner.number == 1 && inner.wire == PB_BYTES;
            if (inner.number > 3) g->refused = true;
        }
        if (!text) g->refused = true;
        pieces++;
    }
    g->seen = pieces >= 3;
}

/* ---- which ---- */

typedef struct graph_kind {
    const char *format;
    void (*walk)(graph_scan *g, pb_message *top);
} graph_kind;

/* Walks the part as one kind; false, with its findings taken back, where it is another one. */
static bool try_kind(scan_job *job, const scan_part *part, const graph_kind *kind) {
    graph_scan g = { .job = job, .part = part };
    pb_message top;
    size_t findings = job->finding_count;
    uint64_t lost = job->findings_lost;
    tola_verdict verdict = job->verdict;
    arena_init(&g.a, (size_t)1 << 30);
    reader_init(&g.r, part->src, part->start, part->end);
    pb_open(&top, &g.r, part->start, part->end);
    kind->walk(&g, &top);
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = reader_check(&g.r, &err);
    bool fits = status == TOLA_OK && !g.refused && g.seen;
    if (status == TOLA_E_NOMEM || status == TOLA_E_IO) scan_stop(job, status, &err);
    reader_free(&g.r);
    mem_free(g.functions);
    arena_free(&g.a);
    if (fits) {
        if (!part->member[0]) job->format = kind->format;
        return true;
    }
    job->finding_count = findings;
    job->findings_lost = lost;
    job->verdict = verdict;
    return false;
}

bool scan_graph(scan_job *job, const scan_part *part) {
    static const graph_kind onnx = { "onnx", scan_onnx };
    static const graph_kind kinds[] = {
        { "tensorflow", scan_saved_model },      { "tensorflow", scan_meta_graph },
        { "tensorflow", scan_graph_file },       { "keras metadata", scan_keras_metadata },
        { "sentencepiece", scan_sentencepiece },
    };
    uint8_t head[4096];
    size_t n = part_bytes(part) < sizeof head ? (size_t)part_bytes(part) : sizeof head;
    if (!part_read(job, part, 0, head, n)) return false;
    if (format_onnx.probe(head, n, part->name, part_bytes(part)) > 0 && try_kind(job, part, &onnx)) return true;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && scan_running(job); i++)
        if (try_kind(job, part, &kinds[i])) return true;
    if (scan_has_extension(part->name, ".pb .pbtxt .meta .onnx") && scan_running(job)) {
        scan_find(job, part, TOLA_UNKNOWN, "graph", 0, "a graph that cannot be read");
        return true;
    }
    return false;
}
