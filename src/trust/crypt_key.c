/* A key is a word, a colon, and 36 bytes in base64: the key and the first four bytes of SHA-256 over word, colon and
 * key, so that a slip of the keyboard is not taken for another key. Files hold one a line; # begins a comment. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "trust/crypt_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/secret.h"
#include "base/text.h"
#include "trust/base64.h"
#include "trust/crypto.h"
#include "trust/whole.h"

enum { CHECK = 4, CODED = 48, MOST_FILE = 24 << 10, MOST_RECIPIENTS_FILE = 16 << 20 };
#define MOST_RECIPIENTS 100000u

static const char public_word[] = "tola-public-1:", secret_word[] = "tola-secret-1:";
enum { WORD = sizeof public_word - 1 };

/* ---- text ---- */

static tola_status checksum(const char *word, const uint8_t key[CRYPT_KEY], uint8_t out[CHECK], tola_error *err) {
    uint8_t all[WORD + CRYPT_KEY], digest[SHA256_BYTES];
    memcpy(all, word, WORD);
    memcpy(all + WORD, key, CRYPT_KEY);
    tola_status status = sha256(all, sizeof all, digest, err);
    memcpy(out, digest, CHECK);
    explicit_bzero(all, sizeof all);
    return status;
}

static tola_status key_text(const char *word, const uint8_t key[CRYPT_KEY], char text[CRYPT_KEY_TEXT],
                            tola_error *err) {
    uint8_t both[CRYPT_KEY + CHECK];
    memcpy(both, key, CRYPT_KEY);
    tola_status status = checksum(word, key, both + CRYPT_KEY, err);
    memcpy(text, word, WORD);
    base64_encode(both, sizeof both, text + WORD); /* 36 bytes are 48 characters, without padding */
    text[WORD + CODED] = 0;
    explicit_bzero(both, sizeof both);
    return status;
}

tola_status crypt_public_text(const uint8_t key[CRYPT_KEY], char text[CRYPT_KEY_TEXT], tola_error *err) {
    return key_text(public_word, key, text, err);
}

tola_status crypt_secret_text(const uint8_t key[CRYPT_KEY], char text[CRYPT_KEY_TEXT], tola_error *err) {
    return key_text(secret_word, key, text, err);
}

/* What a line says never comes into a message: it may be a secret key with a slip. */
static tola_status parse_key(const char *word, const char *line, size_t bytes, uint8_t key[CRYPT_KEY],
                             tola_error *err) {
    uint8_t both[CODED], expected[CHECK];
    const char *other = word == public_word ? secret_word : public_word;
    if (bytes >= WORD && memcmp(line, other, WORD) == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "this is a %s key, a %s one is wanted here",
                       other == secret_word ? "secret" : "public", other == secret_word ? "public" : "secret");
    if (bytes < WORD || memcmp(line, word, WORD) != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "holds no key of tola keygen, which begins with %s", word);
    bool good = bytes == WORD + CODED && text_from_base64(line + WORD, CODED, (char *)both) == CRYPT_KEY + CHECK;
    tola_status status = good ? checksum(word, both, expected, err) : TOLA_OK;
    if (status == TOLA_OK && (!good || !crypto_same(expected, both + CRYPT_KEY, CHECK)))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the key is mistyped or damaged: its checksum is wrong");
    if (status == TOLA_OK) memcpy(key, both, CRYPT_KEY);
    explicit_bzero(both, sizeof both);
    return status;
}

/* The next line that is no comment and not empty; false at the end. */
static bool next_line(const char **text, const char *end, const char **line, size_t *bytes) {
    while (*text < end) {
        const char *start = *text, *stop = memchr(start, '\n', (size_t)(end - start));
        if (!stop) stop = end;
        *text = stop < end ? stop + 1 : end;
        while (start < stop && (*start == ' ' || *start == '\t')) start++;
        while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r')) stop--;
        if (start == stop || *start == '#') continue;
        *line = start;
        *bytes = (size_t)(stop - start);
        return true;
    }
    return false;
}

tola_status crypt_parse_pairs(const char *text, size_t bytes, crypt_pair *pairs, size_t *count, tola_error *err) {
    const char *end = text + bytes, *line;
    size_t n = 0, length;
    while (next_line(&text, end, &line, &length)) {
        if (n == CRYPT_MOST_KEYS)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "holds more than %d keys", (int)CRYPT_MOST_KEYS);
        TRY(parse_key(secret_word, line, length, pairs[n].secret, err));
        TRY(crypt_x25519_public(pairs[n].secret, pairs[n].public, err));
        n++;
    }
    if (n == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "holds no key");
    *count = n;
    return TOLA_OK;
}

tola_status crypt_parse_recipients(const char *text, size_t bytes, buf *keys, tola_error *err) {
    const char *end = text + bytes, *line;
    uint8_t key[CRYPT_KEY];
    size_t length;
    bool any = false;
    while (next_line(&text, end, &line, &length)) {
        if (keys->length / CRYPT_KEY >= MOST_RECIPIENTS)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %u recipients", MOST_RECIPIENTS);
        TRY(parse_key(public_word, line, length, key, err));
        bool known = false;
        for (size_t i = 0; i < keys->length && !known; i += CRYPT_KEY)
            known = memcmp(keys->data + i, key, CRYPT_KEY) == 0;
        if (!known) buf_append(keys, key, CRYPT_KEY);
        if (keys->failed) return err_nomem(err, "reading keys");
        any = true;
    }
    return any ? TOLA_OK : err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "holds no key");
}

/* ---- files ---- */

static tola_status read_all(int fd, const char *path, size_t limit, char **text, size_t *bytes, tola_error *err) {
    char *block = secret_alloc(limit + 2);
    size_t have = 0;
    if (!block)
        return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                       "memory for a key cannot be locked: raise the limit that ulimit -l shows");
    for (;;) {
        ssize_t n = fault_hit(FAULT_READ) ? (errno = EIO, -1) : read(fd, block + have, limit + 1 - have);
        if (n < 0 && errno == EINTR) continue;
        if (n > 0) have += (size_t)n;
        if (n > 0 && have <= limit) continue;
        tola_status status = TOLA_OK;
        if (n < 0)
            status = err_errno(err, errno, "cannot read", path);
        else if (have > limit)
            status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: more than %zu bytes", path, limit);
        if (status != TOLA_OK) {
            secret_free(block);
            return status;
        }
        *text = block;
        *bytes = have;
        return TOLA_OK;
    }
}

/* A file of any kind ("-" is stdin) in locked memory, with a NUL behind it; freed with secret_free. *wide: others than
 * the owner may read it. */
static tola_status read_secret(const char *path, size_t limit, char **text, size_t *bytes, bool *wide, tola_error *err) {
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0) return err_errno(err, errno, "cannot open", path);
    *wide = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077);
    tola_status status = read_all(fd, standard ? "stdin" : path, limit, text, bytes, err);
    if (!standard) close(fd);
    return status;
}

tola_status crypt_read_passphrase(const char *path, char **text, size_t *bytes, bool *wide, tola_error *err) {
    char *all;
    size_t n;
    TRY(read_secret(path, CRYPT_MOST_PASSPHRASE + 2, &all, &n, wide, err));
    const char *stop = memchr(all, '\n', n);
    if (stop) n = (size_t)(stop - all);
    if (n > 0 && all[n - 1] == '\r') n--;
    if (n > 0 && n <= CRYPT_MOST_PASSPHRASE) {
        *text = all;
        *bytes = n;
        return TOLA_OK;
    }
    secret_free(all);
    if (n == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: the first line is empty: it should be the passphrase",
                       path);
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: a passphrase has at most %d bytes", path,
                   (int)CRYPT_MOST_PASSPHRASE);
}

tola_status crypt_read_pairs(const char *path, crypt_pair **pairs, size_t *count, bool *wide, tola_error *err) {
    char *text;
    size_t bytes;
    TRY(read_secret(path, MOST_FILE, &text, &bytes, wide, err));
    crypt_pair *made = secret_alloc(CRYPT_MOST_KEYS * sizeof *made);
    tola_status status = made ? crypt_parse_pairs(text, bytes, made, count, err) : err_nomem(err, "reading keys");
    secret_free(text);
    if (status == TOLA_OK) {
        *pairs = made;
        return TOLA_OK;
    }
    secret_free(made);
    return made ? err_in_file(err, status, path) : status;
}

tola_status crypt_add_recipients(const char *text, buf *keys, tola_error *err) {
    buf file;
    if (strncmp(text, public_word, WORD) == 0 || strncmp(text, secret_word, WORD) == 0) {
        tola_status status = crypt_parse_recipients(text, strlen(text), keys, err);
        return status == TOLA_OK ? status : err_in_file(err, status, "recipient");
    }
    TRY(whole_read(text, MOST_RECIPIENTS_FILE, &file, err));
    tola_status status = crypt_parse_recipients((const char *)file.data, file.length, keys, err);
    whole_wipe(&file); /* it may be a secret key, named by mistake */
    return status == TOLA_OK ? status : err_in_file(err, status, text);
}
