#include "damage.h"
#include "io/fault.h"
#include "io/sealed.h"
#include "lockstep/graph.h"
#include "store/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char config_text[] = "model:\n  kind: none\n";
static const char tokenizer_text[] = "{\"kind\": \"bytes\"}";

/* ---- A small model ---------------------------------------------------------------------------------------------- */

static LsParams *make_params(int64_t width, const char *extra, uint64_t seed)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_param(g, "embedding", ls_init_normal(1), 2, (int64_t[]){11, width});
    for (int i = 0; i < 3; i++) {
        ls_push(g, "layer.%d", i);
        ls_param(g, "weight", ls_init_normal(1), 3, (int64_t[]){3, width, 5});
        ls_param(g, "bias", ls_init_uniform(-1, 1), 1, (int64_t[]){width});
        ls_pop(g);
    }
    if (extra)
        ls_param(g, extra, ls_init_constant(1), 1, (int64_t[]){1});
    ls_graph_free(g);
    ASSERT_OK(ls_params_allocate(params, seed, false));
    return params;
}

typedef struct State {
    LsParams *params;
    LsSaved moment[2];
    LsProgress progress;
} State;

/* Every number is a function of the step, so that a file can be known by what is in it. */
static State make_state(int64_t step)
{
    State s = {.params = make_params(7, NULL, (uint64_t)step)};
    for (int k = 0; k < 2; k++) {
        s.moment[k] = (LsSaved){.group = k ? "optimizer/v" : "optimizer/m",
                                .layout = s.params,
                                .value = ls_alloc_array(s.params->total, sizeof(float)),
                                .begins_as_zero = true};
        for (int i = 0; i < s.params->count; i++)
            for (int64_t j = 0; j < s.params->list[i].count; j++)
                s.moment[k].value[s.params->list[i].offset + j] =
                    ls_normal_at(ls_key((uint64_t)step, "moment"), (uint64_t)k, (uint64_t)(100 * i + j));
    }
    s.progress = (LsProgress){.step = step,
                              .samples = 12 * step,
                              .tokens = 777 * step,
                              .seed = 1234,
                              .metrics_rows = step / 10,
                              .best_score = step < 2 ? HUGE_VAL : 1.5,
                              .best_step = step < 2 ? -1 : 2};
    return s;
}

static void free_state(State *s)
{
    for (int k = 0; k < 2; k++)
        ls_free(s->moment[k].value);
    ls_params_free(s->params);
}

static LsStatus save_as(const char *path, int64_t step)
{
    State s = make_state(step);
    LsStatus status = ls_checkpoint_save(path, s.params, 2, s.moment, &s.progress,
                                         &(LsSavedTexts){.config = config_text, .tokenizer = tokenizer_text});
    free_state(&s);
    return status;
}

static LsStatus save_step(const char *run, int64_t step)
{
    char *path = ls_checkpoint_path(run, step);
    LsStatus status = save_as(path, step);
    ls_free(path);
    return status;
}

/* The step of a checkpoint whose every bit is as make_state makes it, -1 otherwise. */
static int64_t step_in(LsCheckpoint *checkpoint)
{
    State read = make_state(0);
    int64_t step = -1;
    if (ls_checkpoint_read(checkpoint, read.params, 2, read.moment) == LS_OK) {
        State good = make_state(checkpoint->progress.step);
        size_t bytes = sizeof(float) * (size_t)good.params->total;
        LsProgress *a = &checkpoint->progress, *b = &good.progress;
        if (memcmp(read.params->value, good.params->value, bytes) == 0 &&
            memcmp(read.moment[0].value, good.moment[0].value, bytes) == 0 &&
            memcmp(read.moment[1].value, good.moment[1].value, bytes) == 0 && a->samples == b->samples &&
            a->tokens == b->tokens && a->seed == b->seed && a->metrics_rows == b->metrics_rows &&
            a->best_score == b->best_score && a->best_step == b->best_step)
            step = a->step;
        free_state(&good);
    }
    free_state(&read);
    return step;
}

static int64_t step_of(const char *path)
{
    LsCheckpoint *checkpoint = NULL;
    int64_t step = ls_checkpoint_open(path, NULL, &checkpoint) == LS_OK ? step_in(checkpoint) : -1;
    ls_checkpoint_close(checkpoint);
    return step;
}

/* The step of the best checkpoint of a run. */
static int64_t best_step(const char *run)
{
    LsCheckpoint *checkpoint = NULL;
    ASSERT_OK(ls_checkpoint_best(run, &checkpoint));
    CU_ASSERT_PTR_NOT_NULL_FATAL(checkpoint);
    int64_t step = step_in(checkpoint);
    ls_checkpoint_close(checkpoint);
    return step;
}

/* The step of the newest checkpoint of a run, -1: none, -2: a failure. */
static int64_t newest_step(const char *run)
{
    LsCheckpoint *checkpoint = NULL;
    if (ls_checkpoint_newest(run, &checkpoint) != LS_OK)
        return -2;
    int64_t step = checkpoint ? step_in(checkpoint) : -1;
    ls_checkpoint_close(checkpoint);
    return step;
}

/* Steps of a run as text, "30 20 10 ". */
static const char *steps_text(const char *run)
{
    static char text[256];
    int64_t *steps = NULL;
    int count = 0, used = 0;
    ASSERT_OK(ls_checkpoint_steps(run, &steps, &count));
    text[0] = '\0';
    for (int i = 0; i < count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%lld ", (long long)steps[i]);
    ls_free(steps);
    return text;
}

static const char *checkpoints_of(const char *run)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/checkpoints", run);
    return path;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static void test_round_trip(void)
{
    const char *path = harness_path("round/deep/c.h5");
    ASSERT_OK(save_as(path, 1000));
    CU_ASSERT_EQUAL(step_of(path), 1000);
    LsCheckpoint *checkpoint = NULL;
    ASSERT_OK(ls_checkpoint_open(path, NULL, &checkpoint));
    CU_ASSERT_EQUAL(checkpoint->progress.step, 1000);
    CU_ASSERT_STRING_EQUAL(checkpoint->config, config_text);
    CU_ASSERT_STRING_EQUAL(checkpoint->tokenizer, tokenizer_text);
    ls_checkpoint_close(checkpoint);

    State s = make_state(3);
    ASSERT_OK(ls_checkpoint_save(path, s.params, 0, NULL, &s.progress, &(LsSavedTexts){.config = config_text}));
    ASSERT_OK(ls_checkpoint_open(path, NULL, &checkpoint));
    CU_ASSERT_PTR_NULL(checkpoint->tokenizer);
    ls_checkpoint_close(checkpoint);
    ASSERT_OK(ls_checkpoint_load(path, s.params, 0, NULL, NULL));
    ASSERT_FAILS(ls_checkpoint_load(path, s.params, 2, s.moment, NULL), LS_CHECKPOINT, "holds no optimiser state m");
    s.progress.step = 0; /* as an imported model: training begins there */
    ASSERT_OK(ls_checkpoint_save(path, s.params, 0, NULL, &s.progress, &(LsSavedTexts){.config = config_text}));
    ASSERT_OK(ls_checkpoint_load(path, s.params, 2, s.moment, NULL));
    CU_ASSERT_EQUAL(s.moment[1].value[0], 0.0f);

    struct stat st;
    ASSERT_OK(save_as(path, 5));
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    int64_t asked = ls_checkpoint_bytes(s.params, 2, s.moment) + 1000; /* the texts */
    CU_ASSERT(st.st_size <= asked);
    CU_ASSERT(asked <= st.st_size + st.st_size / 5 + (1 << 16)); /* no disk is called full that has room */
    free_state(&s);
}

static void test_other_models(void)
{
    const char *path = harness_path("other.h5");
    ASSERT_OK(save_as(path, 1));
    LsParams *params = make_params(6, "head", 1);
    ASSERT_FAILS(ls_checkpoint_load(path, params, 0, NULL, NULL), LS_CHECKPOINT,
                 "embedding has shape (11, 7) in the file and (11, 6) in the model");
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "layer.2.bias has shape (7) in the file and (6) in the model"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "head (1) is in the model and not in the file"));
    ls_params_free(params);

    State s = make_state(1);
    LsParams *more = make_params(7, "head", 1);
    ASSERT_OK(ls_checkpoint_save(path, more, 0, NULL, &s.progress, &(LsSavedTexts){.config = config_text}));
    ASSERT_FAILS(ls_checkpoint_load(path, s.params, 0, NULL, NULL), LS_CHECKPOINT,
                 "head is in the file and not in the model");
    ls_params_free(more);
    free_state(&s);

    LsSealed *file = ls_sealed_create(path, "checkpoint", 2, LS_CHECKPOINT);
    ASSERT_OK(ls_sealed_set_int(file, "step", 1));
    ASSERT_OK(ls_sealed_commit(file));
    LsCheckpoint *found = NULL;
    ASSERT_FAILS(ls_checkpoint_newest(path, &found), LS_CHECKPOINT, "newer version");
    CU_ASSERT_PTR_NULL(found);
}

static bool refuses(const char *path) { return step_of(path) < 0 && strstr(ls_message(), path); }

static void test_damage(void)
{
    const char *good = harness_path("good.h5");
    ASSERT_OK(save_as(good, 7));
    damage_all(good, harness_path("bad.h5"), refuses);
}

static void test_newest_and_best(void)
{
    const char *run = harness_path("newest");
    CU_ASSERT_EQUAL(newest_step(run), -1);
    for (int64_t step = 1; step <= 4; step++)
        ASSERT_OK(save_step(run, step));
    CU_ASSERT_EQUAL(newest_step(run), 4);
    char *path = ls_checkpoint_path(run, 4);
    CU_ASSERT_EQUAL(best_step(run), 2);

    Bytes bytes = damage_read(path); /* the newest loses its end: the one before is taken */
    damage_write(path, bytes.at, bytes.count - 100);
    CU_ASSERT_EQUAL(newest_step(run), 3);
    ls_free(bytes.at);
    ls_free(path);

    path = ls_checkpoint_path(run, 2); /* the best is damaged: the newest is taken */
    damage_write(path, "x", 1);
    CU_ASSERT_EQUAL(best_step(run), 3);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(best_step(run), 3);
    ls_free(path);

    const char *alone = harness_path("newest/checkpoints/step-00000003.h5");
    CU_ASSERT_EQUAL(newest_step(alone), 3);
    damage_write(alone, "", 0);
    CU_ASSERT_EQUAL(newest_step(alone), -2);
    damage_write(harness_path("newest/checkpoints/step-00000001.h5"), "", 0);
    CU_ASSERT_EQUAL(newest_step(run), -2); /* only damaged ones: an error, not a fresh start */
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "none of its 3 checkpoints is whole"));
}

/* Errors while the newest checkpoint is read, which may be over the next time: nothing older is taken, and nothing is
 * renamed. */
static void test_unreadable(void)
{
    char run[600];
    snprintf(run, sizeof run, "%s", harness_path("unreadable"));
    ASSERT_OK(save_step(run, 1));
    ASSERT_OK(save_step(run, 2));
    LsStatus status = LS_ERROR;
    int64_t n = 1;
    for (; n < 1000 && status != LS_OK; n++) {
        LsCheckpoint *checkpoint = NULL;
        ls_fault_arm(LS_FAULT_READ, n);
        status = ls_checkpoint_newest(run, &checkpoint);
        ls_fault_arm(LS_FAULT_NONE, 0);
        if (status == LS_OK) {
            CU_ASSERT_EQUAL(checkpoint->progress.step, 2);
        } else {
            CU_ASSERT_EQUAL(status, LS_CHECKPOINT);
            CU_ASSERT_PTR_NULL(checkpoint);
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "step-00000002.h5"));
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "no older checkpoint is taken in its place"));
        }
        ls_checkpoint_close(checkpoint);
    }
    CU_ASSERT(status == LS_OK && n > 3); /* the block in front, the digest, and HDF5's own reading were all hit */
    CU_ASSERT_EQUAL(newest_step(run), 2);

    char *path = ls_checkpoint_path(run, 2); /* nor may it be read by anybody but root */
    LsCheckpoint *checkpoint = NULL;
    CU_ASSERT_EQUAL(chmod(path, 0), 0);
    if (access(path, R_OK) != 0)
        ASSERT_FAILS(ls_checkpoint_newest(run, &checkpoint), LS_CHECKPOINT, "Permission denied");
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(symlink("nowhere.h5", path), 0); /* gone is gone */
    CU_ASSERT_EQUAL(newest_step(run), 1);
    ls_free(path);
}

static void test_prune(void)
{
    char run[600]; /* harness_path's buffers rotate */
    snprintf(run, sizeof run, "%s", harness_path("prune"));
    for (int64_t step = 10; step <= 60; step += 10)
        ASSERT_OK(save_step(run, step));
    damage_write(harness_path("prune/checkpoints/step-00000070.h5.tmp-123-0"), "left", 4);
    damage_write(harness_path("prune/status.tmp-123-0"), "left", 4);
    damage_write(harness_path("prune/checkpoints/notes.txt"), "mine", 4);
    ASSERT_OK(ls_checkpoint_prune(run, 2, 20, 10));
    CU_ASSERT_STRING_EQUAL(steps_text(run), "60 50 20 10 ");
    CU_ASSERT_EQUAL(damage_count(checkpoints_of(run), true), 0);
    CU_ASSERT_FALSE(ls_file_exists(harness_path("prune/status.tmp-123-0")));
    CU_ASSERT(ls_file_exists(harness_path("prune/checkpoints/notes.txt")));
    ASSERT_OK(ls_checkpoint_prune(run, 1, 50, -1));
    CU_ASSERT_STRING_EQUAL(steps_text(run), "60 50 ");
    ASSERT_OK(ls_checkpoint_prune(run, 1, -1, -1));
    CU_ASSERT_STRING_EQUAL(steps_text(run), "60 ");
    ASSERT_OK(ls_checkpoint_prune(harness_path("no such run"), 1, -1, -1));

    /* Step 60 is damaged, the training goes on from 50: 60 must neither be taken for the newest nor count among those
     * kept. */
    ASSERT_OK(save_step(run, 50));
    damage_write(harness_path("prune/checkpoints/step-00000060.h5"), "x", 1);
    ASSERT_OK(ls_checkpoint_begin(run, newest_step(run)));
    ASSERT_OK(save_step(run, 55));
    ASSERT_OK(ls_checkpoint_prune(run, 1, -1, -1));
    CU_ASSERT_STRING_EQUAL(steps_text(run), "55 ");
    CU_ASSERT(ls_file_exists(harness_path("prune/checkpoints/step-00000060.h5.aside")));
    ASSERT_OK(ls_checkpoint_begin(run, -1));
    CU_ASSERT_EQUAL(newest_step(run), -1);
}

/* With every call failing in turn: the older checkpoint is whole, nothing temporary is left, and saving again works. */
static void test_every_call_fails(void)
{
    const char *run = harness_path("faults");
    ASSERT_OK(save_step(run, 1));
    ls_fault_arm(LS_FAULT_NONE, 0);
    ASSERT_OK(save_step(run, 2));
    int64_t calls = ls_fault_calls();
    CU_ASSERT(calls > 10);
    for (int64_t n = 1; n <= calls; n++)
        for (LsFault kind = LS_FAULT_FULL; kind <= LS_FAULT_ERROR; kind++) {
            char *path = ls_checkpoint_path(run, 2);
            unlink(path);
            ls_fault_arm(kind, n);
            LsStatus status = save_step(run, 2);
            ls_fault_arm(LS_FAULT_NONE, 0);
            /* the last call, the folder's sync, comes after the rename: the newer one is there too */
            bool good = status == (kind == LS_FAULT_FULL ? LS_RESOURCE : LS_CHECKPOINT) && strstr(ls_message(), path) &&
                        damage_count(checkpoints_of(run), true) == 0 && newest_step(run) == (n == calls ? 2 : 1);
            if (!good) {
                fprintf(stderr, "call %lld of %lld, kind %d: status %d, %s\n", (long long)n, (long long)calls,
                        (int)kind, (int)status, ls_message());
                CU_FAIL("a failing call was not dealt with");
            }
            ls_free(path);
        }
    ASSERT_OK(save_step(run, 3));
    CU_ASSERT_EQUAL(newest_step(run), 3);
}

/* A child that saves and prunes without end is killed at random moments, again and again. */
static void test_killed_writer(void)
{
    const char *run = harness_path("killed");
    uint64_t seed = damage_seed();
    int64_t before = 0, killed_while_writing = 0;
    ASSERT_OK(save_step(run, 0));
    double start = ls_seconds(); /* long enough for about four saves, on a slow machine too */
    ASSERT_OK(save_step(run, 0));
    int64_t window = 1000 + (int64_t)(4e6 * (ls_seconds() - start));
    window = window < 400000 ? window : 400000;
    for (int round = 0; round < 40; round++) {
        fflush(NULL);
        pid_t child = fork();
        CU_ASSERT_FATAL(child >= 0);
        if (child == 0) {
            for (int64_t step = before + 1;; step++)
                if (save_step(run, step) != LS_OK || ls_checkpoint_prune(run, 2, -1, -1) != LS_OK)
                    _exit(1);
        }
        usleep((useconds_t)damage_draw(seed, (uint64_t)round, window));
        CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
        int how = 0;
        CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
        CU_ASSERT(WIFSIGNALED(how));
        killed_while_writing += damage_count(checkpoints_of(run), true) > 0;
        int64_t step = newest_step(run);
        CU_ASSERT(step >= before);
        ASSERT_OK(ls_checkpoint_begin(run, step));
        CU_ASSERT_EQUAL(damage_count(checkpoints_of(run), true), 0);
        CU_ASSERT_EQUAL(newest_step(run), step);
        before = step;
    }
    printf("(%lld steps, %lld of 40 killed while writing) ", (long long)before, (long long)killed_while_writing);
    CU_ASSERT(killed_while_writing > 0);
    CU_ASSERT(before > 0);
}

/* Runs body in a child and asserts that it returns 0. */
static void in_child(int (*body)(const char *run), const char *run, bool may_lack_rights)
{
    fflush(NULL);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        int result = body(run);
        if (result != 0)
            fprintf(stderr, "result %d: %s (%s)\n", result, ls_message(), strerror(errno));
        _exit(result);
    }
    int how = 0;
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_FATAL(WIFEXITED(how));
    if (may_lack_rights && WEXITSTATUS(how) == 77) /* the limit on the size of files is tested in any case */
        printf("(no right to mount a small file system here: NOT TESTED) ");
    else
        CU_ASSERT_EQUAL(WEXITSTATUS(how), 0);
}

static int save_until_full(const char *run)
{
    int64_t step = 0;
    LsStatus status = LS_OK;
    while (status == LS_OK && step < 100)
        status = save_step(run, ++step);
    if (status != LS_RESOURCE || step < 2)
        return 1;
    return newest_step(run) == step - 1 && damage_count(checkpoints_of(run), true) == 0 ? 0 : 2;
}

static int on_small_disk(const char *run)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return 77;
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || mount("small", run, "tmpfs", 0, "size=400k") != 0)
        return 77;
    int result = save_until_full(run); /* ends at the check of free space */
    return result == 0 && !strstr(ls_message(), "are free on its disk") ? 3 : result;
}

/* The kernel itself refuses to write on, at the middle of a file: no rights are needed for that. */
static int under_size_limit(const char *run)
{
    signal(SIGXFSZ, SIG_IGN);
    if (save_step(run, 1) != LS_OK)
        return 1;
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, 10000}) != 0)
        return 2;
    if (save_step(run, 2) != LS_RESOURCE || !strstr(ls_message(), "step-00000002.h5"))
        return 3;
    return newest_step(run) == 1 && damage_count(checkpoints_of(run), true) == 0 ? 0 : 4;
}

static void test_full_disk(void)
{
    const char *run = harness_path("small");
    ASSERT_OK(ls_make_folders(run));
    in_child(on_small_disk, run, true);
    in_child(under_size_limit, harness_path("limited"), false);
}

int main(void)
{
    ls_set_threads(1); /* in forked children the threads of the parent would be missing */
    return harness_run("checkpoint", (HarnessTest[]){{"round trip, bit for bit", test_round_trip},
                                                     {"another model's file: all differences", test_other_models},
                                                     {"truncations and flipped bits", test_damage},
                                                     {"newest and best", test_newest_and_best},
                                                     {"a checkpoint that cannot be read", test_unreadable},
                                                     {"which ones are kept", test_prune},
                                                     {"every call fails in turn", test_every_call_fails},
                                                     {"a writer killed at random moments", test_killed_writer},
                                                     {"a full disk", test_full_disk},
                                                     {0}});
}
