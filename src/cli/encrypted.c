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

void encrypted_json(const char *schema, const char *path, const tola_encrypt_summary *s) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", schema);
    out_json_string(&j, "output", path);
    if (s->files) { /* a rekey looks at none */
        out_json_bool(&j, "folder", s->folder);
        out_json_u64(&j, "files", s->files);
        out_json_u64(&j, "tensors", s->tensors);
        out_json_u64(&j, "bytes", s->bytes);
    }
    out_json_u64(&j, "encrypted_bytes", s->file_bytes);
    out_json_u64(&j, "recipients", s->recipients);
    out_json_u64(&j, "passphrases", s->passphrases);
    out_json_f64(&j, "seconds", s->seconds);
    tola_json_end_object(&j);
    out_json_end(&j);
}
