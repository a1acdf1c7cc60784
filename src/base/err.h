/* Filling in tola_error. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <tola/base.h>

/* Sets `err` (may be NULL) and returns `status`, so that failing is one line: return err_set(...). */
tola_status err_set(tola_error *err, tola_status status, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Out of memory while doing `what`. */
tola_status err_nomem(tola_error *err, const char *what);
/* TOLA_E_IO from errno: "<what> <path>: <strerror>". Missing files become TOLA_E_NOT_FOUND. */
tola_status err_errno(tola_error *err, int error_number, const char *what, const char *path);
/* Puts "path: offset N: " (the offset where there is one) before the message; returns err's status, or `status`
 * where err is NULL. Called once, where a reader that knows only bytes hands an error to one that knows the file. */
tola_status err_in_file(tola_error *err, tola_status status, const char *path);
/* Puts "tensor 'name': " before the message. */
tola_status err_in_tensor(tola_error *err, tola_status status, const char *name);

/* if (op fails) return its status */
#define TRY(expression)                                       \
    do {                                                      \
        tola_status try_status_ = (expression);               \
        if (try_status_ != TOLA_OK) return try_status_;       \
    } while (0)

#endif
