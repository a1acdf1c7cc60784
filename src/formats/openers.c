/* Openers of references: which rooms below formats/ can turn "https://..." into a source. */
#include <string.h>

#include "formats/format.h"

const opener *opener_find(const char *ref) {
    for (size_t i = 0; opener_table[i]; i++)
        if (strncmp(ref, opener_table[i]->prefix, strlen(opener_table[i]->prefix)) == 0) return opener_table[i];
    return NULL;
}

tola_status ck_open_source(const char *path, source **out, tola_error *err) {
    const opener *o = opener_find(path);
    if (o) return o->open(path, out, err);
    if (strstr(path, "://")) {
        err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "nothing here can open references of this kind");
        return err_in_file(err, TOLA_E_UNSUPPORTED, path);
    }
    return source_open_file(path, out, err);
}
