/* Models that are elsewhere: https://, http:// and hf:// references.
 *
 * hf://ORG/NAME[@REVISION][/PATH] names a model on a Hugging Face hub, or one file or folder of it. The environment
 * means what it means to huggingface_hub: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
 * https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 *
 * How lower rooms get here: formats/ declares `opener_table` and this room defines it (share.c). A call upwards would
 * break the order of the rooms, and a constructor would be dropped from programs that link the static library. */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include "formats/format.h"

extern const opener opener_https, opener_http, opener_hub;

#define HUB_MAX_NAME 96      /* characters of an organisation or a model, the hub's own limit */
#define HUB_MAX_REVISION 256
#define HUB_MAX_PATH 1024

/* A reference taken apart and checked. */
typedef struct hub_ref {
    char repo[2 * HUB_MAX_NAME + 2];   /* "org/name" or, for the oldest models, "name" */
    char revision[HUB_MAX_REVISION];   /* "main" where none is given */
    bool has_revision;
    char path[HUB_MAX_PATH];           /* "" = the whole model; never begins or ends with a slash */
} hub_ref;

tola_status hub_parse(const char *ref, hub_ref *out, tola_error *err);

/* hub_cache.c: the path of a file ("": of the model's folder) in the local cache, freed with mem_free; NULL where it is
 * not there. */
char *hub_cached(const hub_ref *ref, const char *path);
/* Does the snapshot hold this shard index and every shard it names? */
bool hub_cached_complete(const char *index_path);
/* The token of the environment or of the token file, NULL without one; freed with mem_free. */
char *hub_token(void);
/* Is this variable set to 1, true, yes or on? */
bool hub_flag(const char *variable);

#endif
