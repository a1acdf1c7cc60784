/* Digests and checksums. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <tola/base.h>

#define SHA256_BYTES 32
/* SHA-256 (FIPS 180-4) through OpenSSL's libcrypto, loaded at the first use; TOLA_E_UNSUPPORTED where it is absent. */
tola_status sha256(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES], tola_error *err);
typedef struct sha256_stream sha256_stream;
tola_status sha256_open(sha256_stream **out, tola_error *err);
tola_status sha256_update(sha256_stream *s, const void *data, size_t bytes, tola_error *err);
tola_status sha256_finish(sha256_stream *s, uint8_t digest[SHA256_BYTES], tola_error *err); /* frees s */
void sha256_abort(sha256_stream *s);

/* CRC-32 of zip, gzip and PNG (polynomial 0xedb88320), start with 0; carry-less multiplication where present. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t bytes);
/* CRC of A followed by B from the CRCs of A and B and the length of B. */
uint32_t crc32_join(uint32_t crc_a, uint32_t crc_b, uint64_t length_b);

/* A fast non-cryptographic hash of a string for hash tables, keyed per process against crafted collisions. */
uint64_t hash_string(const char *text, size_t length);

#endif
