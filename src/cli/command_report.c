/* lockstep report RUN... -o FILE.html: one page that shows runs, for a browser without a network. */
#include "cli/cli.h"
#include "cli/report_page.h"
#include "io/file.h"

#include <stdlib.h>

typedef struct Options {
    char *output, *title;
} Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, output, NULL, "page to write"), "FILE.html", 'o', true},
    {.setting = LS_SETTING_STRING(Options, title, "Training runs", "the page's heading"), .argument = "TEXT"},
    {{0}}};

static LsStatus write_page(const Options *o, int runs, const LsRunRecord *record)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return ls_fail(LS_RESOURCE, "out of memory for the page");
    LsStatus status = ls_report_page(out, o->title, runs, record);
    if (fclose(out) != 0 && status == LS_OK)
        status = ls_fail(LS_RESOURCE, "out of memory for the page");
    if (status == LS_OK)
        status = ls_file_replace(o->output, text, (int64_t)bytes);
    free(text);
    return status;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LsRunRecord *record = ls_alloc_array(call->operands, sizeof *record);
    LsStatus status = record ? LS_OK : LS_RESOURCE;
    int drawn;
    for (int i = 0; i < call->operands && status == LS_OK; i++)
        status = ls_run_record_read(call->operand[i], &record[i]);
    if (status == LS_OK)
        status = ls_run_records_drawn(call->operands, record, &drawn);
    if (status == LS_OK)
        status = write_page(o, call->operands, record);
    if (status == LS_OK)
        printf("%s: %d run%s\n", o->output, call->operands, call->operands == 1 ? "" : "s");
    for (int i = 0; record && i < call->operands; i++)
        ls_run_record_free(&record[i]);
    ls_free(record);
    return status;
}

const LsCommand ls_command_report = {
    .name = "report",
    .summary = "writes one page about runs: curves, what differs, throughput",
    .operands = "RUN... -o FILE.html",
    .least = 1,
    .most = -1,
    .description = "The page holds its pictures and needs no network. Runs are read beside a training, too; an "
                   "imported one is listed without curves. Where a run "
                   "folder holds bench.json, what 'lockstep bench --json' printed, the page shows that step op by op, "
                   "with its share of the roofline.",
    .example = "lockstep report runs/shakespeare-gpt runs/shakespeare-mamba -o report.html\n"
               "lockstep bench runs/shakespeare-gpt/config.yaml --json > runs/shakespeare-gpt/bench.json",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
