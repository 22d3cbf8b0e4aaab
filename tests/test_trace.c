/* The trace: a file that other programs read, of a size that is bounded, whatever the names; and what a training leaves
 * in it. */
#include "base/trace.h"
#include "toy_model.h"

#include <jansson.h>

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error);
    if (!all)
        fprintf(stderr, "%s: line %d: %s\n", path, error.line, error.text);
    CU_ASSERT_FATAL(json_is_array(all));
    return all;
}

static const char *text(const json_t *event, const char *key) { return json_string_value(json_object_get(event, key)); }
static double number(const json_t *event, const char *key) { return json_number_value(json_object_get(event, key)); }

/* Events of this category (NULL: all but the headings). */
static int count(const json_t *all, const char *category)
{
    int found = 0;
    size_t i;
    json_t *event;
    json_array_foreach(all, i, event)
    {
        const char *its = text(event, "cat");
        found += its && (!category || strcmp(its, category) == 0);
    }
    return found;
}

static void test_events(void)
{
    static const char *const names[] = {"layer.0.linear", "\"quoted\" \\ and \n\t", "Größe 大"};
    const char *path = harness_path("events.json");
    ls_trace_event(LS_TRACE_STEP, "forward", "nobody listens", 0, 1);
    ASSERT_OK(ls_trace_close());
    CU_ASSERT_FALSE(ls_trace_on());
    double before = ls_seconds();
    ASSERT_OK(ls_trace_open(path, 3));
    CU_ASSERT_TRUE(ls_trace_on());
    ASSERT_FAILS(ls_trace_open(path, 3), LS_ERROR, "being written already");
    double begin = ls_seconds();
    for (int i = 0; i < 3; i++)
        ls_trace_event(i == 1 ? LS_TRACE_SUMS : LS_TRACE_STEP, "forward", names[i], begin + i, begin + i + 0.25);
    double after = ls_seconds();
    ASSERT_OK(ls_trace_close());
    json_t *all = load(path);
    CU_ASSERT_EQUAL(count(all, NULL), 3);
    size_t i, at = 0;
    json_t *event;
    json_array_foreach(all, i, event)
    {
        CU_ASSERT_EQUAL(number(event, "pid"), 3);
        if (strcmp(text(event, "ph"), "X") != 0)
            continue;
        CU_ASSERT_STRING_EQUAL(text(event, "name"), names[at]);
        CU_ASSERT_EQUAL(number(event, "tid"), at == 1 ? LS_TRACE_SUMS : LS_TRACE_STEP);
        CU_ASSERT(number(event, "ts") >= 1e6 * (double)at - 0.001 &&
                  number(event, "ts") <= 1e6 * ((double)at + after - before) + 0.001);
        ASSERT_AT_MOST(fabs(number(event, "dur") - 250000), 0.01);
        at++;
    }
    CU_ASSERT_EQUAL(at, 3);
    json_decref(all);
}

/* More events than are held, more names than there is room for: all events are there, those without room named by their
 * category. */
static void test_bounds(void)
{
    enum { EVENTS = 40000 };
    const char *path = harness_path("bounds.json");
    char name[64];
    ASSERT_OK(ls_trace_open(path, 0));
    int64_t allocated = ls_alloc_count();
    for (int i = 0; i < EVENTS; i++) {
        snprintf(name, sizeof name, "a name of some length that is the only one: %d", i);
        ls_trace_event(LS_TRACE_STEP, "data", name, i, i + 1);
        ls_trace_flush();
    }
    CU_ASSERT_EQUAL(ls_alloc_count(), allocated);
    /* a process that is killed here leaves a file that can be read: the list without its end */
    char *content = ls_alloc(16 << 20);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL_FATAL(content);
    size_t bytes = fread(content, 1, (16 << 20) - 16, file);
    fclose(file);
    CU_ASSERT_FATAL(bytes > 100 && content[bytes - 2] == ',');
    strcpy(content + bytes - 2, "\n]");
    json_t *early = json_loads(content, 0, NULL);
    CU_ASSERT_FATAL(json_is_array(early));
    CU_ASSERT(count(early, NULL) >= EVENTS / 2);
    json_decref(early);
    ls_free(content);
    ASSERT_OK(ls_trace_close());
    json_t *all = load(path);
    CU_ASSERT_EQUAL(count(all, "data"), EVENTS);
    CU_ASSERT(count(all, "other") >= 1); /* writing itself shows */
    json_decref(all);
}

static void test_full(void)
{
    ASSERT_OK(ls_trace_open("/dev/full", 0));
    ls_trace_event(LS_TRACE_STEP, "data", "x", 0, 1);
    ASSERT_FAILS(ls_trace_close(), LS_RESOURCE, "No space left");
    ASSERT_FAILS(ls_trace_open(harness_path("no/such/folder.json"), 0), LS_USAGE, "No such file");
}

static void test_paths(void)
{
    static const struct {
        const char *file;
        int rank, ranks;
        const char *path;
    } cases[] = {{"t.json", 0, 1, "t.json"},         {"t.json", 2, 4, "t.2.json"},
                 {"a.b/trace", 1, 2, "a.b/trace.1"}, {"a.b/t.c.json", 1, 2, "a.b/t.c.1.json"},
                 {".json", 1, 2, ".json.1"},         {"a/.json", 1, 2, "a/.json.1"}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        char *path = ls_trace_path(cases[i].file, cases[i].rank, cases[i].ranks);
        CU_ASSERT_PTR_NOT_NULL_FATAL(path);
        CU_ASSERT_STRING_EQUAL(path, cases[i].path);
        ls_free(path);
    }
}

static LsStatus no_save(void *self, const LsTrainer *trainer)
{
    (void)self, (void)trainer;
    return LS_OK;
}

/* Every pair of events lies one inside the other or side by side. */
static void check_nesting(const json_t *all)
{
    const double slack = 0.002; /* microseconds: times have three digits */
    size_t i, j;
    json_t *first, *second;
    json_array_foreach(all, i, first) json_array_foreach(all, j, second)
    {
        if (i >= j || !text(first, "cat") || !text(second, "cat") || number(first, "tid") != number(second, "tid"))
            continue;
        double a = number(first, "ts"), a_end = a + number(first, "dur"), b = number(second, "ts"),
               b_end = b + number(second, "dur");
        bool apart = a_end <= b + slack || b_end <= a + slack;
        bool inside = (a >= b - slack && a_end <= b_end + slack) || (b >= a - slack && b_end <= a_end + slack);
        CU_ASSERT(apart || inside);
    }
}

static void test_training(void)
{
    LsConfig config = toy_config();
    config.train.steps = 6;
    config.train.evaluate_every = 3;
    config.output.save_every = 2;
    ToySource source = toy_source(500), validation = toy_source(20);
    LsTrainer *trainer = NULL;
    const char *path = harness_path("training.json");
    ASSERT_OK(ls_trainer_new(&config, ls_comm_self(), &source.source, &validation.source, NULL, &trainer));
    trainer->hooks.save = no_save;
    ASSERT_OK(ls_trace_open(path, 0));
    ASSERT_OK(ls_trainer_run(trainer));
    ASSERT_OK(ls_trace_close());
    json_t *all = load(path);
    CU_ASSERT_EQUAL(count(all, "step"), 6);
    CU_ASSERT_EQUAL(count(all, "backward"), 6 * 3); /* embedding, linear, head */
    CU_ASSERT(count(all, "forward") > 6 * 3);       /* and those of the evaluations */
    CU_ASSERT(count(all, "data") > 6);
    CU_ASSERT_EQUAL(count(all, "optimizer"), 2 * 6);
    CU_ASSERT_EQUAL(count(all, "evaluation"), 2);
    CU_ASSERT_EQUAL(count(all, "checkpoint"), 3);
    check_nesting(all);
    json_decref(all);
    /* the parts are the step, but for the clock's own time and interruptions */
    const LsTrainTimes *t = &trainer->times;
    double parts = t->data + t->forward + t->backward + t->sums + t->agree + t->norm + t->update;
    CU_ASSERT(t->steps == 6 && parts <= t->total * 1.0001 && parts >= 0.5 * t->total);
    ls_trainer_free(trainer);
}

int main(void)
{
    return harness_run("trace", (HarnessTest[]){{"events", test_events},
                                                {"bounds", test_bounds},
                                                {"files that cannot be written", test_full},
                                                {"paths", test_paths},
                                                {"of a training", test_training},
                                                {0}});
}
