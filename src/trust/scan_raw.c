/* Layouts of plain numbers that say what they are by their header and their size: followed to the last byte, or not
 * recognised. None has room for anything but numbers and texts. */
#include <string.h>

#include "base/bytes.h"
#include "trust/scan.h"

/* llama2.c's checkpoints (https://github.com/karpathy/llama2.c, run.c): seven numbers and f32 tensors. */
static bool is_llama2c(scan_job *job, const scan_part *part) {
    uint8_t h[28];
    int64_t c[7];
    if (part_bytes(part) < sizeof h || !part_read(job, part, 0, h, sizeof h)) return false;
    for (int i = 0; i < 7; i++) {
        c[i] = (int32_t)load_le32(h + 4 * i);
        if (c[i] == 0 || c[i] > 1 << 20 || (c[i] < 0 && i != 5)) return false;
    }
    int64_t dim = c[0], hidden = c[1], layers = c[2], heads = c[3], kv = c[4], context = c[6];
    bool own_output = c[5] < 0;
    int64_t vocabulary = own_output ? -c[5] : c[5];
    if (dim > 1 << 16 || hidden > 1 << 18 || layers > 1 << 10 || heads > dim || dim % heads || kv > heads) return false;
    int64_t kv_dim = dim / heads * kv;
    uint64_t floats = (uint64_t)(vocabulary * dim * (own_output ? 2 : 1) + layers * dim * 2 + layers * dim * dim * 2 +
                                 layers * dim * kv_dim * 2 + layers * dim * hidden * 3 + dim + context * (dim / heads));
    return part_bytes(part) == 28 + 4 * floats;
}

/* Its tokenizers: the longest length, then for each token a score, a length and the text. */
static bool is_llama2c_tokenizer(scan_job *job, const scan_part *part) {
    uint8_t h[8];
    uint64_t total = part_bytes(part), at = 4;
    if (total < 16 || total > (1u << 26) || !part_read(job, part, 0, h, 4)) return false;
    uint32_t most = load_le32(h);
    if (most == 0 || most > 65536) return false;
    while (at < total) {
        if (total - at < 8 || !part_read(job, part, at, h, 8)) return false;
        uint32_t n = load_le32(h + 4);
        if (n > most || n > total - at - 8) return false;
        at += 8 + n;
    }
    return true;
}

/* MNIST's idx: two zeros, a type, the number of dimensions, the dimensions (big-endian). */
static bool is_idx(scan_job *job, const scan_part *part) {
    static const uint8_t bytes_of[16] = { [8] = 1, [9] = 1, [11] = 2, [12] = 4, [13] = 4, [14] = 8 };
    uint8_t h[4 + 4 * 8];
    if (part_bytes(part) < 8 || !part_read(job, part, 0, h, 4)) return false;
    if (h[0] || h[1] || h[2] > 15 || !bytes_of[h[2]] || h[3] == 0 || h[3] > 8) return false;
    uint64_t bytes = bytes_of[h[2]];
    if (part_bytes(part) < 4 + 4u * h[3] || !part_read(job, part, 4, h + 4, 4u * h[3])) return false;
    for (unsigned i = 0; i < h[3]; i++) {
        const uint8_t *p = h + 4 + 4 * i;
        uint64_t n = (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
        if (!mul_u64(bytes, n, &bytes)) return false;
    }
    return bytes == part_bytes(part) - 4 - 4u * h[3];
}

/* The index of a TensorFlow checkpoint: an SSTable. */
static bool is_tensorflow_index(scan_job *job, const scan_part *part) {
    uint8_t tail[8];
    uint64_t n = part_bytes(part);
    return n >= 48 && part_read(job, part, n - 8, tail, 8) && memcmp(tail, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8) == 0;
}

/* Its shards are nothing but numbers, and only their name says so. */
static bool is_tensorflow_shard(const scan_part *part) {
    const char *p = strstr(part->name, ".data-");
    return p && strlen(p) == 20 && strspn(p + 6, "0123456789") == 5 && strncmp(p + 11, "-of-", 4) == 0 &&
           strspn(p + 15, "0123456789") == 5;
}

/* The same for tensors that lie beside an ONNX model. */
static bool is_onnx_data(const scan_part *part) {
    const char *p = strstr(part->name, ".onnx");
    return p && (strcmp(p, ".onnx_data") == 0 || strcmp(p, ".onnx.data") == 0 ||
                 (strncmp(p, ".onnx_data_", 11) == 0 && p[11] && strspn(p + 11, "0123456789") == strlen(p + 11)));
}

const char *scan_raw_layout(scan_job *job, const scan_part *part) {
    if (is_llama2c(job, part)) return "llama2.c";
    if (is_llama2c_tokenizer(job, part)) return "llama2.c tokenizer";
    if (is_idx(job, part)) return "idx";
    if (is_tensorflow_index(job, part)) return "tensorflow index";
    if (is_tensorflow_shard(part)) return "tensorflow shard";
    if (is_onnx_data(part)) return "onnx data";
    return NULL;
}

/* What is known and not followed: the reason names it. Sources: the formats' own documentation. */
const char *scan_known_format(scan_job *job, const scan_part *part) {
    static const struct {
        uint8_t at, n;
        const char *magic, *what;
    } magics[] = {
        { 4, 4, "TFL3", "a TensorFlow Lite model, whose operators are not followed here" },
        { 0, 4, "\xac\xed\0\5", "a serialized Java object, which may run code where it is read" },
        { 0, 6, "X\n\0\0\0\2", "an object of R, which may hold code (CVE-2024-27322)" },
        { 0, 6, "X\n\0\0\0\3", "an object of R, which may hold code (CVE-2024-27322)" },
        { 0, 5, "RDX2\n", "objects of R, which may hold code (CVE-2024-27322)" },
        { 0, 5, "RDX3\n", "objects of R, which may hold code (CVE-2024-27322)" },
        { 0, 4, "CBM1", "a CatBoost model, which is not followed here" },
        { 0, 4, "ftrt", "a TensorRT engine, which is compiled code" },
        { 0, 4, "ptrt", "a TensorRT engine, which is compiled code" },
        { 0, 16, "SQLite format 3", "a SQLite data base, which is not followed here" },
        { 0, 4, "PAR1", "a Parquet table, which is not followed here" },
        { 0, 6, "ARROW1", "an Arrow table, which is not followed here" },
        { 0, 4, "lmgg", "a GGML file of before GGUF, which is not followed here" },
        { 0, 4, "tjgg", "a GGML file of before GGUF, which is not followed here" },
        { 0, 4, "fmgg", "a GGML file of before GGUF, which is not followed here" },
        { 4, 4, "ET12", "an ExecuTorch program, which is not followed here" },
    };
    static const struct {
        const char *extension, *what;
    } names[] = {
        { ".mlmodel", "a Core ML model, whose layers are not followed here" },
        { ".pdiparams .pdmodel", "PaddlePaddle's own format, which is not followed here" },
        { ".caffemodel", "a Caffe model, whose layers may be Python's" },
        { ".ubj", "UBJSON, which is not followed here" },
        { ".params .mar .dnn .t7 .mnn .ncnn .rknn .engine .plan", "a format of weights that is not followed here" },
        { ".msgpack", "damaged MessagePack, or none" },
    };
    uint8_t h[16] = { 0 };
    size_t n = part_bytes(part) < sizeof h ? (size_t)part_bytes(part) : sizeof h;
    if (!part_read(job, part, 0, h, n)) return NULL;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if ((size_t)magics[i].at + magics[i].n <= n && memcmp(h + magics[i].at, magics[i].magic, magics[i].n) == 0)
            return magics[i].what;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (scan_has_extension(part->name, names[i].extension)) return names[i].what;
    return NULL;
}
