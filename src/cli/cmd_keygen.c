/* tola keygen: a pair of keys. The work is tola_keygen; this is its face. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *kind, *curve;
} settings;

static const cli_option options[] = {
    { "kind", 0, CLI_CHOICE, "KIND", "What it is for: tola encrypt, or tola sign", offsetof(settings, kind),
      "encrypt sign", NULL },
    { "curve", 0, CLI_CHOICE, "NAME", "Of a key for signatures; p256 unless said", offsetof(settings, curve),
      "p256 p384 p521 ed25519", NULL },
    { 0 },
};

static void report(const char *path, const char *pub, const char *kind) {
    if (cli.json) {
        tola_json j;
        out_json_begin(&j);
        tola_json_begin_object(&j);
        out_json_string(&j, "schema", "tola.keygen/1");
        out_json_string(&j, "kind", kind);
        out_json_string(&j, "key", path);
        out_json_string(&j, "public", pub);
        tola_json_end_object(&j);
        out_json_end(&j);
    } else if (!cli.quiet) {
        out_text(path);
        out_printf(": keep it secret; its public half is ");
        out_text(pub);
        out_printf("\n");
    }
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    const bool sign = set->kind && strcmp(set->kind, "sign") == 0;
    tola_error err = TOLA_ERROR_INIT;
    (void)n_args;
    if (set->curve && !sign) return cli_fail("--curve is for --kind sign; keys for encryption are X25519");
    const char *kind = !sign ? "encrypt" : set->curve ? set->curve : "p256";
    if (tola_keygen(args[0], kind, cli.force, &err) != TOLA_OK) return cli_fail_error(&err);
    char *pub = malloc(strlen(args[0]) + 5);
    if (!pub) return cli_fail("out of memory");
    strcat(strcpy(pub, args[0]), ".pub");
    report(args[0], pub, kind);
    free(pub);
    return CLI_YES;
}

extern const cli_verb cmd_keygen;
const cli_verb cmd_keygen = {
    .name = "keygen",
    .summary = "Make a pair of keys",
    .usage = "tola keygen OUT [--kind encrypt|sign] [options]",
    .description =
        "Writes a new secret key to OUT, which only its owner may read, and its public half to OUT.pub. Give away the "
        "public one; whoever has the secret one can open what was encrypted for it, or sign in its name. There is no "
        "way back to a key that was lost.\n"
        "\n"
        "Keys for tola encrypt are X25519, one line of text. Keys for tola sign are PEM files as other tools read "
        "them, "
        "too.",
    .examples = "tola keygen my.key\ta pair for tola encrypt: my.key and my.key.pub\n"
                "tola keygen sign.pem --kind sign\ta pair for tola sign and tola verify",
    .exits = "0\tdone\n2\tOUT exists, or cannot be written",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
