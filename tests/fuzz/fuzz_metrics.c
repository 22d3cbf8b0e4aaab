/* metrics.jsonl as a resumed training reads it, cut back to the step that the first byte says. No line is lost: each is
 * kept, or set aside, or of a later step, or the last one without its end. */
#include "shared.h"

#include "cli/metrics_file.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

static int64_t lines_of(const char *name, bool *there)
{
    char *text = NULL;
    int64_t bytes = 0, lines = 0;
    *there = ls_file_exists(fuzz_path(name));
    if (!*there)
        return 0;
    FUZZ_ASSERT(ls_file_read(fuzz_path(name), LS_ERROR, &text, &bytes) == LS_OK);
    for (int64_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    FUZZ_ASSERT(bytes == 0 || text[bytes - 1] == '\n');
    ls_free(text);
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    bool there = false;
    if (bytes < 1)
        return 0;
    fuzz_remove("metrics.jsonl.damaged");
    fuzz_write("metrics.jsonl", input + 1, bytes - 1);
    FUZZ_ASSERT(ls_metrics_cut(fuzz_path("metrics.jsonl"), input[0], input[0]) == LS_OK);
    int64_t kept = lines_of("metrics.jsonl", &there), aside = lines_of("metrics.jsonl.damaged", &there), given = 0;
    for (size_t i = 1; i < bytes; i++)
        given += input[i] == '\n';
    FUZZ_ASSERT(kept + aside <= given && kept <= input[0]);
    fuzz_remove("metrics.jsonl.damaged");
    FUZZ_ASSERT(ls_metrics_cut(fuzz_path("metrics.jsonl"), input[0], kept) == LS_OK); /* once is enough */
    FUZZ_ASSERT(lines_of("metrics.jsonl", &there) == kept && lines_of("metrics.jsonl.damaged", &there) == 0 && !there);
    return 0;
}
