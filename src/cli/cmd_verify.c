/* tola verify: is a model what somebody signed? The work is tola_verify; this is its face. */
#include "cli.h"

#include <string.h>
#include <time.h>

typedef struct settings {
    const char *signature, *public_key, *trust_root, *cert_identity, *cert_issuer;
    cli_list ignore_paths, origins;
    bool ignore_unsigned_files, allow_symlinks, chain;
} settings;

static const cli_option options[] = {
    { "signature", 's', CLI_STRING, "FILE", "The signature, where it is not PATH/model.sig or PATH.sig",
      offsetof(settings, signature), NULL, "file" },
    { "public-key", 'k', CLI_STRING, "PUB.pem", "Trust this key", offsetof(settings, public_key), NULL, "file" },
    { "trust-root", 'r', CLI_STRING, "FILE", "Trust the root certificates in PEM form, or Sigstore's trusted_root.json",
      offsetof(settings, trust_root), NULL, "file" },
    { "cert-identity", 0, CLI_STRING, "ID", "The certificate must name this e-mail address, URI or DNS name",
      offsetof(settings, cert_identity), NULL, NULL },
    { "cert-issuer", 0, CLI_STRING, "URL", "Who must have vouched for the identity (OpenID Connect); Sigstore only",
      offsetof(settings, cert_issuer), NULL, NULL },
    { "ignore-paths", 0, CLI_LIST, "PATH", "Leave out a file or folder, beside those that the signature leaves out",
      offsetof(settings, ignore_paths), NULL, NULL },
    { "ignore-unsigned-files", 0, CLI_FLAG, NULL, "Files that the signature does not name are no reason to fail",
      offsetof(settings, ignore_unsigned_files), NULL, NULL },
    { "allow-symlinks", 0, CLI_FLAG, NULL, "Links to files count as the files they lead to, as in Hugging Face's cache",
      offsetof(settings, allow_symlinks), NULL, NULL },
    { "chain", 0, CLI_FLAG, NULL, "Follow provenance to the signed originals", offsetof(settings, chain), NULL, NULL },
    { "origin", 0, CLI_LIST, "FOLDER", "Look for originals here, too, beside the model's own folder",
      offsetof(settings, origins), NULL, "file" },
    { 0 },
};

/* ---- reports ---- */

static void list_json(tola_json *j, const char *key, const char *const *items, size_t count) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; i < count; i++) tola_json_string(j, items[i]);
    tola_json_end_array(j);
}

static void signer_json(tola_json *j, const tola_verification *v) {
    out_json_string(j, "method", v->method);
    out_json_string(j, "key", v->key);
    out_json_string(j, "identity", v->identity);
    out_json_string(j, "subject", v->subject);
    out_json_bool(j, "identity_demanded", v->identity && !v->anyone);
    out_json_string(j, "issuer", v->issuer);
    tola_json_key(j, "signed_at");
    if (v->signed_at)
        tola_json_i64(j, v->signed_at);
    else
        tola_json_null(j);
    out_json_string(j, "name", v->name);
    out_json_string(j, "digest", v->digest);
}

static void chain_json(tola_json *j, const tola_verification *v) {
    tola_json_key(j, "chain");
    tola_json_begin_array(j);
    for (size_t i = 0; i < v->n_chain; i++) {
        const tola_verify_link *link = &v->chain[i];
        tola_json_begin_object(j);
        out_json_string(j, "model", link->model);
        out_json_string(j, "digest", link->digest);
        out_json_bool(j, "valid", !link->reason);
        out_json_bool(j, "signed", !link->unsigned_data && link->digest);
        out_json_string(j, "reason", link->reason);
        out_json_u64(j, "inputs", link->inputs);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void report_json(const tola_verification *v, bool chain) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.verify/1");
    out_json_bool(&j, "valid", v->valid);
    out_json_string(&j, "reason", v->reason);
    signer_json(&j, v);
    list_json(&j, "uncovered", v->uncovered, v->n_uncovered);
    list_json(&j, "changed", v->changed, v->n_changed);
    list_json(&j, "missing", v->missing, v->n_missing);
    list_json(&j, "added", v->added, v->n_added);
    tola_json_key(&j, "renamed");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < v->n_renamed; i++) {
        tola_json_begin_object(&j);
        out_json_string(&j, "from", v->renamed[i].from);
        out_json_string(&j, "to", v->renamed[i].to);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    if (chain) chain_json(&j, v);
    out_json_u64(&j, "resources", v->resources);
    out_json_u64(&j, "bytes", v->bytes);
    out_json_f64(&j, "seconds", v->seconds);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void list_text(const char *what, const char *const *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out_styled(OUT_RED, "  %s", what);
        out_printf(" ");
        out_text(items[i]);
        out_printf("\n");
    }
}

static void signer_text(const tola_verification *v) {
    out_printf("signed with %s %s key", v->key && *v->key == 'E' ? "an" : "a", v->key ? v->key : "?");
    if (v->identity || v->subject) {
        out_printf(" of ");
        out_text(v->identity ? v->identity : v->subject);
    }
    if (v->issuer) {
        out_printf(", vouched for by ");
        out_text(v->issuer);
    }
    if (v->signed_at) {
        time_t at = (time_t)v->signed_at;
        struct tm t;
        char text[32] = "";
        if (gmtime_r(&at, &t)) strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &t);
        out_printf(", logged %s UTC", text);
    }
}

/* Programs look into such folders, too: git runs what .git/config says. */
static void warn_uncovered(const tola_verification *v) {
    if (!v->valid || v->n_uncovered == 0) return;
    const char *name = v->uncovered[0];
    if (v->n_uncovered == 1)
        cli_warn("%s is there and was not looked at: the signature or you leave it out", name);
    else
        cli_warn("%s and %zu more are there and were not looked at: the signature or you leave them out", name,
                 v->n_uncovered - 1);
}

/* A root alone says who may give certificates, not who may sign. */
static void warn_anyone(const char *root, const tola_verification *v) {
    if (!v->valid || !v->anyone) return;
    if (v->identity)
        cli_warn("whoever has a certificate under %s could have signed this; it was %s: demand that with "
                 "--cert-identity",
                 root, v->identity);
    else
        cli_warn("whoever has a certificate under %s could have signed this; it was %s, whose certificate holds no "
                 "name that --cert-identity could demand",
                 root, v->subject ? v->subject : "nobody");
}

static void report_text(const char *path, const tola_verification *v) {
    char bytes[32], count[32];
    if (cli.quiet) return;
    out_text(path);
    if (v->valid) {
        out_printf(": ");
        out_styled(OUT_GREEN, "valid");
        out_printf(", ");
        signer_text(v);
        out_printf("; %s %s, %s\n", text_grouped(count, sizeof count, v->resources),
                   v->resources == 1 ? "entry" : "entries", text_bytes(bytes, sizeof bytes, v->bytes));
    } else {
        out_printf(": ");
        out_styled(OUT_RED, "not valid");
        out_printf(": ");
        out_text(v->reason);
        out_printf("\n");
    }
    list_text("changed", v->changed, v->n_changed);
    list_text("missing", v->missing, v->n_missing);
    list_text("added  ", v->added, v->n_added);
    for (size_t i = 0; i < v->n_renamed; i++) {
        out_styled(OUT_RED, "  renamed");
        out_printf(" ");
        out_text(v->renamed[i].from);
        out_printf(" -> ");
        out_text(v->renamed[i].to);
        out_printf("\n");
    }
    for (size_t i = 0; i < v->n_chain; i++) {
        const tola_verify_link *link = &v->chain[i];
        out_printf("  %s ", i ? "from   " : "chain  ");
        out_text(link->model);
        out_printf(": ");
        out_text(link->reason          ? link->reason
                 : link->unsigned_data ? "data, named by its digest, not signed"
                 : link->inputs        ? "signed, with provenance"
                                       : "signed, an original");
        out_printf("\n");
    }
}

/* ---- the verb ---- */

static int run(const void *parsed, char **args, int n_args) {
    const settings *set = parsed;
    (void)n_args;
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    if (!set->public_key && !set->trust_root)
        return cli_fail("verifying needs to know whom to trust: --public-key PUB.pem or --trust-root CA.pem");
    if (set->public_key && set->trust_root) return cli_fail("--public-key and --trust-root exclude each other");
    o.signature = set->signature;
    o.public_key = set->public_key;
    o.trust_root = set->trust_root;
    o.cert_identity = set->cert_identity;
    o.cert_issuer = set->cert_issuer;
    o.ignore_paths = set->ignore_paths.items;
    o.ignore_unsigned_files = set->ignore_unsigned_files;
    o.allow_symlinks = set->allow_symlinks;
    o.chain = set->chain;
    o.origins = set->origins.items;
    o.threads = cli.threads;
    o.progress = cli_progress;
    tola_verification *v = NULL;
    cli_catch_interrupts();
    tola_status status = tola_verify(args[0], &o, &v, &err);
    cli_progress_end();
    if (status == TOLA_E_CANCELLED) return cli_fail("interrupted; nothing is known about %s", args[0]);
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (set->trust_root) warn_anyone(set->trust_root, v);
    warn_uncovered(v);
    if (cli.json)
        report_json(v, set->chain);
    else
        report_text(args[0], v);
    int code = v->valid ? CLI_YES : CLI_NO;
    tola_verification_free(v);
    return code;
}

const cli_verb cmd_verify = {
    .name = "verify",
    .summary = "Is a model what somebody signed? Tampering is told file by file",
    .usage = "tola verify PATH (--public-key PUB.pem | --trust-root FILE) [options]",
    .description =
        "Verifies the signature of PATH, a folder or a file, against a public key or a trust root, then holds every "
        "file "
        "against it, on all threads: what changed, is missing, was added or renamed is listed. Signatures of tola sign "
        "and of the model_signing package (v1.0 and before) are read.\n\n"
        "A signature with certificates is good where a chain leads to a root in --trust-root, valid when the signer's "
        "certificate began, and the certificate may be used for signing. Keyless signatures of Sigstore are verified "
        "offline against its trusted_root.json: the certificate's chain at the time of the log entry, its timestamp "
        "from "
        "a certificate log, the log's promise, its proof of inclusion with a signed checkpoint, and what the entry is "
        "about. Without --cert-identity anyone with such a certificate could have signed; a warning says so, and who "
        "it was.\n\n"
        "--chain goes on from a model that says what it was made of (tola quantize --provenance, tola sign "
        "--provenance) "
        "to the signatures of those models, found beside it or in --origin, until there is nothing further.\n\n"
        "No path that a signature names is ever opened, and nothing is fetched.",
    .examples = "tola verify llama/ --public-key pub.pem\tSigned with that key?\n"
                "tola verify llama.gguf --trust-root ca.pem --cert-identity ml@example.org\tBy a certificate\n"
                "tola verify model/ --trust-root trusted_root.json --cert-identity ml@example.org\tKeyless, offline\n"
                "tola verify q.gguf --public-key pub.pem --chain --origin originals/\tAnd what it was made of\n",
    .exits = "0\tvalid\n1\tnot valid: the signature or a file\n2\terror: no model, no signature, no usable key\n",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
