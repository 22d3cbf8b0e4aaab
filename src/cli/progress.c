#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_SECONDS 0.1
#define LINE_SECONDS 5.0

LsStatus ls_progress_mode(const char *name, LsProgressMode *mode)
{
    static const char *const names[] = {"auto", "bar", "lines", "none"};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *mode = (LsProgressMode)i;
            return LS_OK;
        }
    return ls_fail(LS_USAGE, "--progress %s: one of auto, bar, lines, none is asked for", name);
}

void ls_progress_begin(LsProgressBar *bar, LsProgressMode mode, int64_t first_step, int64_t steps)
{
    const char *no_color = getenv("NO_COLOR");
    if (mode == LS_PROGRESS_AUTO)
        mode = isatty(STDERR_FILENO) ? LS_PROGRESS_BAR : LS_PROGRESS_LINES;
    *bar = (LsProgressBar){
        .mode = mode, .color = !(no_color && no_color[0]), .first = first_step, .steps = steps, .start = ls_seconds()};
}

const char *ls_duration_text(double seconds, char text[32])
{
    if (!(seconds >= 0) || seconds > 1e9) {
        snprintf(text, 32, "-");
        return text;
    }
    int64_t s = (int64_t)(seconds + 0.5), days = s / 86400;
    int used = days > 0 ? snprintf(text, 32, "%lld d ", (long long)days) : 0;
    snprintf(text + used, 32 - (size_t)used, "%lld:%02lld:%02lld", (long long)(s / 3600 % 24), (long long)(s / 60 % 60),
             (long long)(s % 60));
    return text;
}

const char *ls_count_text(double count, char text[32])
{
    static const char units[] = " kMGT";
    int unit = 0;
    for (; count >= 999.5 && unit < 4; unit++)
        count /= 1000;
    if (unit == 0)
        snprintf(text, 32, "%.0f", count);
    else
        snprintf(text, 32, "%.*f%c", count < 10 ? 2 : count < 100 ? 1 : 0, count, units[unit]);
    return text;
}

/* The figures that the progress bar and the progress lines both show. */
static void describe(const LsProgressBar *bar, const LsMetrics *m, char *text, size_t room)
{
    char speed[32], elapsed[32], rest[32], peak[32] = "";
    double spent = ls_seconds() - bar->start;
    int64_t done = m->step - bar->first;
    double left = done > 0 ? spent / (double)done * (double)(bar->steps - m->step) : NAN;
    if (isfinite(m->share_of_peak))
        snprintf(peak, sizeof peak, "  %.0f%% of peak", 100 * m->share_of_peak);
    snprintf(text, room, "loss %.4f  lr %.2e  |g| %.3f  %s %ss/s%s  %s, %s left", m->loss, m->learning_rate,
             m->grad_norm, ls_count_text(m->tokens_per_second, speed), m->task->item, peak,
             ls_duration_text(spent, elapsed), ls_duration_text(left, rest));
}

static void draw(LsProgressBar *bar, const LsMetrics *m)
{
    char text[256], cells[96] = "";
    struct winsize size;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    describe(bar, m, text, sizeof text);
    char steps[64];
    int head = snprintf(steps, sizeof steps, "%lld/%lld", (long long)m->step, (long long)bar->steps);
    int width = columns - 1 - head - 4 - (int)strlen(text); /* what is left for the cells */
    width = width > 30 ? 30 : width;
    if (width >= 5) {
        int full = (int)((double)width * (double)m->step / (double)bar->steps);
        size_t used = 0;
        for (int i = 0; i < width && used + 4 < sizeof cells; i++)
            used += (size_t)snprintf(cells + used, sizeof cells - used, "%s", i < full ? "━" : "─");
    }
    int room = columns - 1 - head - 2 - (width >= 5 ? width + 2 : 0);
    const char *color = bar->color ? "\033[36m" : "", *plain = bar->color ? "\033[0m" : "";
    fprintf(stderr, "\r\033[K%s  %s%s%s%s%.*s", steps, color, cells, plain, cells[0] ? "  " : "", room > 0 ? room : 0,
            text);
    fflush(stderr);
    bar->drawn = true;
}

void ls_progress_step(LsProgressBar *bar, const LsMetrics *m)
{
    double now = ls_seconds();
    bool last = m->step == bar->steps;
    if (bar->mode == LS_PROGRESS_BAR && (last || now - bar->last >= BAR_SECONDS)) {
        draw(bar, m);
        bar->last = now;
    } else if (bar->mode == LS_PROGRESS_LINES && (last || bar->last == 0 || now - bar->last >= LINE_SECONDS)) {
        char text[256];
        describe(bar, m, text, sizeof text);
        ls_log("step %lld/%lld  %s", (long long)m->step, (long long)bar->steps, text);
        bar->last = now;
    }
}

void ls_progress_evaluated(LsProgressBar *bar, const LsMetrics *m)
{
    if (bar->mode == LS_PROGRESS_NONE)
        return;
    ls_progress_clear(bar);
    char metrics[256] = "";
    size_t used = 0;
    for (int i = 0; i < ls_task_metrics(m->task) && used < sizeof metrics; i++)
        if (m->task->metrics[i].add && isfinite(m->validation_metric[i])) /* others follow from the loss */
            used += (size_t)snprintf(metrics + used, sizeof metrics - used, "  %s %.4f", m->task->metrics[i].name,
                                     m->validation_metric[i]);
    ls_log("step %lld/%lld  loss %.4f  validation loss %.4f%s", (long long)m->step, (long long)bar->steps, m->loss,
           m->validation_loss, metrics);
}

void ls_progress_clear(LsProgressBar *bar)
{
    if (!bar->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    bar->drawn = false;
}

void ls_progress_end(LsProgressBar *bar)
{
    if (!bar->drawn)
        return;
    fputc('\n', stderr);
    bar->drawn = false;
}
