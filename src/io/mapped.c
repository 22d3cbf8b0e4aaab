#include "io/mapped.h"

#include "io/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The handler walks the list, so an entry stays in it for good; unmapped ones are taken again. */
typedef struct Mapped {
    _Atomic uintptr_t start;
    _Atomic size_t bytes; /* 0: not mapped */
    char *_Atomic path;
    atomic_bool changed;
    struct Mapped *next;
} Mapped;

static Mapped *_Atomic mapped;
static struct sigaction before;

/* Reading beyond the end of a mapped file: zeros from that page to the end of the mapping. Anything else has the
 * action that was there before. */
static void on_missing_page(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (Mapped *m = mapped; m; m = m->next) {
        if (at < m->start || at - m->start >= m->bytes)
            continue;
        uintptr_t page = at & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
        void *place =
            mmap((void *)page, m->start + m->bytes - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (place == MAP_FAILED)
            break;
        m->changed = true;
        return;
    }
    sigaction(number, &before, NULL); /* the same instruction fails again, and ends the process as it would have */
    if (info->si_code <= 0)           /* sent by a process */
        raise(number);
}

static void catch_missing_pages(void)
{
    struct sigaction action = {.sa_sigaction = on_missing_page, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

static Mapped *new_entry(const char *path)
{
    char *name = ls_strdup(path);
    Mapped *m = mapped;
    while (m && (m->bytes || m->changed))
        m = m->next;
    if (name && !m && (m = ls_alloc(sizeof *m))) {
        m->next = mapped;
        mapped = m;
    }
    if (!name || !m) {
        ls_free(name);
        return NULL;
    }
    ls_free(m->path);
    m->path = name;
    return m;
}

LsStatus ls_map_file(const char *path, LsStatus code, const char **text, int64_t *bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, catch_missing_pages);
    *text = NULL;
    struct stat st = {0};
    int fd = ls_open_regular(path, code);
    if (fd < 0)
        return ls_message_status();
    LsStatus status = fstat(fd, &st) == 0 ? LS_OK : ls_fail(code, "%s: %s", path, strerror(errno));
    void *start = MAP_FAILED;
    if (status == LS_OK && st.st_size == 0)
        status = ls_fail(code, "%s: is empty", path);
    Mapped *m = status == LS_OK ? new_entry(path) : NULL;
    if (status == LS_OK && !m)
        status = LS_RESOURCE;
    if (status == LS_OK && (start = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        status = ls_fail(code, "%s: cannot be read: %s", path, strerror(errno));
    close(fd);
    if (status != LS_OK)
        return status;
    m->start = (uintptr_t)start;
    m->bytes = (size_t)st.st_size;
    *text = start;
    *bytes = st.st_size;
    return LS_OK;
}

void ls_unmap_file(const char *text, int64_t bytes)
{
    for (Mapped *m = mapped; m && text; m = m->next)
        if (m->bytes && m->start == (uintptr_t)text) {
            munmap((void *)(uintptr_t)text, (size_t)bytes);
            m->bytes = 0;
        }
}

LsStatus ls_mapped_check(void)
{
    for (const Mapped *m = mapped; m; m = m->next)
        if (m->changed)
            return ls_fail(LS_DATA,
                           "%s: became shorter, or could not be read, while it was in use: nothing was made of it. "
                           "Run the command again when nobody writes to it",
                           m->path);
    return LS_OK;
}
