#include "learn/ranks.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

void ranks_range(unsigned r, uint64_t elements, uint64_t unit, uint64_t *first, uint64_t *end) {
    const uint64_t units = (elements + unit - 1) / unit, n = ranks_count();
    *first = units * r / n * unit;
    *end = units * (r + 1) / n * unit;
    if (*end > elements) *end = elements;
    if (*first > *end) *first = *end;
}

/* What launchers set: Open MPI, and those that speak PMI. */
static unsigned long started_together(void) {
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value) return strtoul(value, NULL, 10);
    }
    return 1;
}

tola_status ranks_check(tola_error *err) {
    if (started_together() <= ranks_count()) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%lu processes were started together for a run of one",
                   started_together());
}

#ifndef TOLA_HAVE_MPI

tola_status ranks_start(tola_error *err) {
    if (started_together() <= 1) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "%lu processes were started together, but this was built without MPI (cmake -DTOLA_MPI=ON)",
                   started_together());
}

void ranks_stop(bool failed) { (void)failed; }
unsigned ranks_count(void) { return 1; }
unsigned ranks_own(void) { return 0; }
bool ranks_speaks(bool failed) { return (void)failed, true; }
tola_status ranks_sum(double *x, size_t n, tola_error *err) { return (void)x, (void)n, (void)err, TOLA_OK; }
tola_status ranks_sum_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err) {
    return (void)x, (void)elements, (void)unit, (void)err, TOLA_OK;
}
tola_status ranks_share_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err) {
    return (void)x, (void)elements, (void)unit, (void)err, TOLA_OK;
}
tola_status ranks_collect(unsigned from, void *data, uint64_t bytes, tola_error *err) {
    return (void)from, (void)data, (void)bytes, (void)err, TOLA_OK;
}
tola_status ranks_tell(void *data, uint64_t bytes, tola_error *err) {
    return (void)data, (void)bytes, (void)err, TOLA_OK;
}
tola_status ranks_any(bool *it, tola_error *err) { return (void)it, (void)err, TOLA_OK; }
tola_status ranks_agree(tola_status status, tola_error *err) { return (void)err, status; }

#else

#include <mpi.h>

#define PIECE ((uint64_t)1 << 26) /* bytes of one message: MPI counts in int */

static int rank_count = 1, rank_own;
static bool all_failed;

static tola_status answer(int code, tola_error *err) {
    if (code == MPI_SUCCESS) return TOLA_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the other processes cannot be reached: %.180s", text);
}
#define CALL(expression) TRY(answer(expression, err))

tola_status ranks_start(tola_error *err) {
    int there = 0, threads;
    if (started_together() <= 1) return TOLA_OK;
    CALL(MPI_Initialized(&there));
    if (!there) CALL(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threads));
    CALL(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    CALL(MPI_Comm_size(MPI_COMM_WORLD, &rank_count));
    CALL(MPI_Comm_rank(MPI_COMM_WORLD, &rank_own));
    return TOLA_OK;
}

void ranks_stop(bool failed) {
    int there = 0, gone = 0;
    if (MPI_Initialized(&there) != MPI_SUCCESS || !there || MPI_Finalized(&gone) != MPI_SUCCESS || gone) return;
    if (failed && !all_failed) MPI_Abort(MPI_COMM_WORLD, 2);
    MPI_Finalize();
}

unsigned ranks_count(void) { return (unsigned)rank_count; }
unsigned ranks_own(void) { return (unsigned)rank_own; }
bool ranks_speaks(bool failed) { return rank_own == 0 || (failed && !all_failed); }

tola_status ranks_sum(double *x, size_t n, tola_error *err) {
    for (size_t done = 0; done < n && rank_count > 1;) {
        const size_t count = n - done < PIECE / 8 ? n - done : PIECE / 8;
        CALL(MPI_Allreduce(MPI_IN_PLACE, x + done, (int)count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
        done += count;
    }
    return TOLA_OK;
}

tola_status ranks_sum_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err) {
    for (int r = 0; r < rank_count && rank_count > 1; r++) {
        uint64_t first, end;
        ranks_range((unsigned)r, elements, unit, &first, &end);
        for (uint64_t at = first; at < end; at += PIECE / 4) {
            const int count = (int)(end - at < PIECE / 4 ? end - at : PIECE / 4);
            CALL(MPI_Reduce(r == rank_own ? MPI_IN_PLACE : x + at, x + at, count, MPI_FLOAT, MPI_SUM, r,
                            MPI_COMM_WORLD));
        }
    }
    return TOLA_OK;
}

static tola_status broadcast(int from, void *data, uint64_t bytes, tola_error *err) {
    for (uint64_t at = 0; at < bytes && rank_count > 1; at += PIECE)
        CALL(MPI_Bcast((char *)data + at, (int)(bytes - at < PIECE ? bytes - at : PIECE), MPI_BYTE, from,
                       MPI_COMM_WORLD));
    return TOLA_OK;
}

tola_status ranks_share_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err) {
    for (int r = 0; r < rank_count; r++) {
        uint64_t first, end;
        ranks_range((unsigned)r, elements, unit, &first, &end);
        TRY(broadcast(r, x + first, (end - first) * sizeof *x, err));
    }
    return TOLA_OK;
}

tola_status ranks_collect(unsigned from, void *data, uint64_t bytes, tola_error *err) {
    if (from == 0 || ((unsigned)rank_own != from && rank_own != 0)) return TOLA_OK;
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        const int count = (int)(bytes - at < PIECE ? bytes - at : PIECE);
        if (rank_own == 0)
            CALL(MPI_Recv((char *)data + at, count, MPI_BYTE, (int)from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        else CALL(MPI_Send((const char *)data + at, count, MPI_BYTE, 0, 0, MPI_COMM_WORLD));
    }
    return TOLA_OK;
}

tola_status ranks_tell(void *data, uint64_t bytes, tola_error *err) { return broadcast(0, data, bytes, err); }

tola_status ranks_any(bool *it, tola_error *err) {
    int any = *it;
    if (rank_count > 1) CALL(MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD));
    *it = any;
    return TOLA_OK;
}

tola_status ranks_agree(tola_status status, tola_error *err) {
    int first = status == TOLA_OK ? rank_count : rank_own;
    if (rank_count == 1) return status;
    CALL(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD));
    if (first == rank_count) return TOLA_OK;
    all_failed = true;
    tola_error detail = TOLA_ERROR_INIT;
    if (rank_own == first && err) detail = *err;
    detail.status = status;
    TRY(broadcast(first, &detail, sizeof detail, err));
    if (err) *err = detail;
    return detail.status;
}

#endif
