#include "dist/shared.h"

#include "dist/dist.h"
#include "dist/mpi_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* A rank's anonymous file, for the others to open under /proc: no name in a file system, not bounded by the size of
 * /dev/shm, gone with the processes. The nonce tells a process of another container that has the same number. */
typedef struct SharedFile {
    int64_t pid, file;
    uint64_t nonce;
} SharedFile;

/* From this size on huge pages are asked for, as in ls_alloc: parameters and gradients are swept from end to end. */
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM (4 * HUGE_PAGE)
#define HUGE_CALL (32 * HUGE_PAGE)
#define HUGE_SECONDS 5.0 /* at most, of a busy machine */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HEADER_BYTES ((sizeof(LsSharedHeader) + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN)

/* The ranks of this machine; with LOCKSTEP_NODE_RANKS, every so many of them. */
static LsStatus split_node(MPI_Comm world, int world_rank, MPI_Comm *node)
{
    LS_TRY(ls_mpi_status(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, node),
                         "MPI_Comm_split_type"));
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

/* ---- One file, mapped -------------------------------------------------------------------------------------------- */

static size_t round_up_to_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* On a border of huge pages; NULL where it cannot be had. */
static void *map_file(int file, size_t bytes)
{
    size_t mapped = round_up_to_pages(bytes), room = mapped + HUGE_PAGE;
    char *place = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return NULL;
    char *start = place + (HUGE_PAGE - (uintptr_t)place % HUGE_PAGE) % HUGE_PAGE;
    if (mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
        munmap(place, room);
        return NULL;
    }
    if (start > place)
        munmap(place, (size_t)(start - place));
    munmap(start + mapped, (size_t)(place + room - start) - mapped);
    return start;
}

/* Shared memory gets small pages by default. Where something lies in each of them, the system puts together huge ones
 * when asked, a third faster to sweep over. A hint: without it everything works as well, slower. */
static void request_huge_pages(char *mapping, size_t bytes)
{
    double start = ls_seconds();
    size_t whole = bytes >= HUGE_FROM ? bytes / HUGE_PAGE * HUGE_PAGE : 0;
    for (size_t at = 0; at < whole && ls_seconds() - start < HUGE_SECONDS; at += HUGE_CALL) {
        size_t part = whole - at < HUGE_CALL ? whole - at : HUGE_CALL;
        for (size_t page = 0; page < part; page += HUGE_PAGE) {
            volatile char *byte = mapping + at + page;
            *byte = *byte;
        }
        if (madvise(mapping + at, part, MADV_COLLAPSE) != 0 && errno == EINVAL)
            return; /* an older system */
    }
}

/* A new file of this size, at least its first page written; NULL with *ticket->file open or -1. */
static char *make_file(size_t bytes, SharedFile *shared_file)
{
    struct rlimit limit;
    int file = memfd_create("lockstep", MFD_CLOEXEC);
    shared_file->pid = getpid();
    shared_file->file = file;
    if (file < 0) {
        ls_fail(LS_RESOURCE, "memory that ranks share: %s", strerror(errno));
        return NULL;
    }
    /* beyond this limit the system would end the process */
    bool allowed = getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
    char *mapping = allowed && ftruncate(file, (off_t)bytes) == 0 ? map_file(file, bytes) : NULL;
    if (!mapping ||
        getrandom(&shared_file->nonce, sizeof shared_file->nonce, 0) != (ssize_t)sizeof shared_file->nonce) {
        ls_fail(LS_RESOURCE, "%.1f MiB of memory that ranks share: %s", (double)bytes / 1048576,
                allowed ? strerror(errno) : "beyond the limit on files' sizes (ulimit -f)");
        return NULL;
    }
    memcpy(mapping, &shared_file->nonce, sizeof shared_file->nonce);
    return mapping;
}

static char *open_file(size_t bytes, const SharedFile *shared_file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)shared_file->pid, (long long)shared_file->file);
    int file = open(path, O_RDWR | O_CLOEXEC);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    char *mapping = size == (off_t)bytes ? map_file(file, bytes) : NULL;
    if (file >= 0)
        close(file);
    bool same = mapping && memcmp(mapping, &shared_file->nonce, sizeof shared_file->nonce) == 0;
    if (!same && mapping)
        munmap(mapping, bytes);
    if (same)
        return mapping;
    ls_fail(LS_RESOURCE,
            "memory of a neighbour cannot be opened at %s (other containers, or a stricter kernel.yama.ptrace_scope)",
            path);
    return NULL;
}

/* ---- Files of all ranks ------------------------------------------------------------------------------------------ */

/* All mappings of the node. all: (ranks). Collective over node, whatever fails. */
static LsStatus map_all(LsShared *s, MPI_Comm node, SharedFile *all)
{
    SharedFile mine = {.file = -1};
    char *own = make_file(s->bytes, &mine);
    s->mapping[s->index] = own;
    if (own)
        request_huge_pages(own, s->bytes);
    LsStatus status = own ? LS_OK : LS_RESOURCE;
    LsStatus gathered =
        ls_mpi_status(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, node), "MPI_Allgather");
    status = status == LS_OK ? gathered : status;
    for (int i = 0; i < s->ranks && status == LS_OK; i++)
        if (i != s->index && !(s->mapping[i] = open_file(s->bytes, &all[i])))
            status = LS_RESOURCE;
    MPI_Barrier(node); /* nobody closes a file that another one has not opened yet */
    if (mine.file >= 0)
        close((int)mine.file);
    for (int i = 0; i < s->ranks && status == LS_OK; i++) {
        s->header[i] = s->mapping[i];
        s->array[i] = (float *)((char *)s->mapping[i] + HEADER_BYTES);
    }
    return status;
}

/* The common block, made by the first rank. Collective over node, whatever fails. */
static LsStatus map_common(LsShared *s, MPI_Comm node)
{
    SharedFile shared_file = {.file = -1};
    if (s->common_bytes == 0)
        return LS_OK;
    if (s->index == 0)
        s->common = make_file(s->common_bytes, &shared_file);
    LsStatus status = s->index == 0 && !s->common ? LS_RESOURCE : LS_OK;
    LsStatus gathered = ls_mpi_status(MPI_Bcast(&shared_file, sizeof shared_file, MPI_BYTE, 0, node), "MPI_Bcast");
    status = status == LS_OK ? gathered : status;
    if (status == LS_OK && s->index > 0 && !(s->common = open_file(s->common_bytes, &shared_file)))
        status = LS_RESOURCE;
    MPI_Barrier(node);
    if (s->index == 0 && shared_file.file >= 0)
        close((int)shared_file.file);
    if (status != LS_OK)
        return status;
    if (s->index == 0)
        memset(s->common, 0, sizeof shared_file.nonce);
    /* each rank a part: where memory is nearer to some cores than to others, every part is near to somebody's */
    size_t all = s->common_bytes / HUGE_PAGE, first = all * (size_t)s->index / (size_t)s->ranks;
    size_t last = all * (size_t)(s->index + 1) / (size_t)s->ranks;
    if (s->common_bytes >= HUGE_FROM && last > first)
        request_huge_pages(s->common + first * HUGE_PAGE, (last - first) * HUGE_PAGE);
    return LS_OK;
}

/* 1 where this holds on every rank. */
static bool all_agree(const LsComm *comm, bool good)
{
    int64_t bad = !good;
    return comm->allreduce_max(comm, &bad, 1) == LS_OK && bad == 0;
}

/* The shape of the launch; false where it is not that of equal nodes with several ranks each. */
static bool count_nodes(LsShared *s, const LsComm *comm, MPI_Comm node)
{
    if (MPI_Comm_size(node, &s->ranks) != MPI_SUCCESS || MPI_Comm_rank(node, &s->index) != MPI_SUCCESS)
        s->ranks = 0;
    int64_t bounds[2] = {s->ranks, -s->ranks};
    if (comm->allreduce_max(comm, bounds, 2) != LS_OK || bounds[0] != -bounds[1] || bounds[0] < 2)
        return false;
    s->nodes = comm->size / s->ranks;
    return true;
}

/* Before every collective of the library the ranks agree that all of them will come to it. */
static LsStatus make_shared(LsShared *s, const LsComm *comm, MPI_Comm node, int64_t count, size_t common_bytes)
{
    s->bytes = HEADER_BYTES + (size_t)count * sizeof(float);
    s->common_bytes = common_bytes;
    s->header = ls_alloc_array(s->ranks, sizeof *s->header);
    s->array = ls_alloc_array(s->ranks, sizeof *s->array);
    s->mapping = ls_alloc_array(s->ranks, sizeof *s->mapping);
    SharedFile *shared_file = ls_alloc_array(s->ranks, sizeof *shared_file);
    LsStatus status = ls_dist_agree(comm, s->header && s->array && s->mapping && shared_file ? LS_OK : LS_RESOURCE);
    if (status == LS_OK)
        status = ls_dist_agree(comm, map_all(s, node, shared_file));
    if (status == LS_OK)
        status = ls_dist_agree(comm, map_common(s, node));
    ls_free(shared_file);
    if (status == LS_OK && s->nodes > 1)
        status =
            ls_dist_agree(comm, ls_mpi_status(MPI_Comm_split(ls_dist_mpi_comm(comm), s->index, comm->rank, &s->across),
                                              "MPI_Comm_split"));
    return status;
}

LsStatus ls_shared_new(const LsComm *comm, int64_t count, size_t common_bytes, LsShared **shared)
{
    *shared = NULL;
    const char *off = getenv("LOCKSTEP_SHARED");
    MPI_Comm world = ls_dist_mpi_comm(comm), node = MPI_COMM_NULL;
    if (comm->size == 1 || world == MPI_COMM_NULL || !all_agree(comm, !off || strcmp(off, "off") != 0))
        return LS_OK;
    LsShared *s = ls_alloc(sizeof *s);
    LS_TRY(ls_dist_agree(comm, s ? LS_OK : LS_RESOURCE));
    s->across = MPI_COMM_NULL;
    LsStatus status = ls_dist_agree(comm, split_node(world, comm->rank, &node));
    bool alike = status == LS_OK && count_nodes(s, comm, node);
    if (alike)
        status = make_shared(s, comm, node, count, common_bytes);
    if (node != MPI_COMM_NULL)
        MPI_Comm_free(&node);
    if (status == LS_OK && alike) {
        *shared = s;
        return LS_OK;
    }
    ls_shared_free(s);
    if (status == LS_RESOURCE && comm->rank == 0)
        ls_warn("the ranks of a node cannot share memory: %s. Each has parameters and moments of its own, and "
                "gradients are summed by messages",
                ls_message());
    if (status != LS_OK && status != LS_RESOURCE)
        return status;
    ls_clear_message();
    return LS_OK;
}

void ls_shared_free(LsShared *s)
{
    if (!s)
        return;
    for (int i = 0; s->mapping && i < s->ranks; i++)
        if (s->mapping[i])
            munmap(s->mapping[i], s->bytes);
    if (s->common)
        munmap(s->common, s->common_bytes);
    if (s->across != MPI_COMM_NULL)
        MPI_Comm_free(&s->across);
    ls_free(s->header);
    ls_free(s->array);
    ls_free(s->mapping);
    ls_free(s);
}

int ls_dist_sharing_ranks(const LsComm *comm)
{
    LsShared *shared = NULL;
    if (ls_shared_new(comm, 0, 0, &shared) != LS_OK || !shared)
        return 1;
    int ranks = shared->ranks;
    ls_shared_free(shared);
    return ranks;
}
