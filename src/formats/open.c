/* Opening: which file, which format, and saying plainly what a file is that is no checkpoint. */
#include "formats/open.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/logical.h"

#define HEAD_BYTES 4096
#define COMPANION_LIMIT ((uint64_t)256 << 20)
#define CONFIG_LIMIT ((uint64_t)16 << 20) /* config.json of large quantized models reaches 100 kB */

/* Every format that can be read, one a line. */
static const format *const formats[] = {
    &format_safetensors,
    &format_gguf,
    &format_npy,
    &format_npz,
    &format_pytorch_zip,
    &format_pytorch_legacy,
    &format_pytorch_tar,
    &format_onnx,
};

/* ---- things people save under the name of a model ---- */

static bool starts_with_word(const uint8_t *head, size_t bytes, const char *word) {
    size_t i = 0;
    if (bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) i = 3;
    while (i < bytes && isspace(head[i])) i++;
    for (; *word; word++, i++)
        if (i >= bytes || tolower(head[i]) != *word) return false;
    return true;
}

/* The number behind "size " in a Git LFS pointer (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md). */
static uint64_t lfs_size(const char *text) {
    const char *p = strstr(text, "\nsize ");
    uint64_t size = 0;
    if (!p) return 0;
    for (p += 6; *p >= '0' && *p <= '9'; p++)
        if (!mul_u64(size, 10, &size) || !add_u64(size, (uint64_t)(*p - '0'), &size)) return 0;
    return size;
}

static tola_status explain_other(const uint8_t *head, size_t bytes, uint64_t size, tola_error *err) {
    if (size == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the file is empty");
    char text[HEAD_BYTES + 1];
    memcpy(text, head, bytes);
    text[bytes] = 0;
    if (strncmp(text, "version https://git-lfs", 23) == 0 || strncmp(text, "version https://hawser", 22) == 0)
        return err_set(err, TOLA_E_FORMAT, 0,
                       "this is a Git LFS pointer, not the weights: the real file has %" PRIu64
                       " bytes; fetch it with `git lfs pull`",
                       lfs_size(text));
    if (starts_with_word(head, bytes, "<!doctype html") || starts_with_word(head, bytes, "<html"))
        return err_set(err, TOLA_E_FORMAT, 0,
                       "this is a web page (HTML), not weights: the download saved an error or a login page");
    if (starts_with_word(head, bytes, "<?xml"))
        return err_set(err, TOLA_E_FORMAT, 0, "this is an XML document, not weights (an error page of a file store?)");
    if (starts_with_word(head, bytes, "{") || starts_with_word(head, bytes, "["))
        return err_set(err, TOLA_E_FORMAT, 0, "this is a JSON document, not weights");
    if (bytes >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        return err_set(err, TOLA_E_FORMAT, 0, "this is gzip-compressed; decompress it first");
    if (bytes >= 4 && memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)
        return err_set(err, TOLA_E_FORMAT, 0, "this is zstd-compressed; decompress it first");
    if (bytes >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
        return err_set(err, TOLA_E_UNSUPPORTED, 0, "this is an HDF5 file (Keras), which is not read here");
    char hex[3 * 8 + 1] = "";
    for (size_t i = 0; i < bytes && i < 8; i++) snprintf(hex + 3 * i, 4, "%02x ", head[i]);
    return err_set(err, TOLA_E_FORMAT, 0, "in no format known here (%" PRIu64 " bytes that start with %s)", size, hex);
}

/* ---- one file ---- */

static const format *recognize(const uint8_t *head, size_t bytes, const char *name, uint64_t size) {
    const format *best = NULL;
    int surest = 0;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        int sure = formats[i]->probe(head, bytes, name, size);
        if (sure > surest) {
            surest = sure;
            best = formats[i];
        }
    }
    return best;
}

static bool is_pointer_or_page(const uint8_t *head, size_t bytes) {
    return bytes == 0 || starts_with_word(head, bytes, "version https://") || starts_with_word(head, bytes, "<html") ||
           starts_with_word(head, bytes, "<!doctype html") || starts_with_word(head, bytes, "<?xml");
}

static tola_status read_recognized(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    source *src = ck->files[file].src;
    uint8_t head[HEAD_BYTES];
    size_t bytes = src->size < sizeof head ? (size_t)src->size : sizeof head;
    TRY(source_read(src, 0, head, bytes, err));
    const format *f = NULL;
    if (!is_pointer_or_page(head, bytes)) f = recognize(head, bytes, path_last(src->path), src->size);
    if (!f) return explain_other(head, bytes, src->size, err);
    ck->format = f->name;
    return f->read(ck, file, err);
}

tola_status ck_read_source(tola_checkpoint *ck, const char *path, source *src, tola_error *err) {
    uint32_t file;
    TRY(ck_add_file(ck, path, src, &file, err));
    tola_status status = read_recognized(ck, file, err);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

tola_status ck_read_path(tola_checkpoint *ck, const char *path, tola_error *err) {
    source *src;
    TRY(ck_open_source(path, &src, err));
    return ck_read_source(ck, path, src, err);
}

/* ---- companions ---- */

tola_status ck_read_whole(const char *path, uint64_t limit, char **data, size_t *bytes, tola_error *err) {
    source *src;
    TRY(ck_open_source(path, &src, err));
    tola_status status = TOLA_OK;
    char *text = NULL;
    if (src->size > limit) {
        err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%" PRIu64 " bytes are more than the %" PRIu64 " allowed here",
                src->size, limit);
        status = err_in_file(err, TOLA_E_LIMIT, path);
    } else if (!(text = mem_alloc((size_t)src->size + 1))) {
        status = err_nomem(err, "reading a file");
    } else {
        status = source_read(src, 0, text, (size_t)src->size, err);
        if (status != TOLA_OK) err_in_file(err, status, path);
    }
    if (status == TOLA_OK) {
        text[src->size] = 0;
        *data = text;
        *bytes = (size_t)src->size;
    } else {
        mem_free(text);
    }
    source_close(src);
    return status;
}

/* A name that stays in its folder: parts between slashes, none of them empty, "." or "..". */
static bool stays_inside(const char *name) {
    for (;;) {
        size_t n = strcspn(name, "/");
        if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.')) return false;
        if (!name[n]) return true;
        name += n + 1;
    }
}

tola_status tola_checkpoint_companion(const tola_checkpoint *ck, const char *name, void **data, size_t *bytes,
                                      tola_error *err) {
    if (ck->config_text.data && strcmp(name, "config.json") == 0) {
        char *copy = mem_alloc(ck->config_text.length + 1);
        if (!copy) return err_nomem(err, "reading a file");
        memcpy(copy, ck->config_text.data, ck->config_text.length);
        copy[ck->config_text.length] = 0;
        *data = copy;
        *bytes = ck->config_text.length;
        return TOLA_OK;
    }
    if (!ck->folder || !stays_inside(name))
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "no file '%s' lies beside the weights", name);
    char *path = path_join(ck->folder, name), *text = NULL;
    if (!path) return err_nomem(err, "reading a file");
    tola_status status = ck_read_whole(path, COMPANION_LIMIT, &text, bytes, err);
    if (status == TOLA_OK) *data = text;
    mem_free(path);
    return status;
}

/* config.json or adapter_config.json. A bad one is a warning: the weights are readable without it. */
static tola_status read_config(tola_checkpoint *ck, tola_error *err) {
    static const char *const names[] = { "config.json", "adapter_config.json" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(ck->folder, names[i]), *text = NULL;
        size_t bytes = 0;
        if (!path) return err_nomem(err, "reading the configuration");
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = ck_read_whole(path, CONFIG_LIMIT, &text, &bytes, &detail);
        if (status == TOLA_OK) {
            status = json_parse(text, bytes, &ck->arena, &ck->config, &detail);
            if (status != TOLA_OK) err_in_file(&detail, status, names[i]);
        }
        mem_free(path);
        mem_free(text);
        if (status == TOLA_OK) return TOLA_OK;
        if (status == TOLA_E_NOMEM) {
            if (err) *err = detail;
            return status;
        }
        if (status != TOLA_E_NOT_FOUND) ck_warn(ck, "%s", detail.message);
    }
    return TOLA_OK;
}

/* Does a single file bear a name that belongs to the Hugging Face layout, so that what lies beside it is its own? */
static bool is_layout_name(const char *name) {
    return glob_match("{model,adapter_model}{,-*}.safetensors", name) ||
           glob_match("{pytorch_model,adapter_model}{,-*}.bin", name);
}

static tola_status set_folder(tola_checkpoint *ck, const char *path, size_t length, tola_error *err) {
    ck->folder = mem_alloc(length + 2);
    if (!ck->folder) return err_nomem(err, "opening a checkpoint");
    memcpy(ck->folder, path, length);
    if (length == 0) ck->folder[length++] = '.';
    ck->folder[length] = 0;
    return TOLA_OK;
}

/* ---- what the caller named ---- */

static tola_status read_named(tola_checkpoint *ck, const char *path, tola_error *err) {
    if (ck_is_folder(path)) {
        TRY(set_folder(ck, path, strlen(path), err));
        return ck_read_folder(ck, path, err);
    }
    const char *name = path_last(path);
    bool index = text_ends_with(name, ".index.json");
    if (index || is_layout_name(name)) {
        size_t length = (size_t)(name - path);
        TRY(set_folder(ck, path, length > 1 ? length - 1 : length, err));
    }
    return index ? ck_read_index(ck, path, err) : ck_read_path(ck, path, err);
}

static tola_status open_parts(tola_checkpoint *ck, const char *path, tola_error *err) {
    const opener *o = opener_find(path);
    if (o && ck->options.offline)
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "%s needs the network, which was not allowed", path);
    if (o && o->resolve) {
        char *file = NULL, *folder = NULL;
        TRY(o->resolve(path, &file, &folder, err));
        tola_status status = TOLA_OK;
        /* an entry of a local cache may turn out to be a folder */
        if (folder && !ck->folder) status = set_folder(ck, folder, strlen(folder), err);
        if (status == TOLA_OK)
            status = text_ends_with(file, ".index.json") ? ck_read_index(ck, file, err) : ck_read_path(ck, file, err);
        mem_free(file);
        mem_free(folder);
        TRY(status);
    } else {
        TRY(read_named(ck, path, err));
    }
    if (ck->folder) TRY(read_config(ck, err));
    tola_status status = ck_finish(ck, err);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

static ck_watch_fn watcher;
static void *watcher_user;

void ck_watch(ck_watch_fn watch, void *user) {
    watcher = watch;
    watcher_user = user;
}

/* A container stays open meanwhile: its files are opened one by one. */
static tola_status open_into(tola_checkpoint *ck, const char *path, tola_error *err) {
    void *opened;
    TRY(ck_open_container(path, &opened, err));
    tola_status status = open_parts(ck, path, err);
    ck_close_container(opened);
    return status;
}

tola_status tola_checkpoint_open(const char *path, const tola_open_options *options, tola_checkpoint **out,
                                 tola_error *err) {
    tola_checkpoint *ck;
    TRY(ck_create(options, &ck, err));
    tola_status status = open_into(ck, path, err);
    if (status == TOLA_OK && watcher) status = watcher(watcher_user, ck, err);
    if (status == TOLA_OK && ck->options.weights != TOLA_WEIGHTS_STORED) {
        bool exact = ck->options.weights == TOLA_WEIGHTS_EXACT;
        status = logical_replace(&ck, exact ? LOGICAL_EXACT : LOGICAL_MODEL, err);
    }
    if (status != TOLA_OK) {
        tola_checkpoint_close(ck);
        return status;
    }
    *out = ck;
    return TOLA_OK;
}

tola_status tola_checkpoint_open_memory(const char *name, const void *data, size_t bytes, tola_checkpoint **out,
                                        tola_error *err) {
    tola_checkpoint *ck;
    source *src;
    TRY(ck_create(NULL, &ck, err));
    tola_status status = source_open_memory(name, data, bytes, &src, err);
    if (status == TOLA_OK) status = ck_read_source(ck, name, src, err);
    if (status == TOLA_OK) {
        status = ck_finish(ck, err);
        if (status != TOLA_OK) err_in_file(err, status, name);
    }
    if (status != TOLA_OK) {
        tola_checkpoint_close(ck);
        return status;
    }
    *out = ck;
    return TOLA_OK;
}
