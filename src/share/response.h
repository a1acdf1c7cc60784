/* The head of an HTTP response: the few fields that sources need, out of lines that nobody vouches for.
 * RFC 9110, https://www.rfc-editor.org/rfc/rfc9110 ; X-... fields as Hugging Face hubs send them. */
#ifndef SHARE_RESPONSE_H
#define SHARE_RESPONSE_H

#include <tola/base.h>

#define RESPONSE_MAX_HEAD (256u << 10) /* bytes of one head */
#define RESPONSE_TAG 256

/* What tells one version of a file from the next. Empty texts and UINT64_MAX: not known. */
typedef struct response_identity {
    char etag[RESPONSE_TAG];
    char linked[RESPONSE_TAG]; /* X-Linked-Etag: a hub's name for the bytes behind a redirect */
    char modified[64];
    uint64_t total;            /* bytes of the whole file */
} response_identity;

typedef struct response {
    int status;
    size_t head_bytes;   /* so far */
    bool has_length;
    uint64_t length;     /* Content-Length */
    char range[128];     /* Content-Range */
    char encoding[64];   /* Content-Encoding */
    char message[256];   /* X-Error-Message */
    char code[64];       /* X-Error-Code */
    char commit[64];     /* X-Repo-Commit */
    response_identity identity;
} response;

typedef enum response_step {
    RESPONSE_MORE,
    RESPONSE_COMPLETE, /* the empty line behind a final (not 1xx) status */
    RESPONSE_TOO_LONG
} response_step;

/* Takes one line of a head, with or without its line end. A status line begins a new response and forgets what an
 * earlier one said, but for commit and identity.linked, which hubs send with the redirect and not with the file. */
response_step response_line(response *r, const char *line, size_t length);

/* Is this still the file of before? A hub's own tag, where both have one, stands above that of a content network. */
bool response_same_file(const response_identity *a, const response_identity *b);
/* The tag for messages. */
const char *response_tag(const response_identity *i);

#endif
