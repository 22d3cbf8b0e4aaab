/* A program that uses a trained model: the token that a run holds for the likeliest after a text, and how it goes on.
 *
 *     load_run RUN TEXT
 */
#include <lockstep/api.h>

#include <stdio.h>
#include <string.h>

/* Prints the likeliest next token, by the logits after the last of `count` ids. */
static LsStatus print_next(LsTrained *model, const int32_t *ids, int64_t count)
{
    LsForward *forward = NULL;
    int rank = 0;
    int64_t dim[LS_FORWARD_RANK] = {0}, bytes = 0;
    float *logits = NULL;
    char *text = NULL;
    LsStatus status = ls_forward_new(model, false, 1, count, &forward); /* one row of `count` steps */
    if (status == LS_OK)
        status = ls_forward_ints(forward, "ids", ids, count);
    if (status == LS_OK)
        status = ls_forward_run(forward);
    if (status == LS_OK)
        status = ls_forward_shape(forward, "output", &rank, dim); /* (1, count, V) */
    if (status == LS_OK && !(logits = ls_alloc_array(count * dim[2], sizeof *logits)))
        status = LS_RESOURCE;
    if (status == LS_OK)
        status = ls_forward_read(forward, "output", logits, count * dim[2]);
    if (status == LS_OK) {
        const float *last = logits + (count - 1) * dim[2];
        int32_t best = 0;
        for (int32_t id = 1; id < dim[2]; id++)
            best = last[id] > last[best] ? id : best;
        status = ls_tokenizer_decode(ls_trained_tokenizer(model), &best, 1, &text, &bytes);
        if (status == LS_OK)
            printf("next: '%s' (%.3f)\n", text, last[best]);
    }
    ls_free(text);
    ls_free(logits);
    ls_forward_free(forward);
    return status;
}

static bool print_token(void *self, int64_t stream, int64_t index, int32_t token)
{
    char *text = NULL;
    int64_t bytes = 0;
    (void)stream, (void)index;
    if (ls_tokenizer_decode_after(self, &token, 1, &text, &bytes) == LS_OK)
        fwrite(text, 1, (size_t)bytes, stdout);
    ls_free(text);
    return true;
}

int main(int argc, char **argv)
{
    LsTrained *model = NULL;
    int32_t *ids = NULL;
    int64_t count = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: load_run RUN TEXT\n");
        return 2;
    }
    LsStatus status = ls_trained_open(argv[1], false, 0, NULL, &model); /* true: the best checkpoint, not the newest */
    const LsTokenizer *tokenizer = status == LS_OK ? ls_trained_tokenizer(model) : NULL;
    if (status == LS_OK && !tokenizer) {
        fprintf(stderr, "%s has no tokenizer\n", argv[1]);
        status = LS_USAGE;
    }
    if (status == LS_OK)
        status = ls_tokenizer_encode_prompt(tokenizer, argv[2], (int64_t)strlen(argv[2]), &ids, &count);
    if (status == LS_OK)
        status = print_next(model, ids, count);
    if (status == LS_OK) {
        printf("%s", argv[2]);
        LsGenerate how = {.tokens = 20, .streams = 1, .temperature = 0.8, .top_p = 1, .seed = 1, .stop = true};
        status = ls_trained_generate(model, ids, count, &how, print_token, (void *)(uintptr_t)tokenizer);
        printf("\n");
    }
    if (status != LS_OK)
        fprintf(stderr, "load_run: %s\n", ls_message());
    ls_free(ids);
    ls_trained_close(model);
    return (int)status;
}
