/* Certificates: what is read of their DER here (names, timestamps of logs, issuers), and chains, each as its own root. */
#include <stdlib.h>
#include <string.h>

#include "trust/certificate.h"
#include "trust/sigstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void walk_der(bundle_bytes in, int depth) {
    uint8_t tag;
    bundle_bytes content;
    const uint8_t *end = in.data + in.length;
    while (der_next(&in, &tag, &content)) {
        check(content.data + content.length <= end && in.data == content.data + content.length);
        if (depth < 8 && (tag & 0x20)) walk_der(content, depth + 1);
    }
}

static void look_at(const crypto *c, void *x) {
    char text[256];
    int64_t from, to;
    tola_error err = TOLA_ERROR_INIT;
    bundle_bytes value;
    int at;
    if (certificate_first_name(c, x, text, sizeof text)) check(certificate_names(c, x, text));
    check(!certificate_names(c, x, "nobody@nowhere.invalid"));
    (void)sigstore_issuer(c, x, text, sizeof text);
    (void)certificate_times(c, x, &from, &to);
    (void)certificate_extension(c, x, "1.3.6.1.4.1.11129.2.4.2", &value, &at);
    if (certificate_may_sign(c, x, true, &err) != TOLA_OK) check(err.message[0]);
    sign_key key;
    if (key_of_certificate(c, x, &key, &err) == TOLA_OK) {
        char hint[65];
        check(key_hint(&key, hint, &err) == TOLA_OK && strlen(hint) == 64);
        check(!key_verify(&key, false, "text", 4, (bundle_bytes){ (const uint8_t *)"signature", 9 }));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    certificates list = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    bundle_bytes all = { data, bytes }, rest = all, content;
    uint8_t tag;
    walk_der(all, 0);
    while (list.count < 4) { /* certificates behind each other */
        const uint8_t *start = rest.data;
        if (!der_next(&rest, &tag, &content)) break;
        if (certificates_add_der(&list, (bundle_bytes){ start, (size_t)(rest.data - start) }, &err) != TOLA_OK) break;
    }
    if (list.count == 0 && list.c) check(err.message[0]);
    for (size_t i = 0; i < list.count; i++) look_at(list.c, list.items[i]);
    if (list.count > 0) {
        void *issuer = NULL;
        certificates root = { list.c, list.items + list.count - 1, 1, 0 };
        tola_status status = certificate_check(list.c, list.items[0], &list, 1, &root, 1772366400, &issuer, &err);
        check(status == TOLA_OK || err.message[0]);
    }
    certificates_free(&list);
    return 0;
}
