/* What the files of `tola run` share. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "frame.h"

typedef struct run_settings {
    const char *prompt, *system, *grammar, *json_schema, *session, *draft;
    uint64_t max_tokens, context, top_k, repeat_window, lookup, draft_tokens, batch;
    double temp, top_p, min_p, typical, repeat_penalty, frequency_penalty, presence_penalty;
    tola_dtype kv_type;
    cli_list adapter, stop, logit_bias;
    cli_given seed;
    bool raw, ignore_end, special;
} run_settings;

typedef struct run_message {
    char *role, *text;
    size_t length; /* of text */
} run_message;

/* What has been said so far: messages of a chat, or with --raw the ids of one text. */
typedef struct run_talk {
    bool raw;
    run_message *messages;
    size_t count;
    uint32_t *ids;
    size_t id_count;
} run_talk;

typedef struct run {
    run_settings set; /* /set changes it */
    const char *path; /* of the model */
    tola_model *model, *draft_model;
    tola_chat_template *chat_template; /* NULL with --raw */
    tola_session *session, *draft;
    char *grammar, *schema; /* texts; NULL */
    tola_logit_bias *bias;
    uint64_t seed;
    run_talk talk;
    bool resumed;      /* --session's file was there and was read: it may be replaced */
    char *own_session; /* the file that was loaded or saved last, which may be replaced, too */
} run;

extern const cli_verb cmd_run;

/* Are those that are counted small enough? A message where not. */
int run_check_counts(const run_settings *s);

/* ---- run_talk.c ---- */
void talk_add(run_talk *t, const char *role, const char *text, size_t length);
/* Forgets messages from `count` on. */
void talk_cut(run_talk *t, size_t count);
/* The text of the system message; NULL takes it away. */
void talk_system(run_talk *t, const char *text);
void talk_set_ids(run_talk *t, const uint32_t *ids, size_t count);
void talk_free(run_talk *t);
/* As bytes that go into a session's file, freed with free; and back. False: that is none. */
char *talk_write(const run_talk *t, size_t *length);
bool talk_read(run_talk *t, const char *note, size_t length);

/* ---- run_prompt.c ---- */
/* The ids that the model is to go on from: the chat as its template writes it, or the raw text so far with `more`
 * behind it. Freed with free. */
tola_status run_prompt(const run *r, const char *more, size_t length, uint32_t **ids, size_t *count, tola_error *err);

/* ---- run_answer.c ---- */
/* Generates and shows (but with --json). Ctrl-C stops it, which is no error. */
tola_status run_answer(run *r, const uint32_t *ids, size_t count, tola_generated *out, tola_error *err);
/* Would it draw with these settings? A message where not. */
int run_check_sampling(const run *r);
/* Tokens and speeds on stderr, where that is a terminal or -v asks for it. */
void run_report(const tola_generated *g);
/* "the context of 512 tokens is full: ..." */
void run_context_message(const run *r, const tola_generated *g, char *buf, size_t cap);
/* CLI_YES, or CLI_ERROR after a message. */
int run_save(run *r, const char *path, bool overwrite);
int run_load(run *r, const char *path);

/* ---- run_chat.c ---- */
int run_chat(run *r);

#endif
