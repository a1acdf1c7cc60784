/* Looking at a folder that nobody vouches for: summary with everything beside the weights, digest, statistics,
 * differences, the view in GGUF's words.
 *
 * An input is a run of "\nFILE name\n" and contents, as fuzz_hf_folder has it. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>

#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = { "model.safetensors", "config.json",         "tokenizer.json",
                                     "tokenizer.model",   "vocab.json",          "merges.txt",
                                     "vocab.txt",         "adapter_config.json", "tokenizer_config.json",
                                     "LICENSE",           "chat_template.jinja", "README.md",
                                     "model.safetensors.index.json" };
enum { NAMES = sizeof names / sizeof *names };
#include "folder.h"

static void summarize(const tola_checkpoint *ck) {
    tola_summary s;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_summarize(ck, &s, NULL, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return;
    }
    if (s.active > s.parameters) abort();
    uint64_t sum = 0;
    for (int i = 0; i < TOLA_ROLE_COUNT; i++) sum += s.by_role[i];
    if (sum != s.parameters) abort();
    for (size_t i = 0; i < s.warning_count; i++)
        if (!s.warnings[i][0]) abort();
    tola_summary_dispose(&s);
}

static void read_values(const tola_checkpoint *ck, const tola_checkpoint *other) {
    tola_error err = TOLA_ERROR_INIT;
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    tola_diff_options diff_options = TOLA_DIFF_OPTIONS_INIT;
    tola_stats stats;
    tola_diff diff;
    char digest[65];
    options.threads = diff_options.threads = 1;
    if (tola_digest(ck, &options, digest, &err) == TOLA_OK && strlen(digest) != 64) abort();
    if (tola_stats_compute(ck, &options, &stats, &err) == TOLA_OK) {
        for (size_t i = 0; i < stats.count; i++) {
            uint64_t sum = stats.tensors[i].nans + stats.tensors[i].infinities;
            for (int k = 0; k < TOLA_HISTOGRAM_BINS; k++) sum += stats.tensors[i].histogram[k];
            if (sum != stats.tensors[i].count || stats.tensors[i].outliers > sum) abort();
        }
        tola_stats_dispose(&stats);
    }
    if (tola_diff_compute(ck, other, &diff_options, &diff, &err) == TOLA_OK) {
        if (ck == other && !diff.same) abort();
        tola_diff_dispose(&diff);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck, *view;
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = true;
    options.threads = 1;
    if (!folder[0]) make_folder();
    write_files(data, bytes);
    if (tola_checkpoint_open(folder, &options, &ck, &err) != TOLA_OK) return 0;
    summarize(ck);
    uint64_t total = 0;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) total += tola_checkpoint_tensor(ck, i)->bytes;
    if (total <= 1 << 20) read_values(ck, ck);
    if (total <= 1 << 20 && tola_checkpoint_as_gguf(ck, &view, &err) == TOLA_OK) {
        summarize(view);
        read_values(view, ck);
        tola_checkpoint_close(view);
    }
    tola_checkpoint_close(ck);
    return 0;
}
