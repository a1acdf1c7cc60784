/* Evaluating and embedding with a small model: what does not depend on threads, what an interruption leaves, what is
 * refused, and that no allocation that fails leaves anything behind. */
#include "unit.h"
#include "tiny_model.h"

#include <math.h>

#include "base/mem.h"

static const char *folder;
static char model_path[300], other_path[300], window_path[300];
static tola_model *model, *other, *window, *hidden;

static void open_model(const char *path, bool for_states, tola_model **out) {
    tola_error err = TOLA_ERROR_INIT;
    tola_model_options o = TOLA_MODEL_OPTIONS_INIT;
    o.hidden = for_states;
    if (tola_model_open(path, &o, out, &err) != TOLA_OK) fail_msg("%s", err.message);
}

static int set_up(void **state) {
    (void)state;
    folder = unit_folder();
    snprintf(model_path, sizeof model_path, "%s/tiny.gguf", folder);
    snprintf(other_path, sizeof other_path, "%s/other.gguf", folder);
    snprintf(window_path, sizeof window_path, "%s/window", folder);
    tiny_gguf(model_path, 1);
    tiny_gguf(other_path, 2);
    tiny_mistral(window_path, 3, 24);
    open_model(model_path, false, &model);
    open_model(other_path, false, &other);
    open_model(window_path, false, &window);
    open_model(model_path, true, &hidden);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tola_model_free(model);
    tola_model_free(other);
    tola_model_free(window);
    tola_model_free(hidden);
    unit_remove(folder);
    return 0;
}

static const char text[] =
    "The tola is a small unit of weight that was used for gold. It is what a coin of silver weighed, and a hundred and "
    "eighty grains. Whoever weighs numbers may take it for one, too: it is small, and it has always been exact.";

/* ---- perplexity ---- */

typedef struct watch {
    uint64_t calls, stop_at, last, total;
} watch;

static bool on_progress(void *user, const tola_progress *p) {
    watch *w = user;
    assert_true(p->done >= w->last && p->done <= p->total);
    w->last = p->done;
    w->total = p->total;
    return ++w->calls != w->stop_at;
}

static tola_perplexity_options small_options(tola_protocol protocol) {
    tola_perplexity_options o = TOLA_PERPLEXITY_OPTIONS_INIT;
    o.protocol = protocol;
    o.context = 16;
    o.threads = 1;
    return o;
}

static tola_perplexity_result measured(const tola_perplexity_options *o) {
    tola_error err = TOLA_ERROR_INIT;
    tola_perplexity_result r;
    if (tola_perplexity(model, text, sizeof text - 1, o, &r, &err) != TOLA_OK) fail_msg("%s", err.message);
    return r;
}

static void same_estimate(tola_estimate a, tola_estimate b) { assert_memory_equal(&a, &b, sizeof a); }

/* Threads change no digit, progress tells of every byte, a model is no further from itself than nothing. */
static void test_perplexity(void **state) {
    (void)state;
    for (int protocol = TOLA_PROTOCOL_CHUNK; protocol <= TOLA_PROTOCOL_WINDOW; protocol++) {
        tola_perplexity_options o = small_options((tola_protocol)protocol);
        watch w = { .stop_at = 0 };
        o.reference = other;
        o.progress = on_progress;
        o.progress_user = &w;
        tola_perplexity_result one = measured(&o);
        assert_int_equal(w.last, sizeof text - 1);
        assert_int_equal(w.total, sizeof text - 1);
        assert_true(one.complete && one.compared && one.windows == one.windows_total);
        o.progress = NULL;
        o.threads = 3;
        tola_perplexity_result three = measured(&o);
        same_estimate(one.perplexity, three.perplexity);
        same_estimate(one.divergence.kl, three.divergence.kl);
        same_estimate(one.divergence.top1, three.divergence.top1);
        assert_true(one.divergence.kl.value > 0 && one.divergence.kl_max >= one.divergence.kl_999);
        o.reference = model;
        tola_perplexity_result self = measured(&o);
        assert_true(self.divergence.kl_max == 0 && self.divergence.top1.value == 1);
        assert_true(self.divergence.log_ratio.value == 0 && self.divergence.probability_rms == 0);
        same_estimate(self.perplexity, self.divergence.perplexity);
    }
}

/* Stopped at any call, the result is of what was scored: the same as that of a text that ends there. */
static void test_perplexity_interrupted(void **state) {
    (void)state;
    tola_perplexity_options o = small_options(TOLA_PROTOCOL_CHUNK);
    tola_error err = TOLA_ERROR_INIT;
    tola_perplexity_result r;
    unsigned cancelled = 0, partial = 0;
    for (uint64_t stop = 1;; stop++) {
        watch w = { .stop_at = stop };
        o.limit = 0;
        o.progress = on_progress;
        o.progress_user = &w;
        tola_status status = tola_perplexity(model, text, sizeof text - 1, &o, &r, &err);
        if (status == TOLA_E_CANCELLED) {
            cancelled++;
            continue;
        }
        assert_int_equal(status, TOLA_OK);
        if (r.complete) break;
        partial++;
        o.progress = NULL;
        o.limit = r.windows;
        same_estimate(measured(&o).perplexity, r.perplexity);
    }
    assert_true(cancelled > 0 && partial > 0);
}

static void refused(const tola_model *m, const tola_perplexity_options *o, tola_status status, const char *part) {
    tola_error err = TOLA_ERROR_INIT;
    tola_perplexity_result r;
    assert_int_equal(tola_perplexity(m, text, sizeof text - 1, o, &r, &err), status);
    if (!strstr(err.message, part)) fail_msg("%s", err.message);
}

static void test_perplexity_refused(void **state) {
    (void)state;
    tola_perplexity_options o = small_options(TOLA_PROTOCOL_CHUNK);
    refused(window, &o, TOLA_E_UNSUPPORTED, "tokenizer");
    refused(hidden, &o, TOLA_E_UNSUPPORTED, "does not predict");
    o.reference = hidden;
    refused(model, &o, TOLA_E_ARG, "the reference");
    o.reference = NULL;
    o.context = 512;
    refused(model, &o, TOLA_E_LIMIT, "two chunks of 512");
    o.stride = 8;
    refused(model, &o, TOLA_E_ARG, "stride");
}

/* ---- multiple choice ---- */

static const char questions[] =
    "{\"question\": \"The tola is\", \"choices\": [\"small\", \"large\", \"a coin of silver\"], \"answer\": 0}\n"
    "{\"question\": \"\", \"choices\": [\"gold\", \"silver\"], \"answer\": \"B\"}\n"
    "\n"
    "{\"question\": \"It has been \", \"choices\": [\"exact\", \"used\"], \"answer\": \"exact\"}\n";

static void test_choice(void **state) {
    (void)state;
    tola_choice_options o = TOLA_CHOICE_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_choice_result all, part;
    o.threads = 1;
    if (tola_choice(model, "q", questions, sizeof questions - 1, &o, &all, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(all.questions, 3);
    assert_true(all.complete);
    assert_int_equal(all.items[2].line, 4);
    assert_int_equal(all.items[0].choices, 3);
    /* the model's own words weigh less than nothing, and stopping leaves what was answered */
    unsigned cancelled = 0, partial = 0;
    for (uint64_t stop = 1;; stop++) {
        watch w = { .stop_at = stop };
        o.progress = on_progress;
        o.progress_user = &w;
        o.threads = 2;
        tola_status status = tola_choice(model, "q", questions, sizeof questions - 1, &o, &part, &err);
        cancelled += status == TOLA_E_CANCELLED;
        if (status == TOLA_E_CANCELLED) continue;
        assert_int_equal(status, TOLA_OK);
        for (uint64_t i = 0; i < part.questions; i++)
            for (uint32_t k = 0; k < part.items[i].choices; k++)
                assert_true(part.items[i].log_likelihood[k] == all.items[i].log_likelihood[k] &&
                            part.items[i].log_likelihood[k] < 0);
        bool complete = part.complete;
        partial += !complete;
        tola_choice_dispose(&part);
        if (complete) break;
    }
    assert_true(cancelled > 0 && partial > 0);
    tola_choice_dispose(&all);
    tola_choice_dispose(&all);

    o.progress = NULL;
    o.context = 8;
    assert_int_equal(tola_choice(model, "q", questions, sizeof questions - 1, &o, &part, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "q: line 1: "));
    assert_non_null(strstr(err.message, "the context 8"));
}

/* ---- embedding ---- */

static tola_embedder *embedder_of(tola_pooling pooling, uint32_t batch, unsigned threads) {
    tola_embed_options o = TOLA_EMBED_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_embedder *e;
    o.pooling = pooling;
    o.normalize = TOLA_NORMALIZE_YES;
    o.batch = batch;
    o.threads = threads;
    o.context = 300;
    if (tola_embedder_create(hidden, &o, &e, &err) != TOLA_OK) fail_msg("%s", err.message);
    return e;
}

/* Twenty texts, some beyond a batch: as they come together, and each alone. */
static void test_embed(void **state) {
    (void)state;
    tola_text texts[20];
    float together[20 * TINY_WIDTH], alone[TINY_WIDTH];
    uint32_t tokens[20];
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < 20; i++) texts[i] = (tola_text){ text + i, 1 + i * 7 };
    for (int pooling = TOLA_POOLING_MEAN; pooling <= TOLA_POOLING_LAST; pooling++) {
        tola_embedder *e = embedder_of((tola_pooling)pooling, 16, 2),
                      *single = embedder_of((tola_pooling)pooling, 512, 1);
        watch w = { .stop_at = 0 };
        if (tola_embed(e, texts, 20, together, tokens, on_progress, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(w.last, w.total);
        for (size_t i = 0; i < 20; i++) {
            double squares = 0;
            uint32_t count;
            assert_int_equal(tola_embed(single, &texts[i], 1, alone, &count, NULL, NULL, &err), TOLA_OK);
            assert_memory_equal(alone, together + i * TINY_WIDTH, sizeof alone);
            assert_int_equal(count, tokens[i]);
            for (size_t k = 0; k < TINY_WIDTH; k++) squares += (double)alone[k] * alone[k];
            assert_true(fabs(squares - 1) < 1e-6);
        }
        w = (watch){ .stop_at = 2 };
        assert_int_equal(tola_embed(e, texts, 20, together, NULL, on_progress, &w, &err), TOLA_E_CANCELLED);
        tola_embedder_free(e);
        tola_embedder_free(single);
    }
}

static void test_embed_refused(void **state) {
    (void)state;
    tola_embed_options o = TOLA_EMBED_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_embedder *e;
    assert_int_equal(tola_embedder_create(model, NULL, &e, &err), TOLA_E_ARG);
    o.context = 4;
    assert_int_equal(tola_embedder_create(hidden, &o, &e, &err), TOLA_OK);
    assert_int_equal(tola_embedder_about(e)->pooling, TOLA_POOLING_LAST); /* a decoder that says nothing */
    const tola_text texts[] = { { "a", 1 }, { text, sizeof text - 1 } };
    float out[2 * TINY_WIDTH];
    assert_int_equal(tola_embed(e, texts, 2, out, NULL, NULL, NULL, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "text 2 has "));
    tola_embedder_free(e);
    tola_embedder_free(NULL);
}

/* ---- allocations that fail ---- */

typedef tola_status (*job)(tola_error *err);

static tola_status job_perplexity(tola_error *err) {
    tola_perplexity_options o = small_options(TOLA_PROTOCOL_WINDOW);
    tola_perplexity_result r;
    o.limit = 3;
    o.reference = other;
    return tola_perplexity(model, text, sizeof text - 1, &o, &r, err);
}

static tola_status job_choice(tola_error *err) {
    tola_choice_options o = TOLA_CHOICE_OPTIONS_INIT;
    tola_choice_result r;
    o.threads = 1;
    tola_status status = tola_choice(model, "q", questions, sizeof questions - 1, &o, &r, err);
    if (status == TOLA_OK) tola_choice_dispose(&r);
    return status;
}

static tola_status job_embed(tola_error *err) {
    tola_embed_options o = TOLA_EMBED_OPTIONS_INIT;
    tola_embedder *e;
    const tola_text texts[] = { { "one text", 8 }, { "and another", 11 } };
    float out[2 * TINY_WIDTH];
    o.threads = 1;
    tola_status status = tola_embedder_create(hidden, &o, &e, err);
    if (status != TOLA_OK) return status;
    status = tola_embed(e, texts, 2, out, NULL, NULL, NULL, err);
    tola_embedder_free(e);
    return status;
}

static tola_status job_machine(tola_error *err) {
    double found[TOLA_LIMIT_COUNT];
    tola_machine *m;
    tola_status status = tola_machine_open(1 << 20, &m, err);
    if (status != TOLA_OK) return status;
    status = tola_machine_measure(m, 1, found, err);
    tola_machine_close(m);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    static const job jobs[] = { job_perplexity, job_choice, job_embed, job_machine };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        unsigned failed = 0;
        bool reached = true;
        for (uint64_t n = 0; reached; n++) {
            tola_error err = TOLA_ERROR_INIT;
            fault_arm(FAULT_ALLOC, n, false);
            tola_status status = jobs[i](&err);
            reached = fault_count(FAULT_ALLOC) > n;
            fault_disarm();
            if (status == TOLA_OK) continue; /* nothing failed, or what failed could be done without */
            assert_true(reached && err.message[0]);
            failed++;
        }
        assert_true(failed > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity),
        cmocka_unit_test(test_perplexity_interrupted),
        cmocka_unit_test(test_perplexity_refused),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_embed_refused),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
