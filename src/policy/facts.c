/* facts.yaml read by the table of facts_rows: keys, types, units, ranges, all at once; then asked by path. */
#include "policy/facts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

struct facts {
    yaml *file;
};

#define MOST_PATH 160 /* of a path with its indices */

/* ---- units ---- */

/* What a number may be followed by. Two units of one kind convert; units of different kinds contradict each other. */
typedef struct unit {
    const char *name, *kind;
    double factor; /* to the first unit of its kind */
} unit;

static const unit units[] = {
    { "hours", "hours", 1 },
    { "hour", "hours", 1 },
    { "h", "hours", 1 },
    { "min", "hours", 1 / 60.0 },
    { "minutes", "hours", 1 / 60.0 },
    { "days", "hours", 24 },
    { "day", "hours", 24 },
    { "GPU hours", "hours", 1 },
    { "GPU-hours", "hours", 1 },
    { "device hours", "hours", 1 },
    { "weeks", "hours", 168 },
    { "MWh", "MWh", 1 },
    { "kWh", "MWh", 1e-3 },
    { "GWh", "MWh", 1e3 },
    { "TWh", "MWh", 1e6 },
    { "Wh", "MWh", 1e-6 },
    { "J", "MWh", 1 / 3.6e9 },
    { "MW", "MW", 1 },
    { "kW", "MW", 1e-3 },
    { "W", "MW", 1e-6 },
    { "GW", "MW", 1e3 },
    { "USD", "USD", 1 },
    { "$", "USD", 1 },
    { "dollars", "USD", 1 },
    { "EUR", "EUR", 1 },
    { "euros", "EUR", 1 },
    { "€", "EUR", 1 },
    { "GBP", "GBP", 1 },
    { "CNY", "CNY", 1 },
    { "RMB", "CNY", 1 },
    { "JPY", "JPY", 1 },
    { "bytes", "bytes", 1 },
    { "B", "bytes", 1 },
    { "kB", "bytes", 1e3 },
    { "KB", "bytes", 1e3 },
    { "MB", "bytes", 1e6 },
    { "GB", "bytes", 1e9 },
    { "TB", "bytes", 1e12 },
    { "PB", "bytes", 1e15 },
    { "EB", "bytes", 1e18 },
    { "KiB", "bytes", 0x1p10 },
    { "MiB", "bytes", 0x1p20 },
    { "GiB", "bytes", 0x1p30 },
    { "TiB", "bytes", 0x1p40 },
    { "PiB", "bytes", 0x1p50 },
    { "FLOP", "FLOP", 1 },
    { "FLOPs", "FLOP", 1 },
    { "TFLOP", "FLOP", 1e12 },
    { "PFLOP", "FLOP", 1e15 },
    { "EFLOP", "FLOP", 1e18 },
    { "ZFLOP", "FLOP", 1e21 },
    { "YFLOP", "FLOP", 1e24 },
    { "petaflop/s-days", "FLOP", 8.64e19 },
    { "PF-days", "FLOP", 8.64e19 },
    { "TFLOP/s", "TFLOP/s", 1 },
    { "TFLOPS", "TFLOP/s", 1 },
    { "TFLOPs/s", "TFLOP/s", 1 },
    { "GFLOP/s", "TFLOP/s", 1e-3 },
    { "GFLOPS", "TFLOP/s", 1e-3 },
    { "PFLOP/s", "TFLOP/s", 1e3 },
    { "PFLOPS", "TFLOP/s", 1e3 },
    { "FLOP/s", "TFLOP/s", 1e-12 },
    { "FLOPS", "TFLOP/s", 1e-12 },
    { "EFLOP/s", "TFLOP/s", 1e6 },
    { "tokens", "tokens", 1 },
    { "token", "tokens", 1 },
    { "parameters", "parameters", 1 },
    { "params", "parameters", 1 },
    { "weights", "parameters", 1 },
    { "devices", "devices", 1 },
    { "GPUs", "devices", 1 },
    { "epochs", "epochs", 1 },
    { "users", "users", 1 },
    { "data points", "data points", 1 },
    { "documents", "data points", 1 },
    { "images", "data points", 1 },
    { "%", "share", 0.01 },
    { "kg", "kg", 1 },
    { "t", "kg", 1e3 },
    { "tonnes", "kg", 1e3 },
    { "g", "kg", 1e-3 },
    { "kt", "kg", 1e6 },
    { NULL, NULL, 0 },
};

static const unit *unit_of(const char *text) {
    for (const unit *u = units; u->name; u++)
        if (strcmp(u->name, text) == 0) return u;
    return NULL;
}

static double multiple(char c) {
    return c == 'K' || c == 'k' ? 1e3 : c == 'M' ? 1e6 : c == 'B' ? 1e9 : c == 'T' ? 1e12 : 0;
}

static double multiple_word(const char **text) {
    static const struct {
        const char *word;
        double factor;
    } words[] = { { "thousand", 1e3 }, { "million", 1e6 }, { "billion", 1e9 }, { "trillion", 1e12 } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (strncmp(*text, words[i].word, length) || ((*text)[length] && (*text)[length] != ' ')) continue;
        *text += length;
        return words[i].factor;
    }
    return 1;
}

static tola_status unit_error(const yaml_node *n, const facts_row *row, const char *given, tola_error *err) {
    char shown[80], name[48];
    const unit *u = unit_of(given);
    if (!u) { /* "GB a day": the first word tells */
        snprintf(name, sizeof name, "%.*s", (int)strcspn(given, " /"), given);
        u = unit_of(name);
    }
    text_quote(shown, sizeof shown, n->text, strlen(n->text));
    text_quote(name, sizeof name, given, strlen(given));
    if (strcmp(row->unit, "bytes") == 0 && given[0] && !given[1])
        return yaml_error(n, err, "'%s' leaves open whether %sB or %siB is meant", shown, given, given);
    if (u && strcmp(u->kind, row->unit))
        return yaml_error(n, err, "'%s' is given in %s (%s), but this is a number of %s", shown, u->kind, name,
                          row->unit);
    return yaml_error(n, err, "'%s': '%s' is no unit of %s; K, M, B and T are thousands to 1e12", shown, name,
                      row->unit);
}

/* "14.8T", "2.664M hours", "$2", "40 %", "3.8e25 FLOP": the number in the row's unit. */
static tola_status number_of_text(const yaml_node *n, const facts_row *row, double *out, tola_error *err) {
    char digits[64];
    size_t used = 0;
    const char *at = n->text, *before = NULL;
    if (*at == '$') before = "$", at++;
    if (strncmp(at, "€", strlen("€")) == 0) before = "€", at += strlen("€");
    for (; *at && used + 1 < sizeof digits; at++) {
        bool exponent = (*at == 'e' || *at == 'E') && (isdigit((unsigned char)at[1]) || at[1] == '+' || at[1] == '-');
        bool sign = (*at == '-' || *at == '+') && (used == 0 || digits[used - 1] == 'e' || digits[used - 1] == 'E');
        if (*at == '_' && used) continue;
        if (!isdigit((unsigned char)*at) && *at != '.' && !exponent && !sign) break;
        digits[used++] = *at;
    }
    digits[used] = 0;
    double value;
    if (!json_decimal(digits, &value)) {
        char found[120];
        return yaml_error(n, err, "a number%s%s is wanted, not %s", row->unit ? " of " : "", row->unit ? row->unit : "",
                          yaml_describe(n, found, sizeof found));
    }
    while (*at == ' ') at++;
    bool bytes = strcmp(row->unit, "bytes") == 0;
    if (!bytes && multiple(*at) > 0 && (at[1] == 0 || at[1] == ' ')) value *= multiple(*at++);
    while (*at == ' ') at++;
    value *= multiple_word(&at);
    while (*at == ' ') at++;
    const char *names[] = { before, *at ? at : NULL };
    for (size_t i = 0; i < 2; i++) {
        if (!names[i]) continue;
        const unit *u = unit_of(names[i]);
        if (!u && strcmp(names[i], row->unit) == 0) continue;
        if (!u || strcmp(u->kind, row->unit)) return unit_error(n, row, names[i], err);
        value *= u->factor;
    }
    *out = value;
    return TOLA_OK;
}

static bool is_counted(const char *name) {
    static const char *const words[] = { "tokens", "parameters", "devices", "users", "data points", "bytes" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(name, words[i]) == 0) return true;
    return false;
}

static tola_status number_of(const yaml_node *n, const facts_row *row, double *out, tola_error *err) {
    double value;
    if (n->kind == YAML_INT || n->kind == YAML_FLOAT)
        value = n->number;
    else if (n->kind == YAML_STRING)
        TRY(number_of_text(n, row, &value, err));
    else
        return yaml_f64(n, row->low, row->high, out, err);
    if (!isfinite(value)) return yaml_error(n, err, "%.40s is no finite number", n->text);
    if (value < row->low || value > row->high) {
        const char *hint = strcmp(row->unit, "share") == 0 ? "; 40 % is 0.4"
                           : value < 0                     ? "; it cannot be negative"
                                                           : "; is the unit right?";
        char shown[64];
        return yaml_error(n, err, "%s is not in %g .. %g %s%s",
                          text_quote(shown, sizeof shown, n->text, strlen(n->text)), row->low, row->high, row->unit,
                          row->low < 0 ? "" : hint);
    }
    if (value < 1e6 && value != rint(value) && is_counted(row->unit)) {
        char shown[64];
        return yaml_error(n, err, "%s is no whole number of %s; K, M, B and T are thousands to 1e12",
                          text_quote(shown, sizeof shown, n->text, strlen(n->text)), row->unit);
    }
    *out = value;
    return TOLA_OK;
}

/* ---- days ---- */

/* Days since 1970-01-01 of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int32_t days_of(int year, int month, int day) {
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool facts_parse_date(const char *text, int32_t *days) {
    int part[3] = { 0 };
    static const int widths[] = { 4, 2, 2 };
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < widths[i]; k++, text++) {
            if (!isdigit((unsigned char)*text)) return false;
            part[i] = part[i] * 10 + (*text - '0');
        }
        if (i < 2 ? *text++ != '-' : *text != 0) return false;
    }
    bool leap = part[0] % 4 == 0 && (part[0] % 100 != 0 || part[0] % 400 == 0);
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (part[0] < 1900 || part[1] < 1 || part[1] > 12 || part[2] < 1) return false;
    if (part[2] > lengths[part[1] - 1] + (part[1] == 2 && leap)) return false;
    *days = days_of(part[0], part[1], part[2]);
    return true;
}

const char *facts_date_text(int32_t days, char text[static 16]) {
    int32_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    int32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int32_t mp = (5 * of_year + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    int year = (int)(year_of_era + era * 400 + (month <= 2));
    snprintf(text, 16, "%04d-%02d-%02d", year % 10000, (int)month % 100, (int)(of_year - (153 * mp + 2) / 5 + 1) % 100);
    return text;
}

/* ---- one value against its row ---- */

static bool text_like(const yaml_node *n) {
    return n->kind == YAML_STRING || n->kind == YAML_INT || n->kind == YAML_FLOAT;
}

static bool truth(const yaml_node *n, bool *out) {
    bool yes = n->kind == YAML_STRING && strcmp(n->text, "yes") == 0;
    bool no = n->kind == YAML_STRING && strcmp(n->text, "no") == 0;
    if (n->kind != YAML_BOOL && !yes && !no) return false;
    *out = n->kind == YAML_BOOL ? n->boolean : yes;
    return true;
}

static tola_status check_word(const yaml_node *n, const facts_row *row, tola_error *err) {
    char storage[400];
    const char *words[33];
    size_t count = 0;
    uint32_t unused;
    snprintf(storage, sizeof storage, "%s", row->words);
    char *save = NULL;
    for (char *at = strtok_r(storage, " ", &save); at && count < 32; at = strtok_r(NULL, " ", &save))
        words[count++] = at;
    words[count] = NULL;
    return yaml_choice(n, words, &unused, err);
}

static tola_status check_list(const yaml_node *n, tola_error *err) {
    if (text_like(n)) return TOLA_OK; /* a list of one */
    TRY(yaml_expect(n, YAML_LIST, err));
    for (size_t i = 0; i < n->count; i++)
        if (!text_like(n->items[i])) TRY(yaml_expect(n->items[i], YAML_STRING, err));
    return TOLA_OK;
}

static tola_status check_value(const yaml_node *n, const facts_row *row, tola_error *err) {
    double number;
    int32_t days;
    bool yes;
    switch (row->type) {
    case FACT_TEXT: return text_like(n) ? TOLA_OK : yaml_expect(n, YAML_STRING, err);
    case FACT_BOOL: return truth(n, &yes) ? TOLA_OK : yaml_expect(n, YAML_BOOL, err);
    case FACT_NUMBER: return number_of(n, row, &number, err);
    case FACT_WORD: return check_word(n, row, err);
    case FACT_LIST: return check_list(n, err);
    case FACT_ROWS: return yaml_expect(n, YAML_LIST, err);
    case FACT_DATE:
        if (text_like(n) && facts_parse_date(n->text, &days)) return TOLA_OK;
        char found[120];
        return yaml_error(n, err, "a day as 2026-11-22 is wanted, not %s", yaml_describe(n, found, sizeof found));
    }
    return TOLA_OK;
}

/* ---- the table as a tree of keys ---- */

/* Is `path` below `prefix`, and if so: the key right under it? "data[].name" below "" is "data". */
static bool key_below(const char *path, const char *prefix, char *key, size_t cap) {
    size_t length = strlen(prefix);
    if (strncmp(path, prefix, length)) return false;
    if (length && path[length] != '.') return false;
    const char *at = path + length + (length > 0);
    size_t n = strcspn(at, ".[");
    if (n + 1 > cap) return false;
    memcpy(key, at, n);
    key[n] = 0;
    return true;
}

const facts_row *facts_row_of(const char *path) {
    char plain[MOST_PATH];
    size_t used = 0;
    for (const char *at = path; *at && used + 1 < sizeof plain; at++)
        if (!isdigit((unsigned char)*at) || used == 0 || plain[used - 1] != '[') plain[used++] = *at;
    plain[used] = 0;
    for (const facts_row *r = facts_rows; r->path; r++)
        if (strcmp(r->path, plain) == 0) return r;
    return NULL;
}

static bool is_group(const char *path) {
    char key[MOST_PATH];
    for (const facts_row *r = facts_rows; r->path; r++)
        if (key_below(r->path, path, key, sizeof key)) return true;
    return false;
}

/* The last key of a path. */
static const char *leaf_of(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* Words of `key` (parted by _) that begin as one of `other`'s does: "token_count" and "tokens" share one. */
static int shared_words(const char *key, const char *other) {
    int shared = 0;
    for (const char *a = key; *a; a += strspn(a, "_")) {
        const size_t n = strcspn(a, "_");
        bool found = false;
        for (const char *b = other; *b && !found; b += strspn(b, "_")) {
            const size_t m = strcspn(b, "_"), shorter = n < m ? n : m;
            size_t same = 0;
            while (same < shorter && tolower((unsigned char)a[same]) == b[same]) same++;
            found = same >= 3 && 4 * same >= 3 * shorter;
            b += m;
        }
        shared += found;
        a += n;
    }
    return shared;
}

static int count_words(const char *key) {
    int n = 1;
    for (; *key; key++) n += *key == '_';
    return n;
}

/* The key below `prefix` that shares most words with `word`, the shortest of those; false: none does. */
static bool alike_below(const char *prefix, const char *word, char best[MOST_PATH]) {
    static const char *const same[][2] = {
        { "mfu", "utilisation" }, { "gpu", "device" }, { "gpus", "count" }, { "gpu_hours", "hardware" }
    };
    char key[MOST_PATH];
    int most = 0;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (strcasecmp(word, same[i][0]) == 0) word = same[i][1];
    for (const facts_row *r = facts_rows; r->path; r++) {
        if (!key_below(r->path, prefix, key, sizeof key)) continue;
        const int shared = shared_words(word, key), score = 100 * shared - count_words(key);
        if (shared == 0 || score <= most) continue;
        most = score;
        snprintf(best, MOST_PATH, "%s", key);
    }
    return most > 0;
}

static tola_status unknown_key(const yaml_node *member, const char *prefix, tola_error *err) {
    char key[MOST_PATH], best[MOST_PATH] = "", shown[80];
    tola_nearest nearest;
    tola_nearest_init(&nearest, member->key);
    for (const facts_row *r = facts_rows; r->path; r++) {
        if (!key_below(r->path, prefix, key, sizeof key)) continue;
        tola_nearest_try(&nearest, key);
        if (nearest.best == key) { /* `key` changes */
            snprintf(best, sizeof best, "%s", key);
            nearest.best = best;
        }
    }
    if (!nearest.best && alike_below(prefix, member->key, best)) nearest.best = best;
    if (!nearest.best) /* the same word at another place, else one that resembles it */
        for (const facts_row *r = facts_rows; r->path; r++) {
            bool better = !nearest.best || (strchr(nearest.best, '[') && !strchr(r->path, '['));
            if (strcmp(leaf_of(r->path), member->key) == 0 && better) nearest.best = r->path;
        }
    if (!nearest.best && strlen(member->key) > 3)
        for (const facts_row *r = facts_rows; r->path; r++) {
            unsigned before = nearest.distance;
            tola_nearest_try(&nearest, leaf_of(r->path));
            if (nearest.distance != before) snprintf(best, sizeof best, "%s", r->path);
        }
    text_quote(shown, sizeof shown, member->key, strlen(member->key));
    if (!nearest.best)
        return yaml_error_at_key(member, err, "unknown key '%s'; tola comply --template lists all", shown);
    return yaml_error_at_key(member, err, "unknown key '%s'; did you mean '%s'?", shown, best[0] ? best : nearest.best);
}

/* The schema is four levels deep, and what is deeper in the file matches no row of it. */
static tola_status check_map(const yaml_node *map, const char *prefix, tola_error *err) {
    TRY(yaml_expect(map, YAML_MAP, err));
    for (size_t i = 0; i < map->count; i++) {
        const yaml_node *n = map->items[i];
        char path[MOST_PATH];
        int length = snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", n->key);
        bool fits = length > 0 && (size_t)length + 2 < sizeof path && !strpbrk(n->key, ".[]") && n->key[0];
        const facts_row *row = NULL;
        for (const facts_row *r = facts_rows; fits && r->path && !row; r++)
            if (strcmp(r->path, path) == 0) row = r;
        if (!row && !(fits && is_group(path))) return unknown_key(n, prefix, err);
        if (n->kind == YAML_NULL) continue;
        if (row) TRY(check_value(n, row, err));
        if (row && row->type != FACT_ROWS) continue;
        if (!row) {
            TRY(check_map(n, path, err));
            continue;
        }
        strcat(path, "[]");
        for (size_t k = 0; k < n->count; k++) TRY(check_map(n->items[k], path, err));
    }
    return TOLA_OK;
}

/* ---- opening ---- */

static tola_status take(yaml *file, facts **out, tola_error *err) {
    const yaml_node *root = yaml_root(file);
    tola_status status = root->kind == YAML_NULL ? TOLA_OK : check_map(root, "", err);
    facts *f = status == TOLA_OK ? mem_calloc(1, sizeof *f) : NULL;
    if (status == TOLA_OK && !f) status = err_nomem(err, "reading facts");
    if (status != TOLA_OK) {
        yaml_free(file);
        return status;
    }
    f->file = file;
    *out = f;
    return TOLA_OK;
}

tola_status facts_open(const char *path, facts **out, tola_error *err) {
    yaml *file;
    TRY(yaml_open(path, &file, err));
    return take(file, out, err);
}

tola_status facts_parse(const char *name, const void *text, size_t length, facts **out, tola_error *err) {
    yaml *file;
    TRY(yaml_parse(name, text, length, &file, err));
    return take(file, out, err);
}

void facts_free(facts *f) {
    if (!f) return;
    yaml_free(f->file);
    mem_free(f);
}

/* ---- asking ---- */

const yaml_node *facts_node(const facts *f, const char *path) {
    const yaml_node *n = f ? yaml_root(f->file) : NULL;
    while (n && *path) {
        char key[MOST_PATH];
        size_t length = strcspn(path, ".[");
        if (length + 1 > sizeof key) return NULL;
        memcpy(key, path, length);
        key[length] = 0;
        if (length) n = yaml_get(n, key);
        path += length;
        if (n && *path == '[') {
            size_t index = 0;
            for (path++; isdigit((unsigned char)*path) && index < YAML_MAX_NODES; path++)
                index = index * 10 + (size_t)(*path - '0');
            if (*path == ']') path++;
            bool alone = n->kind != YAML_LIST && index == 0; /* a list of one, written without brackets */
            n = n->kind == YAML_LIST && index < n->count ? n->items[index] : alone ? n : NULL;
        }
        if (*path == '.') path++;
    }
    return n && n->kind != YAML_NULL ? n : NULL;
}

const char *facts_text(const facts *f, const char *path) {
    const yaml_node *n = facts_node(f, path);
    return n && text_like(n) && n->text[0] ? n->text : NULL;
}

bool facts_number(const facts *f, const char *path, double *out) {
    const yaml_node *n = facts_node(f, path);
    const facts_row *row = n ? facts_row_of(path) : NULL;
    return row && row->type == FACT_NUMBER && number_of(n, row, out, NULL) == TOLA_OK;
}

bool facts_bool(const facts *f, const char *path, bool *out) {
    const yaml_node *n = facts_node(f, path);
    return n && truth(n, out);
}

bool facts_date(const facts *f, const char *path, int32_t *days) {
    const yaml_node *n = facts_node(f, path);
    return n && text_like(n) && facts_parse_date(n->text, days);
}

size_t facts_count(const facts *f, const char *path) {
    const yaml_node *n = facts_node(f, path);
    return !n ? 0 : n->kind == YAML_LIST ? n->count : 1;
}

/* ---- the template ---- */

static const char *type_text(const facts_row *r, char *text, size_t cap) {
    static const char *const names[] = { [FACT_TEXT] = "text",     [FACT_BOOL] = "true or false",
                                         [FACT_NUMBER] = "number", [FACT_DATE] = "day, 2026-11-22",
                                         [FACT_WORD] = "one of",   [FACT_LIST] = "list",
                                         [FACT_ROWS] = "rows" };
    if (r->type == FACT_NUMBER)
        snprintf(text, cap, "%s", r->unit);
    else
        snprintf(text, cap, "%s%s%s", names[r->type], r->words ? " " : "", r->words ? r->words : "");
    return text;
}

void facts_template(buf *out) {
    char group[MOST_PATH] = "", key[MOST_PATH], type[400];
    buf_printf(
        out,
        "# facts.yaml: what the weights of a model do not tell. What stays empty is unknown; nothing is assumed\n"
        "# for it. Numbers as people write them: 14.8T tokens, 2.664M hours, 3.8e25. Behind each key: its kind or\n"
        "# unit, what it means, who asks for it (Art. = Regulation (EU) 2024/1689; Form = Model Documentation Form;\n"
        "# Summary = public summary of training content; MOF = Model Openness Framework; SB 53 = California;\n"
        "# RAISE = New York). Lists of maps are commented out: take the # away, repeat from the dash on.\n");
    for (const facts_row *r = facts_rows; r->path; r++) {
        size_t length = strcspn(r->path, ".[");
        if (strncmp(group, r->path, length) || group[length]) {
            snprintf(group, sizeof group, "%.*s", (int)length, r->path);
            buf_printf(out, "\n%s:", group);
            if (r->path[length] == '.') buf_printf(out, "\n");
        }
        if (!strchr(r->path, '.')) { /* rows at the top: "data" */
            buf_printf(out, " # %s (%s)\n", r->help, r->used);
            continue;
        }
        const char *row = strstr(r->path, "[].");
        const char *middle = row ? NULL : strchr(r->path + length + 1, '.'); /* a map in a map: release.licences */
        int depth = (row && row == r->path + length) || (!row && !middle) ? 1 : 2;
        if (middle && (r == facts_rows || strncmp(r[-1].path, r->path, (size_t)(middle - r->path) + 1)))
            buf_printf(out, "  %.*s:\n", (int)(middle - r->path - (ptrdiff_t)length - 1), r->path + length + 1);
        snprintf(key, sizeof key, "%s", leaf_of(r->path));
        bool first = row && r > facts_rows && !strstr(r[-1].path, "[].");
        if (row)
            buf_printf(out, "%*s# %s %s: ", depth * 2, "", first ? "-" : " ", key);
        else
            buf_printf(out, "%*s%s: ", depth * 2, "", key);
        buf_printf(out, "# %s: %s (%s)\n", type_text(r, type, sizeof type), r->help, r->used);
    }
}
