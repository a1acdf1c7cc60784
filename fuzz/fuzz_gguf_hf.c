/* GGUF files from memory, planned as a Hugging Face folder: names, keys, tokenizer, norms. */
#include <stdlib.h>
#include <string.h>

#include "families/hf_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    hf_gguf_plan *plan;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("fuzz.gguf", data, bytes, &ck, &err) != TOLA_OK) return 0;
    family_hyper hyper;
    families_hyper_of(ck, &hyper);
    (void)hf_gguf_applies(ck, false);
    if (hf_gguf_plan_to_hf(ck, NULL, &plan, &err) == TOLA_OK) {
        for (size_t i = 0; i < plan->count; i++) {
            const hf_gguf_item *item = &plan->items[i];
            if (item->name[0] == '\0' || item->n_dims == 0 || item->n_dims > 4) abort();
            for (size_t p = 0; p < item->piece_count; p++) {
                const tola_tensor_info *t = tola_checkpoint_tensor(ck, item->pieces[p].tensor);
                uint64_t rows = t->elements / item->row_elements, first = item->pieces[p].first_row;
                if (first > rows || item->pieces[p].rows > rows - first) abort();
            }
        }
        for (size_t i = 0; i < plan->companion_count; i++)
            if (plan->companions[i].bytes == 0) abort();
        hf_gguf_plan_free(plan);
    } else if (!err.message[0]) {
        abort();
    }
    tola_checkpoint_close(ck);
    return 0;
}
