/* A sum over ranks by messages (reduce-scatter, then allgather): each rank sums one slice of the array, from all
 * others' in the order of tree.h, and sends it to them. The bits depend neither on how the array is cut nor on the
 * library's algorithms. */
#ifndef LS_DIST_EXCHANGE_H
#define LS_DIST_EXCHANGE_H

#include "lockstep/tensor.h"

#include <mpi.h>

typedef struct LsExchange LsExchange;

/* Sums of at most `capacity` floats over the ranks of `mpi`, which stays the caller's; several may be in flight.
 * bfloat16: messages are rounded, every rank's contribution and the sum, so that a sum s of x comes out within 2^-8 |s|
 * + 2^-8 (1 + 2^-8) (|x_0| + |x_1| + ...), but for float's own roundings. NULL when out of memory. */
LsExchange *ls_exchange_new(MPI_Comm mpi, int64_t capacity, bool bfloat16);
void ls_exchange_free(LsExchange *exchange); /* NULL is allowed; messages in flight are cancelled */

/* Bytes that one of them takes. */
int64_t ls_exchange_bytes(int64_t capacity, bool bfloat16);

/* Starts the sum of x (count) in place; the array is the exchange's until ls_exchange_test says it is done. The n-th
 * start of every rank has the same count and number. Not collective; never blocks. */
LsStatus ls_exchange_start(LsExchange *exchange, float *x, int64_t count, int number) LS_MUST_USE;

/* Advances the sum as far as goes without waiting. *moved is set where a message has come. */
LsStatus ls_exchange_test(LsExchange *exchange, bool *done, bool *moved) LS_MUST_USE;

#endif
