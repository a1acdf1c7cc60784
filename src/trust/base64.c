/* base64, both ways. */
#include "trust/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

uint8_t *base64_decode(const char *text, size_t length, arena *a, size_t *bytes, bool *short_of_memory) {
    if (short_of_memory) *short_of_memory = false;
    if (length % 4) return NULL;
    uint8_t *out = arena_alloc(a, length / 4 * 3 + 1);
    if (!out) {
        if (short_of_memory) *short_of_memory = true;
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t window = 0;
        int kept = 3;
        for (size_t k = 0; k < 4; k++) {
            int v = value_of(text[i + k]);
            if (v < 0) {
                bool tail = i + 4 == length && k >= 2 && text[i + k] == '=' && text[i + 3] == '=';
                if (!tail) return NULL;
                if (kept == 3) kept = k == 2 ? 1 : 2;
                v = 0;
            }
            window = window << 6 | (uint32_t)v;
        }
        if (kept < 3 && (window & (kept == 1 ? 0xffffu : 0xffu))) return NULL;
        for (int k = 0; k < kept; k++) out[n++] = (uint8_t)(window >> (16 - 8 * k));
    }
    out[n] = 0;
    *bytes = n;
    return out;
}

void base64_encode(const void *data, size_t bytes, char *text) {
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i += 3, text += 4) {
        size_t n = bytes - i;
        uint32_t window = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        text[0] = digits[window >> 18];
        text[1] = digits[window >> 12 & 63];
        text[2] = n > 1 ? digits[window >> 6 & 63] : '=';
        text[3] = n > 2 ? digits[window & 63] : '=';
    }
}

void base64_append(buf *out, const void *data, size_t bytes) {
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i += 3) {
        char four[4];
        base64_encode(p + i, bytes - i < 3 ? bytes - i : 3, four);
        buf_append(out, four, sizeof four);
    }
}
