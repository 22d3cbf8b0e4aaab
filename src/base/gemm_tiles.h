/* The tile registers (AMX) of a thread: eight tiles of 16 rows of 64 bytes. */
#ifndef LS_BASE_GEMM_TILES_H
#define LS_BASE_GEMM_TILES_H

/* Before the first use on a thread, and after the last. Only where LS_ISA_V4_AMX is allowed. */
void ls_tiles_begin(void);
void ls_tiles_end(void);

#endif
