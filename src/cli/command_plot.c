/* lockstep plot RUN... -o FILE.svg|.png: a column of metrics.jsonl of one run or several. */
#include "cli/cli.h"
#include "cli/run_record.h"
#include "config/nearest.h"
#include "io/file.h"
#include "plot/chart.h"
#include "plot/raster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
    char *output, *metric, *against, *title, *names;
    bool logarithmic;
    int64_t smooth, width, height;
} Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, output, NULL, "picture to write, SVG or PNG by its name"), "FILE.svg|.png", 'o', true},
    {.setting = LS_SETTING_STRING(Options, metric, "loss",
                                  "the columns of metrics.jsonl to draw, separated by commas: loss,validation_loss"),
     .argument = "NAME,..."},
    {.setting = LS_SETTING_STRING(Options, against, "step", "the column along the x axis: step, seconds, tokens, ..."),
     .argument = "NAME"},
    {.setting = LS_SETTING_BOOL(Options, logarithmic, "false", "a logarithmic y axis")},
    {.setting =
         LS_SETTING_INT(Options, smooth, "1", 1, 1e9,
                        "each point is the mean of its column over so many rows of the run, of which it is the last"),
     .argument = "N"},
    {.setting = LS_SETTING_STRING(Options, names, NULL,
                                  "the runs' names in the legend, separated by commas (default: as they are given)"),
     .argument = "NAME,..."},
    {.setting = LS_SETTING_STRING(Options, title, NULL, "a line above the picture"), .argument = "TEXT"},
    {.setting = LS_SETTING_INT(Options, width, "800", 200, 10000, "pixels"), .argument = "N"},
    {.setting = LS_SETTING_INT(Options, height, "420", 150, 10000, "pixels, without the legend"), .argument = "N"},
    {{0}}};

typedef struct Plot {
    const Options *options;
    int runs, drawn, curves; /* drawn: runs that have rows */
    LsRunRecord *run;
    LsCurve *curve;  /* (runs * metrics) */
    char **name;     /* of each curve */
    double **smooth; /* of each curve: its means; NULL: as it is */
    char *metrics;   /* the columns' names, cut at the commas */
    char *names;     /* of the runs, where they are given, the same */
    char **run_name;
    bool png;
} Plot;

#define PNG_SCALE 2 /* pixels of a PNG for one of SVG: letters are read on any screen */

static LsStatus fail_column(const LsRunRecord *run, const char *name)
{
    char known[1024] = "", validated[80];
    size_t used = 0;
    LsNearest near = ls_nearest_to(name);
    for (int i = 0; i < run->columns && used < sizeof known; i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", run->column[i].name);
        ls_nearest_offer(&near, run->column[i].name);
    }
    snprintf(validated, sizeof validated, "validation_%s", name);
    if (ls_run_record_column(run, validated))
        near = (LsNearest){.name = name, .best = validated};
    return ls_fail(LS_USAGE, "%s: has no column '%s' in metrics.jsonl%s (it has: %s)", run->path, name,
                   ls_nearest_hint(&near), known);
}

/* At each row with a number the mean of those of the last `window` rows: a column that few rows have, as an evaluation,
 * is averaged over as many steps as one that all have. NULL: out of memory. */
static double *smoothed(const double *y, int64_t rows, int64_t window)
{
    double *mean = ls_alloc_array(rows, sizeof *mean), sum = 0;
    int64_t count = 0; /* numbers in the window */
    for (int64_t i = 0; mean && i < rows; i++) {
        if (i >= window && isfinite(y[i - window])) {
            sum -= y[i - window];
            count--;
        }
        mean[i] = NAN;
        if (!isfinite(y[i]))
            continue;
        sum += y[i];
        count++;
        mean[i] = sum / (double)count;
    }
    return mean;
}

static LsStatus add_curve(Plot *plot, int which, const char *name, bool several)
{
    const LsRunRecord *run = &plot->run[which];
    const char *run_name = plot->names ? plot->run_name[which] : run->path;
    const double *x = ls_run_record_column(run, plot->options->against), *y = ls_run_record_column(run, name);
    if (!x || !y)
        return fail_column(run, x ? name : plot->options->against);
    char *label = several ? ls_format("%s, %s", run_name, name) : ls_strdup(run_name);
    double *mean = plot->options->smooth > 1 ? smoothed(y, run->rows, plot->options->smooth) : NULL;
    plot->name[plot->curves] = label;
    plot->smooth[plot->curves] = mean;
    plot->curve[plot->curves] =
        (LsCurve){.name = label, .points = run->rows, .x = x, .y = mean ? mean : y, .colour = plot->curves};
    plot->curves++;
    return label && (mean || plot->options->smooth <= 1) ? LS_OK : LS_RESOURCE;
}

/* Reads the next run. A column's name in the place of one is what follows a blank instead of a comma. */
static LsStatus read_run(Plot *plot, const char *path)
{
    LsStatus status = ls_run_record_read(path, &plot->run[plot->runs]);
    if (status == LS_OK || ls_file_exists(path))
        return status;
    for (int i = 0; i < plot->runs; i++)
        if (ls_run_record_column(&plot->run[i], path))
            return ls_fail(LS_USAGE,
                           "plot: there is no run %s; several columns are separated by commas: --metric %s,%s", path,
                           plot->options->metric, path);
    return status;
}

/* The parts of a text between commas. */
static int count_parts(const char *text)
{
    int parts = 1;
    for (; (text = strchr(text, ',')); text++)
        parts++;
    return parts;
}

static LsStatus name_runs(Plot *plot, int runs)
{
    const char *given = plot->options->names;
    if (!given)
        return LS_OK;
    if (count_parts(given) != runs)
        return ls_fail(LS_USAGE, "plot: --names has %d name%s for %d run%s", count_parts(given),
                       count_parts(given) == 1 ? "" : "s", runs, runs == 1 ? "" : "s");
    char *rest = plot->names = ls_strdup(given);
    plot->run_name = ls_alloc_array(runs, sizeof *plot->run_name);
    for (int i = 0; plot->names && plot->run_name && i < runs; i++)
        plot->run_name[i] = strsep(&rest, ",");
    return plot->names && plot->run_name ? LS_OK : LS_RESOURCE;
}

static LsStatus gather(Plot *plot, const LsCall *call)
{
    int names = count_parts(plot->options->metric);
    LS_TRY(name_runs(plot, call->operands));
    plot->metrics = ls_strdup(plot->options->metric);
    plot->run = ls_alloc_array(call->operands, sizeof *plot->run);
    plot->curve = ls_alloc_array((int64_t)call->operands * names, sizeof *plot->curve);
    plot->name = ls_alloc_array((int64_t)call->operands * names, sizeof *plot->name);
    plot->smooth = ls_alloc_array((int64_t)call->operands * names, sizeof *plot->smooth);
    if (!plot->metrics || !plot->run || !plot->curve || !plot->name || !plot->smooth)
        return LS_RESOURCE;
    for (; plot->runs < call->operands; plot->runs++)
        LS_TRY(read_run(plot, call->operand[plot->runs]));
    LS_TRY(ls_run_records_drawn(plot->runs, plot->run, &plot->drawn));
    char *rest = plot->metrics;
    for (const char *name; (name = strsep(&rest, ","));)
        for (int i = 0; i < plot->runs; i++)
            if (plot->run[i].rows > 0)
                LS_TRY(add_curve(plot, i, name, names > 1));
    return LS_OK;
}

static LsStatus write_png(const char *path, const char *svg)
{
    char *bytes = NULL;
    size_t count = 0;
    FILE *out = open_memstream(&bytes, &count);
    if (!out)
        return ls_fail(LS_RESOURCE, "out of memory for a picture");
    LsStatus status = ls_svg_png(svg, PNG_SCALE, out);
    if (fclose(out) != 0 && status == LS_OK)
        status = ls_fail(LS_RESOURCE, "out of memory for a picture");
    if (status == LS_OK)
        status = ls_file_replace(path, bytes, (int64_t)count);
    free(bytes);
    return status;
}

/* "loss,validation_loss" with blanks behind the commas, as a label; NULL: out of memory. */
static char *label_of(const char *metrics)
{
    char *label = ls_alloc_array(2 * (int64_t)strlen(metrics) + 1, 1), *to = label;
    for (const char *at = metrics; label && *at; at++) {
        *to++ = *at;
        if (*at == ',')
            *to++ = ' ';
    }
    if (label)
        *to = '\0';
    return label;
}

static LsStatus write_chart(const Plot *plot)
{
    const Options *o = plot->options;
    char *text = NULL, *label = label_of(o->metric);
    size_t bytes = 0;
    FILE *out = label ? open_memstream(&text, &bytes) : NULL;
    if (!out) {
        ls_free(label);
        return ls_fail(LS_RESOURCE, "out of memory for a chart");
    }
    LsStatus status = ls_chart_write(out, &(LsChart){.title = o->title,
                                                     .x_label = o->against,
                                                     .y_label = label,
                                                     .curves = plot->curves,
                                                     .curve = plot->curve,
                                                     .logarithmic = o->logarithmic,
                                                     .width = (int)o->width,
                                                     .height = (int)o->height});
    if (fclose(out) != 0 && status == LS_OK)
        status = ls_fail(LS_RESOURCE, "out of memory for a chart");
    if (status == LS_OK)
        status = plot->png ? write_png(o->output, text) : ls_file_replace(o->output, text, (int64_t)bytes);
    free(text);
    ls_free(label);
    return status;
}

static void release(Plot *plot, int operands)
{
    for (int i = 0; plot->run && i < operands; i++)
        ls_run_record_free(&plot->run[i]);
    for (int i = 0; i < plot->curves; i++) {
        ls_free(plot->name[i]);
        ls_free(plot->smooth[i]);
    }
    ls_free(plot->metrics);
    ls_free(plot->names);
    ls_free(plot->run_name);
    ls_free(plot->run);
    ls_free(plot->curve);
    ls_free(plot->name);
    ls_free(plot->smooth);
}

static LsStatus run(LsCall *call)
{
    Plot plot = {.options = call->options};
    const char *output = plot.options->output;
    size_t length = strlen(output);
    const char *ending = length > 4 ? output + length - 4 : "";
    plot.png = strcmp(ending, ".png") == 0;
    if (!plot.png && strcmp(ending, ".svg") != 0)
        return ls_fail(LS_USAGE, "%s: plots are SVG or PNG: name it FILE.svg or FILE.png", output);
    LsStatus status = gather(&plot, call);
    if (status == LS_OK)
        status = write_chart(&plot);
    if (status == LS_OK)
        printf("%s: %d curve%s of %d run%s\n", output, plot.curves, plot.curves == 1 ? "" : "s", plot.drawn,
               plot.drawn == 1 ? "" : "s");
    release(&plot, call->operands);
    return status;
}

const LsCommand ls_command_plot = {
    .name = "plot",
    .summary = "draws metrics of runs as a picture",
    .operands = "RUN... -o FILE.svg|.png",
    .least = 1,
    .most = -1,
    .description = "Reads RUN/metrics.jsonl, beside a running training too. A PNG has two pixels for each of SVG.",
    .example = "lockstep plot runs/shakespeare-gpt runs/shakespeare-mamba -o loss.svg --metric loss,validation_loss",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
