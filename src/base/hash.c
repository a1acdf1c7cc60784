/* Digests (through OpenSSL, loaded when first wanted), CRC-32 arithmetic, and the hash of strings in tables.
 *
 * SHA-256: FIPS 180-4. CRC-32: ISO 3309, as in RFC 1952. hash_string: multiply and fold 16 bytes at
 * a time, as wyhash does (https://github.com/wangyi-fudan/wyhash), under a key that is random in every process. */
#include "base/hash.h"
#include "base/cpu.h"
#include "base/err.h"
#include "base/hash_crc32.h"
#include "base/mem.h"
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zlib.h>

/* ---- SHA-256 ---- */

/* The part of libcrypto's EVP interface that is used. Its opaque structures stay void pointers here. */
typedef struct evp {
    void *(*md_ctx_new)(void);
    void (*md_ctx_free)(void *ctx);
    const void *(*sha256)(void);
    int (*digest_init_ex)(void *ctx, const void *type, void *engine);
    int (*digest_update)(void *ctx, const void *data, size_t bytes);
    int (*digest_final_ex)(void *ctx, unsigned char *digest, unsigned *bytes);
} evp;

static pthread_once_t evp_once = PTHREAD_ONCE_INIT;
static evp evp_calls;
static bool evp_present;

/* ISO C has no conversion from void * to a function pointer; POSIX promises that the bytes mean the same. */
static bool find_symbol(void *library, const char *name, void *function_pointer) {
    void *symbol = dlsym(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void load_evp(void) {
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    evp_present = find_symbol(library, "EVP_MD_CTX_new", &evp_calls.md_ctx_new) &&
                  find_symbol(library, "EVP_MD_CTX_free", &evp_calls.md_ctx_free) &&
                  find_symbol(library, "EVP_sha256", &evp_calls.sha256) &&
                  find_symbol(library, "EVP_DigestInit_ex", &evp_calls.digest_init_ex) &&
                  find_symbol(library, "EVP_DigestUpdate", &evp_calls.digest_update) &&
                  find_symbol(library, "EVP_DigestFinal_ex", &evp_calls.digest_final_ex);
    if (!evp_present) dlclose(library);
}

struct sha256_stream {
    void *ctx;
};

tola_status sha256_open(sha256_stream **out, tola_error *err) {
    pthread_once(&evp_once, load_evp);
    if (!evp_present)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "SHA-256 needs OpenSSL 3: libcrypto.so.3 is not there");
    sha256_stream *s = mem_alloc(sizeof *s);
    if (!s) return err_nomem(err, "a SHA-256 state");
    s->ctx = evp_calls.md_ctx_new();
    if (!s->ctx) {
        mem_free(s);
        return err_nomem(err, "a SHA-256 state");
    }
    if (evp_calls.digest_init_ex(s->ctx, evp_calls.sha256(), NULL) != 1) {
        sha256_abort(s);
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "SHA-256: libcrypto refuses it");
    }
    *out = s;
    return TOLA_OK;
}

tola_status sha256_update(sha256_stream *s, const void *data, size_t bytes, tola_error *err) {
    if (bytes > 0 && evp_calls.digest_update(s->ctx, data, bytes) != 1)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "SHA-256: libcrypto failed");
    return TOLA_OK;
}

tola_status sha256_finish(sha256_stream *s, uint8_t digest[SHA256_BYTES], tola_error *err) {
    unsigned bytes = 0;
    uint8_t result[64]; /* EVP_MAX_MD_SIZE */
    int ok = evp_calls.digest_final_ex(s->ctx, result, &bytes);
    sha256_abort(s);
    if (ok != 1 || bytes != SHA256_BYTES)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "SHA-256: libcrypto failed");
    memcpy(digest, result, SHA256_BYTES);
    return TOLA_OK;
}

void sha256_abort(sha256_stream *s) {
    if (!s) return;
    evp_calls.md_ctx_free(s->ctx);
    mem_free(s);
}

tola_status sha256(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES], tola_error *err) {
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = sha256_update(s, data, bytes, err);
    if (status != TOLA_OK) {
        sha256_abort(s);
        return status;
    }
    return sha256_finish(s, digest, err);
}

/* ---- CRC-32 ---- */

uint32_t crc32_update(uint32_t crc, const void *data, size_t bytes) {
    const uint8_t *p = data;
#if defined(__x86_64__)
    if (bytes >= CRC32_FOLD_MIN && cpu_get()->pclmul) {
        size_t folded = bytes & ~(size_t)15;
        crc = crc32_fold_pclmul(crc, p, folded);
        p += folded;
        bytes -= folded;
    }
#endif
    while (bytes > 0) { /* zlib counts in unsigned int */
        uInt n = bytes < (1u << 30) ? (uInt)bytes : 1u << 30;
        crc = (uint32_t)crc32(crc, p, n);
        p += n;
        bytes -= n;
    }
    return crc;
}

/* a * b modulo the CRC's polynomial, bit-reflected: the highest bit is x^0. */
static uint32_t multiply_mod(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = UINT32_C(1) << 31; bit; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? (b >> 1) ^ UINT32_C(0xedb88320) : b >> 1;
    }
    return product;
}

uint32_t crc32_join(uint32_t crc_a, uint32_t crc_b, uint64_t length_b) {
    /* Appending length_b zero bytes multiplies by x^(8 * length_b): square and multiply from x^8. */
    uint32_t shift = UINT32_C(1) << 31, power = UINT32_C(1) << 23; /* x^0, x^8 */
    for (uint64_t n = length_b; n; n >>= 1) {
        if (n & 1) shift = multiply_mod(shift, power);
        power = multiply_mod(power, power);
    }
    return multiply_mod(shift, crc_a) ^ crc_b;
}

/* ---- strings ---- */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t hash_key[4];

static void make_key(void) {
    if (getrandom(hash_key, sizeof hash_key, GRND_NONBLOCK) == (ssize_t)sizeof hash_key) return;
    struct timespec now; /* early in boot there may be no randomness yet; tables still work */
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = (uint64_t)now.tv_nsec + (uint64_t)(uintptr_t)&now;
    for (int i = 0; i < 4; i++) hash_key[i] = seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 0x632be59bd9b4e019;
}

/* The 128-bit product folded to 64 bits: every bit of either factor reaches most bits of the result. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_string(const char *text, size_t length) {
    pthread_once(&key_once, make_key);
    uint64_t h = hash_key[0] ^ length, words[2];
    for (; length > sizeof words; length -= sizeof words, text += sizeof words) {
        memcpy(words, text, sizeof words);
        h = fold(words[0] ^ hash_key[1], words[1] ^ h);
    }
    words[0] = words[1] = 0;
    if (length > 0) memcpy(words, text, length);
    h = fold(words[0] ^ hash_key[1], words[1] ^ h);
    return fold(h ^ hash_key[2], hash_key[3]);
}
