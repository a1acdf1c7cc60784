/* See rename.h. A rule is kept as the literals between its stars: "a.*.b" is {"a.", ".b"}. Matching anchors the first
 * and the last literal and finds those between leftmost, which is shortest-first and needs no backtracking. */
#define _GNU_SOURCE 1 /* memmem */
#include "transform/rename.h"
#include "base/err.h"
#include "base/text.h"
#include "formats/format.h"

#include <string.h>

typedef struct literal {
    const char *text;
    size_t length;
} literal;

typedef struct pattern {
    literal parts[RENAME_MAX_STARS + 1];
    unsigned stars;
} pattern;

struct rename_rule {
    const char *text; /* as given, for messages */
    pattern from, to;
};

/* Reads one side of a rule up to an unescaped `stop` (or the end); returns where it stopped, NULL on failure. */
static const char *parse_side(const char *p, char stop, arena *a, pattern *out, const char *rule, tola_error *err) {
    size_t length = strlen(p), used = 0, start = 0;
    char *text = arena_alloc(a, length + 1);
    if (!text) {
        err_nomem(err, "reading rename rules");
        return NULL;
    }
    out->stars = 0;
    for (; *p && *p != stop; p++) {
        if (*p == '*') {
            if (out->stars == RENAME_MAX_STARS) {
                err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "rename rule '%s' has more than %d '*' on one side", rule,
                        RENAME_MAX_STARS);
                return NULL;
            }
            out->parts[out->stars++] = (literal){ text + start, used - start };
            start = used;
            continue;
        }
        if (*p == '\\' && (p[1] == '*' || p[1] == '=' || p[1] == '\\')) p++;
        text[used++] = *p;
    }
    out->parts[out->stars] = (literal){ text + start, used - start };
    return p;
}

static tola_status parse_rule(const char *text, arena *a, rename_rule *out, tola_error *err) {
    out->text = arena_strndup(a, text, strlen(text));
    if (!out->text) return err_nomem(err, "reading rename rules");
    tola_error why = TOLA_ERROR_INIT;
    const char *equals = parse_side(text, '=', a, &out->from, text, &why);
    if (equals && *equals != '=')
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "rename rule '%s' is not of the form FROM=TO", text);
    if (equals && equals == text)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "rename rule '%s' has nothing before '='", text);
    if (!equals || !parse_side(equals + 1, '\0', a, &out->to, text, &why)) {
        if (err) *err = why;
        return why.status;
    }
    if (out->to.stars > out->from.stars)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "rename rule '%s' inserts %u captures, but FROM has only %u '*'", text, out->to.stars,
                       out->from.stars);
    return TOLA_OK;
}

tola_status rename_parse(const char *const *texts, arena *a, rename_rules *out, tola_error *err) {
    size_t count = 0;
    while (texts && texts[count]) count++;
    rename_rule *rules = arena_alloc_array(a, count ? count : 1, sizeof *rules);
    if (!rules) return err_nomem(err, "reading rename rules");
    for (size_t i = 0; i < count; i++) TRY(parse_rule(texts[i], a, &rules[i], err));
    out->rules = rules;
    out->count = count;
    return TOLA_OK;
}

/* First place at or after `at` where `needle` lies in name[0, end); SIZE_MAX where it does not. */
static size_t find_literal(const char *name, size_t at, size_t end, literal needle) {
    if (needle.length == 0) return at;
    if (end - at < needle.length) return SIZE_MAX;
    const char *hit = memmem(name + at, end - at, needle.text, needle.length);
    return hit ? (size_t)(hit - name) : SIZE_MAX;
}

static bool match(const pattern *from, const char *name, size_t length, literal captures[RENAME_MAX_STARS]) {
    literal first = from->parts[0], last = from->parts[from->stars];
    if (from->stars == 0) return length == first.length && memcmp(name, first.text, length) == 0;
    if (length < first.length + last.length) return false;
    size_t end = length - last.length; /* where the last capture must end */
    if (memcmp(name, first.text, first.length) != 0 || memcmp(name + end, last.text, last.length) != 0) return false;
    size_t at = first.length;
    for (unsigned i = 1; i < from->stars; i++) {
        size_t hit = find_literal(name, at, end, from->parts[i]);
        if (hit == SIZE_MAX) return false;
        captures[i - 1] = (literal){ name + at, hit - at };
        at = hit + from->parts[i].length;
    }
    captures[from->stars - 1] = (literal){ name + at, end - at };
    return true;
}

/* Writes TO with its captures to `dst` (NULL: only measures); returns its length. */
static size_t expand(const pattern *to, const literal *captures, char *dst) {
    size_t length = 0;
    for (unsigned i = 0; i <= to->stars; i++) {
        literal pieces[2] = { to->parts[i], i < to->stars ? captures[i] : (literal){ "", 0 } };
        for (int k = 0; k < 2; k++) {
            if (dst) memcpy(dst + length, pieces[k].text, pieces[k].length);
            length += pieces[k].length;
        }
    }
    return length;
}

tola_status rename_apply(const rename_rules *rules, const char *name, arena *a, const char **out, tola_error *err) {
    const char *current = name;
    for (size_t r = 0; r < rules->count; r++) {
        const rename_rule *rule = &rules->rules[r];
        literal captures[RENAME_MAX_STARS];
        if (!match(&rule->from, current, strlen(current), captures)) continue;
        size_t length = expand(&rule->to, captures, NULL);
        if (length == 0)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "rename rule '%s' leaves nothing of the name", rule->text);
        if (length > CK_MAX_NAME)
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "rename rule '%s' makes a name of %zu bytes (limit %d)",
                           rule->text, length, CK_MAX_NAME);
        char *next = arena_alloc(a, length + 1);
        if (!next) return err_nomem(err, "renaming tensors");
        expand(&rule->to, captures, next);
        next[length] = '\0';
        current = next;
    }
    *out = current;
    return TOLA_OK;
}
