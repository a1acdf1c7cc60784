/* A shard index whose shards are all missing: the JSON reader, the index and its checks. */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "formats/open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static int fd = -1;
    if (fd < 0) fd = memfd_create("index", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = true;
    options.threads = 1;
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (ck_create(&options, &ck, &err) != TOLA_OK) abort();
    ck->folder = mem_strdup("/proc/self/fdinfo/none");
    tola_status status = ck_read_index(ck, path, &err);
    if (status == TOLA_OK) status = ck_finish(ck, &err);
    if (status != TOLA_OK && !err.message[0]) abort();
    tola_checkpoint_close(ck);
    return 0;
}
