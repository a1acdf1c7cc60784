/* tola sign: a signature over every file of a model. The work is tola_sign; this is its face. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *key, *passphrase_file, *certificate, *signature, *hash, *provenance;
    cli_list ignore_paths;
    bool with_git, allow_symlinks;
    uint64_t shard_size;
} settings;

static const cli_option options[] = {
    { "key", 'k', CLI_STRING, "KEY.pem", "The private key: P-256, P-384, P-521 or Ed25519, readable by nobody else",
      offsetof(settings, key), NULL, "file" },
    { "passphrase-file", 0, CLI_STRING, "FILE", "The first line of FILE opens an encrypted key; - is stdin",
      offsetof(settings, passphrase_file), NULL, "file" },
    { "certificate", 'c', CLI_STRING, "CHAIN.pem", "The key's certificate, then those between it and the root",
      offsetof(settings, certificate), NULL, "file" },
    { "signature", 's', CLI_STRING, "FILE", "Write the signature here instead of PATH/model.sig or PATH.sig",
      offsetof(settings, signature), NULL, "file" },
    { "ignore-paths", 0, CLI_LIST, "PATH", "Leave out a file or folder, given from the model's own folder on",
      offsetof(settings, ignore_paths), NULL, NULL },
    { "with-git", 0, CLI_FLAG, NULL, "Sign .git, .github, .gitignore and .gitattributes, too",
      offsetof(settings, with_git), NULL, NULL },
    { "allow-symlinks", 0, CLI_FLAG, NULL, "Sign what links to files lead to; without it a link is an error",
      offsetof(settings, allow_symlinks), NULL, NULL },
    { "hash", 0, CLI_CHOICE, "NAME", "Name files by this hash", offsetof(settings, hash), "sha256 blake2b blake3",
      NULL },
    { "shard-size", 0, CLI_SIZE, "SIZE", "Name pieces of this size, so that one large file keeps all threads busy",
      offsetof(settings, shard_size), NULL, NULL },
    { "provenance", 0, CLI_STRING, "FILE", "Sign a statement of convert or quantize along, for verify --chain",
      offsetof(settings, provenance), NULL, "file" },
    { 0 },
};

static void report(const char *path, const tola_sign_summary *s) {
    if (cli.json) {
        tola_json j;
        out_json_begin(&j);
        tola_json_begin_object(&j);
        tola_json_key(&j, "schema");
        tola_json_string(&j, "tola.sign/1");
        tola_json_key(&j, "signature");
        tola_json_string(&j, path);
        tola_json_key(&j, "key");
        tola_json_string(&j, s->key);
        tola_json_key(&j, "digest");
        tola_json_string(&j, s->digest);
        tola_json_key(&j, "resources");
        tola_json_u64(&j, s->resources);
        tola_json_key(&j, "bytes");
        tola_json_u64(&j, s->bytes);
        tola_json_key(&j, "seconds");
        tola_json_f64(&j, s->seconds);
        tola_json_end_object(&j);
        out_json_end(&j);
        return;
    }
    if (cli.quiet) return;
    char bytes[32], count[32];
    out_text(path);
    out_printf(": %s %s, %s, signed with %s %s key\n", text_grouped(count, sizeof count, s->resources),
               s->resources == 1 ? "entry" : "entries", text_bytes(bytes, sizeof bytes, s->bytes),
               *s->key == 'E' ? "an" : "a", s->key);
    if (strcmp(s->key, "Ed25519") == 0)
        cli_warn("the model_signing package does not read signatures of Ed25519 keys; tola verify does");
}

/* The first line of the file, freed with free; NULL after a message. */
static char *read_passphrase(const char *path) {
    size_t length;
    char *text = cli_read_all(path, 4096, &length);
    if (!text) return NULL;
    text[strcspn(text, "\r\n")] = 0;
    if (*text) return text;
    free(text);
    cli_fail("%s: the first line is empty: it should be the passphrase", path);
    return NULL;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    (void)n_args;
    tola_sign_options o = TOLA_SIGN_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    if (!set->key) return cli_fail("signing needs a private key: --key KEY.pem");
    char *passphrase = set->passphrase_file ? read_passphrase(set->passphrase_file) : NULL;
    if (set->passphrase_file && !passphrase) return CLI_ERROR;
    o.key = set->key;
    o.passphrase = passphrase;
    o.certificate = set->certificate;
    o.signature = set->signature;
    o.ignore_paths = set->ignore_paths.items;
    o.with_git = set->with_git;
    o.allow_symlinks = set->allow_symlinks;
    o.hash = set->hash;
    o.shard_size = set->shard_size;
    o.provenance = set->provenance;
    o.overwrite = cli.force;
    o.threads = cli.threads;
    o.progress = cli_progress;
    tola_sign_summary summary;
    cli_catch_interrupts();
    tola_status status = tola_sign(args[0], &o, &summary, &err);
    cli_progress_end();
    if (passphrase) explicit_bzero(passphrase, strlen(passphrase));
    free(passphrase);
    if (status == TOLA_E_CANCELLED) return cli_fail("interrupted; no signature was written");
    if (status != TOLA_OK) return cli_fail_error(&err);
    char *path = set->signature ? NULL : tola_signature_path(args[0]);
    report(path ? path : set->signature ? set->signature : args[0], &summary);
    tola_free(path);
    return CLI_YES;
}

const cli_verb cmd_sign = {
    .name = "sign",
    .summary = "Sign every file of a model, as OpenSSF Model Signing does",
    .usage = "tola sign PATH --key KEY.pem [options]",
    .description =
        "Hashes every file of PATH, a folder or a file, on all threads, and writes a signature that names each by its "
        "digest: PATH/model.sig for a folder, PATH.sig for a file. The model_signing package verifies it, and tola "
        "verify "
        "verifies what that signs.\n\n"
        "With --certificate the signature carries the certificates and is verified against a root; without, against "
        "the "
        "public key. Keys and certificates are PEM files. A private key that others may read is refused.\n\n"
        "Not signed are the signature itself, git's files (unless --with-git) and what --ignore-paths names; the "
        "signature says so. A symbolic link is an error, unless it is ignored or --allow-symlinks counts it as the "
        "file "
        "it leads to.\n\n"
        "sha256 hashes one file on one thread; a model of few large files is signed faster with --hash blake3 or "
        "--shard-size.",
    .examples = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem\tA key\n"
                "openssl pkey -in key.pem -pubout -out pub.pem\tIts public half, to be given away\n"
                "tola sign llama/ --key key.pem\tWrites llama/model.sig\n"
                "tola sign llama.gguf --key key.pem --certificate chain.pem\tWrites llama.gguf.sig\n"
                "tola sign q.gguf --key key.pem --provenance q.json\tSays what it was made of, too\n",
    .exits = "0\tdone\n2\terror; no signature was written\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
