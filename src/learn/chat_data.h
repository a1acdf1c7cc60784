/* Examples for fine-tuning: lines of JSON as tokens, of which those of the answers are to be predicted.
 *
 * A record is one of
 *   {"messages": [{"role", "content"}, ...]}        each message of an assistant is an answer
 *   {"prompt", "completion"}, {"question", "answer"} the second is the answer to the first
 *   {"instruction", "input" (may be missing), "output"}
 *   {"text"}                                         all of it is to be predicted
 * Conversations go through the model's own template, as `tola run` sends them; pairs do, too, where the model has one,
 * and are otherwise written one behind the other. Where an answer lies in the text is found by rendering what comes
 * before it and what ends with it, or by the template's {% generation %} blocks: an error where they do not line up.
 *
 * All tokens are in memory, 5 bytes for each. */
#ifndef LEARN_CHAT_DATA_H
#define LEARN_CHAT_DATA_H

#include "base/err.h"
#include <tola/chat.h>
#include <tola/tokenizer.h>

typedef enum chat_long { CHAT_LONG_REFUSE, CHAT_LONG_CUT, CHAT_LONG_DROP } chat_long;

typedef struct chat_data_options {
    const tola_tokenizer *tokenizer;
    const tola_chat_template *chat_template; /* NULL: the model has none */
    uint32_t context;                        /* most tokens of an example */
    uint32_t vocabulary;                     /* a token not below is TOLA_E_FORMAT */
    chat_long too_long; /* what becomes of an example that has more: TOLA_E_FORMAT, its end is cut, it is left out */
    bool pack;          /* several examples in a row of `context` tokens */
    bool all;           /* everything is to be predicted, not only answers */
} chat_data_options;

typedef struct chat_data chat_data;

typedef struct chat_data_counts {
    uint64_t examples, tokens, answers; /* answers: tokens that are to be predicted */
    uint64_t cut, dropped;              /* examples that were too long */
    uint64_t rows;
    uint32_t row_tokens, row_answers; /* most of any row */
} chat_data_counts;

/* TOLA_E_FORMAT with file and line for records that are none of the above, have no answer, or have nothing of it left;
 * where there is no example at all. */
tola_status chat_data_open(const char *const *paths, size_t count, const chat_data_options *options, chat_data **out,
                           tola_error *err);
void chat_data_close(chat_data *c); /* NULL is fine */
const chat_data_counts *chat_data_counted(const chat_data *c);
uint64_t chat_data_bytes(const chat_data *c); /* in memory */
/* SHA-256 of the tokens and of what is to be predicted. */
tola_status chat_data_digest(const chat_data *c, uint8_t digest[32], tola_error *err);

/* Row `i` is examples [first, end): in their order, or those that fit together. */
void chat_data_row(const chat_data *c, uint64_t i, uint64_t *first, uint64_t *end);
/* Example `i`: its ids, and which of them are to be predicted. */
size_t chat_data_example(const chat_data *c, uint64_t i, const uint32_t **ids, const uint8_t **wanted);

#endif
