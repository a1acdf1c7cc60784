/* libsodium, loaded when a passphrase is first used: Argon2id, which OpenSSL has only since 3.2. */
#ifndef TRUST_LIBSODIUM_H
#define TRUST_LIBSODIUM_H

#include <tola/base.h>

/* Argon2id (RFC 9106) version 0x13 with one lane: `out` of 32 bytes. TOLA_E_UNSUPPORTED where libsodium is absent,
 * TOLA_E_NOMEM where the memory cannot be had. */
tola_status argon2id(const void *passphrase, size_t bytes, const uint8_t salt[16], uint32_t memory_kib, uint32_t passes,
                     uint8_t out[32], tola_error *err);

#endif
