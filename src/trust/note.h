/* Signed notes and checkpoints: text that keys have signed, and the text that stands for a Merkle tree.
 *
 * https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint. Ed25519 signatures (type 0x01) only; others' lines
 * are passed over, as the specification asks. Keys are written as Go's note package does
 * (https://pkg.go.dev/golang.org/x/mod/sumdb/note): "NAME+ID+base64(0x01 || public key)" and, private,
 * "PRIVATE+KEY+NAME+ID+base64(0x01 || seed)"; Ed25519 keys in PEM form are read, too. */
#ifndef TRUST_NOTE_H
#define TRUST_NOTE_H

#include "base/mem.h"
#include "trust/crypto.h"
#include "trust/merkle.h"

enum {
    NOTE_NAME = 256,      /* bytes of a key's name or an origin, with the NUL; witnesses take 255 */
    NOTE_MOST = 1 << 20,  /* bytes of a note */
    NOTE_SIGNATURES = 256 /* lines; the specification asks for 16 at least */
};

typedef struct note_key {
    const crypto *c;
    void *pkey;
    bool private;
    char name[NOTE_NAME];
    uint8_t id[4];
    uint8_t public[32];
} note_key;

/* A fresh key: written to `path` (mode 0600), which must not exist. */
tola_status note_key_create(const char *path, const char *name, note_key *out, tola_error *err);
/* From a file that nobody else may read (private), or any. `name` is for keys in PEM form, which have none. */
tola_status note_key_read(const char *path, bool private, const char *name, note_key *out, tola_error *err);
/* "NAME+ID+base64" */
tola_status note_key_parse(const char *text, size_t length, note_key *out, tola_error *err);
void note_key_text(const note_key *key, buf *out);
bool note_key_same(const note_key *a, const note_key *b);
void note_key_free(note_key *key); /* zeroed is fine */

typedef struct signed_note {
    const char *text; /* with the last newline; borrowed, as is `lines` */
    size_t length;
    const char *lines; /* of signatures */
    size_t lines_length;
} signed_note;

/* TOLA_E_FORMAT where it is none. */
tola_status note_parse(const char *data, size_t length, signed_note *out, tola_error *err);
/* TOLA_OK where the key signed it; TOLA_E_FORMAT where it did not, or a signature that claims to be its own is bad. */
tola_status note_verify(const signed_note *n, const note_key *key, tola_error *err);
/* Appends the line of a signature over `text`. */
tola_status note_sign(const note_key *key, const char *text, size_t length, buf *out, tola_error *err);

typedef struct tree_head {
    char origin[NOTE_NAME];
    uint64_t size;
    merkle_hash root;
} tree_head;

/* The text of a note as a checkpoint. */
tola_status checkpoint_parse(const signed_note *n, tree_head *out, tola_error *err);
/* The signed note for it, appended. */
tola_status checkpoint_sign(const tree_head *c, const note_key *key, buf *out, tola_error *err);
/* Decimal digits as the formats here write them: no sign, no leading zero; false for anything else. */
bool note_number(const char *text, size_t length, uint64_t *out);
/* 32 bytes in base64. */
bool note_hash(const char *text, size_t length, merkle_hash out);

#endif
