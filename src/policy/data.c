#include "policy/data.h"

#include <stdio.h>
#include <string.h>

tola_status data_open(const char *name, yaml **out, tola_error *err) {
    for (const data_file *f = data_files; f->name; f++) {
        if (strcmp(f->name, name)) continue;
        char shown[128];
        snprintf(shown, sizeof shown, "data/%s", name);
        return yaml_parse(shown, f->text, f->length, out, err);
    }
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "data/%s is not in this build", name);
}
