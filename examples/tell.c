/* Goes on with a text: tell MODEL TEXT
 *
 *     cc tell.c $(pkg-config --cflags --libs tola) -o tell */
#include <stdio.h>
#include <string.h>
#include <tola/tola.h>

static bool print(void *user, uint32_t id, const char *text, size_t length) {
    (void)user;
    (void)id;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return true; /* false stops */
}

static tola_status tell(const tola_model *model, tola_session *session, const char *text, tola_error *err) {
    uint32_t *ids;
    size_t count;
    tola_status status = tola_tokenize(tola_model_tokenizer(model), text, strlen(text), TOLA_TOKENIZE_SPECIAL, &ids,
                                       &count, err);
    if (status != TOLA_OK) return status;

    tola_sampling sampling = TOLA_SAMPLING_INIT;
    sampling.seed = 1;
    tola_generate_options options = TOLA_GENERATE_OPTIONS_INIT;
    options.sampling = &sampling;
    options.max_tokens = 100;
    options.token = print;
    tola_generated generated;
    status = tola_generate(session, 0, ids, count, &options, &generated, err);
    if (status == TOLA_OK) {
        printf("\n(%s after %zu tokens)\n", tola_ending_name(generated.ending), generated.count);
        tola_generated_dispose(&generated);
    }
    tola_free(ids);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: tell MODEL TEXT\n");
        return 2;
    }
    tola_error err = TOLA_ERROR_INIT;
    tola_model *model = NULL;
    tola_session *session = NULL;
    tola_status status = tola_model_open(argv[1], NULL, &model, &err);
    if (status == TOLA_OK && !tola_model_tokenizer(model)) {
        fprintf(stderr, "%s: %s\n", argv[1], tola_model_no_tokenizer(model));
        tola_model_free(model);
        return 2;
    }
    if (status == TOLA_OK) status = tola_session_create(model, NULL, &session, &err);
    if (status == TOLA_OK) status = tell(model, session, argv[2], &err);
    if (status != TOLA_OK) fprintf(stderr, "%s\n", err.message);
    tola_session_free(session); /* before its model */
    tola_model_free(model);
    return status == TOLA_OK ? 0 : 2;
}
