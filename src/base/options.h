/* Options from callers that were compiled against another version of the library.
 *
 * Every public options struct begins with `size`. An older caller's struct is shorter: what it lacks keeps our default.
 * A newer caller's is longer: what we do not know is left alone. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/err.h"

#include <string.h>

/* Copies what `given` (NULL: nothing) says over `own`, which holds the defaults. TOLA_E_ARG where `size` was not set:
 * such a struct was not made with the initializer, and every option in it would be lost in silence. */
static inline tola_status options_take(void *own, size_t own_size, const void *given, tola_error *err) {
    if (!given) return TOLA_OK;
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size <= sizeof size)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the options' size is %zu; TOLA_..._OPTIONS_INIT sets it", size);
    memcpy(own, given, size < own_size ? size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return TOLA_OK;
}

#endif
