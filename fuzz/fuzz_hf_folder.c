/* A Hugging Face folder planned as GGUF: one input holds its small files, each after a line with its name.
 *
 * An input is a run of "\nFILE name\n" and contents. The folder is on disk, since companions are files. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>

#include "families/hf_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = { "model.safetensors", "config.json",       "tokenizer.json",
                                     "tokenizer.model",   "vocab.json",        "merges.txt",
                                     "added_tokens.json", "chat_template.json", "tokenizer_config.json",
                                     "special_tokens_map.json", "generation_config.json", "chat_template.jinja",
                                     "README.md" };
enum { NAMES = sizeof names / sizeof *names };
#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err = TOLA_ERROR_INIT;
    if (!folder[0]) make_folder();
    write_files(data, bytes);
    if (tola_checkpoint_open(folder, NULL, &ck, &err) != TOLA_OK) return 0;
    (void)hf_gguf_applies(ck, true);
    if (hf_gguf_plan_to_gguf(ck, NULL, &plan, &err) == TOLA_OK) {
        const tola_value *tokens = tola_value_get(&plan->metadata, "tokenizer.ggml.tokens");
        const tola_value *types = tola_value_get(&plan->metadata, "tokenizer.ggml.token_type");
        if (tokens && (!types || types->as.array.count != tokens->as.array.count)) abort();
        hf_gguf_plan_free(plan);
    } else if (!err.message[0]) {
        abort();
    }
    tola_checkpoint_close(ck);
    return 0;
}
