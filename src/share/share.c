/* The openers of references, as formats/ looks for them. */
#include "share/share.h"

const opener *const opener_table[] = { &opener_https, &opener_http, &opener_hub, NULL };
