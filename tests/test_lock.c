/* Lock files: whom they keep out, whose owner is gone, and owners on other machines, who can only be watched. */
#include "harness.h"
#include "io/fault.h"
#include "io/file.h"
#include "io/lock.h"
#include "io/output.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static LsLock *take(const char *path)
{
    LsLock *lock = NULL;
    ASSERT_OK(ls_lock_take(path, "place", "train", &lock));
    return lock;
}

/* The text of a lock of this process, with one line made another. */
static void forge(const char *path, const char *name, const char *value)
{
    char line[1024] = "";
    char *text = NULL;
    int64_t bytes = 0;
    LsLock *lock = take(path);
    ASSERT_OK(ls_file_read(path, LS_ERROR, &text, &bytes));
    ls_lock_release(lock);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (char *at = text; *at; at += strcspn(at, "\n") + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
            fprintf(file, "%s %s\n", name, value);
        else
            fprintf(file, "%s\n", line);
    }
    fclose(file);
    ls_free(text);
}

static void test_held(void)
{
    const char *path = harness_path("held");
    LsLock *lock = take(path), *second = NULL;
    LsLockOwner owner;
    CU_ASSERT_EQUAL(ls_lock_look(path, &owner), LS_LOCK_HELD);
    CU_ASSERT(owner.pid == getpid() && strcmp(owner.command, "train") == 0);
    ASSERT_FAILS(ls_lock_take(path, "place", "train", &second), LS_USAGE,
                 "another process writes there: lockstep train");
    CU_ASSERT_PTR_NULL(second);
    ASSERT_OK(ls_lock_check(lock));
    ls_lock_release(lock);
    CU_ASSERT_FALSE(ls_file_exists(path));
    CU_ASSERT_EQUAL(ls_lock_look(path, &owner), LS_LOCK_FREE);
    lock = take(path);
    CU_ASSERT_EQUAL(unlink(path), 0);
    ASSERT_FAILS(ls_lock_check(lock), LS_ERROR, "was removed or taken over");
    second = take(path);
    ls_lock_release(lock); /* what it held is another's now */
    CU_ASSERT(ls_file_exists(path));
    ASSERT_OK(ls_lock_check(second));
    ls_lock_release(second);
    ls_lock_release(NULL);
}

/* Locks that an owner of this boot leaves are recognised: by the system's lock, by its number and start, by an earlier
 * boot, by a requeued job. */
static void test_stale(void)
{
    static const struct {
        const char *name, *value;
        LsLockState state;
    } cases[] = {{"pid", "1073741823", LS_LOCK_STALE},
                 {"started", "17", LS_LOCK_STALE},
                 {"boot", "another", LS_LOCK_STALE},
                 {"namespace", "pid:[1]", LS_LOCK_STALE}, /* another container: the file would be locked */
                 {"none", "", LS_LOCK_HELD}};
    const char *path = harness_path("stale");
    LsLockOwner owner;
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        LsLock *lock = NULL;
        forge(path, cases[i].name, cases[i].value);
        if (strcmp(cases[i].name, "boot") == 0 && access("/etc/machine-id", R_OK) != 0)
            continue; /* cannot be told from another machine */
        CU_ASSERT_EQUAL(ls_lock_look(path, &owner), cases[i].state);
        if (cases[i].state == LS_LOCK_STALE)
            ASSERT_OK(ls_lock_take(path, "place", "train", &lock));
        ls_lock_release(lock);
        unlink(path);
    }
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file, "LOCKSTEP lock 1\ncommand train\nhost elsewhere\npid 1\nstarted 1\nboot b\nmachine m\nnamespace "
                  "n\njob 77\nrestart 1\n"
                  "since 2026-01-02T03:04:05Z\n");
    fclose(file);
    static const struct {
        const char *job, *restart;
        LsLockState state;
    } jobs[] = {{"77", "2", LS_LOCK_STALE}, {"77", "1", LS_LOCK_UNKNOWN}, {"78", "2", LS_LOCK_UNKNOWN}};
    for (size_t i = 0; i < LS_COUNT_OF(jobs); i++) {
        setenv("SLURM_JOB_ID", jobs[i].job, 1);
        setenv("SLURM_RESTART_COUNT", jobs[i].restart, 1);
        CU_ASSERT_EQUAL(ls_lock_look(path, &owner), jobs[i].state);
    }
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
    char text[LS_LOCK_TEXT];
    CU_ASSERT_STRING_EQUAL(ls_lock_owner_text(&owner, text),
                           "lockstep train, process 1 on elsewhere, since 2026-01-02 03:04:05 UTC, SLURM job 77");
    unlink(path);
}

static void *touch_it(void *path)
{
    usleep(150000);
    utimensat(AT_FDCWD, path, NULL, 0);
    return NULL;
}

/* An owner on another machine: silent, it is given up; touching the file, it is not; removing it, it made room. */
static void test_watched(void)
{
    char path[256];
    pthread_t thread;
    LsLock *lock = NULL;
    snprintf(path, sizeof path, "%s", harness_path("watched"));
    static const char text[] =
        "LOCKSTEP lock 1\ncommand train\nhost elsewhere\npid 1\nstarted 1\nboot b\nmachine m\nnamespace n\njob \n"
        "restart 0\nsince 2026-01-02T03:04:05Z\n";
    ls_lock_timing(0.05, 0.6);
    ASSERT_OK(ls_file_replace(path, text, (int64_t)strlen(text)));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, touch_it, path), 0);
    ASSERT_FAILS(ls_lock_take(path, "place", "train", &lock), LS_USAGE, "process 1 on elsewhere");
    pthread_join(thread, NULL);
    ASSERT_OK(ls_lock_take(path, "place", "train", &lock));
    /* and the lock that is ours now is touched */
    struct stat before, now = {.st_size = 0};
    CU_ASSERT_EQUAL(stat(path, &before), 0);
    for (int i = 0; i < 200; i++) {
        usleep(20000);
        CU_ASSERT_EQUAL_FATAL(stat(path, &now), 0);
        if (now.st_mtim.tv_sec != before.st_mtim.tv_sec || now.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
            break;
    }
    CU_ASSERT(now.st_mtim.tv_sec != before.st_mtim.tv_sec || now.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
    ls_lock_release(lock);
    ls_lock_timing(LS_LOCK_BEAT, LS_LOCK_SILENCE);
}

/* A child killed at any of its calls leaves a lock that the next one takes at once. */
static void test_killed(void)
{
    const char *path = harness_path("killed");
    for (int n = 1; n <= 3; n++) {
        pid_t child = fork();
        CU_ASSERT_FATAL(child >= 0);
        if (child == 0) {
            LsLock *mine = NULL;
            ls_fault_arm(LS_FAULT_KILL, n);
            if (ls_lock_take(path, "place", "train", &mine) == LS_OK)
                kill(getpid(), SIGKILL);
            _exit(1);
        }
        int how = 0;
        CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
        CU_ASSERT(WIFSIGNALED(how));
        ls_lock_release(take(path));
    }
    ls_fault_arm(LS_FAULT_FULL, 2);
    LsLock *lock = NULL;
    ASSERT_FAILS(ls_lock_take(path, "place", "train", &lock), LS_RESOURCE, "No space left");
    ls_fault_arm(LS_FAULT_NONE, 0);
    CU_ASSERT(!lock && !ls_file_exists(path));
}

static void test_outputs(void)
{
    LsOutput *output = NULL, *second = NULL;
    char deep[256], file[256];
    snprintf(deep, sizeof deep, "%s", harness_path("one/two/three"));
    snprintf(file, sizeof file, "%s", harness_path("one/[x].h5"));
    ASSERT_OK(ls_output_folder(deep, "export", (const char *const[]){"*.json", NULL}, &output));
    ASSERT_FAILS(ls_output_folder(deep, "export", (const char *const[]){NULL}, &second), LS_USAGE, "lockstep export");
    ls_output_release(output, false);
    CU_ASSERT_FALSE(ls_file_exists(harness_path("one")));
    ASSERT_OK(ls_output_folder(deep, "export", (const char *const[]){NULL}, &output));
    ls_output_release(output, true);
    CU_ASSERT(ls_file_exists(deep));
    ASSERT_OK(ls_file_replace(harness_path("one/[x].h5.tmp-17-0"), "x", 1));
    ASSERT_OK(ls_file_replace(harness_path("one/x.h5.tmp-17-0"), "x", 1)); /* of another file */
    ASSERT_OK(ls_file_replace(harness_path("one/[x].h5.tmp-y"), "x", 1));  /* not ours */
    ASSERT_OK(ls_output_file(file, "prepare", &output));
    CU_ASSERT_FALSE(ls_file_exists(harness_path("one/[x].h5.tmp-17-0")));
    CU_ASSERT(ls_file_exists(harness_path("one/x.h5.tmp-17-0")) && ls_file_exists(harness_path("one/[x].h5.tmp-y")));
    ls_output_release(output, false);
    CU_ASSERT(ls_file_exists(harness_path("one")) && !ls_file_exists(harness_path("one/[x].h5.lock")));
    ASSERT_FAILS(ls_output_file("/proc/none/x.h5", "prepare", &output), LS_USAGE, "/proc/none");
}

int main(void)
{
    return harness_run("lock", (HarnessTest[]){{"a lock keeps others out", test_held},
                                               {"owners that are gone", test_stale},
                                               {"owners that can only be watched", test_watched},
                                               {"killed at every call in turn", test_killed},
                                               {"folders and files", test_outputs},
                                               {0}});
}
