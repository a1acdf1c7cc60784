/* See chat_data.h. */
#include "learn/chat_data.h"

#include "base/hash.h"
#include "base/mem.h"
#include "learn/jsonl.h"

#include <string.h>

#define MAX_TURNS 4096u

struct chat_data {
    chat_data_options o;
    chat_data_counts counts;
    uint32_t *ids;
    uint8_t *wanted; /* one for each id */
    size_t length, id_cap, wanted_cap;
    uint64_t *ends; /* of examples, in ids */
    size_t count, end_cap;
    uint64_t *rows; /* one behind each row's last example */
    size_t row_count, row_cap;
};

/* Bytes of the text that are an answer. */
typedef struct answer {
    size_t from, to;
} answer;

/* A record on its way. */
typedef struct record {
    const jsonl *file;
    uint64_t index;
    arena *a;
    const chat_data_options *o;
    char *text; /* in the arena, or the template's */
    size_t length;
    tola_text_run *plain;
    size_t plain_count;
    answer *answers;
    size_t answer_count;
    unsigned flags; /* of tola_tokenize_runs */
    bool close;     /* the end of the text is the end of an answer: the model's end token follows */
} record;

#define REFUSE(r, ...) jsonl_error((r)->file, (r)->index, err, __VA_ARGS__)

void chat_data_close(chat_data *c) {
    if (!c) return;
    mem_free(c->ids);
    mem_free(c->wanted);
    mem_free(c->ends);
    mem_free(c->rows);
    mem_free(c);
}

const chat_data_counts *chat_data_counted(const chat_data *c) { return &c->counts; }

uint64_t chat_data_bytes(const chat_data *c) {
    return c->id_cap * sizeof *c->ids + c->wanted_cap + (c->end_cap + c->row_cap) * sizeof *c->ends;
}

/* ---- texts ---- */

static tola_value text_value(const char *text, size_t length) {
    return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, length } };
}

static const tola_value *field(const tola_value *object, const char *name) {
    const tola_value *v = tola_value_get(object, name);
    return v && v->kind != TOLA_VALUE_NULL ? v : NULL;
}

static tola_status render(record *r, const tola_value *messages, size_t count, bool prompt, tola_chat_text *out,
                          tola_error *err) {
    tola_value some = *messages;
    tola_chat_options o = TOLA_CHAT_OPTIONS_INIT;
    some.as.array.count = count;
    o.add_generation_prompt = prompt;
    o.now = 0; /* the same text in every run */
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = tola_chat_render(r->o->chat_template, (tola_chat_value){ .value = &some }, &o, out, &why);
    return status == TOLA_OK ? TOLA_OK : REFUSE(r, "%s", why.message);
}

static bool begins(const record *r, const tola_chat_text *t) {
    return t->length <= r->length && memcmp(r->text, t->text, t->length) == 0;
}

/* Where the whole text is `count` messages old; with `prompt`, and the answer's head written. */
static tola_status place(record *r, const tola_value *messages, size_t count, bool prompt, size_t *at, bool *lines_up,
                         tola_error *err) {
    tola_chat_text t;
    TRY(render(r, messages, count, prompt, &t, err));
    *lines_up = begins(r, &t);
    *at = t.length;
    tola_chat_text_dispose(&t);
    return TOLA_OK;
}

static bool is_answer(const tola_value *message) {
    const char *role = tola_value_str(tola_value_get(message, "role"), "");
    return strcmp(role, "assistant") == 0 || strcmp(role, "model") == 0;
}

static tola_status find_answers(record *r, const tola_value *messages, tola_error *err) {
    for (size_t i = 0; i < messages->as.array.count; i++) {
        tola_value message = tola_value_at(messages, i);
        answer *a = &r->answers[r->answer_count];
        bool before = true, after = true;
        if (!is_answer(&message)) continue;
        if (i == 0)
            a->from = 0;
        else
            TRY(place(r, messages, i, true, &a->from, &before, err));
        if (i + 1 == messages->as.array.count)
            a->to = r->length;
        else
            TRY(place(r, messages, i + 1, false, &a->to, &after, err));
        if (!before || !after || a->from > a->to)
            return REFUSE(r,
                          "the chat template writes message %zu otherwise once others follow, so that where the answer "
                          "lies is not known",
                          before ? i + 1 : i);
        r->answer_count++;
    }
    return TOLA_OK;
}

static tola_status take_chat_text(record *r, const tola_value *messages, const tola_chat_text *t, tola_error *err) {
    bool told = false;
    r->text = arena_strndup(r->a, t->text, t->length);
    r->length = t->length;
    size_t most = t->span_count + messages->as.array.count + 1;
    r->plain = arena_alloc_array(r->a, most, sizeof *r->plain);
    r->answers = arena_alloc_array(r->a, most, sizeof *r->answers);
    if (!r->text || !r->plain || !r->answers) return err_nomem(err, "reading examples");
    for (size_t i = 0; i < t->span_count; i++) {
        const tola_chat_span *s = &t->spans[i];
        if (!s->trusted) r->plain[r->plain_count++] = (tola_text_run){ s->offset, s->length };
        if (s->generated) {
            answer *last = told ? &r->answers[r->answer_count - 1] : NULL;
            if (last && last->to == s->offset)
                last->to += s->length;
            else
                r->answers[r->answer_count++] = (answer){ s->offset, s->offset + s->length };
            told = true;
        }
    }
    return told ? TOLA_OK : find_answers(r, messages, err);
}

static tola_status take_messages(record *r, const tola_value *messages, tola_error *err) {
    tola_chat_text t;
    if (messages->kind != TOLA_VALUE_ARRAY || messages->as.array.count == 0)
        return REFUSE(r, "'messages' is no list of messages");
    if (messages->as.array.count > MAX_TURNS)
        return REFUSE(r, "%zu messages, at most %u are read", messages->as.array.count, MAX_TURNS);
    if (!r->o->chat_template) return REFUSE(r, "a conversation, but the model has no chat template");
    TRY(render(r, messages, messages->as.array.count, false, &t, err));
    tola_status status = take_chat_text(r, messages, &t, err);
    tola_chat_text_dispose(&t);
    return status;
}

/* A question and its answer: as two messages where there is a template, else one behind the other. */
static tola_status take_pair(record *r, tola_string question, tola_string reply, tola_error *err) {
    if (reply.length == 0) return REFUSE(r, "the answer is empty: there is nothing to learn from");
    if (r->o->chat_template) {
        tola_member *members = arena_alloc_array(r->a, 4, sizeof *members);
        tola_value *messages = arena_alloc_array(r->a, 2, sizeof *messages);
        if (!members || !messages) return err_nomem(err, "reading examples");
        members[0] = (tola_member){ { "role", 4 }, text_value("user", 4) };
        members[1] = (tola_member){ { "content", 7 }, text_value(question.data, question.length) };
        members[2] = (tola_member){ { "role", 4 }, text_value("assistant", 9) };
        members[3] = (tola_member){ { "content", 7 }, text_value(reply.data, reply.length) };
        for (int i = 0; i < 2; i++)
            messages[i] = (tola_value){ .kind = TOLA_VALUE_MAP, .as.map = { members + 2 * i, 2 } };
        const tola_value all = { .kind = TOLA_VALUE_ARRAY, .as.array = { messages, 2 } };
        return take_messages(r, &all, err);
    }
    r->length = question.length + reply.length;
    r->text = arena_alloc(r->a, r->length + 1);
    r->answers = arena_alloc(r->a, sizeof *r->answers);
    if (!r->text || !r->answers) return err_nomem(err, "reading examples");
    if (question.length) memcpy(r->text, question.data, question.length);
    if (reply.length) memcpy(r->text + question.length, reply.data, reply.length);
    r->answers[r->answer_count++] = (answer){ question.length, r->length };
    r->flags = TOLA_TOKENIZE_SPECIAL | TOLA_TOKENIZE_PLAIN;
    r->close = true;
    return TOLA_OK;
}

static tola_status take_instruction(record *r, const tola_value *object, tola_error *err) {
    tola_string task, input = { "", 0 }, output;
    TRY(jsonl_text(r->file, r->index, object, "instruction", &task, err));
    TRY(jsonl_text(r->file, r->index, object, "output", &output, err));
    if (field(object, "input")) TRY(jsonl_text(r->file, r->index, object, "input", &input, err));
    /* without a template a line end keeps the answer apart */
    size_t gap = input.length ? 2 : 0, end = r->o->chat_template ? 0 : 1;
    size_t length = task.length + gap + input.length + end;
    char *text = arena_alloc(r->a, length + 1), *to = text;
    if (!text) return err_nomem(err, "reading examples");
    if (task.length) to = (char *)memcpy(to, task.data, task.length) + task.length;
    for (size_t i = 0; i < gap; i++) *to++ = '\n';
    if (input.length) to = (char *)memcpy(to, input.data, input.length) + input.length;
    if (end) *to++ = '\n';
    return take_pair(r, (tola_string){ text, length }, output, err);
}

static tola_status take_named(record *r, const tola_value *object, const char *question, const char *reply,
                              tola_error *err) {
    tola_string q, a;
    TRY(jsonl_text(r->file, r->index, object, question, &q, err));
    TRY(jsonl_text(r->file, r->index, object, reply, &a, err));
    return take_pair(r, q, a, err);
}

static tola_status take_text(record *r, const tola_value *object, tola_error *err) {
    tola_string text;
    TRY(jsonl_text(r->file, r->index, object, "text", &text, err));
    if (text.length == 0) return REFUSE(r, "the text is empty: there is nothing to learn from");
    r->text = arena_strndup(r->a, text.data, text.length);
    r->length = text.length;
    r->answers = arena_alloc(r->a, sizeof *r->answers);
    if (!r->text || !r->answers) return err_nomem(err, "reading examples");
    r->answers[r->answer_count++] = (answer){ 0, text.length };
    r->flags = TOLA_TOKENIZE_SPECIAL | TOLA_TOKENIZE_PLAIN;
    r->close = true;
    return TOLA_OK;
}

static tola_status take_record(record *r, const tola_value *object, tola_error *err) {
    const tola_value *messages = field(object, "messages");
    if (messages) return take_messages(r, messages, err);
    if (field(object, "prompt") && field(object, "completion"))
        return take_named(r, object, "prompt", "completion", err);
    if (field(object, "question") && field(object, "answer")) return take_named(r, object, "question", "answer", err);
    if (field(object, "instruction") && field(object, "output")) return take_instruction(r, object, err);
    if (field(object, "text")) return take_text(r, object, err);
    return REFUSE(r,
                  "neither 'messages', 'prompt' and 'completion', 'instruction' and 'output', 'question' and 'answer', "
                  "nor 'text'");
}

/* ---- tokens ---- */

/* The ids of the first `length` bytes. */
static tola_status tokenize(const record *r, size_t length, uint32_t **ids, size_t *count, tola_error *err) {
    size_t runs = 0;
    tola_text_run *plain = arena_alloc_array(r->a, r->plain_count + 1, sizeof *plain);
    if (!plain) return err_nomem(err, "reading examples");
    for (size_t i = 0; i < r->plain_count && r->plain[i].offset < length; i++) {
        plain[runs] = r->plain[i];
        if (plain[runs].length > length - plain[runs].offset) plain[runs].length = length - plain[runs].offset;
        runs++;
    }
    tola_error why = TOLA_ERROR_INIT;
    tola_status status =
        r->plain_count || !r->flags
            ? tola_tokenize_runs(r->o->tokenizer, r->text, length, r->flags, plain, runs, ids, count, &why)
            : tola_tokenize(r->o->tokenizer, r->text, length, r->flags, ids, count, &why);
    return status == TOLA_OK ? TOLA_OK : REFUSE(r, "%s", why.message);
}

/* How many ids the text has when it is `length` bytes long and they still are those of the whole. */
static tola_status tokens_until(const record *r, size_t length, const uint32_t *all, size_t count, size_t *out,
                                tola_error *err) {
    uint32_t *ids;
    size_t n, same = 0;
    if (length >= r->length) {
        *out = count;
        return TOLA_OK;
    }
    TRY(tokenize(r, length, &ids, &n, err));
    while (same < n && same < count && ids[same] == all[same]) same++;
    tola_free(ids);
    *out = same;
    return TOLA_OK;
}

/* What comes behind a text that is the end of an answer. */
static uint32_t end_token(const record *r) {
    uint32_t eos = r->close ? tola_tokenizer_special(r->o->tokenizer, TOLA_SPECIAL_EOS) : TOLA_NO_TOKEN;
    return eos;
}

static tola_status keep(chat_data *c, const record *r, const uint32_t *ids, size_t count, tola_error *err) {
    uint32_t end = end_token(r);
    bool adds = end != TOLA_NO_TOKEN && (count == 0 || ids[count - 1] != end);
    size_t all = count + adds, begin = c->length;
    if (!mem_grow(&c->ids, &c->id_cap, begin + all, sizeof *c->ids) ||
        !mem_grow(&c->wanted, &c->wanted_cap, begin + all, 1) ||
        !mem_grow(&c->ends, &c->end_cap, c->count + 1, sizeof *c->ends))
        return err_nomem(err, "reading examples");
    if (count) memcpy(c->ids + begin, ids, count * sizeof *ids);
    if (adds) c->ids[begin + count] = end;
    memset(c->wanted + begin, c->o.all, all);
    for (size_t i = 0; i < r->answer_count; i++) {
        size_t from, to;
        TRY(tokens_until(r, r->answers[i].from, ids, count, &from, err));
        TRY(tokens_until(r, r->answers[i].to, ids, count, &to, err));
        if (r->answers[i].to >= r->length) to = all;
        if (from < to) memset(c->wanted + begin + from, 1, to - from);
    }
    for (size_t i = 0; i < all; i++)
        if (c->ids[begin + i] >= c->o.vocabulary)
            return REFUSE(r, "token %u is beyond the model's vocabulary of %u", c->ids[begin + i], c->o.vocabulary);
    if (all > c->o.context) {
        if (c->o.too_long == CHAT_LONG_REFUSE)
            return REFUSE(r, "%zu tokens, but the context is %u (a longer --context, or --long cut or drop)", all,
                          c->o.context);
        c->counts.cut += c->o.too_long == CHAT_LONG_CUT;
        c->counts.dropped += c->o.too_long == CHAT_LONG_DROP;
        if (c->o.too_long == CHAT_LONG_DROP) return TOLA_OK;
        all = c->o.context;
    }
    uint64_t answers = 0;
    for (size_t i = 1; i < all; i++) answers += c->wanted[begin + i];            /* nothing predicts the first */
    if (answers == 0 && c->o.too_long == CHAT_LONG_CUT && all == c->o.context) { /* nothing of it is left */
        c->counts.cut--;
        c->counts.dropped++;
        return TOLA_OK;
    }
    if (answers == 0) return REFUSE(r, "there is no answer to learn from");
    c->counts.answers += answers;
    c->length = begin + all;
    c->ends[c->count++] = c->length;
    return TOLA_OK;
}

static tola_status add_record(chat_data *c, const jsonl *file, uint64_t index, arena *a, tola_error *err) {
    record r = { .file = file, .index = index, .a = a, .o = &c->o };
    tola_value object;
    uint32_t *ids;
    size_t count;
    TRY(jsonl_read(file, index, a, &object, err));
    TRY(take_record(&r, &object, err));
    TRY(tokenize(&r, r.length, &ids, &count, err));
    tola_status status = keep(c, &r, ids, count, err);
    tola_free(ids);
    return status;
}

static tola_status add_file(chat_data *c, const char *path, tola_error *err) {
    jsonl *file;
    TRY(jsonl_open(path, &file, err));
    tola_status status = TOLA_OK;
    for (uint64_t i = 0; i < jsonl_count(file) && status == TOLA_OK; i++) {
        arena a;
        arena_init(&a, 0);
        status = add_record(c, file, i, &a, err);
        arena_free(&a);
    }
    jsonl_close(file);
    return status;
}

/* ---- rows ---- */

static uint64_t begin_of(const chat_data *c, uint64_t example) { return example ? c->ends[example - 1] : 0; }

static tola_status make_rows(chat_data *c, tola_error *err) {
    for (uint64_t first = 0; first < c->count;) {
        uint64_t end = first + 1, from = begin_of(c, first);
        uint32_t answers = 0;
        while (c->o.pack && end < c->count && c->ends[end] - from <= c->o.context) end++;
        if (!mem_grow(&c->rows, &c->row_cap, c->row_count + 1, sizeof *c->rows))
            return err_nomem(err, "reading examples");
        c->rows[c->row_count++] = end;
        for (uint64_t e = first; e < end; e++)
            for (uint64_t i = begin_of(c, e) + 1; i < c->ends[e]; i++) answers += c->wanted[i];
        uint32_t tokens = (uint32_t)(c->ends[end - 1] - from);
        if (tokens > c->counts.row_tokens) c->counts.row_tokens = tokens;
        if (answers > c->counts.row_answers) c->counts.row_answers = answers;
        first = end;
    }
    c->counts.examples = c->count;
    c->counts.tokens = c->length;
    c->counts.rows = c->row_count;
    return TOLA_OK;
}

tola_status chat_data_open(const char *const *paths, size_t count, const chat_data_options *options, chat_data **out,
                           tola_error *err) {
    chat_data *c = mem_calloc(1, sizeof *c);
    if (!c) return err_nomem(err, "reading examples");
    c->o = *options;
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = add_file(c, paths[i], err);
    if (status == TOLA_OK && c->count == 0)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s: no example to learn from%s",
                         count ? paths[0] : "data", c->counts.dropped ? ": all are longer than the context" : "");
    if (status == TOLA_OK) status = make_rows(c, err);
    if (status != TOLA_OK) {
        chat_data_close(c);
        return status;
    }
    *out = c;
    return TOLA_OK;
}

void chat_data_row(const chat_data *c, uint64_t i, uint64_t *first, uint64_t *end) {
    *first = i ? c->rows[i - 1] : 0;
    *end = c->rows[i];
}

size_t chat_data_example(const chat_data *c, uint64_t i, const uint32_t **ids, const uint8_t **wanted) {
    uint64_t from = begin_of(c, i);
    *ids = c->ids + from;
    *wanted = c->wanted + from;
    return (size_t)(c->ends[i] - from);
}

tola_status chat_data_digest(const chat_data *c, uint8_t digest[32], tola_error *err) {
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = sha256_update(s, c->ids, c->length * sizeof *c->ids, err);
    if (status == TOLA_OK) status = sha256_update(s, c->wanted, c->length, err);
    if (status == TOLA_OK) status = sha256_update(s, c->rows, c->row_count * sizeof *c->rows, err);
    if (status == TOLA_OK) return sha256_finish(s, digest, err);
    sha256_abort(s);
    return status;
}
