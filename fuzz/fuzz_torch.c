/* PyTorch files of every container from memory: open, then read every tensor at its end and at its beginning.
 *
 * Checksums of stored zip members are made right first: otherwise no change to a pickle would get past them. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static size_t get(const uint8_t *p, size_t n) {
    size_t v = 0;
    for (size_t i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

static void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static void repair(uint8_t *p, size_t bytes) {
    for (size_t at = 0; at + 46 <= bytes; at++) {
        if (memcmp(p + at, "PK\1\2", 4) != 0 || get(p + at + 10, 2) != 0) continue;
        size_t packed = get(p + at + 20, 4), local = get(p + at + 42, 4);
        if (local > bytes || bytes - local < 30) continue;
        size_t start = local + 30 + get(p + local + 26, 2) + get(p + local + 28, 2);
        if (start > bytes || bytes - start < packed) continue;
        uint32_t crc = crc32_update(0, p + start, packed);
        put32(p + at + 16, crc);
        if (get(p + local + 14, 4) != 0) put32(p + local + 14, crc);
    }
}

static void read_piece(const tola_checkpoint *ck, size_t i, uint64_t at, size_t n) {
    static uint8_t piece[4096];
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_read(ck, i, at, piece, n, &err) != TOLA_OK && !err.message[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    uint8_t *copy = malloc(bytes ? bytes : 1);
    if (!copy) return 0;
    if (bytes) memcpy(copy, data, bytes);
    repair(copy, bytes);
    if (tola_checkpoint_open_memory("fuzz.pt", copy, bytes, &ck, &err) == TOLA_OK) {
        for (size_t i = 0; i < tola_checkpoint_tensor_count(ck) && i < 1000; i++) {
            const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
            if (tola_checkpoint_find(ck, t->name) != i) abort();
            size_t n = t->bytes < 4096 ? (size_t)t->bytes : 4096;
            read_piece(ck, i, t->bytes - n, n);
            read_piece(ck, i, 0, n);
        }
        tola_checkpoint_close(ck);
    } else if (!err.message[0]) {
        abort();
    }
    free(copy);
    return 0;
}
