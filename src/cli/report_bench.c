#include "cli/report_page.h"

#include "plot/svg.h"

#include <jansson.h>

/* A number of an object; nothing where it has none. */
static void number_cell(FILE *out, const json_t *object, const char *key, double factor, const char *unit)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        fprintf(out, "<td class=\"n\">%.4g%s</td>", factor * json_number_value(value), unit);
    else
        fputs("<td></td>", out);
}

static void write_row(FILE *out, const json_t *op)
{
    const char *name = json_string_value(json_object_get(op, "name"));
    fputs("<tr><td>", out);
    ls_xml_text(out, name ? name : "?");
    fputs("</td>", out);
    number_cell(out, op, "calls", 1, "");
    number_cell(out, op, "seconds", 1e3, "");
    number_cell(out, op, "share", 100, " %");
    number_cell(out, op, "gflops", 1, "");
    number_cell(out, op, "gbytes", 1, "");
    number_cell(out, json_object_get(op, "forward"), "roofline_share", 100, " %");
    number_cell(out, json_object_get(op, "backward"), "roofline_share", 100, " %");
    fputs("</tr>\n", out);
}

static void write_bench(FILE *out, const LsRunRecord *run)
{
    const json_t *bench = run->bench, *op;
    size_t i;
    fputs("<h3>", out);
    ls_xml_text(out, run->path);
    fputs("</h3>\n<div class=\"wide\"><table><tr><th class=\"n\">median step, ms</th><th class=\"n\">GFLOP/s</th>"
          "<th class=\"n\">share of peak</th><th class=\"n\">memory, MiB</th><th class=\"n\">ranks</th>"
          "<th class=\"n\">threads</th></tr>\n<tr>",
          out);
    number_cell(out, bench, "step_seconds_median", 1e3, "");
    number_cell(out, bench, "gflops", 1, "");
    number_cell(out, bench, "share_of_peak", 100, " %");
    number_cell(out, bench, "memory_bytes", 1.0 / 1048576, "");
    number_cell(out, bench, "ranks", 1, "");
    number_cell(out, bench, "threads", 1, "");
    fputs("</tr></table>\n<table><tr><th>op</th><th class=\"n\">calls</th><th class=\"n\">ms</th>"
          "<th class=\"n\">of the step</th><th class=\"n\">GFLOP/s</th><th class=\"n\">GB/s</th>"
          "<th class=\"n\">of the roofline, forward</th><th class=\"n\">backward</th></tr>\n",
          out);
    json_array_foreach(json_object_get(bench, "ops"), i, op) write_row(out, op);
    fputs("</table></div>\n", out);
}

void ls_report_benches(FILE *out, int runs, const LsRunRecord *run)
{
    bool any = false;
    for (int i = 0; i < runs; i++) {
        if (!run[i].bench)
            continue;
        fputs(any ? "" : "<h2>A step, op by op</h2>\n", out);
        any = true;
        write_bench(out, &run[i]);
    }
}
