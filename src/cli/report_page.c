#include "cli/report_page.h"

#include "cli/diff_settings.h"
#include "plot/chart.h"
#include "plot/svg.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}\n"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{text-align:left;padding:.15rem .8rem .15rem 0;"
    "border-bottom:1px solid #eee;vertical-align:top}td.n,th.n{text-align:right}\n"
    "svg{max-width:100%;height:auto;display:block;margin:1rem 0}.wide{overflow-x:auto}\n"
    ".key{display:inline-block;width:.8em;height:.8em;margin-right:.4em}details{margin:.4rem 0}\n"
    "pre{white-space:pre-wrap;background:#f6f6f6;padding:.5rem .8rem;margin:.4rem 0}\n";

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

static void cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    ls_xml_text(out, text ? text : "");
    fputs("</td>", out);
}

static void number_cell(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, "<td class=\"n\">%.6g</td>", value);
    else
        fputs("<td></td>", out);
}

static void name_cell(FILE *out, const LsRunRecord *run, int index)
{
    fprintf(out, "<td><span class=\"key\" style=\"background:%s\"></span>", ls_svg_colour(index));
    ls_xml_text(out, run->path);
    fputs("</td>", out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The middle one of the finite numbers; NAN where there are none. */
static double median(const LsRunRecord *run, const double *column)
{
    double *sorted = column ? ls_alloc_array(run->rows, sizeof *sorted) : NULL, middle = NAN;
    int64_t count = 0;
    for (int64_t i = 0; sorted && i < run->rows; i++)
        if (isfinite(column[i]))
            sorted[count++] = column[i];
    if (count) {
        qsort(sorted, (size_t)count, sizeof *sorted, by_value);
        middle = sorted[count / 2];
    }
    ls_free(sorted);
    return middle;
}

static double least(const LsRunRecord *run, const double *column)
{
    double value = NAN;
    for (int64_t i = 0; column && i < run->rows; i++)
        value = isfinite(column[i]) && !(value <= column[i]) ? column[i] : value;
    return value;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), wanted = strlen(ending);
    return length > wanted && strcmp(name + length - wanted, ending) == 0;
}

/* Writes the run's speed, from its column tokens_per_second or samples_per_second. */
static void write_speed(FILE *out, const LsRunRecord *run)
{
    static const char ending[] = "_per_second";
    for (int i = 0; i < run->columns; i++) {
        const char *name = run->column[i].name;
        double middle = ends_with(name, ending) ? median(run, run->column[i].value) : NAN;
        if (!isfinite(middle))
            continue;
        fprintf(out, "<td class=\"n\">%.*f %.*s/s</td>", middle < 100 ? 2 : 0, middle,
                (int)(strlen(name) - strlen(ending)), name);
        return;
    }
    fputs("<td></td>", out);
}

static void write_runs(FILE *out, int runs, const LsRunRecord *run)
{
    fputs("<h2>Runs</h2>\n<div class=\"wide\"><table><tr><th>run</th><th>model</th><th>data</th><th>status</th>"
          "<th class=\"n\">steps</th><th class=\"n\">loss</th><th class=\"n\">least validation loss</th>"
          "<th class=\"n\">median speed</th><th class=\"n\">seconds</th><th>memory of a rank</th></tr>\n",
          out);
    for (int i = 0; i < runs; i++) {
        const LsRunRecord *r = &run[i];
        fputs("<tr>", out);
        name_cell(out, r, i);
        cell(out, ls_run_record_setting(r, "model", "kind"));
        cell(out, ls_run_record_setting(r, "data", "path"));
        cell(out, r->status);
        number_cell(out, ls_record_last(r, ls_run_record_column(r, "step")));
        number_cell(out, ls_record_last(r, ls_run_record_column(r, "loss")));
        number_cell(out, least(r, ls_run_record_column(r, "validation_loss")));
        write_speed(out, r);
        number_cell(out, ls_record_last(r, ls_run_record_column(r, "seconds")));
        cell(out, r->memory);
        fputs("</tr>\n", out);
        if (r->unread > 0)
            ls_warn("%s/metrics.jsonl: %lld lines are no rows; they are left out", r->path, (long long)r->unread);
    }
    fputs("</table></div>\n<p>Validation losses are of train.evaluate_batches batches; lockstep eval takes the whole "
          "part.</p>\n",
          out);
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* One row where the runs do not all have the same value. The first run that has the setting writes it. */
static int write_difference(FILE *out, int runs, const LsRunRecord *run, int first, const LsYamlEntry *entry)
{
    bool differs = false;
    for (int i = 0; i < first; i++)
        for (int j = 0; j < run[i].settings.count; j++)
            if (strcmp(run[i].settings.list[j].section, entry->section) == 0 &&
                strcmp(run[i].settings.list[j].key, entry->key) == 0)
                return 0;
    for (int i = 0; i < runs; i++)
        differs = differs || !same_text(entry->value, ls_run_record_setting(&run[i], entry->section, entry->key));
    if (!differs || !ls_diff_is_compared(entry))
        return 0;
    fputs("<tr><td>", out);
    ls_xml_text(out, entry->section);
    fputc('.', out);
    ls_xml_text(out, entry->key);
    fputs("</td>", out);
    for (int i = 0; i < runs; i++)
        cell(out, ls_run_record_setting(&run[i], entry->section, entry->key));
    fputs("</tr>\n", out);
    return 1;
}

static void write_differences(FILE *out, int runs, const LsRunRecord *run)
{
    int rows = 0;
    fputs("<h2>Settings that differ</h2>\n<div class=\"wide\"><table><tr><th>setting</th>", out);
    for (int i = 0; i < runs; i++)
        name_cell(out, &run[i], i);
    fputs("</tr>\n", out);
    for (int i = 0; i < runs; i++)
        for (int j = 0; j < run[i].settings.count; j++)
            if (run[i].settings.list[j].key[0])
                rows += write_difference(out, runs, run, i, &run[i].settings.list[j]);
    fputs("</table></div>\n", out);
    if (rows == 0)
        fputs("<p>None.</p>\n", out);
}

static void write_settings(FILE *out, const LsRunRecord *run)
{
    fputs("<details><summary>", out);
    ls_xml_text(out, run->path);
    fputs("</summary>\n<table>\n", out);
    for (int j = 0; j < run->settings.count; j++) {
        const LsYamlEntry *entry = &run->settings.list[j];
        if (!entry->key[0])
            continue;
        fputs("<tr><td>", out);
        ls_xml_text(out, entry->section);
        fputc('.', out);
        ls_xml_text(out, entry->key);
        fputs("</td>", out);
        cell(out, entry->value);
        fputs("</tr>\n", out);
    }
    fputs("</table></details>\n", out);
}

/* ---- Charts ------------------------------------------------------------------------------------------------------ */

/* Columns that count, and so are axes rather than curves. */
static bool is_axis(const char *name)
{
    static const char *const axes[] = {"step", "samples", "tokens", "seconds", "communication_seconds"};
    for (size_t i = 0; i < LS_COUNT_OF(axes); i++)
        if (strcmp(name, axes[i]) == 0)
            return true;
    return false;
}

/* A chart of a column of all runs that have it; none where no row has a number. */
static LsStatus write_chart(FILE *out, int runs, const LsRunRecord *run, const char *name, const char *against)
{
    LsCurve *curve = ls_alloc_array(runs, sizeof *curve);
    if (!curve)
        return LS_RESOURCE;
    LsChart chart = {.x_label = against, .y_label = name, .curve = curve, .width = 880, .height = 340};
    bool any = false;
    for (int i = 0; i < runs; i++) {
        const double *x = ls_run_record_column(&run[i], against), *y = ls_run_record_column(&run[i], name);
        if (!x || !y)
            continue;
        curve[chart.curves++] =
            (LsCurve){.name = runs > 1 ? run[i].path : NULL, .points = run[i].rows, .x = x, .y = y, .colour = i};
        any = any || isfinite(ls_record_last(&run[i], y));
    }
    LsStatus status = any ? ls_chart_write(out, &chart) : LS_OK;
    ls_free(curve);
    return status;
}

static LsStatus write_charts(FILE *out, int runs, const LsRunRecord *run)
{
    fputs("<h2>Curves</h2>\n", out);
    LS_TRY(write_chart(out, runs, run, "loss", "step"));
    LS_TRY(write_chart(out, runs, run, "validation_loss", "step"));
    LS_TRY(write_chart(out, runs, run, "loss", "seconds"));
    for (int i = 0; i < runs; i++)
        for (int j = 0; j < run[i].columns; j++) {
            const char *name = run[i].column[j].name;
            bool drawn = is_axis(name) || strcmp(name, "loss") == 0 || strcmp(name, "validation_loss") == 0;
            for (int earlier = 0; earlier < i && !drawn; earlier++)
                drawn = ls_run_record_column(&run[earlier], name) != NULL;
            if (!drawn)
                LS_TRY(write_chart(out, runs, run, name, "step"));
        }
    return LS_OK;
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* The newest one open, earlier ones behind a click. */
static void write_samples(FILE *out, int runs, const LsRunRecord *run)
{
    bool any = false;
    for (int i = 0; i < runs; i++)
        for (size_t count = json_array_size(run[i].samples), j = count; j-- > 0;) {
            const json_t *sampled = json_array_get(run[i].samples, j), *text;
            size_t k;
            fputs(any ? "" : "<h2>Samples</h2>\n", out);
            any = true;
            fprintf(out, "<details%s><summary>", j + 1 == count ? " open" : "");
            ls_xml_text(out, run[i].path);
            fprintf(out, ", step %lld</summary>\n", (long long)json_integer_value(json_object_get(sampled, "step")));
            json_array_foreach(json_object_get(sampled, "samples"), k, text)
            {
                fputs("<pre>", out);
                ls_xml_text(out, json_string_value(text) ? json_string_value(text) : "");
                fputs("</pre>\n", out);
            }
            fputs("</details>\n", out);
        }
}

LsStatus ls_report_page(FILE *out, const char *title, int runs, const LsRunRecord *run)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
          out);
    ls_xml_text(out, title);
    fprintf(out, "</title>\n<style>\n%s</style></head>\n<body>\n<h1>", style);
    ls_xml_text(out, title);
    fputs("</h1>\n", out);
    write_runs(out, runs, run);
    if (runs > 1)
        write_differences(out, runs, run);
    LS_TRY(write_charts(out, runs, run));
    write_samples(out, runs, run);
    ls_report_benches(out, runs, run);
    fputs("<h2>All settings</h2>\n", out);
    for (int i = 0; i < runs; i++)
        write_settings(out, &run[i]);
    fputs("</body></html>\n", out);
    return LS_OK;
}
