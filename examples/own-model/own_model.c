/* A program that is not Lockstep's: brings a model of its own, trains it, saves it, and reads it back. Uses installed
 * headers only.
 *
 *     own_model JOB.yaml CHECKPOINT.h5 [key=value …]        or: mpirun -np 2 own_model …
 */
#include <lockstep/model.h>
#include <lockstep/train.h>

#include <stdio.h>

/* Bengio et al. 2003 without the hidden layer's direct connections: the next token from a table of the current one
 * alone, through one hidden layer.
 *
 *     logits = tanh(E[ids] W^T + b) H^T
 */
typedef struct Bigram {
    int64_t vocabulary, context, width;
} Bigram;

static const LsSetting settings[] = {
    LS_SETTING_INT(Bigram, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Bigram, context, "64", 1, 1 << 20, "tokens a sequence in training by default"),
    LS_SETTING_INT(Bigram, width, "32", 1, 1 << 20, "channels"),
    {0}};

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Bigram *m = config;
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *table = ls_param(g, "table", ls_init_normal(0.1), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *w = ls_param(g, "hidden.weight", ls_init_normal(0.2), 2, (int64_t[]){m->width, m->width});
    LsTensor *b = ls_param(g, "hidden.bias", ls_init_constant(0), 1, &m->width);
    LsTensor *head = ls_param(g, "head", ls_init_normal(0.1), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_tanh(g, ls_linear(g, ls_embedding(g, table, ids), w, b, LS_NO_ACTIVATION)); /* x: (B, T, C) */
    return (LsBody){.features = x, .table = head};
}

static const LsModel bigram = {
    .name = "bigram",
    .summary = "the next token from the current one, through a hidden layer",
    .paper = "after Bengio, Ducharme, Vincent, Jauvin 2003, A neural probabilistic language model",
    .settings = settings,
    .config_bytes = sizeof(Bigram),
    .build = build,
};

static LsStatus train_and_save(LsSession *session, const char *path)
{
    enum { STEPS = 60 };
    bool speaks = ls_session_comm(session)->rank == 0;
    double before, after, loss, again;
    LS_TRY(ls_session_evaluate(session, &before));
    while (ls_session_steps(session) < STEPS)
        LS_TRY(ls_session_step(session, &loss, NULL));
    LS_TRY(ls_session_evaluate(session, &after));
    LS_TRY(ls_session_save(session, path));

    for (int i = 0; i < 5; i++) /* away from what was saved, and back */
        LS_TRY(ls_session_step(session, NULL, NULL));
    LS_TRY(ls_session_load(session, path));
    LS_TRY(ls_session_evaluate(session, &again));
    if (speaks)
        printf("%lld parameters, %d steps: validation loss %.4f before, %.4f after, %.4f read back\n",
               (long long)ls_session_params(session)->elements, STEPS, before, after, again);
    if (!(after < before))
        return ls_fail(LS_ERROR, "training did not lower the loss");
    return again == after ? LS_OK : ls_fail(LS_ERROR, "the checkpoint read back gives another loss");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: own_model JOB.yaml CHECKPOINT.h5 [key=value ...]\n");
        return LS_USAGE;
    }
    LsSession *session = NULL;
    LsStatus status = ls_model_add(&bigram);
    if (status == LS_OK)
        status = ls_session_open(&argc, &argv, argv[1], argc - 3, argv + 3, &session);
    if (status == LS_OK)
        status = train_and_save(session, argv[2]);
    if (status != LS_OK)
        fprintf(stderr, "own_model: %s\n", ls_message());
    ls_session_close(session);
    return (int)status;
}
