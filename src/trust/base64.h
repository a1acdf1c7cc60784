/* base64 (RFC 4648, section 4) held strictly: padding required, nothing else between, no bits left over. So one run of
 * bytes has one text, and nothing can be hidden in a second spelling. */
#ifndef TRUST_BASE64_H
#define TRUST_BASE64_H

#include "base/mem.h"

/* The bytes, in `a`; NULL where the text is not such or memory is short (`*short_of_memory`, may be NULL). */
uint8_t *base64_decode(const char *text, size_t length, arena *a, size_t *bytes, bool *short_of_memory);
/* The same text, of (bytes + 2) / 3 * 4 characters, without an end; takes no memory. */
void base64_encode(const void *data, size_t bytes, char *text);
void base64_append(buf *out, const void *data, size_t bytes);

#endif
