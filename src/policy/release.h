/* What the files of tola release share: the plan, what has been looked at already, and what an item's look says. */
#ifndef POLICY_RELEASE_H
#define POLICY_RELEASE_H

#include "policy/facts.h"
#include "policy/record.h"
#include "trust/manifest.h"
#include <tola/release.h>

enum {
    RELEASE_OPEN = 1, /* kinds of releases */
    RELEASE_CLOSED = 2,
    RELEASE_LIST = 64,    /* members of a list of the plan */
    RELEASE_DETAILS = 24, /* lines below an item; what is beyond them is counted */
    RELEASE_PAPER_BYTES = 64 << 20
};

/* PLAN.yaml; a member that the file does not have is NULL. */
typedef struct release_plan {
    const char *model, *why, *by, *facts, *released;
    const char *licence, *card, *form, *summary, *bom, *evaluation, *provenance, *on_date;
    const char *public_key, *trust_root, *cert_identity, *cert_issuer;
    const char *identity, *passphrase_file, *log, *log_key, *checkpoint, *cap, *archive, *keep_until;
    double compression, least_days;
    uint32_t kind; /* 0 open, 1 closed */
    const yaml_node *rules, *origins, *recipients, *keys, *access, *require, *waive;
} release_plan;

typedef struct release {
    arena a;
    yaml *file;
    release_plan p;
    char *folder;       /* of the plan: paths in it begin there */
    const char *model;  /* from there */
    const char *beside; /* the same where it is a folder, else the folder that it lies in: of card and licence */
    bool alone;         /* it is a file */
    facts *f;           /* NULL: the plan names none */
    bool recorded, walked;
    record r;
    const char *unread; /* why the weights cannot be read; NULL once recorded */
    manifest_files files;
    const char *unwalked;
    tola_release_item *items;
    const tola_release_options *o;
} release;

/* What was found of an item. */
typedef struct release_answer {
    bool good;
    const char *found; /* one line */
    const char *mend;  /* a command; NULL: nothing that a command mends */
    const char *details[RELEASE_DETAILS];
    size_t count; /* of details, those that had no room too */
} release_answer;

typedef struct release_row {
    const char *id;
    unsigned kinds; /* of releases that ask for it without being told */
    bool waivable;
    const char *title;
    void (*look)(release *x, release_answer *to);
} release_row;

/* ---- for the looks; texts are in x->a ---- */

const char *release_keep(release *x, const char *text);
/* A path of the plan, from the plan's folder on. */
const char *release_place(release *x, const char *path);
/* As a shell takes it: in quotes where that is needed. */
const char *release_shell(release *x, const char *text);
/* " --facts FILE", or nothing. */
const char *release_facts_option(release *x);
void release_detail(release *x, release_answer *to, const char *line);
/* The record of the weights, made at the first call; false where they cannot be read, and `to` says so. */
bool release_record(release *x, release_answer *to);
/* All files of the model, likewise. */
bool release_files(release *x, release_answer *to);
/* Path of one of these in the file system. */
const char *release_file_path(release *x, const manifest_file *file);
bool release_readable(const char *path);
/* A file as a whole; false: it cannot be read. To be freed by whole_wipe. */
bool release_text(const char *path, size_t limit, buf *out);

/* release_open.c */
void release_look_weights(release *x, release_answer *to);
void release_look_licence(release *x, release_answer *to);
void release_look_card(release *x, release_answer *to);
void release_look_form(release *x, release_answer *to);
void release_look_summary(release *x, release_answer *to);
void release_look_bom(release *x, release_answer *to);
void release_look_scan(release *x, release_answer *to);
void release_look_tokenizer(release *x, release_answer *to);
void release_look_evaluation(release *x, release_answer *to);
void release_look_comply(release *x, release_answer *to);
void release_look_signature(release *x, release_answer *to);
void release_look_provenance(release *x, release_answer *to);
/* release_private.c */
void release_look_state(release *x, release_answer *to);
void release_look_metadata(release *x, release_answer *to);
/* release_closed.c */
void release_look_encryption(release *x, release_answer *to);
void release_look_access(release *x, release_answer *to);
void release_look_keys(release *x, release_answer *to);
void release_look_log(release *x, release_answer *to);
void release_look_exposure(release *x, release_answer *to);
void release_look_retention(release *x, release_answer *to);

#endif
