/* Notes: keys, signatures, checkpoints. */
#define _GNU_SOURCE 1 /* explicit_bzero, getentropy */
#include "trust/note.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "trust/base64.h"
#include "trust/digest.h"
#include "trust/sign_key.h"
#include "trust/whole.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a blank */
#define PRIVATE "PRIVATE+KEY+"

enum { ED25519 = 1, KEY_TEXT = NOTE_NAME + 128, SEED = 32, SIGNATURE = 64 };

/* ---- small things ---- */

/* Spaces beyond ASCII (Unicode's White_Space), as UTF-8. */
static const char *const spaces[] = { "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                      "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80" };

static bool has_space(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f) return true;
        for (size_t k = 0; k < sizeof spaces / sizeof *spaces; k++)
            if (strncmp(text + i, spaces[k], strlen(spaces[k])) == 0) return true;
        /* U+2000 to U+200A */
        if (i + 2 < length && memcmp(text + i, "\xe2\x80", 2) == 0 && (unsigned char)text[i + 2] <= 0x8a) return true;
    }
    return false;
}

/* Can `text` be the name of a key: UTF-8, without spaces of any kind, control characters and '+', not too long? */
static bool name_valid(const char *text, size_t length) {
    char name[NOTE_NAME];
    if (length == 0 || length >= sizeof name || !utf8_valid(text, length)) return false;
    memcpy(name, text, length);
    name[length] = 0;
    return !memchr(name, '+', length) && !has_space(name, length);
}

bool note_number(const char *text, size_t length, uint64_t *out) {
    uint64_t n = 0;
    if (length == 0 || (length > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        if (!mul_u64(n, 10, &n) || !add_u64(n, (uint64_t)(text[i] - '0'), &n)) return false;
    }
    *out = n;
    return true;
}

/* Exactly `bytes` bytes (at most 99) in their one spelling, or false; takes no memory. */
static bool decode(const char *text, size_t length, uint8_t *out, size_t bytes) {
    char raw[136], again[136];
    if (length != (bytes + 2) / 3 * 4 || length > sizeof raw || text_from_base64(text, length, raw) != bytes)
        return false;
    base64_encode(raw, bytes, again);
    bool one = memcmp(again, text, length) == 0;
    if (one) memcpy(out, raw, bytes);
    explicit_bzero(raw, sizeof raw);
    explicit_bzero(again, sizeof again);
    return one;
}

bool note_hash(const char *text, size_t length, merkle_hash out) { return decode(text, length, out, MERKLE_BYTES); }

/* ---- keys ---- */

/* SHA-256(name || 0x0A || 0x01 || public key)[:4] */
static tola_status set_id(note_key *key, tola_error *err) {
    uint8_t bytes[NOTE_NAME + 2 + 32], digest[SHA256_BYTES];
    size_t n = strlen(key->name);
    memcpy(bytes, key->name, n);
    bytes[n] = '\n';
    bytes[n + 1] = ED25519;
    memcpy(bytes + n + 2, key->public, 32);
    TRY(sha256(bytes, n + 2 + 32, digest, err));
    memcpy(key->id, digest, 4);
    return TOLA_OK;
}

/* `pkey` is taken over. */
static tola_status adopt(const crypto *c, void *pkey, bool private, const char *name, size_t length, note_key *out,
                         tola_error *err) {
    note_key key = { .c = c, .pkey = pkey, .private = private };
    size_t bytes = sizeof key.public;
    tola_status status = TOLA_OK;
    if (!pkey || c->EVP_PKEY_get_raw_public_key(pkey, key.public, &bytes) != 1 || bytes != sizeof key.public)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no Ed25519 key");
    if (status == TOLA_OK && !name_valid(name, length))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "has no name that a key may have");
    c->ERR_clear_error();
    if (status == TOLA_OK) {
        memcpy(key.name, name, length);
        status = set_id(&key, err);
    }
    if (status != TOLA_OK) {
        note_key_free(&key);
        return status;
    }
    *out = key;
    return TOLA_OK;
}

/* "NAME+ID+base64(0x01 || 32 bytes)" */
static tola_status parse(const char *text, size_t length, bool private, note_key *out, tola_error *err) {
    const crypto *c;
    const char *end = text + length, *first = memchr(text, '+', length);
    const char *second = first ? memchr(first + 1, '+', (size_t)(end - first) - 1) : NULL;
    uint8_t id[4], raw[1 + SEED];
    if (!second || !digest_from_hex(first + 1, (size_t)(second - first) - 1, id, 4) ||
        !decode(second + 1, (size_t)(end - second) - 1, raw, sizeof raw) || raw[0] != ED25519)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no %s key of a log (Ed25519)",
                       private ? "private" : "public");
    TRY(crypto_get(&c, err));
    void *pkey = private ? c->EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, raw + 1, SEED)
                         : c->EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, raw + 1, SEED);
    explicit_bzero(raw, sizeof raw);
    note_key key;
    TRY(adopt(c, pkey, private, text, (size_t)(first - text), &key, err));
    if (memcmp(key.id, id, 4) != 0) {
        note_key_free(&key);
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the key's id is not that of its name and key");
    }
    *out = key;
    return TOLA_OK;
}

tola_status note_key_parse(const char *text, size_t length, note_key *out, tola_error *err) {
    return parse(text, length, false, out, err);
}

static tola_status read_pem(const char *path, bool private, const char *name, note_key *out, tola_error *err) {
    sign_key key;
    if (!*name) {
        err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "is a key in PEM form, which has no name: the log's own .pub has one");
        return err_in_file(err, TOLA_E_ARG, path);
    }
    TRY(private ? key_read_private(path, NULL, &key, err) : key_read_public(path, &key, err));
    tola_status status;
    if (key.kind != KEY_ED25519) {
        status = err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "checkpoints are signed with Ed25519, not %s",
                         key_kind_name(key.kind));
        key_free(&key);
    } else {
        status = adopt(key.c, key.pkey, private, name, strlen(name), out, err);
    }
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

tola_status note_key_read(const char *path, bool private, const char *name, note_key *out, tola_error *err) {
    buf text;
    TRY(whole_read(path, 1 << 16, &text, err));
    size_t n = text.length, skip = strlen(PRIVATE);
    const char *data = (const char *)text.data;
    if (n && data[n - 1] == '\n') n--;
    tola_status status;
    bool pem = n > 10 && memcmp(data, "-----BEGIN", 10) == 0;
    bool secret = n > skip && memcmp(data, PRIVATE, skip) == 0;
    if (secret) key_warn_wide(path);
    if (pem)
        status = TOLA_OK;
    else if (secret != private)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                         secret    ? "is a private key: give the public one"
                         : private ? "is no private key of a log"
                                   : "is no public key of a log");
    else
        status = secret ? parse(data + skip, n - skip, true, out, err) : parse(data, n, false, out, err);
    whole_wipe(&text);
    if (pem) return read_pem(path, private, name, out, err);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

static void append_key(buf *out, const char *name, const uint8_t id[4], const uint8_t bytes[32]) {
    uint8_t raw[1 + SEED] = { ED25519 };
    char hex[DIGEST_HEX];
    memcpy(raw + 1, bytes, SEED);
    digest_to_hex(id, 4, hex);
    buf_printf(out, "%s+%s+", name, hex);
    base64_append(out, raw, sizeof raw);
    explicit_bzero(raw, sizeof raw);
}

void note_key_text(const note_key *key, buf *out) { append_key(out, key->name, key->id, key->public); }

static tola_status write_private(const char *path, const buf *text, tola_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(err, errno, "cannot create", path);
    tola_status status = TOLA_OK;
    if (write(fd, text->data, text->length) != (ssize_t)text->length || fsync(fd) != 0)
        status = err_errno(err, errno ? errno : EIO, "cannot write", path);
    close(fd);
    if (status != TOLA_OK) unlink(path);
    return status;
}

tola_status note_key_create(const char *path, const char *name, note_key *out, tola_error *err) {
    const crypto *c;
    uint8_t seed[SEED];
    note_key key;
    TRY(crypto_get(&c, err));
    if (getentropy(seed, sizeof seed) != 0) return err_errno(err, errno, "no random bytes for", path);
    void *pkey = c->EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, SEED);
    tola_status status = adopt(c, pkey, true, name, strlen(name), &key, err);
    if (status == TOLA_OK) {
        buf text;
        buf_init(&text, KEY_TEXT);
        buf_printf(&text, PRIVATE);
        append_key(&text, key.name, key.id, seed);
        buf_u8(&text, '\n');
        status = text.failed ? err_nomem(err, "making a key") : write_private(path, &text, err);
        whole_wipe(&text);
        if (status == TOLA_OK)
            *out = key;
        else
            note_key_free(&key);
    }
    explicit_bzero(seed, sizeof seed);
    return status;
}

bool note_key_same(const note_key *a, const note_key *b) {
    return strcmp(a->name, b->name) == 0 && crypto_same(a->public, b->public, sizeof a->public);
}

void note_key_free(note_key *key) {
    if (key->pkey) key->c->EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

/* ---- notes ---- */

static tola_status no_note(tola_error *err, const char *why) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no signed note: %s", why);
}

/* One line of a signature, without its newline: name and bytes. */
static bool take_line(const char *line, size_t n, const char **name, size_t *name_length, const char **text,
                      size_t *text_length) {
    size_t dash = sizeof DASH - 1;
    if (n <= dash || memcmp(line, DASH, dash) != 0) return false;
    const char *blank = memchr(line + dash, ' ', n - dash);
    if (!blank) return false;
    *name = line + dash;
    *name_length = (size_t)(blank - *name);
    *text = blank + 1;
    *text_length = (size_t)(line + n - *text);
    return name_valid(*name, *name_length) && *text_length >= 8 && *text_length % 4 == 0;
}

tola_status note_parse(const char *data, size_t length, signed_note *out, tola_error *err) {
    if (length == 0) return no_note(err, "it is empty");
    if (length > NOTE_MOST) return no_note(err, "it is too long");
    if (data[length - 1] != '\n') return no_note(err, "it does not end with a line's end");
    if (!utf8_valid(data, length)) return no_note(err, "it is no UTF-8");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)data[i] < ' ' && data[i] != '\n') return no_note(err, "it holds control characters");
    /* the text ends before the last empty line */
    size_t at = length - 1;
    while (at > 0 && !(data[at] == '\n' && data[at - 1] == '\n')) at--;
    if (at == 0) return no_note(err, "no empty line parts its text from signatures");
    signed_note n = { data, at, data + at + 1, length - at - 1 };
    if (n.lines_length == 0) return no_note(err, "it has no signatures");
    size_t count = 0;
    for (const char *p = n.lines, *end = data + length; p < end; count++) {
        const char *name, *text, *stop = memchr(p, '\n', (size_t)(end - p));
        size_t a, b;
        if (!take_line(p, (size_t)(stop - p), &name, &a, &text, &b))
            return no_note(err, "a line behind the empty line is no signature");
        p = stop + 1;
    }
    if (count > NOTE_SIGNATURES) return no_note(err, "it has too many signatures");
    *out = n;
    return TOLA_OK;
}

static bool verify_bytes(const note_key *key, const char *text, size_t length, const uint8_t signature[SIGNATURE]) {
    const sign_key ed = { key->c, key->pkey, KEY_ED25519 };
    return key_verify(&ed, false, text, length, (bundle_bytes){ signature, SIGNATURE });
}

tola_status note_verify(const signed_note *n, const note_key *key, tola_error *err) {
    size_t good = 0, length = strlen(key->name);
    for (const char *p = n->lines, *end = n->lines + n->lines_length; p < end;) {
        const char *name, *text, *stop = memchr(p, '\n', (size_t)(end - p));
        size_t a, b;
        uint8_t raw[4 + SIGNATURE];
        bool mine =
            take_line(p, (size_t)(stop - p), &name, &a, &text, &b) && a == length && memcmp(name, key->name, a) == 0;
        p = stop + 1;
        if (!mine) continue;
        bool whole = decode(text, b, raw, sizeof raw);
        if (!whole && !decode(text, 8, raw, 6)) continue;
        if (memcmp(raw, key->id, 4) != 0) continue;
        if (!whole || !verify_bytes(key, n->text, n->length, raw + 4))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its signature of %s is not that of its text",
                           key->name);
        good++;
    }
    if (good) return TOLA_OK;
    char hex[DIGEST_HEX];
    digest_to_hex(key->id, 4, hex);
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is not signed by %s (key id %s)", key->name, hex);
}

tola_status note_sign(const note_key *key, const char *text, size_t length, buf *out, tola_error *err) {
    const sign_key ed = { key->c, key->pkey, KEY_ED25519 };
    uint8_t raw[4 + SIGNATURE];
    buf signature;
    buf_init(&signature, 256);
    tola_status status = key_sign(&ed, text, length, &signature, err);
    if (status == TOLA_OK && signature.length != SIGNATURE)
        status = err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "libcrypto's signature is no Ed25519 signature");
    if (status == TOLA_OK) {
        memcpy(raw, key->id, 4);
        memcpy(raw + 4, signature.data, SIGNATURE);
        buf_printf(out, DASH "%s ", key->name);
        base64_append(out, raw, sizeof raw);
        buf_u8(out, '\n');
        if (out->failed) status = err_nomem(err, "signing a note");
    }
    buf_free(&signature);
    return status;
}

/* ---- checkpoints ---- */

static tola_status no_checkpoint(tola_error *err, const char *why) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no checkpoint of a log: %s", why);
}

tola_status checkpoint_parse(const signed_note *n, tree_head *out, tola_error *err) {
    tree_head c = { .size = 0 };
    const char *line[3], *p = n->text, *end = n->text + n->length;
    size_t bytes[3];
    for (size_t i = 0; i < 3; i++) {
        const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        if (!stop) return no_checkpoint(err, "it has fewer than three lines");
        line[i] = p;
        bytes[i] = (size_t)(stop - p);
        p = stop + 1;
    }
    for (; p < end; p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1)
        if (*p == '\n') return no_checkpoint(err, "its text holds an empty line");
    if (bytes[0] == 0 || bytes[0] >= sizeof c.origin) return no_checkpoint(err, "its origin is empty or too long");
    if (!note_number(line[1], bytes[1], &c.size)) return no_checkpoint(err, "its second line is no size");
    if (!note_hash(line[2], bytes[2], c.root)) return no_checkpoint(err, "its third line is no root hash");
    memcpy(c.origin, line[0], bytes[0]);
    *out = c;
    return TOLA_OK;
}

tola_status checkpoint_sign(const tree_head *c, const note_key *key, buf *out, tola_error *err) {
    size_t at = out->length;
    buf_printf(out, "%s\n%" PRIu64 "\n", c->origin, c->size);
    base64_append(out, c->root, MERKLE_BYTES);
    buf_u8(out, '\n');
    size_t length = out->length - at;
    buf line;
    buf_init(&line, 0);
    tola_status status = out->failed ? err_nomem(err, "signing a note")
                                     : note_sign(key, (const char *)out->data + at, length, &line, err);
    if (status == TOLA_OK) {
        buf_u8(out, '\n');
        buf_append(out, line.data, line.length);
        if (out->failed) status = err_nomem(err, "signing a note");
    }
    buf_free(&line);
    return status;
}
