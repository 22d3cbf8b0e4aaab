/* generate --input: a line of output for each line of a file, by a model that says a text for a text. */
#ifndef LS_CLI_GENERATE_LINES_H
#define LS_CLI_GENERATE_LINES_H

#include "cli/cli.h"

typedef struct LsGenerateLines {
    const char *input;     /* "-": stdin */
    const char *attention; /* the picture to be written; NULL: none */
    int64_t beams;
    double penalty;
    bool best;
} LsGenerateLines;

LsStatus ls_generate_lines(const LsGenerateLines *options, const LsCall *call) LS_MUST_USE;

#endif
