/* generate: its options, the prompts that they name, and how what is sampled is printed. */
#ifndef LS_CLI_GENERATE_H
#define LS_CLI_GENERATE_H

#include "api/load.h"
#include "cli/cli.h"
#include "decode/generate.h"
#include "decode/text_stream.h"

#include <jansson.h>

typedef struct LsGenerateOptions {
    LsTextList prompt, prompt_file, message, stop;
    char *ids, *system, *input, *attention;
    int64_t tokens, top_k, seed, batch, beams;
    double temperature, top_p, length_penalty;
    bool best, no_stop, special, only_new, json;
    char *precision;
} LsGenerateOptions;

/* ---- generate_prompts.c ------------------------------------------------------------------------------------------ */

typedef struct LsPrompt {
    char *text; /* NULL: ids alone */
    int64_t bytes;
    int32_t *ids;
    int64_t count;
} LsPrompt;

typedef struct LsPrompts {
    LsPrompt *list;
    int count;
    LsTextList stop; /* the options', and what ends an answer; its texts belong to others */
    char *turn_end;  /* what ends an answer; NULL: nothing, or no turns */
} LsPrompts;

/* LS_USAGE where options say nothing, or two things. The caller frees them, after a failure too. */
LsStatus ls_prompts_read(const LsGenerateOptions *options, const LsLoaded *model, LsPrompts *prompts) LS_MUST_USE;
void ls_prompts_free(LsPrompts *prompts);

/* ---- generate_print.c -------------------------------------------------------------------------------------------- */

typedef struct LsGenerateStream {
    LsTextStream text; /* what is not printed yet */
    const char *ended; /* at a stop or the end token, as --json names it; NULL: not yet */
    json_t *drawn;     /* for --json: all tokens */
} LsGenerateStream;

typedef struct LsGeneratePrinter {
    const LsPrompt *prompt;
    const LsTokenizer *tokenizer; /* NULL: ids */
    LsStops stops;
    const LsSampling *sampling; /* which ids end a stream */
    bool at_once;               /* one stream: print whatever is whole */
    json_t *rows;               /* of --json: one a stream; NULL: text is printed */
    LsGenerateStream *stream;
    int64_t streams;
    LsStatus status;
} LsGeneratePrinter;

/* tokenizer: NULL: ids are printed. rows: as above. ls_generate_printer_close, after a failure too. */
LsStatus ls_generate_printer_open(const LsGenerateOptions *options, const LsTokenizer *tokenizer,
                                  const LsPrompt *prompt, const LsStops *stops, json_t *rows,
                                  LsGeneratePrinter *printer) LS_MUST_USE;
void ls_generate_printer_close(LsGeneratePrinter *printer);

/* LsTokenSink of a printer. */
bool ls_generate_print(void *printer, int64_t stream, int64_t index, int32_t token);

/* Ends the stream that was printed at once, or prints all, one after the other, counted from `first` where there are
 * several. A character that the last token left incomplete is left out. */
LsStatus ls_generate_print_rest(LsGeneratePrinter *printer, int64_t first, bool several) LS_MUST_USE;

#endif
