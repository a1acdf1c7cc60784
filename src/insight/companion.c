/* Opens companions through the same sources as weights, so that a reference's companions are found where it points. */
#include "insight/companion.h"

#include <string.h>

#include "formats/format.h"

#define COMPANION_JSON_MAX (4u << 20)

void companions_init(companions *c, const tola_checkpoint *ck) {
    *c = (companions){ .ck = ck };
    c->remote = ck->file_count && ck->files[0].src && ck->files[0].src->remote;
}

static bool read_head(source *src, size_t most, companion *out) {
    size_t bytes = src->size < most ? (size_t)src->size : most;
    char *data = mem_alloc(bytes + 1);
    if (!data) return false;
    if (source_read(src, 0, data, bytes, NULL) != TOLA_OK) {
        mem_free(data);
        return false;
    }
    data[bytes] = 0;
    *out = (companion){ data, bytes, bytes == src->size };
    return true;
}

bool companion_read(const companions *c, const char *name, size_t most, companion *out) {
    if (!c->ck->folder) return false;
    buf path;
    buf_init(&path, 1 << 16);
    buf_printf(&path, "%s/%s", c->ck->folder, name);
    buf_u8(&path, 0);
    source *src = NULL;
    bool found = !path.failed && ck_open_source((const char *)path.data, &src, NULL) == TOLA_OK;
    buf_free(&path);
    if (!found) return false;
    bool read = read_head(src, most, out);
    source_close(src);
    return read;
}

void companion_free(companion *file) {
    mem_free(file->data);
    *file = (companion){ NULL, 0, false };
}

bool companion_json(const companions *c, const char *name, arena *a, tola_value *out) {
    companion file;
    if (!companion_read(c, name, COMPANION_JSON_MAX, &file)) return false;
    bool parsed = file.whole && json_parse(file.data, file.bytes, a, out, NULL) == TOLA_OK && out->kind == TOLA_VALUE_MAP;
    companion_free(&file);
    return parsed;
}

bool companion_find(json_reader *r, const char *key) {
    if (json_next(r) != JSON_BEGIN_OBJECT) return false;
    size_t length = strlen(key);
    while (json_next(r) == JSON_KEY) {
        if (r->text_length == length && memcmp(r->text, key, length) == 0) return true;
        if (!json_skip(r)) return false;
    }
    return false;
}
