#include "encrypted.h"

const char *encrypted_for(const tola_encrypt_summary *s, char *buf, size_t cap) {
    const unsigned long long r = s->recipients, p = s->passphrases;
    const char *recipients = r == 1 ? "recipient" : "recipients", *passphrases = p == 1 ? "passphrase" : "passphrases";
    if (r && p)
        snprintf(buf, cap, "for %llu %s and %llu %s", r, recipients, p, passphrases);
    else
        snprintf(buf, cap, "for %llu %s", r ? r : p, r ? recipients : passphrases);
    return buf;
}

static void number(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

void encrypted_json(const char *schema, const char *path, const tola_encrypt_summary *s) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, schema);
    tola_json_key(&j, "output");
    tola_json_string(&j, path);
    if (s->files) { /* a rekey looks at none */
        tola_json_key(&j, "folder");
        tola_json_bool(&j, s->folder);
        number(&j, "files", s->files);
        number(&j, "tensors", s->tensors);
        number(&j, "bytes", s->bytes);
    }
    number(&j, "encrypted_bytes", s->file_bytes);
    number(&j, "recipients", s->recipients);
    number(&j, "passphrases", s->passphrases);
    tola_json_key(&j, "seconds");
    tola_json_f64(&j, s->seconds);
    tola_json_end_object(&j);
    out_json_end(&j);
}
