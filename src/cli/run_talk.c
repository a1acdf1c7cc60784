/* A conversation, and how it is kept in the note of a session's file:
 *
 *     tola.run chat
 *     user 5
 *     Hello
 *     assistant 3
 *     Hi!
 *
 * A role, the bytes of the text, the text, a line end. With --raw the first line ends in "text", and one record "ids"
 * holds the ids as numbers. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define HEAD_CHAT "tola.run chat\n"
#define HEAD_TEXT "tola.run text\n"

static char *copy(const char *text, size_t length) {
    char *out = frame_alloc(length + 1);
    memcpy(out, text, length);
    out[length] = 0;
    return out;
}

void talk_add(run_talk *t, const char *role, const char *text, size_t length) {
    t->messages = frame_realloc(t->messages, (t->count + 1) * sizeof *t->messages);
    t->messages[t->count++] = (run_message){ copy(role, strlen(role)), copy(text, length), length };
}

void talk_cut(run_talk *t, size_t count) {
    while (t->count > count) {
        t->count--;
        free(t->messages[t->count].role);
        free(t->messages[t->count].text);
    }
}

void talk_system(run_talk *t, const char *text) {
    bool there = t->count && strcmp(t->messages[0].role, "system") == 0;
    if (there) {
        free(t->messages[0].role);
        free(t->messages[0].text);
        memmove(t->messages, t->messages + 1, --t->count * sizeof *t->messages);
    }
    if (!text) return;
    talk_add(t, "system", text, strlen(text));
    run_message system = t->messages[t->count - 1];
    memmove(t->messages + 1, t->messages, (t->count - 1) * sizeof *t->messages);
    t->messages[0] = system;
}

void talk_set_ids(run_talk *t, const uint32_t *ids, size_t count) {
    uint32_t *all = frame_alloc((count + 1) * sizeof *all);
    if (count) memcpy(all, ids, count * sizeof *all);
    free(t->ids);
    t->ids = all;
    t->id_count = count;
}

void talk_free(run_talk *t) {
    talk_cut(t, 0);
    free(t->messages);
    free(t->ids);
    *t = (run_talk){ .raw = t->raw };
}

/* ---- as bytes ---- */

typedef struct text {
    char *data;
    size_t length, cap;
} text;

static void add(text *t, const char *data, size_t length) {
    if (t->length + length > t->cap) {
        t->cap = (t->length + length) * 2;
        t->data = frame_realloc(t->data, t->cap);
    }
    memcpy(t->data + t->length, data, length);
    t->length += length;
}

static void add_record(text *t, const char *role, const char *data, size_t length) {
    char line[32];
    add(t, role, strlen(role));
    add(t, line, (size_t)snprintf(line, sizeof line, " %zu\n", length));
    add(t, data, length);
    add(t, "\n", 1);
}

char *talk_write(const run_talk *t, size_t *length) {
    text out = { 0 }, ids = { 0 };
    const char *head = t->raw ? HEAD_TEXT : HEAD_CHAT;
    add(&out, head, strlen(head));
    for (size_t i = 0; i < t->count; i++) {
        const run_message *m = &t->messages[i];
        add_record(&out, m->role, m->text, m->length);
    }
    for (size_t i = 0; i < t->id_count; i++) {
        char number[16];
        add(&ids, number, (size_t)snprintf(number, sizeof number, "%u ", (unsigned)t->ids[i]));
    }
    if (t->raw) add_record(&out, "ids", ids.length ? ids.data : "", ids.length);
    free(ids.data);
    *length = out.length;
    return out.data;
}

static bool read_ids(run_talk *t, const char *data, size_t length) {
    uint32_t *ids = frame_alloc((length / 2 + 1) * sizeof *ids);
    size_t count = 0;
    for (const char *p = data; p < data + length;) {
        char *end;
        unsigned long long id = strtoull(p, &end, 10);
        if (*p < '0' || *p > '9' || id >= UINT32_MAX || end >= data + length || *end != ' ') {
            free(ids);
            return false;
        }
        ids[count++] = (uint32_t)id;
        p = end + 1;
    }
    free(t->ids);
    t->ids = ids;
    t->id_count = count;
    return true;
}

/* One record at *p; false where it is none. */
static bool read_record(run_talk *t, const char **p, const char *end) {
    const char *line = memchr(*p, '\n', (size_t)(end - *p));
    const char *space = line ? memchr(*p, ' ', (size_t)(line - *p)) : NULL;
    char role[32], *after;
    if (!space || space == *p || (size_t)(space - *p) >= sizeof role || space[1] < '0' || space[1] > '9') return false;
    memcpy(role, *p, (size_t)(space - *p));
    role[space - *p] = 0;
    unsigned long long length = strtoull(space + 1, &after, 10);
    if (after != line || length >= (size_t)(end - line) - 1 || line[1 + length] != '\n') return false;
    *p = line + 1 + length + 1;
    if (t->raw) return strcmp(role, "ids") == 0 && read_ids(t, line + 1, (size_t)length);
    talk_add(t, role, line + 1, (size_t)length);
    return true;
}

/* `note` has a NUL behind it, so that numbers end. */
bool talk_read(run_talk *t, const char *note, size_t length) {
    size_t head = strlen(HEAD_CHAT);
    if (length < head || memcmp(note, t->raw ? HEAD_TEXT : HEAD_CHAT, head) != 0) return false;
    run_talk read = { .raw = t->raw };
    const char *p = note + head, *end = note + length;
    while (p < end) {
        if (read_record(&read, &p, end)) continue;
        talk_free(&read);
        return false;
    }
    talk_free(t);
    *t = read;
    return true;
}
