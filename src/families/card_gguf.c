/* The licence of a model, from the front matter of its card (README.md) to GGUF's general.license keys.
 *
 * The front matter is YAML; only lines "key: value" that begin at the left margin are read, which is how the Hub writes
 * these fields (https://huggingface.co/docs/hub/model-cards). Anything else in the card is passed over. */
#include "base/err.h"
#include "families/build.h"

#include <string.h>

#define CARD_MAX_VALUE 512 /* bytes; longer ones are no licence */

/* The value of "key: value" without quotes and white space around it; false where the line has another key. */
static bool value_of(const char *line, size_t length, const char *key, const char **value, size_t *bytes) {
    size_t n = strlen(key);
    if (length <= n || memcmp(line, key, n) != 0 || line[n] != ':') return false;
    const char *p = line + n + 1, *end = line + length;
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
    if (end - p >= 2 && (*p == '"' || *p == '\'') && end[-1] == *p) {
        p++;
        end--;
    }
    *value = p;
    *bytes = (size_t)(end - p);
    return *bytes > 0 && *bytes <= CARD_MAX_VALUE && *p != '[' && *p != '{' && *p != '|' && *p != '>';
}

static void take_line(builder *b, const char *line, size_t length) {
    static const struct {
        const char *card, *gguf;
    } keys[] = { { "license", "general.license" },
                 { "license_name", "general.license.name" },
                 { "license_link", "general.license.link" } };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value;
        size_t bytes;
        if (value_of(line, length, keys[i].card, &value, &bytes) && !build_has(b, keys[i].gguf))
            build_string_n(b, keys[i].gguf, value, bytes);
    }
}

tola_status card_to_gguf(builder *b, tola_error *err) {
    const char *text;
    size_t length;
    TRY(build_read_text(b, "README.md", &text, &length, err));
    if (text == NULL || length < 4 || memcmp(text, "---", 3) != 0) return TOLA_OK;
    const char *end = text + length, *line = memchr(text, '\n', length);
    while (line != NULL && ++line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t bytes = (size_t)((stop != NULL ? stop : end) - line);
        if (bytes >= 3 && memcmp(line, "---", 3) == 0) break;
        take_line(b, line, bytes);
        line = stop;
    }
    return TOLA_OK;
}
