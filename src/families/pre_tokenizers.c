/* How text is cut before byte-pair encoding: the regular expressions of tokenizer.json, and GGUF's names for them.
 *
 * llama.cpp's converter finds the name by tokenizing a test text and hashing the ids; here the rules themselves are
 * compared, which needs no tokenizer and does not depend on the vocabulary. Rules are those of the published
 * tokenizer.json of each model; names are those of llama.cpp (src/llama-vocab.cpp). */
#include "families/tokens.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"

#include <string.h>

/* A pre_tokenizer is written as one line of steps, separated by a tab:
 *   R<regex>  Split by a regular expression, matches isolated      D  Digits, one by one
 *   B         ByteLevel with GPT-2's own expression                b  ByteLevel without one
 *   P         Punctuation, contiguous                              d  Digits, runs of them */
typedef struct pre_row {
    const char *name;
    const char *steps;
    unsigned flags;
    const char *normalizer; /* JSON of tokenizer.json's normalizer; NULL: none */
} pre_row;

enum {
    WHOLE = 1,    /* a word that is a token is that token (ignore_merges) */
    BOS = 2,      /* <s> goes before a text where the file does not say */
    READ_ONLY = 4 /* files are not written with this name */
};

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS_DIGITS(n) "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" n
#define PUNCT_SPACE "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED_UP "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CASED_LOW "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define PUNCT_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define NFC "{\"type\":\"NFC\"}"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 "R" CONTRACTIONS "|" WORDS_DIGITS("{1,3}") PUNCT_SPACE "\tb"
#define QWEN2 "R" CONTRACTIONS "|" WORDS_DIGITS("") PUNCT_SPACE "\tb"
#define GPT4O "R" CASED_UP CONTRACTIONS "?|" CASED_LOW CONTRACTIONS "?|\\p{N}{1,3}" PUNCT_SLASH "\tb"
#define DEEPSEEK3                                                                                                      \
    "R\\p{N}{1,3}\tR[一-龥぀-ゟ゠-ヿ]+\t" DEEPSEEK3_WORDS "| ?[\\p{P}\\p{S}]+[\\r\\n]*|"                         \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\tb"
#define DEEPSEEK3_WORDS                                                                                                \
    "R[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
/* Digits in threes from the right. */
#define THREES "R\\d{1,3}(?=(?:\\d{3})*\\b)"
#define BLOOM "R ?[^(\\s|.,!?…。，、।۔،)]+"
/* Upper, lower and title case as DeepSeek LLM's tokenizer.json lists it. */
#define DEEPSEEK_LETTERS                                                                                               \
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽ"           \
    "ᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴ"             \
    "ᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴ"        \
    "ℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆ"           \
    "ﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
#define BAILING                                                                                                        \
    "R'(?i:[sdmt]|ll|ve|re)|" WORDS_DIGITS("") "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+\tb"
/* Kimi's: runs of Chinese characters apart, which no other word takes (tokenization_kimi.py). */
#define NO_HAN "&&[^\\p{Han}]]"
#define KIMI_FIRST "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN
#define KIMI_THEN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN
#define KIMI_WORDS KIMI_FIRST "*" KIMI_THEN "+" CONTRACTIONS "?|" KIMI_FIRST "+" KIMI_THEN "*" CONTRACTIONS "?"

/* Where rules are equal, the first row names them; all rows serve the way back. */
static const pre_row pre_rows[] = {
    { "llama-bpe", LLAMA3, WHOLE | BOS, NULL },
    { "llama3", LLAMA3, WHOLE | BOS, NULL },
    { "llama-v3", LLAMA3, WHOLE | BOS, NULL },
    { "dbrx", LLAMA3, 0, NULL },
    { "smaug-bpe", LLAMA3, 0, NULL },
    { "qwen2", QWEN2, 0, NFC },
    { "deepseek-r1-qwen", QWEN2, 0, NFC },
    { "stablelm2", QWEN2, 0, NULL },
    { "qwen35",
      "R" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\tb",
      0, NFC },
    { "tekken", "R" CASED_UP "|" CASED_LOW "|\\p{N}" PUNCT_SLASH "\tb", WHOLE | BOS, NULL },
    { "gpt-4o", GPT4O, 0, NULL },
    { "llama4", GPT4O, 0, NULL },
    { "gpt-2", "B", 0, NULL },
    { "mpt", "B", 0, NULL },
    { "olmo", "B", 0, NULL },
    { "phi-2", "B", 0, NULL },
    { "smollm", "D\tB", 0, NULL },
    { "starcoder", "D\tB", 0, NULL },
    { "refact", "D\tB", 0, NULL },
    { "command-r", "D\tB", 0, NFC },
    { "falcon", "P\tB\td\tR[0-9][0-9][0-9]", 0, NULL },
    { "deepseek-coder", "R[\\r\\n]\tR\\s?\\p{L}+\tR\\s?\\p{P}+\tR[一-龥ࠀ-一가-퟿]+\tD\tb", 0, NULL },
    { "deepseek-v3", DEEPSEEK3, 0, NULL },
    { "deepseek-llm",
      "R[\\r\\n]\tR\\s?[" DEEPSEEK_LETTERS
      "]+\tR\\s?[!-/:-~！-／：-～‘-‟　-。]+\tR\\s+$\tR[一-龥ࠀ-一가-퟿]+\tD\tb",
      0, NULL },
    { "falcon3", LLAMA3, WHOLE | BOS, NULL },
    { "falcon-h1", LLAMA3, WHOLE | BOS, NULL },
    { "pixtral", LLAMA3, WHOLE | BOS, NULL },
    { "midm-2.0", LLAMA3, WHOLE | BOS, NULL },
    { "lfm2", LLAMA3, WHOLE | BOS, NULL },
    { "jina-v5-nano", LLAMA3, WHOLE | BOS, NULL },
    { "chatglm-bpe", LLAMA3, 0, NULL },
    { "glm4", LLAMA3, WHOLE, NULL },
    { "glm5", LLAMA3, WHOLE, NULL },
    { "minicpm5", "R\\p{N}{1,3}\tR" CONTRACTIONS "|" WORDS_DIGITS("+") PUNCT_SPACE "\tb", WHOLE, NULL },
    { "jais-2",
      "R" CONTRACTIONS "|" WORDS_DIGITS("{1,3}") "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|"
                                                 "\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}"
                                                 "(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|"
                                                 "\\s{1,2}(?!\\S)|\\s{1}\tb",
      0, NULL },
    { "kormo", QWEN2, 0, NFC },
    { "f2llmv2", QWEN2, 0, NFC },
    { "megrez", QWEN2, 0, NFC },
    { "hunyuan", QWEN2, 0, NULL },
    { "solar-open", QWEN2, 0, NULL },
    { "grok-2", QWEN2, 0, NULL },
    { "ufakzeka", "R" WORDS_DIGITS("") PUNCT_SPACE "\tb", 0, NULL },
    { "laguna", "R[^\\n]+|[\\n]+\t" QWEN2, 0, NULL },
    { "exaone-moe",
      "R" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|"
      "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+\tb",
      0, NULL },
    { "seed-coder",
      "R" CONTRACTIONS "|" WORDS_DIGITS("{1}") "| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\tb", 0,
      NULL },
    { "bailingmoe", BAILING, 0, NULL },
    { "bailingmoe2", BAILING, 0, NULL },
    { "llada-moe", BAILING, 0, NULL },
    { "kanana2", GPT4O, 0, NULL },
    { "talkie", GPT4O, 0, NULL },
    { "minimax-m2", GPT4O, 0, NULL },
    { "granite-embed-multi-97m", GPT4O, WHOLE | READ_ONLY, NULL },
    { "tiny_aya", THREES "\t" GPT4O, 0, NULL },
    { "cohere2moe", THREES "\t" GPT4O, 0, NULL },
    { "youtu",
      "R[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"
      "\tR" CASED_UP CONTRACTIONS "?|" CASED_LOW CONTRACTIONS "?|\\p{N}" PUNCT_SLASH "\tb",
      WHOLE, NULL },
    { "kimi-k2", "R[\\p{Han}]+|" KIMI_WORDS "|\\p{N}{1,3}" PUNCT_SPACE "\tb", 0, NULL },
    { "hunyuan-dense", DEEPSEEK3, 0, NULL },
    { "joyai-llm", DEEPSEEK3, 0, NULL },
    { "hy_v4", DEEPSEEK3, 0, NULL },
    { "spark2_5",
      "R\\p{N}{1,3}\tR[一-龥぀-ゟ゠-ヿ]+\t" DEEPSEEK3_WORDS
      "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+\tR\\p{N}\tb",
      0, NULL },
    { "afmoe",
      THREES "\tR[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"
             "\t" DEEPSEEK3_WORDS "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\tb",
      0, NULL },
    { "superbpe", "R\\p{N}+\tR(?=(\\d{3})+(?!\\d))\tb", 0, NULL },
    { "poro-chat", BLOOM "\tb", 0, NULL },
    { "bloom", BLOOM "\tb", 0, NULL },
    { "gpt3-finnish", BLOOM "\tb", 0, NULL },
    { "viking", BLOOM "\tD\tb", 0, NULL },
    { "chameleon",
      "R<sentinel:[0-9]+>\tR(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z\tR([\\t\\n]|    |  )\tD\t"
      "R[\\p{P}!-/:-@\\[-`{-~]\tB",
      BOS, NULL },
    { "codeshell", "D\tB", 0, NULL },
    { "exaone", "D\tB", 0, NULL },
    { "minerva-7b", "D\tB", 0, NULL },
    { "mellum2", "D\tB", 0, NULL },
    { "exaone4", "B", 0, NULL },
    { "jais", "B", 0, NULL },
    { "trillion", "B", 0, NULL },
    { "granite-docling", "B", 0, NULL },
    { "modern-bert", "B", 0, NULL },
    { "roberta-bpe", "B", 0, NULL },
    { "jina-v1-en", "B", 0, NULL },
    { "jina-v2-code", "B", 0, NULL },
    { "jina-es", "B", 0, NULL },
    { "jina-de", "B", 0, NULL },
    { "jina-v2-es", "B", 0, NULL },
    { "jina-v2-de", "B", 0, NULL },
    { "gigachat", "B", 0, NULL },
    { "a.x-4.0", "B", 0, NULL },
    { "mellum", "B", 0, NULL },
    /* llama.cpp's own for files that name none. */
    { "default", "R[\\p{P}\\$\\+<=>\\^~\\|]+\tR" GPT2 "\tR\\p{N}+\tR[0-9][0-9][0-9]\tb", READ_ONLY, NULL },
};

#define PRE_COUNT (sizeof pre_rows / sizeof pre_rows[0])

/* Writes an expression as the table has it: raw line ends become \r and \n. */
static void append_regex(buf *out, const char *regex) {
    buf_u8(out, 'R');
    for (const char *p = regex; *p != '\0'; p++) {
        if (*p == '\r')
            buf_append(out, "\\r", 2);
        else if (*p == '\n')
            buf_append(out, "\\n", 2);
        else
            buf_u8(out, (uint8_t)*p);
    }
}

/* One step of a pre_tokenizer; false where it is of a kind that the table does not know. */
static bool append_step(buf *out, const tola_value *step) {
    const char *type = tola_value_str(tola_value_get(step, "type"), "");
    if (out->length != 0) buf_u8(out, '\t');
    if (strcmp(type, "ByteLevel") == 0) {
        if (tola_value_bool(tola_value_get(step, "add_prefix_space"), false)) return false;
        buf_u8(out, tola_value_bool(tola_value_get(step, "use_regex"), true) ? 'B' : 'b');
        return true;
    }
    if (strcmp(type, "Digits") == 0) {
        buf_u8(out, tola_value_bool(tola_value_get(step, "individual_digits"), false) ? 'D' : 'd');
        return true;
    }
    if (strcmp(type, "Punctuation") == 0) {
        buf_u8(out, 'P');
        return true;
    }
    if (strcmp(type, "Split") != 0 || tola_value_bool(tola_value_get(step, "invert"), false)) return false;
    const char *regex = tola_value_str(tola_value_get(tola_value_get(step, "pattern"), "Regex"), NULL);
    if (regex == NULL) return false;
    append_regex(out, regex);
    return true;
}

/* Possessive quantifiers (cl100k's "?+", "++") cut the same texts as the plain ones in these expressions. */
static void drop_possessive(buf *steps) {
    size_t n = 0;
    for (size_t i = 0; i < steps->length; i++) {
        if (steps->data[i] == '+' && n > 0 && (steps->data[n - 1] == '+' || steps->data[n - 1] == '?')) continue;
        steps->data[n++] = steps->data[i];
    }
    steps->length = n;
}

bool pre_from_tokenizer(const tola_value *tokenizer, const char **out) {
    const tola_value *pre = tola_value_get(tokenizer, "pre_tokenizer");
    bool ignore = tola_value_bool(tola_value_get(tola_value_get(tokenizer, "model"), "ignore_merges"), false);
    const char *found = NULL;
    buf steps;
    bool known = true;
    buf_init(&steps, 1u << 16);
    if (strcmp(tola_value_str(tola_value_get(pre, "type"), ""), "Sequence") == 0) {
        const tola_value *list = tola_value_get(pre, "pretokenizers");
        size_t count = list != NULL && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
        for (size_t i = 0; i < count && known; i++) {
            tola_value step = tola_value_at(list, i);
            known = append_step(&steps, &step);
        }
    } else {
        known = append_step(&steps, pre);
    }
    if (known && !steps.failed) {
        drop_possessive(&steps);
        for (int pass = 0; pass < 2 && found == NULL; pass++) {
            for (size_t i = 0; i < PRE_COUNT && found == NULL; i++) {
                bool same = strlen(pre_rows[i].steps) == steps.length &&
                            memcmp(pre_rows[i].steps, steps.data, steps.length) == 0;
                if (!same || (pre_rows[i].flags & READ_ONLY)) continue;
                if (pass == 1 || (pre_rows[i].flags & WHOLE) == ignore) found = pre_rows[i].name;
            }
        }
    }
    bool out_of_memory = steps.failed && !steps.full; /* 64 KiB of rules are none that the table knows */
    buf_free(&steps);
    *out = found;
    return !out_of_memory;
}

static void append_json_string(buf *out, const char *text, size_t length) {
    buf_u8(out, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\') buf_u8(out, '\\');
        buf_u8(out, (uint8_t)text[i]);
    }
    buf_u8(out, '"');
}

static void append_step_json(buf *out, const char *step, size_t length) {
    switch (step[0]) {
    case 'B':
    case 'b':
        buf_printf(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":%s,\"use_regex\":%s}",
                   step[0] == 'B' ? "true" : "false", step[0] == 'B' ? "true" : "false");
        break;
    case 'D':
    case 'd':
        buf_printf(out, "{\"type\":\"Digits\",\"individual_digits\":%s}", step[0] == 'D' ? "true" : "false");
        break;
    case 'P': buf_printf(out, "{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}"); break;
    default:
        buf_printf(out, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        append_json_string(out, step + 1, length - 1);
        buf_printf(out, "},\"behavior\":\"Isolated\",\"invert\":false}");
        break;
    }
}

static const pre_row *find_row(const char *pre) {
    for (size_t i = 0; i < PRE_COUNT; i++)
        if (strcmp(pre_rows[i].name, pre) == 0) return &pre_rows[i];
    return NULL;
}

bool pre_adds_bos(const char *pre) {
    const pre_row *row = find_row(pre);
    return row && (row->flags & BOS);
}

bool pre_to_tokenizer(const char *pre, buf *pre_tokenizer, const char **normalizer, bool *ignore_merges) {
    const pre_row *row = find_row(pre);
    if (!row) return false;
    const char *steps = row->steps;
    bool sequence = strchr(steps, '\t') != NULL;
    if (sequence) buf_printf(pre_tokenizer, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (const char *p = steps; *p != '\0';) {
        size_t n = strcspn(p, "\t");
        if (p != steps) buf_u8(pre_tokenizer, ',');
        append_step_json(pre_tokenizer, p, n);
        p += n;
        if (*p == '\t') p++;
    }
    if (sequence) buf_printf(pre_tokenizer, "]}");
    *normalizer = row->normalizer;
    *ignore_merges = row->flags & WHOLE;
    return true;
}

/* ---- tokens ---- */

bool token_table_init(token_table *t, size_t count) {
    size_t size = 64;
    while (size < count * 2) size *= 2;
    t->slots = mem_calloc(size, sizeof *t->slots);
    t->mask = size - 1;
    t->count = 0;
    return t->slots != NULL;
}

void token_table_free(token_table *t) {
    mem_free(t->slots);
    t->slots = NULL;
}

static struct token_slot *slot_of(const token_table *t, const char *text, size_t length) {
    size_t i = (size_t)hash_string(text, length) & t->mask;
    while (t->slots[i].text != NULL && (t->slots[i].length != length || memcmp(t->slots[i].text, text, length) != 0))
        i = (i + 1) & t->mask;
    return &t->slots[i];
}

void token_table_add(token_table *t, const char *text, size_t length, uint32_t id) {
    struct token_slot *slot = slot_of(t, text, length);
    if (slot->text != NULL || t->count * 2 > t->mask) return;
    *slot = (struct token_slot){ text, length, id };
    t->count++;
}

uint32_t token_table_find(const token_table *t, const char *text, size_t length) {
    const struct token_slot *slot = slot_of(t, text, length);
    return slot->text != NULL ? slot->id : UINT32_MAX;
}

tola_status token_id_twice(const char *of, uint64_t id, tola_string first, tola_string second, tola_error *err) {
    char a[60], b[60];
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%sid %llu is that of '%s' and of '%s'", of,
                   (unsigned long long)id, text_quote(a, sizeof a, first.data, first.length),
                   text_quote(b, sizeof b, second.data, second.length));
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int token_byte(const char *text, size_t length) {
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
