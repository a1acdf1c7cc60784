/* What must not go along with weights that go public: the state of their training, and what tells of the people and the
 * machines that made them. A list of marks, no proof. */
#define _GNU_SOURCE 1 /* memmem */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "base/text.h"
#include "policy/release.h"
#include "trust/whole.h"

enum { MOST_TEXT = 16 << 20, DEPTH = 16 };

/* ---- by name ---- */

static bool is_one_of(const char *const *globs, const char *path) {
    for (; *globs; globs++)
        if (glob_match(*globs, path) || glob_match(*globs, path_last(path))) return true;
    return false;
}

/* Of transformers, accelerate, DeepSpeed, Megatron, Lightning, and of tola train. */
static const char *const state_names[] = {
    "optimizer.*",      "optimizer_*",        "scheduler.*",       "rng_state*",
    "random_states_*",  "trainer_state.json", "training_args.bin", "state.safetensors",
    "scaler.pt",        "*optim_states*",     "distrib_optim.pt",  "checkpoint-*/*",
    "*/checkpoint-*/*", "global_step*/*",     "*/global_step*/*",  NULL
};

static const char *const private_names[] = { ".env",
                                             ".netrc",
                                             ".git/*",
                                             "*/.git/*",
                                             "id_rsa*",
                                             "id_ed25519*",
                                             "*.key",
                                             "wandb/*",
                                             "*/wandb/*",
                                             "mlruns/*",
                                             "*/mlruns/*",
                                             "runs/*/events.*",
                                             "events.out.tfevents*",
                                             "*.ipynb",
                                             "*.log",
                                             "nohup.out",
                                             "slurm-*.out",
                                             ".ssh/*",
                                             "*/.ssh/*",
                                             ".cache/*",
                                             "*/.cache/*",
                                             ".*_history",
                                             "*.swp",
                                             "*~",
                                             ".DS_Store",
                                             NULL };

/* Tokens of vocabularies look like anything. */
static const char *const vocabulary_names[] = { "tokenizer.json", "vocab.json",  "vocab.txt", "merges.txt",
                                                "*.tiktoken",     "*vocab*.txt", NULL };

/* Written for readers: an address to write to is there on purpose, an example of a path, too. */
static const char *const prose_names[] = { "*.md",     "LICEN[CS]E*", "NOTICE*",     "AUTHORS*",
                                           "COPYING*", "CITATION*",   "USE_POLICY*", NULL };

static const char *const text_names[] = { "*.json",  "*.jsonl", "*.md",        "*.txt",   "*.yaml", "*.yml", "*.py",
                                          "*.cfg",   "*.ini",   "*.toml",      "*.pem",   "*.sh",   "*.csv", "*.tsv",
                                          "*.jinja", "*.html",  "LICEN[CS]E*", "NOTICE*", NULL };

static const char *const weight_names[] = {
    "*.safetensors", "*.gguf", "*.bin", "*.pt", "*.pth", "*.npz", "*.onnx", NULL
};

/* ---- by what texts hold ---- */

typedef struct span {
    const char *from;
    size_t length;
} span;

static bool path_byte(char c) { return isalnum((unsigned char)c) || (c && strchr("._-/\\~+@%", c)); }

/* The run of path-like bytes at p. */
static span run_at(const char *p, const char *end) {
    const char *q = p;
    while (q < end && *q && path_byte(*q)) q++;
    return (span){ p, (size_t)(q - p) };
}

/* Is what stands before p no part of a longer path or address? */
static bool starts(const char *text, const char *p) { return p == text || !(path_byte(p[-1]) || p[-1] == ':'); }

static bool find_path(const char *text, size_t length, const char *const *marks, span *out) {
    const char *end = text + length;
    for (; *marks; marks++) {
        size_t n = strlen(*marks);
        for (const char *p = text; (p = memmem(p, (size_t)(end - p), *marks, n)); p += n) {
            bool file = p - text >= 7 && memcmp(p - 7, "file://", 7) == 0;
            if (!(file || starts(text, p)) || p + n == end || !isalnum((unsigned char)p[n])) continue;
            *out = run_at(p, end);
            return true;
        }
    }
    return false;
}

/* "hf_" and at least 30 letters and digits, ...: shown without what makes them work. */
static const char *find_secret(const char *text, size_t length) {
    static const struct {
        const char *mark, *name;
        size_t least; /* characters of a token behind it */
    } rows[] = { { "PRIVATE KEY-----", "a private key", 0 },
                 { "tola-secret-", "a secret key of tola keygen", 0 },
                 { "hf_", "a token of the Hugging Face Hub", 30 },
                 { "ghp_", "a token of GitHub", 30 },
                 { "github_pat_", "a token of GitHub", 30 },
                 { "glpat-", "a token of GitLab", 20 },
                 { "sk-", "an API key (sk-...)", 32 },
                 { "AKIA", "a key of AWS", 16 },
                 { "xoxb-", "a token of Slack", 20 } };
    const char *end = text + length;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].mark);
        for (const char *p = text; (p = memmem(p, (size_t)(end - p), rows[i].mark, n)); p += n) {
            size_t k = n;
            while (p + k < end && (isalnum((unsigned char)p[k]) || p[k] == '_' || (p[k] == '-' && *p == 's'))) k++;
            bool inside = p > text && isalnum((unsigned char)p[-1]);
            if (rows[i].least == 0 || (k - n >= rows[i].least && !inside)) return rows[i].name;
        }
    }
    return NULL;
}

static bool address_byte(char c) { return isalnum((unsigned char)c) || (c && strchr("._%+-", c)); }

/* name@host.tld */
static bool find_email(const char *text, size_t length, span *out) {
    const char *end = text + length;
    for (const char *p = text; (p = memchr(p, '@', (size_t)(end - p))); p++) {
        const char *from = p, *to = p + 1, *dot = NULL;
        while (from > text && from[-1] && address_byte(from[-1])) from--;
        for (; to < end && (isalnum((unsigned char)*to) || *to == '-' || *to == '.'); to++)
            if (*to == '.') dot = to;
        if (dot == to - 1) { /* the end of a sentence */
            to--;
            for (dot = to; dot > p && *dot != '.';) dot--;
        }
        if (from == p || !dot || dot <= p + 1 || to - dot < 3 || !isalpha((unsigned char)dot[1])) continue;
        if (p - from == 3 && memcmp(from, "git", 3) == 0) continue;
        *out = (span){ from, (size_t)(to - from) };
        return true;
    }
    return false;
}

/* An address of the web that only works at home: localhost, private networks (RFC 1918), names without a dot. */
static bool find_host(const char *text, size_t length, span *out) {
    static const char *const globs[] = { "localhost", "127.*",       "10.*",    "192.168.*",  "172.1[6-9].*",
                                         "172.2?.*",  "172.3[01].*", "*.local", "*.internal", "*.corp",
                                         "*.lan",     "*.intranet",  NULL };
    const char *end = text + length;
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), "://", 3)); p += 3) {
        char host[128];
        size_t n = 0;
        while (n < sizeof host - 1 && p + 3 + n < end && (isalnum((unsigned char)p[3 + n]) || strchr(".-", p[3 + n])))
            n++;
        memcpy(host, p + 3, n);
        host[n] = 0;
        bool named = p > text && isalpha((unsigned char)p[-1]); /* http */
        if (!n || strlen(host) != n || !named || (p + 3 + n < end && p[3 + n] == '@')) continue;
        if (!is_one_of(globs, host) && strchr(host, '.')) continue;
        if (memmem(p - (p - text < 4 ? p - text : 4), 4, "file", 4))
            continue; /* file://name: a path, looked at there */
        *out = (span){ p + 3, n };
        return true;
    }
    return false;
}

/* Members that hold nothing else, in lower case. */
static const char *const private_keys[] = { "user",       "username",      "user_name",  "login",    "host",
                                            "hostname",   "host_name",     "nodename",   "email",    "e_mail",
                                            "password",   "passwd",        "api_key",    "apikey",   "secret_key",
                                            "access_key", "access_token",  "auth_token", "hf_token", "private_key",
                                            "hub_token",  "wandb_api_key", NULL };

static bool is_private_key(const char *key, size_t length) {
    for (size_t i = length; i-- > 0;)
        if (key[i] == '.' || key[i] == ':') {
            key += i + 1;
            length -= i + 1;
            break;
        }
    for (size_t i = 0; private_keys[i]; i++)
        if (strlen(private_keys[i]) == length && strncasecmp(private_keys[i], key, length) == 0) return true;
    return false;
}

/* The name of an account, not what somebody said in a conversation, nor a role. */
static bool is_login(const char *p, const char *end) {
    size_t n = 0;
    while (p + n < end &&
           (islower((unsigned char)p[n]) || isdigit((unsigned char)p[n]) || (p[n] && strchr("._-", p[n]))))
        n++;
    return n > 0 && n <= 32 && p + n < end && p[n] == '"' && !(n == 4 && memcmp(p, "user", 4) == 0);
}

/* "hostname": "..." with something in it, in JSON. */
static bool find_member(const char *text, size_t length, span *out) {
    const char *end = text + length;
    for (const char *p = text; (p = memchr(p, '"', (size_t)(end - p))); p++) {
        const char *key = p + 1, *close = memchr(key, '"', (size_t)(end - key));
        if (!close || close - key > 32 || !is_private_key(key, (size_t)(close - key))) continue;
        const char *q = close + 1;
        while (q < end && isspace((unsigned char)*q)) q++;
        if (q == end || *q++ != ':') continue;
        while (q < end && isspace((unsigned char)*q)) q++;
        if (q + 1 >= end || q[0] != '"' || q[1] == '"' || (q[1] == '<' || q[1] == '{')) continue; /* a placeholder */
        if (close - key == 4 && strncasecmp(key, "user", 4) == 0 && !is_login(q + 1, end)) continue;
        *out = (span){ key, (size_t)(close - key) };
        return true;
    }
    return false;
}

typedef enum strictness { FOR_READERS, FOR_PROGRAMS } strictness;

/* What a text should not hold: "the path /home/joe/x"; NULL: nothing. `cut`: what a command could take out. */
static const char *private_text(release *x, const char *text, size_t length, strictness strict, span *cut) {
    static const char *const homes[] = { "/home/", "/Users/", "/root/", "C:\\Users\\", "C:\\\\Users\\\\", NULL };
    static const char *const places[] = { "/mnt/",  "/scratch/",   "/gpfs/", "/lustre/", "/nfs/", "/data/", "/export/",
                                          "/work/", "/workspace/", "/tmp/",  "/var/",    "/srv/", NULL };
    const char *secret = find_secret(text, length), *what = NULL;
    span s = { NULL, 0 };
    *cut = s;
    if (secret) return secret;
    if (find_path(text, length, homes, &s)) what = "the path";
    if (!what && strict == FOR_READERS) return NULL;
    if (!what && find_path(text, length, places, &s)) what = "the path";
    if (!what && find_email(text, length, &s)) what = "the address";
    if (!what && find_host(text, length, &s)) what = "the host";
    if (what) *cut = s;
    if (!what && find_member(text, length, &s)) what = "a value for";
    return what ? record_text(&x->a, "%s %.*s", what, s.length < 100 ? (int)s.length : 100, s.from) : NULL;
}

/* The metadata of one file of weights, at any depth that people write. */
static const char *private_value(release *x, const tola_value *v, int depth) {
    span cut;
    if (v->kind == TOLA_VALUE_STRING) {
        const char *found = private_text(x, v->as.string.data, v->as.string.length, FOR_PROGRAMS, &cut);
        return found;
    }
    if (depth == DEPTH) return NULL;
    for (size_t i = 0; v->kind == TOLA_VALUE_MAP && i < v->as.map.count; i++) {
        const tola_member *m = &v->as.map.members[i];
        if (strncmp(m->key.data, "tokenizer.ggml.", 15) == 0) continue; /* a vocabulary, a template */
        const char *found = private_value(x, &m->value, depth + 1);
        if (!found && m->value.kind == TOLA_VALUE_STRING && m->value.as.string.length &&
            is_private_key(m->key.data, m->key.length))
            found = "a value";
        if (found) return record_text(&x->a, "%s (%.60s)", found, m->key.data);
    }
    bool texts = v->kind == TOLA_VALUE_ARRAY && (!v->element || v->element == TOLA_VALUE_STRING);
    for (size_t i = 0; texts && i < v->as.array.count && i < 10000; i++) {
        tola_value one = tola_value_at(v, i);
        const char *found = private_value(x, &one, depth + 1);
        if (found) return found;
    }
    return NULL;
}

static bool has_prefix(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/* What a command takes a piece of text out with; NULL where it is not so simple. */
static const char *cut_command(release *x, const char *path, span cut) {
    for (size_t i = 0; i < cut.length; i++)
        if (cut.from[i] == '\\' || cut.from[i] == '#' || cut.from[i] == '\'') return NULL;
    return cut.length == 0 || cut.length > 200
               ? NULL
               : record_text(&x->a, "sed -i 's#%.*s#removed#g' %s", (int)cut.length, cut.from, release_shell(x, path));
}

static void look_into(release *x, const manifest_file *f, release_answer *to) {
    const char *path = release_file_path(x, f), *found = NULL, *mend = NULL;
    span cut = { NULL, 0 };
    tola_checkpoint *ck;
    buf text;
    if (!path || f->kind != MANIFEST_FILE || is_one_of(vocabulary_names, f->path)) return;
    if (is_one_of(weight_names, f->path)) {
        if (tola_checkpoint_open(path, NULL, &ck, NULL) != TOLA_OK) return;
        const tola_value *m = tola_checkpoint_metadata(ck);
        found = m ? private_value(x, m, 0) : NULL;
        if (found)
            mend = record_text(&x->a, "tola convert %s clean.npz && tola convert clean.npz %s --force",
                               release_shell(x, path), release_shell(x, path));
        tola_checkpoint_close(ck);
    } else if (is_one_of(text_names, f->path) && f->bytes <= MOST_TEXT && release_text(path, MOST_TEXT, &text)) {
        strictness strict = is_one_of(prose_names, f->path) ? FOR_READERS : FOR_PROGRAMS;
        found = private_text(x, (const char *)text.data, text.length, strict, &cut);
        if (found) mend = cut_command(x, path, cut);
        whole_wipe(&text);
        if (found && !mend) mend = record_text(&x->a, "${EDITOR:-vi} %s", release_shell(x, path));
    }
    if (!found) return;
    release_detail(x, to, record_text(&x->a, "%s holds %s", f->path, found));
    if (to->count <= RELEASE_DETAILS)
        to->mend = record_text(&x->a, "%s%s%s", to->mend ? to->mend : "", to->mend ? " && " : "", mend);
}

/* "rm -rf" of a file, or of the folder of that kind that it lies in. */
static const char *removal(release *x, const char *path) {
    static const char *const folders[] = { ".git", "wandb", "mlruns", ".ssh", ".cache", NULL };
    for (const char *p = path, *slash; (slash = strchr(p, '/')); p = slash + 1) {
        bool run = has_prefix(p, "checkpoint-") || has_prefix(p, "global_step");
        for (size_t i = 0; folders[i] && !run; i++)
            run = strlen(folders[i]) == (size_t)(slash - p) && has_prefix(p, folders[i]);
        if (run) return release_shell(x, record_text(&x->a, "%s/%.*s", x->model, (int)(slash - path), path));
    }
    return release_shell(x, record_text(&x->a, "%s/%s", x->model, path));
}

static void by_name(release *x, const char *const *names, release_answer *to) {
    const char *last = "", *rm = NULL;
    for (size_t i = 0; i < x->files.count; i++) {
        const char *name = x->files.items[i].path;
        if (!is_one_of(names, name)) continue;
        release_detail(x, to, release_keep(x, name));
        const char *gone = removal(x, name);
        if (gone && strcmp(gone, last) && to->count <= RELEASE_DETAILS)
            rm = record_text(&x->a, "%s %s", rm ? rm : "rm -rf", gone);
        if (gone) last = gone;
    }
    to->mend = rm;
}

static void conclude(release *x, release_answer *to, const char *none) {
    to->good = to->count == 0;
    to->found = to->good         ? none
                : to->count == 1 ? to->details[0]
                                 : record_text(&x->a, "%zu, such as %s", to->count, to->details[0]);
    if (to->count == 1) to->count = 0;
}

void release_look_state(release *x, release_answer *to) {
    if (!release_record(x, to) || !release_files(x, to)) return;
    by_name(x, state_names, to);
    if (x->r.summary.states) {
        release_detail(
            x, to,
            record_text(&x->a, "%" PRIu64 " tensors of an optimizer's state among the weights", x->r.summary.states));
        if (!to->mend)
            to->mend = record_text(&x->a, "tola convert %s clean/ --exclude '*optim*'", release_shell(x, x->model));
    }
    conclude(x, to, "none");
}

void release_look_metadata(release *x, release_answer *to) {
    if (!release_files(x, to)) return;
    by_name(x, private_names, to);
    for (size_t i = 0; i < x->files.count; i++)
        if (!is_one_of(private_names, x->files.items[i].path)) look_into(x, &x->files.items[i], to);
    conclude(x, to, "none found");
}
