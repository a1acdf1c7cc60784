/* What lies beside the tensors, in words: tokenizer, licence, adapter, quantization, name. */
#ifndef INSIGHT_DESCRIBE_H
#define INSIGHT_DESCRIBE_H

#include "base/mem.h"
#include <tola/insight.h>

/* Fills in tokenizer, chat_template, licence, adapter and name of `s`, whose counts are known; texts live in `a` or in the checkpoint.
 * Companion files that are absent or cannot be understood leave their member as it is: they are no part of the
 * weights. */
void describe(const tola_checkpoint *ck, arena *a, tola_summary *s);

/* "Q4_K - Medium" for general.file_type of GGUF (enum llama_ftype in llama.cpp's include/llama.h); NULL for those that
 * are no quantization and for unknown ones. */
const char *describe_file_type(uint64_t file_type);

/* printf into the arena; NULL where it has no memory. */
char *describe_text(arena *a, const char *pattern, ...) __attribute__((format(printf, 2, 3)));

#endif
