#include "training.h"

#include <stdlib.h>
#include <string.h>

#include "learning.h"

static void describe(const tola_train_summary *s) {
    char a[48], b[48], c[48], d[48];
    const char *unit = s->tokens ? "tokens" : "rows";
    if (s->steps == 0 || cli.json || cli.quiet) return;
    out_printf("%s, %s parameters; %s %s", s->network, text_grouped(a, sizeof a, s->parameters),
               text_grouped(b, sizeof b, s->examples), unit);
    if (s->validation) out_printf(", %s for validation", text_grouped(c, sizeof c, s->validation));
    out_printf("; %s steps\n", text_grouped(d, sizeof d, s->steps));
}

static void write_json(const char *schema, const tola_train_summary *s, const tola_learn_result *r, const char *out) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", schema);
    out_json_string(&j, "network", s->network);
    out_json_u64(&j, "parameters", s->parameters);
    out_json_u64(&j, "examples", s->examples);
    out_json_u64(&j, "validation_examples", s->validation);
    out_json_string(&j, "unit", s->tokens ? "tokens" : "rows");
    out_json_u64(&j, "steps_wanted", s->steps);
    learning_json(&j, r, out);
    tola_json_end_object(&j);
    out_json_end(&j);
}

char *training_folder(const char *recipe) {
    const char *slash = strrchr(recipe, '/'), *name = slash ? slash + 1 : recipe;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0)
        n -= 5;
    else if (n > 4 && strcmp(name + n - 4, ".yml") == 0)
        n -= 4;
    else
        return NULL;
    return strndup(name, n);
}

static void warn_encrypted(const char *const *models) {
    for (; models && *models; models++)
        if (tola_encrypted(*models)) cli_warn("%s is encrypted, what is learned from it is not", *models);
}

int training_run(const training_settings *s, const char *out, const char *schema, training_fn train, const void *user,
                 const training_origin *origin) {
    tola_error err = TOLA_ERROR_INIT;
    tola_train_summary summary = { .steps = 0 };
    tola_learn_result result;
    if (s->other && !s->resume) return cli_fail("--changed is said beside --resume");
    const provenance_paths made = { origin->models, origin->more, origin->data, out, true };
    if (!s->dry && provenance_ready(s->provenance, &made) != CLI_YES) return CLI_ERROR;
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    o.out = out;
    o.threads = cli.threads;
    o.resume = s->resume;
    o.other_recipe = s->other;
    o.overwrite = cli.force;
    o.dry_run = s->dry;
    learning_show show = { .unit = NULL, .summary = &summary, .describe = describe };
    o.event = learning_event;
    o.event_user = &show;
    if (!s->dry) {
        warn_encrypted(origin->models);
        warn_encrypted(origin->more);
    }
    cli_catch_interrupts();
    tola_status status = train(user, &o, &summary, &result, &err);
    cli_progress_end();
    int code = CLI_YES;
    const bool tells = tola_train_leads(status != TOLA_OK);
    if (status == TOLA_OK && !s->dry && tells) code = learning_curves(out);
    if (status == TOLA_OK && !s->dry && tells && code == CLI_YES)
        code = learning_provenance(s->provenance, origin->verb, origin->settings, &made, &result);
    if (!tells) {
        code = status == TOLA_OK ? CLI_YES : CLI_ERROR; /* another process does */
    } else if (status != TOLA_OK) {
        code = cli_fail_error(&err);
    } else if (cli.json) {
        write_json(schema, &summary, &result, s->dry ? NULL : out);
    } else if (s->dry) {
        describe(&summary);
        learning_memory(&result.predicted);
    } else {
        learning_text(&result, out);
    }
    tola_train_leave(code != CLI_YES);
    return code;
}
