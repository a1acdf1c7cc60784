/* Inside a tokenizer: what the loaders fill in and the engine runs.
 *
 * The engine follows the pipeline of Hugging Face's tokenizers (https://huggingface.co/docs/tokenizers): added tokens
 * are cut out, what lies between is normalized, cut into words, and each word is given to the model; a post-processor
 * puts ids around. The other formats are described in its terms. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/err.h"
#include "base/mem.h"
#include "families/tokens.h"
#include "text/charset.h"
#include "text/regex.h"
#include <tola/tokenizer.h>

#define TK_MAX_TOKENS (1u << 22) /* Gemma has 262144 */
#define TK_MAX_TOKEN_BYTES 65536u
#define TK_MAX_STEPS 64 /* normalizers, pre-tokenizers, decoders */
#define TK_MOST_TEXT ((size_t)1 << 40)

/* ---- steps ---- */

typedef enum tk_normal_kind {
    TK_NFC,
    TK_NFD,
    TK_NFKC,
    TK_NFKD,
    TK_LOWERCASE,
    TK_STRIP,
    TK_STRIP_ACCENTS,
    TK_PREPEND,
    TK_REPLACE,
    TK_BERT,
    TK_CHARSMAP,
    TK_CHARSMAP_CLUSTERS,
    TK_NORMAL_BYTES,
    TK_NMT,
    TK_SPACES
} tk_normal_kind;

typedef struct charsmap charsmap;

typedef struct tk_normal {
    uint8_t kind;
    bool left, right;                        /* TK_STRIP */
    bool clean, chinese, accents, lowercase; /* TK_BERT */
    bool dummy_prefix, collapse, as_suffix;  /* TK_SPACES: SentencePiece's whitespace rules */
    regex *pattern;                          /* TK_REPLACE; NULL: `from` is literal */
    tola_string from, to;                    /* TK_REPLACE; TK_PREPEND: `to` */
    const charsmap *map;                     /* TK_CHARSMAP */
    charset_map *touched;                    /* the four forms and TK_BERT: what NFx changes */
} tk_normal;

typedef enum tk_behavior { TK_REMOVED, TK_ISOLATED, TK_MERGED_PREVIOUS, TK_MERGED_NEXT, TK_CONTIGUOUS } tk_behavior;

typedef enum tk_pre_kind { TK_SPLIT, TK_BYTE_LEVEL, TK_METASPACE } tk_pre_kind;

typedef struct tk_pre {
    uint8_t kind;
    uint8_t behavior;    /* TK_SPLIT, and TK_BYTE_LEVEL's own expression: isolated */
    bool invert;         /* TK_SPLIT: what lies between matches is what matches */
    regex *pattern;      /* NULL for TK_SPLIT: the literal; for TK_BYTE_LEVEL: no cut */
    tola_string literal; /* TK_SPLIT; TK_METASPACE: what stands for a space */
    bool prefix_space;   /* TK_BYTE_LEVEL; TK_METASPACE: always */
    bool first_only;     /* TK_METASPACE: before the text's beginning alone */
    bool split;          /* TK_METASPACE */
} tk_pre;

typedef enum tk_decode_kind {
    TK_DECODE_BYTES,
    TK_DECODE_METASPACE,
    TK_DECODE_WORDPIECE,
    TK_DECODE_SUFFIX,
    TK_DECODE_BYTE_FALLBACK,
    TK_DECODE_FUSE,
    TK_DECODE_STRIP,
    TK_DECODE_REPLACE,
    TK_DECODE_CTC,
    TK_DECODE_PIECES
} tk_decode_kind;

typedef struct tk_decode {
    uint8_t kind;
    tola_string text, to; /* prefix, suffix, replacement, what is stripped; REPLACE: literal `text` becomes `to`; CTC:
                         * what stands for nothing, what stands between words */
    regex *pattern;       /* REPLACE; NULL: literal */
    uint32_t start, stop; /* STRIP */
    bool cleanup;         /* WORDPIECE, CTC */
    bool drop_first;      /* METASPACE, PIECES: the space before the first */
    bool drop_all;        /* PIECES: all spaces before the first */
} tk_decode;

/* ---- vocabulary ---- */

typedef struct tk_token {
    const char *text; /* as spelled */
    uint32_t length;
    uint8_t flags; /* tola_token_flags, TK_HIDDEN */
} tk_token;
#define TK_HIDDEN 0x80 /* the model does not find it in text: bytes, control tokens, what is matched before */

typedef struct tk_added {
    const char *text;
    uint32_t length, id;
    bool special, single_word, left_strip, right_strip, normalized;
} tk_added;

typedef struct tk_trie tk_trie; /* of added tokens */

/* ---- models ---- */

typedef enum tk_model_kind { TK_BPE, TK_BPE_SCORES, TK_UNIGRAM, TK_WORDPIECE, TK_WORDLEVEL } tk_model_kind;

typedef struct tk_merge {
    uint64_t pair; /* left id << 32 | right id, plus 1 so that 0 is free */
    uint32_t rank, id;
} tk_merge;

typedef struct tk_model {
    uint8_t kind;
    bool bytes;   /* words are bytes, spelled in GPT-2's 256 characters in the vocabulary */
    bool spelled; /* and in the normalized text */
    bool byte_fallback, fuse_unk, ignore_merges;
    uint32_t unk;               /* TOLA_NO_TOKEN: none */
    uint32_t byte_ids[256];     /* <0x00> ..., or of single bytes */
    tola_string prefix, suffix; /* continuing_subword_prefix, end_of_word_suffix */
    tk_merge *merges;           /* hash table */
    size_t merge_mask;
    const double *scores;    /* TK_BPE_SCORES, TK_UNIGRAM; of each id */
    uint32_t *ranks;         /* TK_BPE_SCORES: the order of scores */
    charset_map *joins_mark; /* after what U+2581 may be within a token; elsewhere words are cut; NULL: nowhere */
    bool narrow;             /* sums of scores are rounded to f32, as SentencePiece's are */
    double unk_score;
    struct tk_prefix *prefixes; /* TK_UNIGRAM: the pieces as a trie */
    size_t prefix_mask;
    uint32_t max_word_chars; /* TK_WORDPIECE */
    uint32_t longest;        /* bytes of the longest token */
} tk_model;

/* A growing list of ids. */
typedef struct tk_ids {
    uint32_t *ids;
    size_t count, cap;
} tk_ids;

struct tola_tokenizer {
    arena arena;
    tk_token *tokens; /* by id */
    uint32_t count;
    token_table table;       /* of spellings */
    token_table model_table; /* of what the model sees: bytes where model.bytes */
    tk_model model;
    tk_normal *normals;
    tk_pre *pres;
    tk_decode *decodes;
    size_t normal_count, pre_count, decode_count;
    tk_added *added;
    size_t added_count;
    uint32_t *respelled;       /* by id: 1 + the number of an added token that decodes as normalized; NULL: none */
    tk_trie *raw, *normalized; /* of added tokens matched before and after normalization; NULL: none */
    uint32_t *before, *after;  /* ids around a text */
    size_t before_count, after_count;
    uint32_t specials[TOLA_SPECIAL_COUNT]; /* TOLA_NO_TOKEN: none */
    tk_ids ends;
    regex **regexes;
    size_t regex_count, regex_cap;
};

/* ---- loaders ---- */

tola_status tk_create(tola_tokenizer **out, tola_error *err);
/* From tokenizer.json parsed into a tree that may be freed afterwards. */
tola_status tk_load_json(tola_tokenizer *t, const tola_value *json, tola_error *err);
/* `config`: tokenizer_config.json, or NULL, here and below. */
tola_status tk_load_sentencepiece(tola_tokenizer *t, const void *data, size_t bytes, const tola_value *config,
                                  tola_error *err);
/* vocab.json and merges.txt of GPT-2's kind, text of each. */
tola_status tk_load_gpt2(tola_tokenizer *t, const tola_value *vocab, const char *merges, size_t merges_bytes,
                         const tola_value *config, const tola_value *added, tola_error *err);
/* vocab.txt of BERT's kind, a token a line. */
tola_status tk_load_bert(tola_tokenizer *t, const char *vocab, size_t bytes, const tola_value *config, tola_error *err);
tola_status tk_load_tiktoken(tola_tokenizer *t, const char *text, size_t bytes, const char *name, tola_error *err);

tola_status tk_load_gguf(tola_tokenizer *t, const tola_value *metadata, tola_error *err);

/* The files of a folder, in memory. */
typedef struct tk_file {
    const char *name;
    const void *data;
    size_t bytes;
} tk_file;
typedef struct tk_files {
    const tk_file *items;
    size_t count;
} tk_files;
/* As tola_tokenizer_open of a folder that holds them. */
tola_status tk_open_files(const tk_files *files, tola_tokenizer **out, tola_error *err);

/* ---- special ids (specials.c) ---- */

/* Ids beyond the vocabulary or without a text are none. */
void tk_set_special(tola_tokenizer *t, tola_special which, uint64_t id);
tola_status tk_add_end(tola_tokenizer *t, uint64_t id, tola_error *err);
/* What tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json says. */
tola_status tk_use_config(tola_tokenizer *t, const tola_value *config, tola_error *err);
tola_status tk_use_gguf_ids(tola_tokenizer *t, const tola_value *metadata, tola_error *err);
/* After all of these: what names tell. */
tola_status tk_finish_specials(tola_tokenizer *t, tola_error *err);

/* The normalizer, pre_tokenizer and decoder of a tokenizer.json. */
tola_status tk_load_steps(tola_tokenizer *t, const tola_value *json, tola_error *err);
/* Merges ("a b", or ["a", "b"]) over the tokens that are set. */
tola_status tk_load_merges(tola_tokenizer *t, const tola_value *merges, tola_error *err);
/* BERT's pre-tokenizer. */
tola_status tk_bert_words(tola_tokenizer *t, tola_error *err);

/* Room for `count` tokens, all unused. */
tola_status tk_make_tokens(tola_tokenizer *t, uint64_t count, tola_error *err);
/* Sets the spelling of an id (copied). */
tola_status tk_set_token(tola_tokenizer *t, uint64_t id, const char *text, size_t length, tola_error *err);
/* Compiles a pattern and keeps it for as long as the tokenizer lives. */
tola_status tk_regex(tola_tokenizer *t, const char *pattern, size_t length, regex **out, tola_error *err);
/* What the four forms and BERT's accents need to know. */
tola_status tk_prepare_normals(tola_tokenizer *t, tola_error *err);
/* The tables that follow from tokens, model and added tokens; once, at the end of loading. */
tola_status tk_finish(tola_tokenizer *t, tola_error *err);
tola_status tk_merges_init(tola_tokenizer *t, size_t count, tola_error *err);
/* Merge number `rank`: `left` and `right` become `id`. The first of equal pairs stays. */
void tk_merges_add(tola_tokenizer *t, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);

/* ---- engine ---- */

/* What one call of tola_tokenize works with. */
typedef struct tk_scratch {
    regex_match *matches[TK_MAX_STEPS]; /* one for each pre-tokenizer, made when it is needed */
    struct tk_words *words;             /* words seen, with their ids */
    struct tk_symbols *symbols;
} tk_scratch;
void tk_scratch_free(tk_scratch *s); /* what is in it */
/* Appends the ids of one word (bytes of normalized text). */
tola_status tk_model_word(const tola_tokenizer *t, tk_scratch *s, const char *word, size_t length, tk_ids *out,
                          tola_error *err);

/* text becomes out (cleared first). */
tola_status tk_normalize(const tola_tokenizer *t, const char *text, size_t length, buf *out, tola_error *err);
tola_status tk_normalize_step(const tk_normal *n, const char *text, size_t length, buf *out, tola_error *err);

/* Cuts normalized text into words and calls `word` for each. `first`: it stands at the beginning of the whole text. */
typedef tola_status (*tk_word_fn)(void *user, const char *word, size_t length, tola_error *err);
tola_status tk_pretokenize(const tola_tokenizer *t, tk_scratch *s, const char *text, size_t length, bool first,
                           tk_word_fn word, void *user, tola_error *err);

tk_trie *tk_trie_new(const tola_tokenizer *t, bool normalized);
void tk_trie_free(tk_trie *trie);
/* Runs of a text that are only text, ascending and apart. */
typedef struct tk_runs {
    const tola_text_run *runs;
    size_t count;
} tk_runs;
/* Does [begin, end) touch one? */
bool tk_runs_touch(const tk_runs *r, size_t begin, size_t end);
/* The first added token in text[*from, length), leftmost and longest, no special one that touches `plain`; false where
 * there is none. [*begin, *end) is what it covers with the spaces that it strips, those before `taken` left out; *from
 * becomes the end of the token alone: the spaces behind it are stripped, but another token may lie in them. */
bool tk_trie_find(const tk_trie *trie, const tola_tokenizer *t, const char *text, size_t length, size_t taken,
                  size_t *from, const tk_runs *plain, size_t *begin, size_t *end, const tk_added **token);

/* precompiled_charsmap of SentencePiece; copied into the arena. NULL where it is damaged. */
const charsmap *charsmap_parse(const void *data, size_t bytes, arena *a);
void charsmap_apply(const charsmap *m, const char *text, size_t length, buf *out);
/* As the Precompiled of tokenizer.json does it. */
void charsmap_apply_clusters(const charsmap *m, const char *text, size_t length, buf *out);

/* Appends valid UTF-8 made of any bytes. */
void tk_repair(const char *text, size_t length, buf *out);
/* The bytes of the character that text[0, length) begins with; 0 where it begins with none. */
size_t tk_char_length(const char *text, size_t length);
/* Can these bytes be the beginning of a longer character? */
bool tk_may_go_on(const char *text, size_t length);

/* ---- ids to text ---- */

/* What decoders get for an id. */
tola_string tk_decoded(const tola_tokenizer *t, uint32_t id);
tola_status tk_check_id(const tola_tokenizer *t, uint32_t id, tola_error *err);
bool tk_put(tk_ids *out, uint32_t id); /* false: out of memory */
void tk_replace(const char *text, size_t length, tola_string from, tola_string to, buf *out);
/* What one token becomes by a step that looks at no other. */
tola_status tk_decode_one(const tk_decode *d, bool first, bool last, const char *text, size_t n, buf *out,
                          tola_error *err);
/* What comes is not the beginning of a text: each token adds the bytes of tola_token_bytes, where the decoder looks at
 * one token after the other. */
void tk_stream_goes_on(tola_detokenizer *d);
/* Appends the text of all tokens together. */
tola_status tk_decode_list(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, buf *out,
                           tola_error *err);
tola_status tk_decode_pieces(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags, buf *out,
                             tola_error *err);

/* The byte that a character of GPT-2's 256 stands for, -1 where it is none; and the way back, as UTF-8. */
int tk_byte_of_char(uint32_t c);
unsigned tk_char_of_byte(uint8_t byte, char out[2]);

#endif
