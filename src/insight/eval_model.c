/* Models as evaluation sees them. */
#include "insight/eval_model.h"

#include "base/err.h"

#define ROW_BYTES_MOST ((uint64_t)64 << 20)

tola_status eval_model_check(const tola_model *model, tola_error *err) {
    const tola_model_info *info = tola_model_about(model);
    if (info->hidden || info->vocabulary == 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s does not predict tokens", info->family);
    if (!tola_model_tokenizer(model)) {
        const char *why = tola_model_no_tokenizer(model);
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s", why ? why : "there is no tokenizer");
    }
    return TOLA_OK;
}

tola_status eval_bos(const tola_tokenizer *tokenizer, uint32_t *bos, tola_error *err) {
    uint32_t *ids, first = tola_tokenizer_special(tokenizer, TOLA_SPECIAL_BOS);
    size_t count;
    TRY(tola_tokenize(tokenizer, "", 0, TOLA_TOKENIZE_SPECIAL, &ids, &count, err));
    *bos = count > 0 && ids[0] == first ? first : TOLA_NO_TOKEN;
    tola_free(ids);
    return TOLA_OK;
}

uint32_t eval_rows_at_once(const tola_model *model, uint64_t wanted) {
    uint64_t rows = ROW_BYTES_MOST / (4 * ((uint64_t)tola_model_about(model)->vocabulary + 1));
    if (rows < 16) rows = 16;
    if (rows > 512) rows = 512;
    return (uint32_t)(rows < wanted ? rows : wanted);
}

tola_status eval_session(const tola_model *model, const eval_session_options *options, tola_session **out,
                         tola_error *err) {
    tola_session_options s = TOLA_SESSION_OPTIONS_INIT;
    s.context = options->context;
    s.sequences = options->sequences;
    s.outputs = options->outputs;
    s.key_type = options->key_type;
    s.value_type = options->value_type;
    s.threads = options->threads;
    return tola_session_create(model, &s, out, err);
}

bool eval_advance(eval_progress *p, uint64_t done) {
    p->state.done = done;
    if (p->fn && !p->stopped) p->stopped = !p->fn(p->user, &p->state);
    return !p->stopped;
}

bool eval_between_steps(void *progress, size_t done, size_t total) {
    eval_progress *p = progress;
    (void)done, (void)total;
    return eval_advance(p, p->state.done);
}
