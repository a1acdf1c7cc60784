/* tola encrypt: a model that only those who are named can open. The work is tola_encrypt; this is its face. */
#include "encrypted.h"

typedef struct settings {
    cli_list recipients, passphrase_files;
    bool pad;
    uint64_t argon2_memory, argon2_passes, chunk_size;
} settings;

static const cli_option options[] = {
    { "recipient", 'r', CLI_LIST, "PUB", "Who may open it: a public key of tola keygen, or a file of such keys",
      offsetof(settings, recipients), NULL, "file" },
    { "passphrase-file", 0, CLI_LIST, "FILE", "The first line of FILE opens it, too; - is stdin",
      offsetof(settings, passphrase_files), NULL, "file" },
    { "pad", 0, CLI_FLAG, NULL, "Hide the exact size: up to an eighth more, less for large models",
      offsetof(settings, pad), NULL, NULL },
    { "argon2-memory", 0, CLI_SIZE, "SIZE", "Memory that trying a passphrase takes, instead of 256MiB",
      offsetof(settings, argon2_memory), NULL, NULL },
    { "argon2-passes", 0, CLI_UINT, "N", "Passes over that memory, instead of 3", offsetof(settings, argon2_passes),
      NULL, NULL },
    { "chunk-size", 0, CLI_SIZE, "SIZE", "What is decrypted at least to read a byte, instead of 64KiB",
      offsetof(settings, chunk_size), NULL, NULL },
    { 0 },
};

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    tola_encrypt_options o = TOLA_ENCRYPT_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_encrypt_summary s;
    (void)n_args;
    if (set->recipients.count == 0 && set->passphrase_files.count == 0)
        return cli_fail(
            "who may open it? --recipient PUB (tola keygen makes a pair of keys) or --passphrase-file FILE");
    if (set->argon2_passes > UINT32_MAX || set->chunk_size > UINT32_MAX)
        return cli_fail("--argon2-passes or --chunk-size is too large");
    o.recipients = set->recipients.items;
    o.passphrase_files = set->passphrase_files.items;
    o.pad = set->pad;
    o.kdf_memory = set->argon2_memory;
    o.kdf_passes = (uint32_t)set->argon2_passes;
    o.chunk_bytes = (uint32_t)set->chunk_size;
    o.overwrite = cli.force;
    o.threads = cli.threads;
    o.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_encrypt(args[0], args[1], &o, &s, &err);
    cli_progress_end();
    if (status == TOLA_E_CANCELLED) return cli_fail("interrupted; nothing was written");
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json) {
        encrypted_json("tola.encrypt/1", args[1], &s);
    } else if (!cli.quiet) {
        char files[32], tensors[32], bytes[32], who[96];
        out_text(args[1]);
        out_printf(": %s %s, %s %s, %s, %s\n", text_grouped(files, sizeof files, s.files),
                   s.files == 1 ? "file" : "files", text_grouped(tensors, sizeof tensors, s.tensors),
                   s.tensors == 1 ? "tensor" : "tensors", text_bytes(bytes, sizeof bytes, s.bytes),
                   encrypted_for(&s, who, sizeof who));
    }
    return CLI_YES;
}

extern const cli_verb cmd_encrypt;
const cli_verb cmd_encrypt = {
    .name = "encrypt",
    .summary = "Encrypt a model for those who may open it",
    .usage = "tola encrypt IN OUT (--recipient PUB | --passphrase-file FILE)... [options]",
    .description =
        "Writes the file OUT from IN, a file of weights in any format or a folder with everything in it, so that only "
        "those who are named can open it: by a secret key whose public half was given with --recipient, or by a "
        "passphrase. Both may be given as often as needed.\n"
        "\n"
        "An encrypted model is a model: inspect, stats, diff, convert, quantize, run, tokenize, embed, eval and the "
        "other verbs take OUT where they take IN, with --identity KEY or --passphrase-file FILE, and decrypt in "
        "memory what they touch, no more. tola decrypt gives back the very bytes, so that signatures over them hold.\n"
        "\n"
        "Names of files and tensors, their shapes and how many there are, are encrypted, too; the size of the whole "
        "is not, except with --pad. Every chunk is bound to its place: to the file, the tensor's name, dtype and "
        "shape, its number and the number of chunks. What is changed, cut off, put in another place or taken from "
        "another file is told when it is read. docs/encrypt.md specifies the format.\n"
        "\n"
        "Links to files are followed. Permissions and times are not kept. If OUT is a folder the file in it is called "
        "after IN, with .enc at its end.",
    .examples = "tola keygen my.key\tmake a pair of keys, my.key and my.key.pub\n"
                "tola encrypt Llama-3.1-8B/ llama.enc --recipient my.key.pub\tencrypt a folder\n"
                "tola run llama.enc --identity my.key -p Hello\trun it; nothing is decrypted to disk\n"
                "tola encrypt model.gguf model.enc -r alice.pub -r bob.pub --passphrase-file phrase\tthree ways in",
    .exits = "0\tdone\n2\tIN cannot be read, OUT cannot be written, or a key cannot be used",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
