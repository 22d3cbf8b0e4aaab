#include "dist/shared.h"

#include "dist/dist.h"
#include "dist/mpi_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* A rank's anonymous file, for the others to open under /proc: no name in a file system, not bounded by the size of /dev/shm, gone
 * with the processes. The nonce tells a process of another container that has the same number. */
typedef struct Ticket {
    int64_t pid, file;
    uint64_t nonce;
} Ticket;

#define HEADER_BYTES ((sizeof(LsSharedHeader) + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN)

/* The ranks of this machine, or of its LOCKSTEP_NODE_RANKS-th part. */
static LsStatus split_node(MPI_Comm world, int world_rank, MPI_Comm *node)
{
    LS_TRY(ls_mpi_status(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, node), "MPI_Comm_split_type"));
    const char *text = getenv("LOCKSTEP_NODE_RANKS");
    int wanted = text ? atoi(text) : 0, index = 0;
    if (wanted < 1)
        return LS_OK;
    MPI_Comm machine = *node;
    LS_TRY(ls_mpi_status(MPI_Comm_rank(machine, &index), "MPI_Comm_rank"));
    LsStatus status = ls_mpi_status(MPI_Comm_split(machine, index / wanted, index, node), "MPI_Comm_split");
    MPI_Comm_free(&machine);
    return status;
}

static bool make_own(LsShared *s, Ticket *ticket)
{
    int file = memfd_create("lockstep-gradients", MFD_CLOEXEC);
    ticket->pid = getpid();
    ticket->file = file;
    if (file < 0 || ftruncate(file, (off_t)s->bytes) != 0 ||
        getrandom(&ticket->nonce, sizeof ticket->nonce, 0) != (ssize_t)sizeof ticket->nonce)
        return false;
    void *mapping = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapping == MAP_FAILED)
        return false;
    (void)madvise(mapping, s->bytes, MADV_HUGEPAGE); /* a hint */
    s->mapping[s->index] = mapping;
    ((LsSharedHeader *)mapping)->nonce = ticket->nonce;
    return true;
}

static bool open_other(LsShared *s, int index, const Ticket *ticket)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)ticket->pid, (long long)ticket->file);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return false;
    off_t size = lseek(file, 0, SEEK_END);
    void *mapping = size == (off_t)s->bytes ? mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    close(file);
    if (mapping == MAP_FAILED)
        return false;
    s->mapping[index] = mapping;
    return ((LsSharedHeader *)mapping)->nonce == ticket->nonce;
}

/* All mappings of the node; false where one of them cannot be had. all: (ranks). Collective over node, whatever fails. */
static bool map_all(LsShared *s, MPI_Comm node, Ticket *all)
{
    Ticket mine = {.file = -1};
    bool good = make_own(s, &mine);
    if (MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, node) != MPI_SUCCESS)
        good = false;
    for (int i = 0; i < s->ranks && good; i++)
        good = i == s->index || open_other(s, i, &all[i]);
    MPI_Barrier(node); /* nobody closes a file that another one has not opened yet */
    if (mine.file >= 0)
        close((int)mine.file);
    for (int i = 0; i < s->ranks && good; i++) {
        s->header[i] = s->mapping[i];
        s->array[i] = (float *)((char *)s->mapping[i] + HEADER_BYTES);
    }
    return good;
}

/* 1 where this holds on every rank. */
static bool everywhere(const LsComm *comm, bool good)
{
    int64_t bad = !good;
    return comm->allreduce_max(comm, &bad, 1) == LS_OK && bad == 0;
}

/* The shape of the launch; false where it is not that of equal nodes with several ranks each. */
static bool measure(LsShared *s, const LsComm *comm, MPI_Comm node)
{
    if (MPI_Comm_size(node, &s->ranks) != MPI_SUCCESS || MPI_Comm_rank(node, &s->index) != MPI_SUCCESS)
        s->ranks = 0;
    int64_t bounds[2] = {s->ranks, -s->ranks};
    if (comm->allreduce_max(comm, bounds, 2) != LS_OK || bounds[0] != -bounds[1] || bounds[0] < 2)
        return false;
    s->nodes = comm->size / s->ranks;
    return true;
}

LsShared *ls_shared_new(const LsComm *comm, int64_t count)
{
    const char *off = getenv("LOCKSTEP_SHARED");
    MPI_Comm world = ls_dist_mpi(comm), node = MPI_COMM_NULL;
    if (comm->size == 1 || world == MPI_COMM_NULL || !everywhere(comm, !off || strcmp(off, "off") != 0))
        return NULL;
    /* before every collective of the library the ranks agree that all of them will come to it */
    LsShared *s = ls_alloc(sizeof *s);
    bool good = everywhere(comm, s != NULL);
    good = good && everywhere(comm, split_node(world, comm->rank, &node) == LS_OK) && measure(s, comm, node);
    if (good) {
        s->across = MPI_COMM_NULL;
        s->bytes = HEADER_BYTES + (size_t)count * sizeof(float);
        s->header = ls_alloc_array(s->ranks, sizeof *s->header);
        s->array = ls_alloc_array(s->ranks, sizeof *s->array);
        s->mapping = ls_alloc_array(s->ranks, sizeof *s->mapping);
        Ticket *ticket = ls_alloc_array(s->ranks, sizeof *ticket);
        good = everywhere(comm, s->header && s->array && s->mapping && ticket);
        good = good && everywhere(comm, map_all(s, node, ticket));
        ls_free(ticket);
        if (good && s->nodes > 1)
            good = everywhere(comm, MPI_Comm_split(world, s->index, comm->rank, &s->across) == MPI_SUCCESS);
    }
    if (node != MPI_COMM_NULL)
        MPI_Comm_free(&node);
    if (good)
        return s;
    ls_shared_free(s);
    ls_clear_message();
    return NULL;
}

void ls_shared_free(LsShared *s)
{
    if (!s)
        return;
    for (int i = 0; s->mapping && i < s->ranks; i++)
        if (s->mapping[i])
            munmap(s->mapping[i], s->bytes);
    if (s->across != MPI_COMM_NULL && s->nodes > 1)
        MPI_Comm_free(&s->across);
    ls_free(s->header);
    ls_free(s->array);
    ls_free(s->mapping);
    ls_free(s);
}
