/* CRC-32 by carry-less multiplication: what hash.c calls where the processor has it. */
#ifndef BASE_HASH_CRC32_H
#define BASE_HASH_CRC32_H

#include <stddef.h>
#include <stdint.h>

#define CRC32_FOLD_MIN 64
/* As crc32_update; `bytes` is a multiple of 16 and at least CRC32_FOLD_MIN. Needs PCLMULQDQ and SSE4.1. */
uint32_t crc32_fold_pclmul(uint32_t crc, const uint8_t *data, size_t bytes);

#endif
