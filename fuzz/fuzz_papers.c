/* Claims of documents: Markdown, HTML, JSON of three kinds, and numbers in them. And text that is shown stays text. */
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void need(bool good) {
    if (!good) abort();
}

static void numbers_end(const char *text) {
    const char *p = text;
    double value, step;
    for (size_t n = strlen(text) + 2; n > 0 && *p; n--) {
        const char *before = p;
        bool got = check_number(&p, &value, &step);
        need(p >= before && (got || p > before || !got));
        if (!got && p == before) break;
    }
}

static void shown(const char *text) {
    buf b;
    buf_init(&b, 0);
    markdown_text(&b, text, true);
    buf_u8(&b, 0);
    need(!strchr((const char *)b.data, '\n') && !strchr((const char *)b.data, 0x1b));
    b.length = 0;
    html_text(&b, text);
    buf_u8(&b, 0);
    need(!strpbrk((const char *)b.data, "<>\"'"));
    b.length = 0;
    yaml_text(&b, text);
    buf_u8(&b, 0);
    need(!strpbrk((const char *)b.data, "\n\r"));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 16) return 0;
    check_claims c;
    tola_error err = TOLA_ERROR_INIT;
    char *text = malloc(bytes + 1);
    need(text != NULL);
    memcpy(text, data, bytes);
    text[bytes] = 0;
    if (check_read(text, bytes, &c, &err) == TOLA_OK) {
        need(c.count > 0);
        for (size_t i = 0; i < c.count; i++) {
            need(c.items[i].says && c.items[i].kind < CHECK_KINDS);
            numbers_end(c.items[i].says);
        }
    }
    check_free(&c);
    shown(text);
    free(text);
    return 0;
}
