/* tola decrypt: the very bytes that were encrypted. The work is tola_decrypt; this is its face. */
#include "encrypted.h"

#include <string.h>

static bool to_stdout(void *user, const void *data, size_t bytes) {
    (void)user;
    out_raw(data, bytes);
    return true;
}

static int run(const void *parsed, char **args, int n_args) {
    tola_decrypt_options o = TOLA_DECRYPT_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_encrypt_summary s;
    (void)parsed;
    (void)n_args;
    o.overwrite = cli.force;
    o.threads = cli.threads;
    o.progress = cli_progress;
    const bool stream = strcmp(args[1], "-") == 0;
    if (stream && cli.json) return cli_fail("- is stdout, where --json goes, too");
    if (stream) o.write = to_stdout;
    cli_catch_interrupts();
    tola_status status = tola_decrypt(args[0], args[1], &o, &s, &err);
    cli_progress_end();
    if (status == TOLA_E_CANCELLED) return cli_fail("interrupted; nothing was written");
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (stream) return CLI_YES;
    if (cli.json) {
        encrypted_json("tola.decrypt/1", args[1], &s);
    } else if (!cli.quiet) {
        char files[32], bytes[32];
        out_text(args[1]);
        out_printf(": %s %s, %s\n", text_grouped(files, sizeof files, s.files), s.files == 1 ? "file" : "files",
                   text_bytes(bytes, sizeof bytes, s.bytes));
    }
    return CLI_YES;
}

extern const cli_verb cmd_decrypt;
const cli_verb cmd_decrypt = {
    .name = "decrypt",
    .summary = "Give back the bytes of an encrypted model",
    .usage = "tola decrypt IN OUT (--identity KEY | --passphrase-file FILE)",
    .description =
        "Writes what tola encrypt was given: a file to OUT, or a folder with all its files. Every byte is what it was, "
        "so that signatures over them hold. A file goes into a folder that exists under the name it had, and "
        "with - to stdout.\n"
        "\n"
        "Nothing appears before all of it was decrypted and found to be what was encrypted: a file that was changed, "
        "cut off or put together from others gives an error and no output.\n"
        "\n"
        "To use a model it need not be decrypted: the other verbs take an encrypted one as it is.",
    .examples = "tola decrypt llama.enc Llama-3.1-8B/ --identity my.key\tgive back a folder\n"
                "tola decrypt model.enc model.gguf --passphrase-file phrase\tgive back a file",
    .exits = "0\tdone\n2\tthe key is not for it, it was changed or damaged, or OUT cannot be written",
    .min_args = 2,
    .max_args = 2,
    .model = true,
    .run = run,
};
