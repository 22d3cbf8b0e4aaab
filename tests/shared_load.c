/* Loads the shared library at run time and looks at what that changed in this process: nothing may. Then at what the
 * first calls change: neither MPI nor signals.
 *
 *     shared_load LIBRARY
 */
#include <dlfcn.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>

extern char **environ;
enum { SIGNALS = 65, VARIABLES = 4096 };

typedef struct State {
    void *handler[SIGNALS];
    int flags[SIGNALS];
    sigset_t blocked;
    char locale[256], tasks[16];
    char *variable[VARIABLES];
    int variables, threads;
} State;

static int failures;

static void expect(bool good, const char *what)
{
    if (!good)
        printf("FAILED: %s\n", what);
    failures += !good;
}

static int count_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count;
}

static void look(State *state)
{
    *state = (State){.threads = count_threads()};
    for (int number = 1; number < SIGNALS; number++) {
        struct sigaction action = {.sa_flags = -1};
        sigaction(number, NULL, &action);
        state->handler[number] = (void *)action.sa_handler;
        state->flags[number] = action.sa_flags;
    }
    sigprocmask(SIG_BLOCK, NULL, &state->blocked);
    snprintf(state->locale, sizeof state->locale, "%s", setlocale(LC_ALL, NULL));
    for (char **each = environ; *each && state->variables < VARIABLES; each++)
        state->variable[state->variables++] = strdup(*each);
}

static void compare_signals(const State *before, const State *after, const char *when)
{
    char what[128];
    snprintf(what, sizeof what, "%s changes what signals do", when);
    expect(memcmp(before->handler, after->handler, sizeof before->handler) == 0 &&
               memcmp(before->flags, after->flags, sizeof before->flags) == 0,
           what);
    snprintf(what, sizeof what, "%s blocks or unblocks signals", when);
    bool same = true;
    for (int number = 1; number < SIGNALS; number++)
        same &= sigismember(&before->blocked, number) == sigismember(&after->blocked, number);
    expect(same, what);
}

/* glibc raises the size from which blocks are mapped to that of the largest one freed, until anybody sets it. */
static bool malloc_adjusts(void)
{
    enum { LARGE = 4 << 20, SMALLER = 2 << 20 };
    void *volatile block = malloc(LARGE);
    free(block);
    size_t mapped = mallinfo2().hblks;
    block = malloc(SMALLER);
    bool adjusted = mallinfo2().hblks == mapped;
    free(block);
    return adjusted;
}

int main(int argc, char **argv)
{
    State before, loaded, used;
    if (argc != 2)
        return 2;
    look(&before);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("FAILED: %s\n", dlerror());
        return 1;
    }
    look(&loaded);
    compare_signals(&before, &loaded, "loading");
    expect(strcmp(before.locale, loaded.locale) == 0, "loading changes the locale");
    expect(before.threads == loaded.threads, "loading starts threads");
    expect(malloc_adjusts(), "loading changes malloc's settings");
    expect(before.variables == loaded.variables, "loading sets variables (GOMP_SPINCOUNT, OMPI_...)");
    for (int i = 0; i < before.variables && i < loaded.variables; i++)
        expect(strcmp(before.variable[i], loaded.variable[i]) == 0, "loading changes a variable");

    int (*initialized)(int *) = (int (*)(int *))dlsym(library, "MPI_Initialized");
    int (*open)(const char *, bool, int, char **, void **) =
        (int (*)(const char *, bool, int, char **, void **))dlsym(library, "ls_trained_open");
    int (*train)(int *, char ***, const char *, int, char **, void **) =
        (int (*)(int *, char ***, const char *, int, char **, void **))dlsym(library, "ls_session_open");
    const char *(*message)(void) = (const char *(*)(void))dlsym(library, "ls_message");
    int running = 1;
    void *handle = NULL;
    if (!initialized || !open || !train || !message) {
        printf("FAILED: the library lacks a function\n");
        return 1;
    }
    expect(open("no-such-run", false, 0, NULL, &handle) == 4 && !handle, "a run that is not there is opened");
    expect(strstr(message(), "no-such-run") != NULL, "the message does not name the run");
    expect(train(NULL, NULL, "no-such-job", 0, NULL, &handle) == 2 && !handle, "a job that is not there is opened");
    expect(strstr(message(), "no-such-job") != NULL, "the message does not name the job");
    expect(initialized(&running) == 0 && !running, "MPI runs");
    look(&used);
    compare_signals(&before, &used, "a first call");
    printf("%d failed\n", failures);
    return failures > 0;
}
