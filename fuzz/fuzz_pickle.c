/* The pickle machine, and the walk over what it built. The first byte chooses the kind of file around it. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "formats/torch_state.h"
#include "formats/open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static tola_status find(torch_state *s, const torch_storage_id *id, uint64_t bytes, torch_storage *out,
                        tola_error *err) {
    if (id->key_length > 8 || bytes > 64) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no such storage");
    *out = (torch_storage){ .offset = 0, .bytes = s->ck->files[0].info.bytes < 64 ? s->ck->files[0].info.bytes : 64,
                            .id = ck_new_storage(s->ck) };
    return bytes > out->bytes ? err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "too small") : TOLA_OK;
}

static void read_all(tola_checkpoint *ck) {
    uint8_t piece[256];
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < ck->tensor_count; i++) {
        uint64_t n = ck->tensors[i].info.bytes < sizeof piece ? ck->tensors[i].info.bytes : sizeof piece;
        if (tola_checkpoint_read(ck, i, ck->tensors[i].info.bytes - n, piece, (size_t)n, &err) != TOLA_OK &&
            !err.message[0])
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    source *src;
    uint32_t file;
    if (bytes == 0 || ck_create(NULL, &ck, &err) != TOLA_OK) return 0;
    unsigned flags = data[0] & 1 ? PICKLE_TORCHSCRIPT : 0;
    bool swapped = data[0] & 2;
    if (source_open_memory("fuzz.pkl", data, bytes, &src, &err) != TOLA_OK ||
        ck_add_file(ck, "fuzz.pkl", src, &file, &err) != TOLA_OK) {
        tola_checkpoint_close(ck);
        return 0;
    }
    torch_state s = { .ck = ck, .file = file, .pickle_at = 1, .pickle_bytes = bytes, .prefix = "", .swapped = swapped,
                      .find = find };
    reader r;
    pickle_value *root;
    reader_init(&r, src, 1, bytes);
    tola_status status = pickle_load(&r, flags, &ck->arena, &root, &err);
    if (status == TOLA_OK) status = torch_add_state(&s, root, NULL, &err);
    if (status == TOLA_OK) read_all(ck);
    if (status != TOLA_OK && !err.message[0]) abort();
    reader_free(&r);
    tola_checkpoint_close(ck);
    return 0;
}
