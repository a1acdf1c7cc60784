/* Loading libcrypto. The table's names are those of the functions, so a row is a name and a place. */
#include "trust/crypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

typedef struct crypto_row {
    const char *name;
    size_t offset;
} crypto_row;

#define ROW(name)                                                                                                      \
    { #name, offsetof(crypto, name) }

static const crypto_row rows[] = {
    ROW(ERR_get_error),
    ROW(ERR_reason_error_string),
    ROW(ERR_clear_error),
    ROW(CRYPTO_free),
    ROW(BIO_new_mem_buf),
    ROW(BIO_free),
    ROW(EVP_MD_CTX_new),
    ROW(EVP_MD_CTX_free),
    ROW(EVP_DigestInit_ex),
    ROW(EVP_DigestUpdate),
    ROW(EVP_DigestFinal_ex),
    ROW(EVP_sha256),
    ROW(EVP_sha384),
    ROW(EVP_sha512),
    ROW(EVP_blake2b512),
    ROW(PEM_read_bio_PrivateKey),
    ROW(PEM_read_bio_PUBKEY),
    ROW(d2i_PUBKEY),
    ROW(i2d_PUBKEY),
    ROW(EVP_PKEY_free),
    ROW(EVP_PKEY_is_a),
    ROW(EVP_PKEY_eq),
    ROW(EVP_PKEY_get_group_name),
    ROW(EVP_PKEY_set_utf8_string_param),
    ROW(EVP_PKEY_new_raw_private_key_ex),
    ROW(EVP_PKEY_new_raw_public_key_ex),
    ROW(EVP_PKEY_get_raw_public_key),
    ROW(EVP_DigestSignInit),
    ROW(EVP_DigestSign),
    ROW(EVP_DigestVerifyInit),
    ROW(EVP_DigestVerify),
    ROW(BIO_new),
    ROW(BIO_s_mem),
    ROW(BIO_read),
    ROW(EVP_PKEY_Q_keygen),
    ROW(PEM_write_bio_PKCS8PrivateKey),
    ROW(PEM_write_bio_PUBKEY),
    ROW(EVP_PKEY_new_raw_private_key),
    ROW(EVP_PKEY_new_raw_public_key),
    ROW(EVP_PKEY_CTX_new),
    ROW(EVP_PKEY_CTX_free),
    ROW(EVP_PKEY_derive_init),
    ROW(EVP_PKEY_derive_set_peer),
    ROW(EVP_PKEY_derive),
    ROW(HMAC),
    ROW(EVP_CIPHER_fetch),
    ROW(EVP_CIPHER_CTX_new),
    ROW(EVP_CIPHER_CTX_free),
    ROW(EVP_CIPHER_CTX_ctrl),
    ROW(EVP_CipherInit_ex),
    ROW(EVP_CipherUpdate),
    ROW(EVP_CipherFinal_ex),
    ROW(PEM_read_bio_X509),
    ROW(d2i_X509),
    ROW(i2d_X509),
    ROW(X509_free),
    ROW(X509_dup),
    ROW(X509_get0_pubkey),
    ROW(X509_get_subject_name),
    ROW(X509_NAME_oneline),
    ROW(X509_get0_notBefore),
    ROW(X509_get0_notAfter),
    ROW(X509_get_extension_flags),
    ROW(X509_get_key_usage),
    ROW(X509_get_extended_key_usage),
    ROW(X509_get_ext_by_OBJ),
    ROW(X509_get_ext),
    ROW(X509_delete_ext),
    ROW(X509_EXTENSION_free),
    ROW(X509_EXTENSION_get_data),
    ROW(i2d_re_X509_tbs),
    ROW(X509_cmp),
    ROW(ASN1_TIME_to_tm),
    ROW(ASN1_STRING_get0_data),
    ROW(ASN1_STRING_length),
    ROW(OBJ_txt2obj),
    ROW(ASN1_OBJECT_free),
    ROW(X509_STORE_new),
    ROW(X509_STORE_free),
    ROW(X509_STORE_add_cert),
    ROW(X509_STORE_CTX_new),
    ROW(X509_STORE_CTX_free),
    ROW(X509_STORE_CTX_init),
    ROW(X509_STORE_CTX_get0_param),
    ROW(X509_STORE_CTX_get0_chain),
    ROW(X509_STORE_CTX_get_error),
    ROW(X509_STORE_CTX_get_error_depth),
    ROW(X509_VERIFY_PARAM_set_auth_level),
    ROW(X509_VERIFY_PARAM_set_time),
    ROW(X509_verify_cert),
    ROW(X509_verify_cert_error_string),
    ROW(OPENSSL_sk_new_null),
    ROW(OPENSSL_sk_push),
    ROW(OPENSSL_sk_num),
    ROW(OPENSSL_sk_value),
    ROW(OPENSSL_sk_free),
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static crypto table;
static bool present;
static const char *missing; /* the first function that the library lacks */

static void load(void) {
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *symbol = dlsym(library, rows[i].name);
        if (!symbol) {
            missing = rows[i].name;
            dlclose(library);
            return;
        }
        /* ISO C has no conversion from void * to a function pointer; POSIX promises that the bytes mean the same */
        memcpy((char *)&table + rows[i].offset, &symbol, sizeof symbol);
    }
    present = true;
}

tola_status crypto_get(const crypto **out, tola_error *err) {
    pthread_once(&once, load);
    if (!present && missing)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "signatures and encryption need OpenSSL 3: libcrypto.so.3 has no %s", missing);
    if (!present)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "signatures and encryption need OpenSSL 3: libcrypto.so.3 is not there");
    *out = &table;
    return TOLA_OK;
}

const char *crypto_reason(const crypto *c, const char *otherwise) {
    unsigned long code = c->ERR_get_error();
    const char *reason = code ? c->ERR_reason_error_string(code) : NULL;
    c->ERR_clear_error();
    return reason ? reason : otherwise;
}

bool crypto_same(const void *a, const void *b, size_t bytes) {
    const volatile unsigned char *x = a, *y = b;
    unsigned char differ = 0;
    for (size_t i = 0; i < bytes; i++) differ |= x[i] ^ y[i];
    return differ == 0;
}
