/* Sources over HTTP(S): ranges of a file on a server, with a small cache in front. */
#ifndef SHARE_HTTP_H
#define SHARE_HTTP_H

#include "base/source.h"

/* Opens a URL. `token` (may be NULL) goes to the URL's own origin only. `shown` is what messages call the source; NULL
 * takes the URL without user information and query. The error carries that name. One request is made, which brings the
 * first 64 KiB; the file must not change from then on. */
tola_status http_open(const char *address, const char *token, const char *shown, source **out, tola_error *err);

#endif
