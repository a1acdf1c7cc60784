/* OpenSSL's libcrypto, loaded when it is first wanted: the functions that are used, as one table.
 *
 * Its opaque structures stay void pointers here, so that the headers of OpenSSL are not needed to build. Prototypes:
 * https://docs.openssl.org/3.0/man3/ . Nothing of it is initialised by hand; OpenSSL 3 does that itself. */
#ifndef TRUST_CRYPTO_H
#define TRUST_CRYPTO_H

#include <tola/base.h>
#include <time.h>

typedef int (*crypto_password_fn)(char *into, int cap, int writing, void *user);

typedef struct crypto {
    /* errors and memory */
    unsigned long (*ERR_get_error)(void);
    const char *(*ERR_reason_error_string)(unsigned long code);
    void (*ERR_clear_error)(void);
    void (*CRYPTO_free)(void *block, const char *file, int line);
    /* text in, text out */
    void *(*BIO_new_mem_buf)(const void *data, int bytes);
    int (*BIO_free)(void *bio);
    /* digests */
    void *(*EVP_MD_CTX_new)(void);
    void (*EVP_MD_CTX_free)(void *ctx);
    int (*EVP_DigestInit_ex)(void *ctx, const void *md, void *engine);
    int (*EVP_DigestUpdate)(void *ctx, const void *data, size_t bytes);
    int (*EVP_DigestFinal_ex)(void *ctx, unsigned char *digest, unsigned *bytes);
    const void *(*EVP_sha256)(void);
    const void *(*EVP_sha384)(void);
    const void *(*EVP_sha512)(void);
    const void *(*EVP_blake2b512)(void);
    /* keys */
    void *(*PEM_read_bio_PrivateKey)(void *bio, void **key, crypto_password_fn password, void *user);
    void *(*PEM_read_bio_PUBKEY)(void *bio, void **key, crypto_password_fn password, void *user);
    void *(*d2i_PUBKEY)(void **key, const unsigned char **der, long bytes);
    int (*i2d_PUBKEY)(const void *key, unsigned char **der);
    void (*EVP_PKEY_free)(void *key);
    int (*EVP_PKEY_is_a)(const void *key, const char *name);
    int (*EVP_PKEY_eq)(const void *a, const void *b);
    int (*EVP_PKEY_get_group_name)(const void *key, char *name, size_t cap, size_t *length);
    int (*EVP_PKEY_set_utf8_string_param)(void *key, const char *name, const char *value);
    void *(*EVP_PKEY_new_raw_private_key_ex)(void *library, const char *kind, const char *query,
                                             const unsigned char *key, size_t bytes);
    void *(*EVP_PKEY_new_raw_public_key_ex)(void *library, const char *kind, const char *query,
                                            const unsigned char *key, size_t bytes);
    int (*EVP_PKEY_get_raw_public_key)(const void *key, unsigned char *out, size_t *bytes);
    int (*EVP_DigestSignInit)(void *ctx, void **pkey_ctx, const void *md, void *engine, void *key);
    int (*EVP_DigestSign)(void *ctx, unsigned char *sig, size_t *sig_bytes, const unsigned char *data, size_t bytes);
    int (*EVP_DigestVerifyInit)(void *ctx, void **pkey_ctx, const void *md, void *engine, void *key);
    int (*EVP_DigestVerify)(void *ctx, const unsigned char *sig, size_t sig_bytes, const unsigned char *data,
                            size_t bytes);
    /* making keys, agreeing on one */
    void *(*BIO_new)(const void *method);
    const void *(*BIO_s_mem)(void);
    int (*BIO_read)(void *bio, void *data, int bytes);
    void *(*EVP_PKEY_Q_keygen)(void *library, const char *properties, const char *type, ...);
    int (*PEM_write_bio_PKCS8PrivateKey)(void *bio, const void *key, const void *cipher, const char *password, int bytes,
                                         crypto_password_fn ask, void *user);
    int (*PEM_write_bio_PUBKEY)(void *bio, const void *key);
    void *(*EVP_PKEY_new_raw_private_key)(int type, void *engine, const unsigned char *key, size_t bytes);
    void *(*EVP_PKEY_new_raw_public_key)(int type, void *engine, const unsigned char *key, size_t bytes);
    void *(*EVP_PKEY_CTX_new)(void *key, void *engine);
    void (*EVP_PKEY_CTX_free)(void *ctx);
    int (*EVP_PKEY_derive_init)(void *ctx);
    int (*EVP_PKEY_derive_set_peer)(void *ctx, void *peer);
    int (*EVP_PKEY_derive)(void *ctx, unsigned char *out, size_t *bytes);
    /* encryption */
    unsigned char *(*HMAC)(const void *md, const void *key, int key_bytes, const unsigned char *data, size_t bytes,
                           unsigned char *out, unsigned *out_bytes);
    void *(*EVP_CIPHER_fetch)(void *library, const char *name, const char *properties);
    void *(*EVP_CIPHER_CTX_new)(void);
    void (*EVP_CIPHER_CTX_free)(void *ctx);
    int (*EVP_CIPHER_CTX_ctrl)(void *ctx, int type, int bytes, void *data);
    int (*EVP_CipherInit_ex)(void *ctx, const void *cipher, void *engine, const unsigned char *key,
                             const unsigned char *iv, int encrypt);
    int (*EVP_CipherUpdate)(void *ctx, unsigned char *out, int *out_bytes, const unsigned char *in, int bytes);
    int (*EVP_CipherFinal_ex)(void *ctx, unsigned char *out, int *out_bytes);
    /* certificates */
    void *(*PEM_read_bio_X509)(void *bio, void **x, crypto_password_fn password, void *user);
    void *(*d2i_X509)(void **x, const unsigned char **der, long bytes);
    int (*i2d_X509)(const void *x, unsigned char **der);
    void (*X509_free)(void *x);
    void *(*X509_dup)(const void *x);
    void *(*X509_get0_pubkey)(const void *x);
    void *(*X509_get_subject_name)(const void *x);
    char *(*X509_NAME_oneline)(const void *name, char *out, int cap);
    const void *(*X509_get0_notBefore)(const void *x);
    const void *(*X509_get0_notAfter)(const void *x);
    uint32_t (*X509_get_extension_flags)(void *x);
    uint32_t (*X509_get_key_usage)(void *x);
    uint32_t (*X509_get_extended_key_usage)(void *x);
    int (*X509_get_ext_by_OBJ)(const void *x, const void *object, int after);
    void *(*X509_get_ext)(const void *x, int at);
    void *(*X509_delete_ext)(void *x, int at);
    void (*X509_EXTENSION_free)(void *extension);
    void *(*X509_EXTENSION_get_data)(void *extension);
    int (*i2d_re_X509_tbs)(void *x, unsigned char **der);
    int (*X509_cmp)(const void *a, const void *b);
    int (*ASN1_TIME_to_tm)(const void *time, struct tm *tm);
    const unsigned char *(*ASN1_STRING_get0_data)(const void *string);
    int (*ASN1_STRING_length)(const void *string);
    void *(*OBJ_txt2obj)(const char *text, int no_names);
    void (*ASN1_OBJECT_free)(void *object);
    void *(*X509_STORE_new)(void);
    void (*X509_STORE_free)(void *store);
    int (*X509_STORE_add_cert)(void *store, void *x);
    void *(*X509_STORE_CTX_new)(void);
    void (*X509_STORE_CTX_free)(void *ctx);
    int (*X509_STORE_CTX_init)(void *ctx, void *store, void *leaf, void *untrusted);
    void *(*X509_STORE_CTX_get0_param)(void *ctx);
    void *(*X509_STORE_CTX_get0_chain)(void *ctx);
    int (*X509_STORE_CTX_get_error)(const void *ctx);
    int (*X509_STORE_CTX_get_error_depth)(const void *ctx);
    void (*X509_VERIFY_PARAM_set_auth_level)(void *param, int level);
    void (*X509_VERIFY_PARAM_set_time)(void *param, time_t when);
    int (*X509_verify_cert)(void *ctx);
    const char *(*X509_verify_cert_error_string)(long code);
    void *(*OPENSSL_sk_new_null)(void);
    int (*OPENSSL_sk_push)(void *stack, const void *item);
    int (*OPENSSL_sk_num)(const void *stack);
    void *(*OPENSSL_sk_value)(const void *stack, int at);
    void (*OPENSSL_sk_free)(void *stack);
} crypto;

/* The table, from any thread; TOLA_E_UNSUPPORTED where libcrypto.so.3 is absent or lacks one of them. */
tola_status crypto_get(const crypto **out, tola_error *err);
/* Forgets the failures of libcrypto in this thread and returns the reason of the first, or `otherwise`. Static storage.
 */
const char *crypto_reason(const crypto *c, const char *otherwise);
/* Are the bytes the same? In a time that does not depend on them. */
bool crypto_same(const void *a, const void *b, size_t bytes);

#endif
