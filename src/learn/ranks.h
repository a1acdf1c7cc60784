/* Several processes that train one model together: `mpirun -n N tola train`.
 *
 * Every process has the whole of weights and gradients; batches and the optimizer's state are shared out (stage 1 of
 * ZeRO, arXiv 1910.02054). A step sums the gradients so that each process has the sums of its own range of elements,
 * updates that range, and gets the other ranges from the others. Ranges begin at chunks (parameters.h), which no block
 * of 8-bit state crosses.
 *
 * Built with TOLA_MPI. In a program that was started alone, or built without it, there is one rank, and every call but
 * ranks_start does nothing. Calls return when all ranks have come; where one is gone, MPI ends the others. */
#ifndef LEARN_RANKS_H
#define LEARN_RANKS_H

#include <tola/base.h>

/* Joins the others, once, before any other thread is started. TOLA_E_UNSUPPORTED where mpirun started several processes
 * of a program that was built without MPI: they would overwrite each other's files. */
tola_status ranks_start(tola_error *err);
/* TOLA_E_UNSUPPORTED where several processes were started together and have not joined: each would write the same
 * files. */
tola_status ranks_check(tola_error *err);
/* At the program's end; `failed`: where not all did (ranks_agree), ends the others, too. */
void ranks_stop(bool failed);

unsigned ranks_count(void); /* 1 where nobody joined */
unsigned ranks_own(void);   /* 0 is the one that writes */

/* Elements [*first, *end) of `elements`, cut at multiples of `unit`, that are rank r's. */
void ranks_range(unsigned r, uint64_t elements, uint64_t unit, uint64_t *first, uint64_t *end);

/* x becomes the sums over all ranks. */
tola_status ranks_sum(double *x, size_t n, tola_error *err);
/* x[own range] becomes the sums over all ranks; the rest is scratch afterwards. Ranges as ranks_range. */
tola_status ranks_sum_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err);
/* x[range of r] becomes what rank r has there, for all r. */
tola_status ranks_share_ranges(float *x, uint64_t elements, uint64_t unit, tola_error *err);
/* Bytes from rank `from` to rank 0. A rank that is neither does nothing. */
tola_status ranks_collect(unsigned from, void *data, uint64_t bytes, tola_error *err);
/* Everyone gets rank 0's bytes. */
tola_status ranks_tell(void *data, uint64_t bytes, tola_error *err);
/* Is it so on any rank? */
tola_status ranks_any(bool *it, tola_error *err);
/* Is this the rank that tells? The first; and any that failed alone. */
bool ranks_speaks(bool failed);
/* The same outcome everywhere: the first failure of any rank, with its message. */
tola_status ranks_agree(tola_status status, tola_error *err);

#endif
