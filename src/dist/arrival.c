#include "dist/arrival.h"

#include "dist/dist.h"
#include "dist/mpi_call.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A rank that has come holds a socket of a name made of the job's and its own (Linux's abstract names: no file, gone
 * with the process), so that its neighbours can tell who is missing without MPI. */
enum { NONE = -1, NAMED = 6 };
#define LEAST 5.0 /* seconds that a start may always take: on a busy machine it does */
#define LATER 2.0 /* seconds that others give the lowest rank, which speaks for the node, before they do */
#define SEEN 0.5  /* seconds that it stays for them to see it */

static struct {
    pthread_t thread;
    bool watching, done;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int socket, rank, local, locals, ranks;
} arrival = {.lock = PTHREAD_MUTEX_INITIALIZER, .socket = NONE};

static double time_limit(void) { return fmax(LEAST, ls_dist_time_limit()); }

static int number_of(const char *a, const char *b)
{
    const char *value = getenv(a) ? getenv(a) : getenv(b);
    return value && value[0] ? atoi(value) : NONE;
}

/* Takes the name of a local rank. The socket, or NONE with errno. */
static int take_name(int local)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *job = getenv("PMIX_NAMESPACE");
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "lockstep-%u-%.60s-%d", getuid(),
                          job ? job : "", local);
    int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (made >= 0 && bind(made, (struct sockaddr *)&address, bytes) == 0)
        return made;
    int error = errno;
    if (made >= 0)
        close(made);
    errno = error;
    return NONE;
}

static bool has_come(int local)
{
    if (local == arrival.local)
        return true;
    int socket = take_name(local);
    if (socket < 0)
        return errno == EADDRINUSE;
    close(socket);
    return false;
}

static bool speaks_for_node(void)
{
    for (int i = 0; i < arrival.local; i++)
        if (has_come(i))
            return false;
    return true;
}

static void tell(void)
{
    char names[160] = "";
    int missing = 0;
    size_t used = 0;
    for (int i = 0; i < arrival.locals; i++)
        if (!has_come(i) && missing++ < NAMED)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%d", missing == 1 ? "" : ", ", i);
    if (missing > NAMED)
        snprintf(names + used, sizeof names - used, " and %d others", missing - NAMED);
    const char *limit = "(LOCKSTEP_TIMEOUT sets this limit, 0 none)";
    const char *which = arrival.locals == arrival.ranks ? "" : " (numbered on this node)";
    if (missing > 0)
        ls_log_error("MPI could not start in %.0f s: rank%s %s%s of the %d on this node never came. See what %s for "
                     "before this program starts %s",
                     time_limit(), missing > 1 ? "s" : "", names, which, arrival.locals,
                     missing > 1 ? "they wait" : "it waits", limit);
    else
        ls_log_error("MPI could not start in %.0f s, though %s %s", time_limit(),
                     arrival.locals == arrival.ranks ? "all ranks are there: they cannot reach each other"
                     : arrival.locals > 0 ? "all ranks of this node are there: those of others never came, or "
                                            "cannot be reached"
                                          : "this rank is there: others never came, or cannot be reached",
                     limit);
}

/* Whether the start was done within these seconds. */
static bool wait_done(double seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    double whole = floor(seconds);
    end.tv_sec += (time_t)whole;
    end.tv_nsec += (long)(1e9 * (seconds - whole));
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&arrival.lock);
    int error = 0;
    while (!arrival.done && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&arrival.change, &arrival.lock, &end);
    bool done = arrival.done;
    pthread_mutex_unlock(&arrival.lock);
    return done;
}

static void *watch(void *self)
{
    (void)self;
    if (wait_done(time_limit()) || (!speaks_for_node() && wait_done(LATER)))
        return NULL;
    tell();
    wait_done(SEEN);
    _exit(LS_LAUNCH);
}

void ls_arrival_begin(void)
{
    arrival.rank = ls_dist_launched_rank();
    if (arrival.rank < 0 || time_limit() > 1e9)
        return;
    arrival.ranks = number_of("OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS");
    arrival.locals = number_of("OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE");
    arrival.local = number_of("OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID");
    if (arrival.locals < 0 && number_of("SLURM_JOB_NUM_NODES", "SLURM_NNODES") == 1)
        arrival.locals = arrival.ranks;
    if (arrival.local < 0 || (arrival.socket = take_name(arrival.local)) < 0)
        arrival.locals = arrival.local = 0; /* nothing can be said of neighbours */
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&arrival.change, &clock);
    pthread_condattr_destroy(&clock);
    arrival.done = false;
    arrival.watching = pthread_create(&arrival.thread, NULL, watch, NULL) == 0;
    if (!arrival.watching)
        ls_warn("no thread to watch the start of MPI: LOCKSTEP_TIMEOUT does not limit it");
}

void ls_arrival_end(void)
{
    if (arrival.watching) {
        pthread_mutex_lock(&arrival.lock);
        arrival.done = true;
        pthread_cond_signal(&arrival.change);
        pthread_mutex_unlock(&arrival.lock);
        pthread_join(arrival.thread, NULL);
        pthread_cond_destroy(&arrival.change);
    }
    arrival.watching = false;
    if (arrival.socket >= 0)
        close(arrival.socket);
    arrival.socket = NONE;
}
