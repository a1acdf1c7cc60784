/* Lists the tensors of a model: list_tensors MODEL
 *
 * Built against an installed library:
 *     cc list_tensors.c $(pkg-config --cflags --libs tola) -o list_tensors */
#include <inttypes.h>
#include <stdio.h>
#include <tola/tola.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: list_tensors MODEL\n");
        return 2;
    }
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *model = NULL;
    if (tola_checkpoint_open(argv[1], NULL, &model, &err) != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    for (size_t i = 0; i < tola_checkpoint_tensor_count(model); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(model, i);
        printf("%s %s", t->name, tola_dtype_name((tola_dtype)t->dtype));
        for (unsigned d = 0; d < t->n_dims; d++) printf(" %" PRIu64, t->shape[d]);
        putchar('\n');
    }
    tola_checkpoint_close(model);
    return 0;
}
