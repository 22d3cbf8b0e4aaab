#include "train/metrics_row.h"

#include "config/number.h"

#include <math.h>
#include <stdio.h>

static void put(LsMetricsRow *row, const char *name, double value, bool whole)
{
    if (!isfinite(value) || row->count == LS_MAX_ROW)
        return; /* JSON has no such numbers; a field that is missing is unknown */
    struct LsMetricsField *field = &row->field[row->count++];
    snprintf(field->name, sizeof field->name, "%s", name);
    field->value = value;
    field->whole = whole;
}

void ls_metrics_row(const LsMetrics *m, LsMetricsRow *row)
{
    char name[64];
    row->count = 0;
    put(row, "step", (double)m->step, true);
    put(row, "loss", m->loss, false);
    for (int i = 0; ls_procedure_phases(m->procedure) > 1 && i < ls_procedure_phases(m->procedure); i++) {
        snprintf(name, sizeof name, "%s_loss", m->procedure->phases[i].name);
        put(row, name, m->phase_loss[i], false);
        snprintf(name, sizeof name, "%s_grad_norm", m->procedure->phases[i].name);
        put(row, name, m->phase_norm[i], false);
    }
    put(row, "validation_loss", m->validation_loss, false);
    for (int i = 0; isfinite(m->validation_loss) && i < ls_task_metrics(m->task); i++) {
        snprintf(name, sizeof name, "validation_%s", m->task->metrics[i].name);
        if (m->task->metrics[i].sums > 0) /* others follow from the loss */
            put(row, name, m->validation_metric[i], false);
    }
    put(row, "learning_rate", m->learning_rate, false);
    put(row, "grad_norm", m->grad_norm, false);
    if (m->skipped >= 0)
        put(row, "skipped", (double)m->skipped, true);
    snprintf(name, sizeof name, "%ss", m->task->item);
    put(row, name, (double)m->tokens, true);
    snprintf(name, sizeof name, "%ss_per_second", m->task->item);
    put(row, name, m->tokens_per_second, false);
    put(row, "seconds", m->seconds, false);
    put(row, "share_of_peak", m->share_of_peak, false);
    put(row, "communication_seconds", m->communication_seconds, false);
    put(row, "communication_hidden", m->communication_hidden, false);
}

int ls_metrics_row_json(const LsMetricsRow *row, char text[LS_ROW_TEXT])
{
    int used = 0;
    for (int i = 0; i < row->count; i++) {
        char number[32];
        if (row->field[i].whole)
            snprintf(number, sizeof number, "%lld", (long long)row->field[i].value);
        else
            ls_number_text(row->field[i].value, number);
        used += snprintf(text + used, (size_t)(LS_ROW_TEXT - used), "%s\"%s\": %s", i == 0 ? "{" : ", ",
                         row->field[i].name, number);
    }
    return used + snprintf(text + used, (size_t)(LS_ROW_TEXT - used), "}\n");
}
