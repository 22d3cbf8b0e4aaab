/* A program that is not Lockstep's: brings data in memory, a task and an op (chance.c) of its own, and trains a model
 * of the library on them. Uses installed headers only.
 *
 *     own_task JOB.yaml [key=value …]        or: mpirun -np 2 own_task …
 *     own_task ops                           the list of ops, its own among them; the shapes of its own, and its checks
 */
#include <lockstep/data.h>
#include <lockstep/op.h>
#include <lockstep/ops.h>
#include <lockstep/task.h>
#include <lockstep/train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

LsTensor *own_chance(LsGraph *g, LsTensor *x);

/* ---- Data: the rows of a truth table, from an array
 * ------------------------------------------------------------------ */

typedef struct TableSettings {
    int64_t rows;
} TableSettings;

static const LsSetting table_settings[] = {
    LS_SETTING_INT(TableSettings, rows, "4", 1, 4, "rows of the table, from the first"), {0}};

typedef struct Table {
    LsSource source;
    int64_t rows;
} Table;

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    static const float inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const Table *table = (const Table *)source;
    LsTensor *values = ls_graph_find(g, "values"), *wanted = ls_graph_find(g, "wanted");
    for (int64_t b = 0; values && b < values->dim[0]; b++) {
        int64_t row = (batch->first + b) % table->rows;
        float answer = b < batch->count ? (float)(inputs[row][0] != inputs[row][1]) : NAN; /* NAN counts for nothing */
        ls_tensor_set_part(g, values, 2 * b, 2, inputs[row]);
        if (wanted)
            ls_tensor_set_part(g, wanted, b, 1, &answer);
    }
    return LS_OK;
}

static void free_table(LsSource *source) { ls_free(source); }

static LsStatus open_table(const LsDataOpen *open, LsSource **opened)
{
    Table *table = ls_alloc(sizeof *table);
    if (!table)
        return LS_RESOURCE;
    table->rows = ((const TableSettings *)open->settings)->rows;
    table->source = (LsSource){.samples = table->rows, .fill = fill, .free = free_table};
    *opened = &table->source;
    LS_TRY(ls_fields_add(&table->source.fields, "values", LS_REAL, 0, 1, (int64_t[]){2}));
    return ls_fields_add(&table->source.fields, "wanted", LS_REAL, 0, 1, (int64_t[]){1});
}

static const LsDataKind truth_table = {
    .name = "truth_table",
    .summary = "exclusive or, from memory",
    .use_settings = table_settings,
    .use_settings_bytes = sizeof(TableSettings),
    .open = open_table,
};

/* ---- Task: probabilities by their squared distance from what happened (Brier 1950)
 * --------------------------------- */

/* p = chance(x w^T + b), L = sum (p - wanted)^2 */
static void head(LsGraph *g, const void *settings, const LsShape *shape, const LsBody *body)
{
    (void)settings;
    int64_t outputs = 1, inputs = body->features->dim[1];
    LsTensor *w = ls_param(g, "head.weight", ls_init_normal(0.3), 2, (int64_t[]){outputs, inputs});
    LsTensor *b = ls_param(g, "head.bias", ls_init_constant(0), 1, &outputs);
    LsTensor *p = own_chance(g, ls_linear(g, body->features, w, b, LS_NO_ACTIVATION));
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss", ls_mean_squared_error(g, p, ls_shape_input(g, shape, "wanted")));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", p);
}

static int64_t targets(const LsGraph *g, int64_t rows)
{
    (void)g;
    return rows;
}

static LsStatus add_right(const LsScored *scored, double *sum)
{
    for (int64_t b = 0; b < scored->rows; b++) {
        float p, wanted;
        ls_tensor_get_part(scored->g, ls_graph_find(scored->g, "output"), b, 1, &p);
        ls_tensor_get_part(scored->g, ls_graph_find(scored->g, "wanted"), b, 1, &wanted);
        sum[0] += (p > 0.5f) == (wanted > 0.5f);
    }
    return LS_OK;
}

static double right(const LsScore *score) { return score->sum[0] / score->targets; }

static const LsMetric metrics[] = {{.name = "right",
                                    .summary = "share of answers on the right side of a half",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_right,
                                    .value = right},
                                   {0}};

static const LsTask brier = {
    .name = "brier",
    .summary = "a probability of each sample",
    .item = "sample",
    .fields = "wanted 1",
    .takes = LS_BODY_VECTOR,
    .head = head,
    .targets = targets,
    .metrics = metrics,
    .best = "right",
};

static LsStatus print_ops(void)
{
    ls_ops_print(stdout);
    LS_TRY(ls_op_print("chance", stdout));
    LS_TRY(ls_op_check("chance"));
    printf("chance: all checks passed\n");
    return LS_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: own_task JOB.yaml [key=value ...] | ops\n");
        return LS_USAGE;
    }
    LsSession *session = NULL;
    double loss = 0, after = 0;
    LsStatus status = ls_data_kind_add(&truth_table);
    if (status == LS_OK)
        status = ls_task_add(&brier);
    if (status == LS_OK)
        status = LS_OP_ADD(chance);
    if (status == LS_OK && strcmp(argv[1], "ops") == 0) {
        status = print_ops();
        if (status != LS_OK)
            fprintf(stderr, "own_task: %s\n", ls_message());
        return (int)status;
    }
    if (status == LS_OK)
        status = ls_session_open(&argc, &argv, argv[1], argc - 2, argv + 2, &session);
    for (int i = 0; i < 400 && status == LS_OK; i++)
        status = ls_session_step(session, &loss, NULL);
    if (status == LS_OK)
        status = ls_session_evaluate(session, &after);
    if (status == LS_OK && ls_session_comm(session)->rank == 0)
        printf("squared distance after 400 steps: %.5f in training, %.5f evaluated\n", loss, after);
    if (status == LS_OK && !(after < 0.05))
        status = ls_fail(LS_ERROR, "exclusive or was not learnt");
    if (status != LS_OK)
        fprintf(stderr, "own_task: %s\n", ls_message());
    ls_session_close(session);
    return (int)status;
}
