/* tola_rewrite: copies a checkpoint through the writers, tensor by tensor, for the oracle tests.
 *
 *   tola_rewrite [--format F] [--shard BYTES] [--chunk N] [--no-metadata] IN OUT
 *
 * No conversion of any kind: dtypes, names, order and metadata stay. Blocks are written last to first, so that a
 * writer that counts on their order is found out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tola/tola.h>

static tola_status copy_tensor(const tola_checkpoint *in, tola_writer *out, size_t i, size_t chunk, tola_error *err) {
    const tola_tensor_info *info = tola_checkpoint_tensor(in, i);
    uint8_t *data = malloc(info->bytes ? info->bytes : 1);
    if (!data) exit(3);
    tola_status status = tola_checkpoint_read(in, i, 0, data, info->bytes, err);
    size_t pieces = (info->bytes + chunk - 1) / chunk;
    for (size_t p = pieces; status == TOLA_OK && p-- > 0;) {
        size_t at = p * chunk, part = info->bytes - at < chunk ? info->bytes - at : chunk;
        status = tola_writer_write(out, i, at, data + at, part, err);
    }
    free(data);
    return status;
}

static tola_status copy_tensors(const tola_checkpoint *in, const char *path, const tola_write_options *options,
                                size_t chunk, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(in);
    tola_tensor_spec *specs = calloc(count ? count : 1, sizeof *specs);
    if (!specs) exit(3);
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *info = tola_checkpoint_tensor(in, i);
        specs[i] = (tola_tensor_spec){ info->name, info->shape, info->n_dims, info->dtype, info->flags };
    }
    tola_writer *out;
    tola_status status = tola_writer_open(path, specs, count, options, &out, err);
    free(specs);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = copy_tensor(in, out, i, chunk, err);
    if (status == TOLA_OK) return tola_writer_finish(out, err);
    tola_writer_abort(out);
    return status;
}

int main(int argc, char **argv) {
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    size_t chunk = 65536;
    bool metadata = true;
    const char *paths[2] = { NULL, NULL };
    for (int i = 1, n = 0; i < argc; i++) {
        if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
            options.format = argv[++i];
        else if (strcmp(argv[i], "--shard") == 0 && i + 1 < argc)
            options.max_shard_size = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--chunk") == 0 && i + 1 < argc)
            chunk = (size_t)strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--no-metadata") == 0)
            metadata = false;
        else if (n < 2)
            paths[n++] = argv[i];
    }
    if (!paths[1] || chunk == 0) {
        fprintf(stderr, "usage: tola_rewrite [--format F] [--shard BYTES] [--chunk N] [--no-metadata] IN OUT\n");
        return 2;
    }
    tola_checkpoint *in;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_open(paths[0], NULL, &in, &err);
    if (status == TOLA_OK) {
        options.overwrite = true;
        options.metadata = metadata ? tola_checkpoint_metadata(in) : NULL;
        status = copy_tensors(in, paths[1], &options, chunk, &err);
        tola_checkpoint_close(in);
    }
    if (status != TOLA_OK) fprintf(stderr, "%s\n", err.message);
    return status == TOLA_OK ? 0 : 2;
}
