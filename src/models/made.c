/* The file: 64 bytes (magic, bytes of the whole file, count of blocks, CRC-32 of the rest), then for each block its bytes
 * and the tensor it was made from (u64 each), and the blocks, each at a multiple of 64. Numbers are little-endian. */
#include "models/made.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/path.h"
#include "base/source.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Changes whenever weights.c makes other bytes of the same tensors. */
#define MAGIC "tola weights 2\n"
#define HEAD 64
#define ENTRY 16 /* of a block */
#define MAX_BLOCKS ((uint64_t)1 << 24)

typedef struct block {
    void *data;
    uint64_t bytes, tensor;
    bool mapped;
} block;

struct made_blocks {
    block *blocks;
    size_t count, cap;
    uint64_t bytes;       /* of blocks that are not mapped */
    char *path;           /* of the file; NULL: none is kept */
    source *file;         /* the one that is mapped; NULL: none */
    const uint8_t *map;
    uint64_t stored, next; /* blocks in it, and where the next lies */
};

/* ---- where ---- */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* NULL: none, or no memory. */
static char *cache_folder(void) {
    const char *own = variable("TOLA_CACHE"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    if (own) return strcmp(own, "off") == 0 ? NULL : mem_strdup(own);
    if (xdg) return path_join(xdg, "tola");
    return home ? path_join(home, ".cache/tola") : NULL;
}

static void name_file(buf *b, const char *path, const struct stat *st) {
    char whole[PATH_MAX];
    const char *real = realpath(path, whole);
    buf_printf(b, "%s\n%lld %lld.%09ld %lld %lld\n", real ? real : path, (long long)st->st_size,
               (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long long)st->st_dev, (long long)st->st_ino);
}

/* What the weights are made from: every file, and the configurations beside the first. False for what is no local file.
 */
static bool describe_files(const tola_checkpoint *ck, buf *b) {
    struct stat st;
    for (size_t i = 0; i < tola_checkpoint_file_count(ck); i++) {
        const char *path = tola_checkpoint_file(ck, i)->path;
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
        name_file(b, path, &st);
    }
    static const char *const companions[] = { "config.json", "quantize_config.json" };
    const char *first = tola_checkpoint_file(ck, 0)->path;
    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
        buf beside;
        buf_init(&beside, 0);
        buf_append(&beside, first, (size_t)(path_last(first) - first));
        buf_append(&beside, companions[i], strlen(companions[i]) + 1);
        if (!beside.failed && stat((const char *)beside.data, &st) == 0) name_file(b, (const char *)beside.data, &st);
        b->failed |= beside.failed;
        buf_free(&beside);
    }
    return !b->failed;
}

/* What others may put into a folder is not trusted. */
static bool open_to_others(const char *folder) {
    struct stat st;
    return stat(folder, &st) == 0 && (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)));
}

/* FOLDER/NAME-HASH.weights */
static char *file_for(const tola_checkpoint *ck) {
    uint8_t digest[SHA256_BYTES];
    buf about;
    char name[128], *path = NULL, *folder = NULL;
    if (tola_checkpoint_file_count(ck) > 0 && !tola_checkpoint_encrypted(ck)) folder = cache_folder();
    buf_init(&about, 0);
    if (folder && !open_to_others(folder) && describe_files(ck, &about) &&
        sha256(about.data, about.length, digest, NULL) == TOLA_OK) {
        int used = snprintf(name, sizeof name, "%.40s-", path_last(tola_checkpoint_file(ck, 0)->path));
        for (int i = 0; i < 16; i++) used += snprintf(name + used, sizeof name - (size_t)used, "%02x", digest[i]);
        snprintf(name + used, sizeof name - (size_t)used, ".weights");
        path = path_join(folder, name);
    }
    buf_free(&about);
    mem_free(folder);
    return path;
}

/* ---- reading ---- */

static uint64_t aligned(uint64_t at) { return (at + 63) / 64 * 64; }

static uint64_t first_block(uint64_t count) { return aligned(HEAD + count * ENTRY); }

/* Is the mapped file whole and undamaged? */
static bool sound(const made_blocks *m, uint64_t size) {
    if (size < HEAD || memcmp(m->map, MAGIC, sizeof MAGIC) != 0 || load_le64(m->map + 16) != size) return false;
    uint64_t count = load_le64(m->map + 24), at;
    if (count > MAX_BLOCKS || count * ENTRY > size - HEAD) return false;
    at = first_block(count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bytes = load_le64(m->map + HEAD + i * ENTRY);
        if (at > size || bytes > size - at) return false;
        at = aligned(at + bytes);
    }
    uint32_t crc = 0;
    for (uint64_t done = HEAD; done < size;) { /* in pieces that fit size_t everywhere */
        uint64_t n = size - done < ((uint64_t)1 << 28) ? size - done : (uint64_t)1 << 28;
        crc = crc32_update(crc, m->map + done, (size_t)n);
        done += n;
    }
    return crc == (uint32_t)load_le64(m->map + 32);
}

static void map_file(made_blocks *m) {
    struct stat st;
    if (stat(m->path, &st) != 0 || st.st_uid != geteuid()) return; /* not ours: not trusted */
    if (source_open_file(m->path, &m->file, NULL) != TOLA_OK) return;
    m->map = source_map(m->file);
    if (m->map && sound(m, m->file->size)) {
        m->stored = load_le64(m->map + 24);
        m->next = first_block(m->stored);
        return;
    }
    source_close(m->file);
    m->file = NULL;
}

tola_status made_open(const tola_checkpoint *ck, made_blocks **out, tola_error *err) {
    made_blocks *m = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(err, "making weights");
    m->path = file_for(ck);
    if (m->path) map_file(m);
    *out = m;
    return TOLA_OK;
}

void made_free(made_blocks *m) {
    if (!m) return;
    for (size_t i = 0; i < m->count; i++)
        if (!m->blocks[i].mapped) mem_free(m->blocks[i].data);
    source_close(m->file);
    mem_free(m->blocks);
    mem_free(m->path);
    mem_free(m);
}

/* Is the next block of the file this one? */
static bool is_next(const made_blocks *m, size_t tensor, uint64_t bytes) {
    if (m->count >= m->stored) return false;
    const uint8_t *entry = m->map + HEAD + m->count * ENTRY;
    return load_le64(entry) == bytes && load_le64(entry + 8) == tensor;
}

void *made_take(made_blocks *m, size_t tensor, uint64_t bytes, bool *ready, tola_error *err) {
    block b = { .bytes = bytes, .tensor = tensor };
    if (!mem_grow(&m->blocks, &m->cap, m->count + 1, sizeof *m->blocks)) {
        err_nomem(err, "making weights");
        return NULL;
    }
    if (is_next(m, tensor, bytes)) {
        b.mapped = true;
        b.data = (void *)(uintptr_t)(m->map + m->next); /* read only: whoever is told *ready does not write */
        m->next = aligned(m->next + bytes);
    } else {
        m->stored = 0; /* another order: the rest of the file is of no use */
        if (bytes <= SIZE_MAX / 2) b.data = mem_alloc_aligned(64, (size_t)bytes + (bytes == 0));
        m->bytes += bytes;
    }
    if (!b.data) {
        err_nomem(err, "making weights");
        return NULL;
    }
    m->blocks[m->count++] = b;
    *ready = b.mapped;
    return b.data;
}

uint64_t made_bytes(const made_blocks *m) { return m->bytes; }

/* ---- writing ---- */

static bool room_for(const char *folder, uint64_t bytes) {
    struct statvfs fs;
    return statvfs(folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize / 2 > bytes;
}

static tola_status write_blocks(const made_blocks *m, const uint8_t *head, size_t head_bytes, output_file *f) {
    TRY(output_write(f, 0, head, head_bytes, NULL));
    uint64_t at = head_bytes;
    for (size_t i = 0; i < m->count; i++) {
        TRY(output_write(f, at, m->blocks[i].data, (size_t)m->blocks[i].bytes, NULL));
        at = aligned(at + m->blocks[i].bytes);
    }
    return TOLA_OK;
}

static uint64_t file_size(const made_blocks *m) {
    uint64_t at = first_block(m->count);
    for (size_t i = 0; i < m->count; i++) at = aligned(at + m->blocks[i].bytes);
    return at;
}

/* The head with the entries, up to the first block. */
static void make_head(const made_blocks *m, uint64_t size, buf *head) {
    static const uint8_t zeros[64];
    buf entries;
    buf_init(&entries, 0);
    for (size_t i = 0; i < m->count; i++) {
        buf_u64le(&entries, m->blocks[i].bytes);
        buf_u64le(&entries, m->blocks[i].tensor);
    }
    buf_zeros(&entries, (size_t)first_block(m->count) - HEAD - m->count * ENTRY);
    uint32_t crc = entries.failed ? 0 : crc32_update(0, entries.data, entries.length);
    for (size_t i = 0; i < m->count; i++) {
        crc = crc32_update(crc, m->blocks[i].data, (size_t)m->blocks[i].bytes);
        crc = crc32_update(crc, zeros, (size_t)(aligned(m->blocks[i].bytes) - m->blocks[i].bytes));
    }
    buf_append(head, MAGIC, sizeof MAGIC);
    buf_u64le(head, size);
    buf_u64le(head, m->count);
    buf_u64le(head, crc);
    buf_zeros(head, HEAD - 40);
    buf_append(head, entries.data, entries.length);
    head->failed |= entries.failed;
    buf_free(&entries);
}

/* The cache's folder, made where it is missing; its parent is the user's. */
static bool make_folder(const char *file, char **folder) {
    *folder = mem_strdup(file);
    if (!*folder) return false;
    *strrchr(*folder, '/') = '\0';
    char *slash = strrchr(*folder, '/');
    if (slash && slash != *folder) {
        *slash = '\0';
        mkdir(*folder, 0700);
        *slash = '/';
    }
    mkdir(*folder, 0700);
    struct stat st;
    return stat(*folder, &st) == 0 && S_ISDIR(st.st_mode);
}

void made_keep(made_blocks *m) {
    if (!m->path || m->bytes < MADE_LEAST) return;
    char *folder;
    buf head;
    uint64_t size = file_size(m);
    output_set *set = NULL;
    output_file *file;
    buf_init(&head, 0);
    if (make_folder(m->path, &folder) && room_for(folder, size)) {
        make_head(m, size, &head);
        bool written = !head.failed && output_set_open(true, &set, NULL) == TOLA_OK &&
                       output_add(set, m->path, size, &file, NULL) == TOLA_OK &&
                       write_blocks(m, head.data, head.length, file) == TOLA_OK &&
                       output_truncate(file, size, NULL) == TOLA_OK;
        if (!written) output_abort(set);
        else written = output_commit(set, NULL) == TOLA_OK; /* if not, the next process makes them again */
    }
    buf_free(&head);
    mem_free(folder);
}
