/* What a run of bytes is, by its content, and who looks into it.
 *
 * Names decide only where content cannot: whether text is a program, and whether something that is none of what is
 * known here claims to be a pickle. */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "formats/open.h"
#include "trust/crypt_header.h"
#include "trust/scan.h"

#define HEAD 4096
#define WEIGHTS_BY_NAME ".pkl .pickle .joblib .dill .pt .pth .ckpt .safetensors .gguf .keras .h5 .hdf5 .npy .npz"

typedef struct head {
    uint8_t bytes[HEAD + 1];
    size_t n;
    uint64_t total;
} head;

static bool begins(const head *h, const char *magic, size_t n) { return h->n >= n && memcmp(h->bytes, magic, n) == 0; }

bool scan_has_extension(const char *name, const char *extensions) {
    char word[32];
    const char *p = extensions;
    while (*p) {
        size_t n = strcspn(p, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        size_t length = strlen(name);
        if (length >= n && strcasecmp(name + length - n, word) == 0) return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static void set_format(scan_job *job, const scan_part *part, const char *name) {
    if (!part->member[0]) job->format = name;
}

/* ---- archives ---- */

static bool is_tar(const head *h) {
    if (h->n < 512) return false;
    if (memcmp(h->bytes + 257, "ustar", 5) == 0) return true;
    unsigned sum = 0, said = 0;
    for (size_t i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : h->bytes[i];
    for (size_t i = 148; i < 156; i++) {
        if (h->bytes[i] == 0 || h->bytes[i] == ' ') continue;
        if (h->bytes[i] < '0' || h->bytes[i] > '7') return false;
        said = said * 8 + (h->bytes[i] - '0');
    }
    return h->bytes[0] && said == sum;
}

static bool is_zlib(const head *h) {
    return h->n >= 2 && (h->bytes[0] & 0x8f) == 0x08 && (h->bytes[0] * 256 + h->bytes[1]) % 31 == 0 &&
           (h->bytes[1] & 0x20) == 0;
}

static bool scan_archive(scan_job *job, const scan_part *part, const head *h) {
    static const struct {
        const char *magic;
        size_t n;
        const char *format;
    } packed[] = {
        { "\xfd"
          "7zXZ\0",
          6, "xz" },
        { "\x04\x22\x4d\x18", 4, "lz4" },
        { "\x28\xb5\x2f\xfd", 4, "zstd" },
        { "7z\xbc\xaf\x27\x1c", 6, "7z" },
        { "Rar!\x1a\x07", 6, "rar" },
        { "\x5d\0\0", 3, "lzma" },
        { "LZIP", 4, "lzip" },
    };
    uint64_t end;
    if (begins(h, "PK\3\4", 4) || begins(h, "PK\5\6", 4) || scan_ends_as_zip(job, part, &end)) {
        if (h->bytes[0] != 'P' || h->bytes[1] != 'K')
            scan_find(job, part, TOLA_UNKNOWN, "polyglot", 0, "a zip archive behind something else");
        scan_zip(job, part);
        return true;
    }
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        if (!begins(h, packed[i].magic, packed[i].n) || (part->weights && packed[i].n < 6)) continue;
        set_format(job, part, packed[i].format);
        scan_packed(job, part, packed[i].format);
        return true;
    }
    if (part->weights) return false;
    if (begins(h, "\x1f\x8b\x08", 3)) {
        set_format(job, part, "gzip");
        scan_packed(job, part, "gzip");
        return true;
    }
    if (begins(h, "BZh", 3) && h->n >= 10 && h->bytes[3] >= '1' && h->bytes[3] <= '9' &&
        (memcmp(h->bytes + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
         memcmp(h->bytes + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0)) {
        set_format(job, part, "bzip2");
        scan_packed(job, part, "bzip2");
        return true;
    }
    if (is_tar(h)) {
        set_format(job, part, "tar");
        scan_tar(job, part);
        return true;
    }
    return false;
}

/* ---- weights ---- */

static bool is_safetensors(const head *h) {
    if (h->n < 9) return false;
    uint64_t n = load_le64(h->bytes);
    return n >= 2 && n <= CK_MAX_HEADER && n <= h->total - 8 && h->bytes[8] == '{';
}

static bool scan_weights(scan_job *job, const scan_part *part, const head *h) {
    if (begins(h, "GGUF", 4) || begins(h, "FUGG", 4)) {
        set_format(job, part, "gguf");
        scan_gguf(job, part);
        return true;
    }
    if (begins(h, "\x93NUMPY", 6)) {
        set_format(job, part, "npy");
        scan_npy(job, part);
        return true;
    }
    if (is_safetensors(h)) {
        set_format(job, part, "safetensors");
        scan_safetensors(job, part);
        return true;
    }
    return false;
}

/* HDF5 may stand behind a block of anything, of 512 bytes or twice, four times, ... as many. */
static bool scan_hdf5_anywhere(scan_job *job, const scan_part *part, const head *h) {
    static const char magic[8] = "\x89HDF\r\n\x1a\n";
    uint8_t first[8];
    for (uint64_t at = 0; at <= h->total && h->total - at >= 8; at = at ? at * 2 : 512) {
        const uint8_t *p = h->n >= at + 8 ? h->bytes + at : first;
        if (p == first && !part_read(job, part, at, first, sizeof first)) return false;
        if (memcmp(p, magic, 8) != 0) continue;
        if (at > 2048) scan_find(job, part, TOLA_UNKNOWN, "polyglot", at, "an HDF5 file behind something else");
        if (at <= 2048) set_format(job, part, "hdf5");
        scan_part file = *part;
        if (at > 2048) file.start += at; /* its readers count from there */
        scan_hdf5(job, &file);
        return at <= 2048;
    }
    return false;
}

/* ---- programs, pictures, text ---- */

static bool scan_program(scan_job *job, const scan_part *part, const head *h) {
    const char *what = NULL;
    if (begins(h,
               "\x7f"
               "ELF",
               4))
        what = "an ELF program or shared object";
    if (begins(h, "MZ", 2) && h->n > 64) what = "a Windows program or library";
    static const char *const macho[] = { "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe",
                                         "\xca\xfe\xba\xbe" };
    for (size_t i = 0; i < sizeof macho / sizeof *macho; i++)
        if (begins(h, macho[i], 4)) what = "a program (Mach-O or Java)";
    if (begins(h, "\0asm", 4)) what = "a WebAssembly module";
    if (begins(h, "dex\n", 4)) what = "an Android program";
    if (h->n >= 16 && h->bytes[2] == '\r' && h->bytes[3] == '\n' && h->bytes[1] == 0x0d) what = "compiled Python";
    if (!what) return false;
    set_format(job, part, "program");
    scan_find(job, part, TOLA_UNKNOWN, "program", 0, "%s beside weights", what);
    return true;
}

static bool is_picture(const head *h) {
    return begins(h, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) || begins(h, "\xff\xd8\xff", 3) || begins(h, "GIF87a", 6) ||
           begins(h, "GIF89a", 6) || (begins(h, "RIFF", 4) && h->n >= 12 && memcmp(h->bytes + 8, "WEBP", 4) == 0);
}

/* Is all of it UTF-8 without control characters? Read in blocks. */
static bool is_text(scan_job *job, const scan_part *part) {
    enum { BLOCK = 1 << 16 };
    uint8_t *block = mem_alloc(BLOCK + 4);
    bool text = block != NULL;
    size_t kept = 0;
    for (uint64_t at = 0; text && at < part_bytes(part);) {
        uint64_t left = part_bytes(part) - at;
        size_t n = left < BLOCK - kept ? (size_t)left : BLOCK - kept;
        if (!part_read(job, part, at, block + kept, n)) {
            text = false;
            break;
        }
        at += n;
        n += kept;
        for (size_t i = kept; i < n && text; i++)
            text = block[i] >= 32 || (block[i] >= 8 && block[i] <= 13) || block[i] == 26 ||
                   block[i] == 27; /* with DOS' end of file and colours of terminals */
        size_t whole = n;
        if (at < part_bytes(part)) /* a character may be cut */
            for (size_t back = 1; back <= 3 && back <= n; back++)
                if ((block[n - back] & 0xc0) == 0xc0) {
                    whole = n - back;
                    break;
                }
        text = text && utf8_valid((const char *)block, whole);
        kept = n - whole;
        memmove(block, block + whole, kept);
    }
    mem_free(block);
    return text;
}

/* As a document of JSON begins: text that merely has a bracket in front does not. */
static bool looks_like_json(const head *h) {
    size_t i = 0;
    if (h->n >= 3 && memcmp(h->bytes, "\xef\xbb\xbf", 3) == 0) i = 3;
    while (i < h->n && isspace(h->bytes[i])) i++;
    if (i >= h->n || (h->bytes[i] != '{' && h->bytes[i] != '[')) return false;
    bool object = h->bytes[i++] == '{';
    while (i < h->n && isspace(h->bytes[i])) i++;
    if (i >= h->n) return h->total > h->n;
    if (object) return h->bytes[i] == '"' || h->bytes[i] == '}';
    static const char *const words[] = { "null", "true", "false", "NaN", "Infinity", "-" };
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (strncmp((const char *)h->bytes + i, words[k], strlen(words[k])) == 0) return true;
    return strchr("{[\"]0123456789", h->bytes[i]) != NULL;
}

#define YAML_WINDOW ((uint64_t)64 << 20)
#define YAML_OVERLAP 4096u

/* A tag whose spelling hides what it names: written with %, or under a handle that the file defines. */
static const char *hidden_tag(const char *text) {
    for (const char *p = text; (p = strpbrk(p, "!%")); p++) {
        const bool begins = p == text || p[-1] == '\n';
        if (*p == '%' && begins && strncmp(p, "%TAG", 4) == 0) return p;
        if (*p != '!' || !(begins || strchr(" \t[{,:-?", p[-1]))) continue;
        const size_t n = strcspn(p, " \t\r\n,]}");
        if (memchr(p, '%', n) && n > 2 && (p[1] == '!' || p[1] == '<' || memchr(p + 1, '!', n - 1))) return p;
    }
    return NULL;
}

/* YAML that makes PyYAML's unsafe loaders call something. Tags may stand anywhere. */
static void scan_yaml(scan_job *job, const scan_part *part) {
    const uint64_t bytes = part_bytes(part);
    for (uint64_t at = 0; at == 0 || at < bytes; at += YAML_WINDOW - YAML_OVERLAP) {
        scan_part window = *part;
        window.start += at;
        if (bytes - at > YAML_WINDOW) window.end = window.start + YAML_WINDOW;
        char *text = (char *)part_load(job, &window, YAML_WINDOW, "yaml");
        const char *found = text ? strstr(text, "!!python/") : NULL, *hidden = NULL;
        if (!found && text) found = strstr(text, "tag:yaml.org,2002:python/");
        if (!found && text) hidden = hidden_tag(text);
        if (found)
            scan_find(job, part, TOLA_DANGEROUS, "yaml", at + (uint64_t)(found - text),
                      "YAML that makes Python objects: %.40s",
                      text_quote((char[64]){ 0 }, 64, found, strcspn(found, " \n\r[")));
        else if (hidden)
            scan_find(job, part, TOLA_UNKNOWN, "yaml", at + (uint64_t)(hidden - text),
                      "YAML whose tags are spelled so that they cannot be read: %.40s",
                      text_quote((char[64]){ 0 }, 64, hidden, strcspn(hidden, " \n\r[")));
        const char *target = text ? strstr(text, "_target_") : NULL;
        if (target && scan_has_extension(part->name, ".yaml .yml"))
            scan_find(job, part, TOLA_UNKNOWN, "remote-code", at + (uint64_t)(target - text),
                      "_target_: Hydra would call what it names");
        mem_free(text);
        if (found || hidden || !text || bytes - at <= YAML_WINDOW) return;
    }
}

/* TorchScript's own operations on files and libraries, as they stand in the source that an archive carries
 * (torch/csrc/jit/runtime/register_prim_ops.cpp, aten/src/ATen/native/native_functions.yaml). */
static void scan_torchscript(scan_job *job, const scan_part *part) {
    static const char *const words[] = { "from_file(", "torch.save(",   "torch.load(",
                                         "aten.save(", "aten.load(",    "ops.aten.from_file",
                                         "prim.save",  "torch.classes", "ops.prim.PythonOp" };
    uint8_t *text = part_load(job, part, (uint64_t)64 << 20, "torchscript");
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
        const char *found = strstr((const char *)text, words[i]);
        if (!found) continue;
        scan_find(job, part, TOLA_DANGEROUS, "torchscript", (uint64_t)(found - (const char *)text),
                  "the program reaches for files or libraries: %s", words[i]);
    }
    mem_free(text);
}

/* XML (PMML, OpenVINO): a type of documents may name other files and let texts grow without end. */
static void scan_xml(scan_job *job, const scan_part *part) {
    static const char *const words[] = { "<!DOCTYPE", "<!ENTITY", "<?xml-stylesheet" };
    char *text = (char *)part_load(job, part, (uint64_t)256 << 20, "xml");
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
        const char *found = strcasestr(text, words[i]);
        if (!found) continue;
        scan_find(job, part, TOLA_UNKNOWN, "xml", (uint64_t)(found - text),
                  "XML that defines entities or names other files: %s", words[i]);
    }
    mem_free(text);
}

static bool looks_like_xml(const head *h) {
    size_t i = h->n >= 3 && memcmp(h->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < h->n && isspace(h->bytes[i])) i++;
    return i < h->n && h->bytes[i] == '<';
}

/* Configurations in YAML by which loaders import what they name: MLflow's flavors, instantiate_from_config of latent
 * diffusion. */
static void scan_loaders(scan_job *job, const scan_part *part) {
    if (!scan_has_extension(part->name, ".yaml .yml MLmodel")) return;
    char *text = (char *)part_load(job, part, YAML_WINDOW, "yaml");
    const char *module = text ? strstr(text, "loader_module:") : NULL, *target = text ? strstr(text, "target:") : NULL;
    if (module && strncmp(module + 14 + strspn(module + 14, " '\""), "mlflow.", 7) != 0)
        scan_find(job, part, TOLA_UNKNOWN, "remote-code", (uint64_t)(module - text),
                  "loader_module: MLflow would import what it names");
    if (target && strstr(text, "params:") && (target == text || target[-1] == ' ' || target[-1] == '\n'))
        scan_find(job, part, TOLA_UNKNOWN, "remote-code", (uint64_t)(target - text),
                  "target: a loader would import and call what it names");
    mem_free(text);
}

static void scan_text(scan_job *job, const scan_part *part, const head *h) {
    set_format(job, part, "text");
    scan_yaml(job, part);
    scan_loaders(job, part);
    if (looks_like_xml(h)) scan_xml(job, part);
    if (scan_has_extension(part->name, WEIGHTS_BY_NAME)) {
        scan_find(job, part, TOLA_UNKNOWN, "unreadable", 0, "text, where the name promises weights");
    } else if (scan_has_extension(part->name, ".pbtxt .prototxt .textproto .onnxtxt") &&
               !scan_has_extension(part->name, "config.pbtxt")) { /* which is Triton's configuration of a server */
        scan_find(job, part, TOLA_UNKNOWN, "unreadable", 0, "a graph in text form, which is not followed");
    } else if (begins(h, "#!", 2)) {
        scan_find(job, part, TOLA_UNKNOWN, "script", 0, "a script that names its interpreter");
    } else if (scan_has_extension(part->name,
                                  ".py .pyw .pyi .ipynb .sh .bash .zsh .fish .bat .cmd .ps1 .vbs .js .mjs .ts "
                                  ".php .pl .rb .lua .r .jl .scala .java .go .rs .c .cc .cpp .h .cu .so .dll "
                                  ".dylib .exe .jar .class .pyc .desktop .html .htm .svg .hta .pth.py Makefile "
                                  "Dockerfile CMakeLists.txt setup.cfg pyproject.toml .bashrc .profile "
                                  "docker-compose.yml docker-compose.yaml .gitlab-ci.yml Jenkinsfile .service")) {
        if (job->torchscript && scan_has_extension(part->name, ".py"))
            scan_torchscript(job, part);
        else
            scan_find(job, part, TOLA_UNKNOWN, "script", 0, "a program's source beside weights");
    } else if (scan_has_extension(part->name, ".jinja .jinja2 .j2")) {
        set_format(job, part, "template");
        scan_template(job, part);
    }
}

/* ---- what is left ---- */

static void scan_other(scan_job *job, const scan_part *part, const head *h) {
    const char *raw = scan_raw_layout(job, part);
    if (raw) {
        set_format(job, part, raw);
        return;
    }
    if (is_picture(h)) {
        set_format(job, part, "picture");
        return;
    }
    if (crypt_probe(h->bytes, h->n)) {
        set_format(job, part, "encrypted");
        scan_find(job, part, TOLA_UNKNOWN, "encrypted", 0, "is encrypted, and no key that opens it was given");
        return;
    }
    const char *known = scan_known_format(job, part);
    if (known) {
        scan_find(job, part, TOLA_UNKNOWN, "unreadable", 0, "%s", known);
        return;
    }
    if (scan_has_extension(part->name, ".pkl .pickle .pk .joblib .dill .pt .pth .ckpt .sav .model .dat .data .th .p"))
        scan_find(job, part, TOLA_UNKNOWN, "unreadable", 0,
                  "neither a pickle nor anything else that is known here, whatever its name says");
    else
        scan_find(job, part, TOLA_UNKNOWN, "unreadable", 0, "in no format that is known here");
}

void scan_content(scan_job *job, const scan_part *part) {
    head h = { .total = part_bytes(part) };
    if (part->depth > SCAN_MAX_DEPTH) {
        scan_find(job, part, TOLA_UNKNOWN, "limit", TOLA_NO_OFFSET, "more than %d archives in each other",
                  SCAN_MAX_DEPTH);
        return;
    }
    h.n = h.total < HEAD ? (size_t)h.total : HEAD;
    if (h.total == 0 || !part_read(job, part, 0, h.bytes, h.n)) return;
    h.bytes[h.n] = 0;
    bool pickle_first = h.bytes[0] == 0x80 && h.n >= 2 && h.bytes[1] <= 5 && !is_safetensors(&h);
    if (!pickle_first && scan_archive(job, part, &h)) {
        scan_try_pickle(job, part);
        return;
    }
    if (!part->weights && !pickle_first && scan_hdf5_anywhere(job, part, &h)) {
        scan_try_pickle(job, part);
        return;
    }
    if (part->weights) {
        scan_try_pickle(job, part);
        return;
    }
    if (!pickle_first && scan_weights(job, part, &h)) {
        scan_try_pickle(job, part);
        return;
    }
    int sure = scan_pickle_likelihood(job, part);
    if (sure) {
        set_format(job, part, "pickle");
        scan_pickles(job, part);
        if (scan_ends_as_zip(job, part, &(uint64_t){ 0 })) scan_archive(job, part, &h);
        return;
    }
    if (is_zlib(&h) && scan_packed(job, part, "zlib")) {
        set_format(job, part, "zlib");
        return;
    }
    if (scan_program(job, part, &h)) return;
    if (looks_like_json(&h) && scan_json(job, part)) {
        set_format(job, part, "json");
        if (scan_has_extension(part->name, ".ipynb"))
            scan_find(job, part, TOLA_UNKNOWN, "script", 0, "a notebook, which holds programs");
        return;
    }
    if (is_text(job, part)) {
        scan_text(job, part, &h);
        return;
    }
    if (!scan_running(job)) return;
    if (scan_msgpack(job, part)) {
        set_format(job, part, "msgpack");
        return;
    }
    if (scan_graph(job, part)) return;
    scan_other(job, part, &h);
}
