/* tola rekey: who may open an encrypted model, changed in place. The work is tola_rekey; this is its face. */
#include "encrypted.h"

typedef struct settings {
    cli_list add, remove, add_passphrases;
    bool remove_passphrases;
    uint64_t argon2_memory, argon2_passes;
} settings;

static const cli_option options[] = {
    { "add-recipient", 0, CLI_LIST, "PUB", "Who may open it from now on: a public key, or a file of such keys",
      offsetof(settings, add), NULL, "file" },
    { "remove-recipient", 0, CLI_LIST, "PUB", "Who may not any more", offsetof(settings, remove), NULL, "file" },
    { "new-passphrase-file", 0, CLI_LIST, "FILE", "The first line of FILE opens it from now on; - is stdin",
      offsetof(settings, add_passphrases), NULL, "file" },
    { "remove-passphrases", 0, CLI_FLAG, NULL, "The passphrases that were there do not open it any more",
      offsetof(settings, remove_passphrases), NULL, NULL },
    { "argon2-memory", 0, CLI_SIZE, "SIZE", "Memory that trying the new passphrase takes, instead of 256MiB",
      offsetof(settings, argon2_memory), NULL, NULL },
    { "argon2-passes", 0, CLI_UINT, "N", "Passes over that memory, instead of 3", offsetof(settings, argon2_passes),
      NULL, NULL },
    { 0 },
};

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    tola_rekey_options o = TOLA_REKEY_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_encrypt_summary s;
    (void)n_args;
    if (set->argon2_passes > UINT32_MAX) return cli_fail("--argon2-passes is too large");
    o.add_recipients = set->add.items;
    o.remove_recipients = set->remove.items;
    o.add_passphrase_files = set->add_passphrases.items;
    o.remove_passphrases = set->remove_passphrases;
    o.kdf_memory = set->argon2_memory;
    o.kdf_passes = (uint32_t)set->argon2_passes;
    if (tola_rekey(args[0], &o, &s, &err) != TOLA_OK) return cli_fail_error(&err);
    if (cli.json) {
        encrypted_json("tola.rekey/1", args[0], &s);
    } else if (!cli.quiet) {
        char who[96];
        out_text(args[0]);
        out_printf(": %s\n", encrypted_for(&s, who, sizeof who));
    }
    return CLI_YES;
}

extern const cli_verb cmd_rekey;
const cli_verb cmd_rekey = {
    .name = "rekey",
    .summary = "Change who may open an encrypted model",
    .usage = "tola rekey FILE (--identity KEY | --passphrase-file FILE) [options]",
    .description =
        "Changes the header of an encrypted model in place: recipients and passphrases are added and removed, the "
        "payload is not touched, so that it takes no longer for a large model. The key that opens it now is given with "
        "--identity or --passphrase-file; a recipient is removed by his public key.\n"
        "\n"
        "Whoever is removed but has kept the key of the file, or a copy of its first bytes, can still read it: "
        "removing keeps out those who have not yet read it. To shut out the others, decrypt it and encrypt it anew.\n"
        "\n"
        "An interruption at any point leaves a file that opens, or that says that tola rekey, with no option but the "
        "key, mends it.",
    .examples =
        "tola rekey llama.enc --identity my.key --add-recipient bob.pub\tlet Bob in\n"
        "tola rekey llama.enc --identity my.key --remove-recipient bob.pub\tand out again\n"
        "tola rekey m.enc --passphrase-file old --remove-passphrases --new-passphrase-file new\tchange a passphrase",
    .exits = "0\tdone\n2\tthe key is not for it, or nobody could open it any more; nothing was changed",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .in_place = true,
    .run = run,
};
