/* Groups of parameters by their names: what is frozen stays, what is scaled moves by so much, what is not decayed is
 * not; and what a frozen part saves. */
#include "lockstep/train.h"
#include "text_files.h"
#include "train/groups.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>

static char *job;

static void test_job(void)
{
    char text[4000], *source;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i / 5 + i) % 26);
    source = write_file("text.txt", text, sizeof text);
    char *data = ls_strdup(harness_path("text.h5"));
    ASSERT_OK(prepare("characters", 0.1, 1, &source, data));
    char *yaml = ls_format("model: {kind: gpt, layers: 4, width: 16, heads: 2, context: 16}\n"
                           "data: {path: %s}\n"
                           "train: {steps: 20, batch: 4, warmup: 0, schedule: constant, learning_rate: 1e-2, clip: 0,\n"
                           "        optimizer: sgd, momentum: 0, weight_decay: 0, evaluate_every: 0, seed: 3}\n",
                           data);
    job = ls_strdup(write_file("job.yaml", yaml, (int64_t)strlen(yaml)));
    ls_free(yaml);
    ls_free(data);
}

/* The parameters after so many steps, by the trainer's own numbering; and before. */
typedef struct Trained {
    LsSession *session;
    float *before;
} Trained;

static Trained train(int steps, int overrides, char *const *override)
{
    Trained t = {0};
    ASSERT_OK(ls_session_open(NULL, NULL, job, overrides, override, &t.session));
    const LsParams *p = ls_session_params(t.session);
    t.before = ls_alloc_array(p->total, sizeof *t.before);
    memcpy(t.before, p->value, sizeof *t.before * (size_t)p->total);
    for (int i = 0; i < steps; i++)
        ASSERT_OK(ls_session_step(t.session, NULL, NULL));
    return t;
}

static void end(Trained t)
{
    ls_session_close(t.session);
    ls_free(t.before);
}

/* The largest |(after - before) - factor (other's after - before)| of a parameter, and whether it moved. */
static double excess(const Trained *t, const Trained *other, int i, double factor, bool *moved)
{
    const LsParams *p = ls_session_params(t->session), *q = ls_session_params(other->session);
    double most = 0;
    *moved = false;
    for (int64_t k = p->list[i].offset; k < p->list[i].offset + p->list[i].count; k++) {
        double own = (double)p->value[k] - (double)t->before[k];
        double reference = (double)q->value[k] - (double)other->before[k];
        most = fmax(most, fabs(own - factor * reference));
        *moved = *moved || own != 0;
    }
    return most;
}

static void test_freeze_and_scale(void)
{
    char *override[] = {"train.freeze=['^layer\\.0\\.', norm_2]", "train.scale={'^layer\\.1\\.': 0.25, layer: 2}"};
    Trained plain = train(1, 0, NULL), grouped = train(1, LS_COUNT_OF(override), override);
    const LsParams *p = ls_session_params(grouped.session);
    int frozen = 0, scaled = 0, others = 0;
    for (int i = 0; i < p->count; i++) {
        const char *name = p->list[i].name;
        bool still = strncmp(name, "layer.0.", 8) == 0 || strstr(name, "norm_2");
        double factor = strncmp(name, "layer.1.", 8) == 0 ? 0.25 : strncmp(name, "layer.", 6) == 0 ? 2 : 1;
        bool moved = false;
        double wrong = excess(&grouped, &plain, i, still ? 0 : factor, &moved);
        if (wrong > 1e-6 || moved == still)
            fprintf(stderr, "%s: %g\n", name, wrong);
        CU_ASSERT(wrong <= 1e-6 && moved != still);
        for (int64_t k = 0; still && k < p->list[i].count; k++)
            CU_ASSERT_EQUAL_FATAL(p->grad[p->list[i].offset + k], 0);
        frozen += still;
        scaled += !still && factor != 1;
        others += !still && factor == 1;
    }
    CU_ASSERT(frozen > 8 && scaled > 10 && others > 1);
    end(plain);
    end(grouped);
    /* many steps, with moments and clipping: what is frozen keeps its bits */
    char *adamw[] = {override[0],
                     override[1],
                     "train.optimizer=adamw",
                     "train.clip=1",
                     "train.weight_decay=0.1",
                     "train.precision=bfloat16"};
    grouped = train(8, LS_COUNT_OF(adamw), adamw);
    p = ls_session_params(grouped.session);
    for (int i = 0; i < p->count; i++)
        if (strncmp(p->list[i].name, "layer.0.", 8) == 0)
            CU_ASSERT_EQUAL(memcmp(p->value + p->list[i].offset, grouped.before + p->list[i].offset,
                                   sizeof(float) * (size_t)p->list[i].count),
                            0);
    end(grouped);
}

static void test_no_decay(void)
{
    char *decay[] = {"train.weight_decay=1"}, *grouped_decay[] = {"train.weight_decay=1", "train.no_decay=[mlp]"};
    Trained none = train(1, 0, NULL), all = train(1, 1, decay), grouped = train(1, 2, grouped_decay);
    const LsParams *p = ls_session_params(grouped.session);
    int alike = 0, differ = 0;
    for (int i = 0; i < p->count; i++) {
        bool mlp = strstr(p->list[i].name, "mlp"), moved;
        CU_ASSERT_EQUAL(excess(&grouped, mlp ? &none : &all, i, 1, &moved), 0);
        bool differs = p->list[i].rank >= 2 && excess(&all, &none, i, 1, &moved) > 1e-6;
        alike += mlp && differs;
        differ += !mlp && differs;
    }
    CU_ASSERT(alike >= 8 && differ >= 5);
    end(none);
    end(all);
    end(grouped);
}

/* Backward ends at the last layer that learns, and moments are those of what learns. */
static void test_plan(void)
{
    LsTrainPlan plain, frozen;
    char *override[] = {"model.vocabulary=30", "train.freeze=[embedding, '^layer\\.[0-2]\\.']", "model.layers=4",
                        "train.optimizer=adamw"};
    LsConfig *a = ls_config_load(job, 1, override), *b = ls_config_load(job, LS_COUNT_OF(override), override);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    ls_free(a->train.optimizer);
    a->train.optimizer = ls_strdup("adamw");
    ASSERT_OK(ls_train_plan(a, 1, false, NULL, &plain));
    ASSERT_OK(ls_train_plan(b, 1, false, NULL, &frozen));
    CU_ASSERT(frozen.memory.activations < plain.memory.activations * 3 / 5);
    CU_ASSERT(frozen.moment_bytes < plain.moment_bytes / 2);
    CU_ASSERT(frozen.flops < plain.flops * 0.75);
    CU_ASSERT_EQUAL(frozen.parameters, plain.parameters);
    ls_config_free(a);
    ls_config_free(b);
}

static void test_refused(void)
{
    static const char *const bad[][2] = {
        {"train.freeze=[norm, layr.1.mlp]",
         "train.freeze: 'layr.1.mlp' matches no parameter of this model; the nearest of "},
        {"train.freeze=[layr.1.mlp]", "layer.1.mlp.in.weight"},
        {"train.no_decay=[^mlp]", "train.no_decay: '^mlp' matches no parameter"},
        {"train.scale={emb: 2, noth1ng: 3}", "train.scale: 'noth1ng' matches no parameter"},
        {"train.scale={layer: fast}", "train.scale: layer: 'fast' is not a number from 0 on"},
        {"train.scale={layer: -1}", "train.scale: layer: '-1' is not a number from 0 on"},
        {"train.freeze='(a'",
         "train.freeze: '(a' is no regular expression: missing closing parenthesis, at character 3"},
        {"train.freeze=.", "train.freeze: all parameters match, and nothing is left to learn"}};
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        LsSession *session = NULL;
        char *override = (char *)(uintptr_t)bad[i][0];
        ASSERT_FAILS(ls_session_open(NULL, NULL, job, 1, &override, &session), LS_USAGE, bad[i][1]);
        CU_ASSERT_PTR_NULL(session);
    }
}

/* Moments of what learns are saved, and no others. */
static void test_saved(void)
{
    char *override[] = {"train.optimizer=adamw", "train.freeze=[^layer]"};
    Trained t = train(2, LS_COUNT_OF(override), override);
    const char *path = harness_path("saved.h5");
    ASSERT_OK(ls_session_save(t.session, path));
    LsSealed *file = ls_sealed_open(path, NULL, LS_CHECKPOINT, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    static const struct {
        const char *name;
        bool there;
    } arrays[] = {{"parameters/layer.0.mlp.in.weight", true},
                  {"optimizer/m/layer.0.mlp.in.weight", false},
                  {"optimizer/v/norm.scale", true},
                  {"optimizer/m/token_embedding", true}};
    for (size_t i = 0; i < LS_COUNT_OF(arrays); i++) {
        bool exists = false;
        LsFileType type;
        int rank;
        int64_t dim[LS_SEALED_RANK];
        ASSERT_OK(ls_sealed_shape(file, arrays[i].name, &exists, &type, &rank, dim));
        CU_ASSERT_EQUAL(exists, arrays[i].there);
    }
    ls_sealed_close(file);
    ASSERT_OK(ls_session_load(t.session, path));
    ASSERT_OK(ls_session_step(t.session, NULL, NULL));
    end(t);
}

int main(void)
{
    ls_log_mute(true);
    int failed = harness_run("groups", (HarnessTest[]){{"a job", test_job},
                                                       {"frozen and scaled", test_freeze_and_scale},
                                                       {"not decayed", test_no_decay},
                                                       {"what a frozen part saves", test_plan},
                                                       {"refused", test_refused},
                                                       {"saved", test_saved},
                                                       {0}});
    ls_free(job);
    return failed;
}
