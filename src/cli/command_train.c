/* lockstep train: from a job file to a run folder. */
#include "cli/cli.h"
#include "cli/dry_run.h"
#include "cli/explain.h"
#include "cli/metrics_csv.h"
#include "cli/progress.h"
#include "cli/resume.h"
#include "cli/run_folder.h"
#include "cli/run_record.h"
#include "cli/samples.h"
#include "cli/signals.h"
#include "cli/trace_file.h"
#include "data/data.h"
#include "io/file.h"
#include "train/init.h"
#include "train/resume.h"

#include <math.h>
#include <string.h>

typedef struct Options {
    char *resume, *progress, *trace;
    bool dry_run, explain, json;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_STRING(
         Options, resume, "auto",
         "auto: go on from the newest checkpoint of output.path where there is one; never: start anew, in an empty "
         "folder only; or a checkpoint to go on from"),
     .argument = "auto|never|FILE"},
    {.setting = LS_SETTING_CHOICE(Options, progress, "auto", "auto|bar|lines|none",
                                  "auto: a bar on a terminal, lines elsewhere"),
     .argument = "MODE"},
    {.setting = LS_SETTING_STRING(Options, trace, NULL, LS_TRACE_HELP), .argument = "FILE"},
    {.setting = LS_SETTING_BOOL(Options, dry_run, "false",
                                "print parameters, memory, disk and an estimate of the time; train nothing")},
    {.setting =
         LS_SETTING_BOOL(Options, explain, "false",
                         "print every setting, its value, and where it is from: the job file's line, the command "
                         "line, train.init or the default; train nothing")},
    {.setting = LS_SETTING_BOOL(Options, json, "false", "--dry-run and --explain print JSON")},
    {{0}}};

/* Everything of one run. folder, bar, text and tokenizer are rank 0's. */
typedef struct Run {
    const Options *options;
    const LsComm *comm;
    LsConfig *config;
    LsSource *training, *validation;
    LsTrainer *trainer;
    LsRunFolder folder;
    LsProgressBar bar;
    LsProgressMode mode;
    LsSamples samples; /* of text */
    char *text, *tokenizer;
    char *resumed;        /* checkpoint this run goes on from, or NULL */
    int64_t resumed_step; /* -1: none */
    bool accepted;        /* the folder is this run's: its log may be written */
    bool nothing_to_do;   /* all steps are done: what the folder says of its training stays as it is */
} Run;

/* ---- Hooks of the loop ------------------------------------------------------------------------------------------- */

static LsStatus on_save(void *self, const LsTrainer *t)
{
    Run *run = self;
    LsSaved saved[LS_MAX_SAVED];
    int count = ls_trainer_saved(t, saved);
    char *path = ls_checkpoint_path(run->folder.path, t->progress.step);
    if (!path)
        return LS_RESOURCE;
    LsStatus status = ls_run_folder_check(&run->folder);
    if (status == LS_OK)
        status = ls_run_folder_sync(&run->folder); /* a checkpoint never knows of rows that are not on the disk */
    if (status == LS_OK)
        status = ls_checkpoint_save(path, t->params, count, saved, &t->progress,
                                    &(LsSavedTexts){run->text, run->tokenizer, ls_trainer_info(t)});
    if (status == LS_OK)
        status =
            ls_checkpoint_prune(run->folder.path, run->config->output.keep, t->progress.best_step, run->resumed_step);
    if (status == LS_OK && run->config->output.csv)
        status = ls_metrics_csv(run->folder.path);
    ls_free(path);
    return status;
}

static bool on_stop(void *self)
{
    (void)self;
    return ls_signals_stop_requested();
}

static LsStatus on_row(void *self, const LsMetrics *metrics)
{
    Run *run = self;
    if (isfinite(metrics->validation_loss))
        ls_progress_evaluated(&run->bar, metrics);
    LS_TRY(ls_run_folder_check(&run->folder));
    return ls_run_folder_row(&run->folder, metrics);
}

static void on_step(void *self, const LsMetrics *metrics)
{
    Run *run = self;
    ls_progress_step(&run->bar, metrics);
}

static LsStatus on_write(void *self, const char *name, const void *bytes, int64_t count)
{
    Run *run = self;
    LS_TRY(ls_run_folder_check(&run->folder));
    return ls_run_folder_file(&run->folder, name, bytes, count);
}

static LsStatus on_sample(void *self, LsTrainer *t, const char **json)
{
    Run *run = self;
    LS_TRY(ls_samples_draw(&run->samples, t->params, run->config->train.sample_tokens, json));
    ls_progress_clear(&run->bar);
    ls_log("samples after step %lld: %s", (long long)t->progress.step, *json);
    return LS_OK;
}

/* ---- Preparations, one after the other ----------------------------------------------------- */

static LsStatus read_config(Run *run, const LsCall *call)
{
    LS_TRY(ls_dist_agree(run->comm, ls_progress_mode(run->options->progress, &run->mode)));
    LS_TRY(ls_train_config_load(call->operand[0], call->operands - 1, call->operand + 1, run->options->resume,
                                run->comm, &run->config));
    ls_schedule_warn(&run->config->train);
    ls_warn_unused(run->config);
    LsTrainPlan plan; /* a batch that cannot be divided is told before data is read */
    return ls_dist_agree(run->comm, ls_train_shapes(run->config, run->comm->size, &plan));
}

static LsStatus check_disk(const Run *run)
{
    char need[32], have[32];
    int64_t bytes = ls_dry_run_checkpoint_bytes(&run->trainer->plan), left = ls_free_bytes(run->folder.path);
    int64_t files = ls_dry_run_checkpoints(run->config);
    if (left >= 0 && left < bytes + bytes / 20)
        return ls_fail(LS_RESOURCE,
                       "%s: a checkpoint takes %s, but only %s are free: make room or set another output.path",
                       run->folder.path, ls_bytes_text(bytes, need), ls_bytes_text(left, have));
    if (left >= 0 && left < bytes * files)
        ls_warn("%s: up to %lld checkpoints take %s, and %s are free; a smaller output.keep takes less",
                run->folder.path, (long long)files, ls_bytes_text(bytes * files, need), ls_bytes_text(left, have));
    return LS_OK;
}

static LsStatus open_log(const Run *run)
{
    char *log = ls_format("%s/log.txt", run->folder.path);
    if (!log)
        return LS_RESOURCE;
    LsStatus status = ls_log_open(log);
    ls_free(log);
    return status;
}

static LsStatus load(Run *run, LsCheckpoint *checkpoint)
{
    LsTrainer *t = run->trainer;
    LsSaved saved[LS_MAX_SAVED];
    int count = ls_trainer_saved(t, saved);
    LS_TRY(ls_checkpoint_read(checkpoint, t->params, count, saved));
    LS_TRY(ls_trainer_join_info(t, checkpoint->info));
    t->progress = checkpoint->progress;
    run->resumed_step = t->progress.step;
    if (t->progress.step == 0) /* an imported model: its training begins here */
        t->progress.seed = (uint64_t)run->config->train.seed;
    run->resumed = ls_strdup(checkpoint->path);
    return run->resumed ? LS_OK : LS_RESOURCE;
}

/* A status `running` in a folder whose lock was free: whoever trained here ended without a word. */
static void tell_interrupted(const Run *run)
{
    char word[LS_STATUS_WORD];
    if (strcmp(ls_run_folder_read_status(run->folder.path, word), "running") == 0)
        ls_warn("%s: the last training here ended without a word (killed, or its machine lost): its status still says "
                "'running'",
                run->folder.path);
}

/* Starts the run folder's files: metrics, settings, events, status. */
static LsStatus begin_writing(Run *run)
{
    LsTrainer *t = run->trainer;
    LS_TRY(ls_checkpoint_begin(run->folder.path, t->progress.step));
    LS_TRY(ls_run_folder_metrics(&run->folder, t->progress.step, t->progress.metrics_rows));
    LS_TRY(ls_run_folder_config(&run->folder, run->text));
    if (run->config->output.tensorboard && !(run->folder.events = ls_event_file_open(run->folder.path)))
        return ls_message_status();
    return ls_run_folder_status(&run->folder, "running");
}

/* Takes the run folder over and loads the checkpoint to go on from. Rank 0 alone. */
static LsStatus open_folder(Run *run)
{
    LsTrainer *t = run->trainer;
    LS_TRY(ls_run_folder_open(&run->folder, run->config->output.path));
    LS_TRY(ls_train_base(t, run->config, run->training));
    run->text = ls_resume_text(run->config);
    if (!run->text)
        return LS_RESOURCE;
    LsCheckpoint *checkpoint = NULL;
    LS_TRY(ls_resume_choose(&run->folder, run->options->resume, run->config, run->text, run->training, &checkpoint));
    LsStatus status = check_disk(run);
    if (status == LS_OK)
        status = checkpoint ? load(run, checkpoint) : ls_train_init(t, run->training);
    ls_checkpoint_close(checkpoint);
    LS_TRY(status);
    LS_TRY(open_log(run));
    run->accepted = true;
    tell_interrupted(run);
    run->nothing_to_do = t->progress.step >= run->config->train.steps;
    if (!run->nothing_to_do)
        LS_TRY(begin_writing(run));
    if (run->training->tokenizer && !(run->tokenizer = ls_tokenizer_to_json(run->training->tokenizer)))
        return LS_RESOURCE;
    return LS_OK;
}

/* A prompt that the model cannot go on from is told before anything is written. */
static LsStatus open_for_writing(Run *run)
{
    const char *json = NULL;
    LS_TRY(ls_samples_draw(&run->samples, run->trainer->params, 1, &json));
    return open_folder(run);
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

static void announce(const Run *run)
{
    const LsTrainer *t = run->trainer;
    char parameters[96], memory[32], batch[64];
    ls_log("%s of %s; %d rank%s with %d thread%s; %s a step; %s a rank", run->config->model->name,
           ls_parameters_text(&t->plan, parameters), run->comm->size, run->comm->size == 1 ? "" : "s", ls_threads(),
           ls_threads() == 1 ? "" : "s", ls_batch_text(run->config, &t->plan, batch),
           ls_bytes_text(t->plan.total_bytes, memory));
    if (t->config->train.segment == 0 && t->plan.segments > 1)
        ls_log("to keep to the memory there is, sequences are computed in %lld segments; train.segment=%lld makes it "
               "the same elsewhere",
               (long long)t->plan.segments, (long long)t->plan.segment);
    if (t->plan.recomputed.nodes > 0)
        ls_log("to keep to the memory there is, backward makes %d results again: about %.0f %% of forward's time",
               t->plan.recomputed.nodes, 100 * t->plan.recomputed.share);
    if (run->resumed)
        ls_log("going on from %s after step %lld", run->resumed, (long long)t->progress.step);
    if (t->progress.step >= run->config->train.steps)
        ls_log("nothing to do: %lld of train.steps=%lld steps are done", (long long)t->progress.step,
               (long long)run->config->train.steps);
}

static LsStatus train(Run *run)
{
    LsTrainer *t = run->trainer;
    if (run->comm->rank == 0)
        announce(run);
    ls_progress_begin(&run->bar, run->comm->rank == 0 ? run->mode : LS_PROGRESS_NONE, t->progress.step,
                      run->config->train.steps);
    t->hooks = (LsTrainHooks){.self = run,
                              .save = on_save,
                              .stop_requested = on_stop,
                              .row = on_row,
                              .step = on_step,
                              .sample = on_sample,
                              .write = on_write};
    LsStatus status = ls_trainer_run(t);
    ls_progress_end(&run->bar);
    char planned[32], peak[32];
    if (run->comm->rank == 0 && status == LS_OK)
        ls_log(LS_MEMORY_LINE, ls_bytes_text(ls_peak_resident_bytes(), peak),
               ls_bytes_text(t->plan.total_bytes, planned));
    const LsTrainSettings *settings = &run->config->train;
    if (run->comm->rank == 0 && status == LS_DIVERGED)
        ls_log("a lower train.learning_rate (now %g), train.clip=1 (now %g) or a longer train.warmup (now %lld) mostly "
               "helps",
               settings->learning_rate, settings->clip, (long long)settings->warmup);
    return status;
}

static LsStatus prepare_and_train(Run *run, const LsCall *call)
{
    if (run->options->json && !run->options->dry_run && !run->options->explain)
        return ls_fail(LS_USAGE,
                       "train: --json says how --dry-run and --explain print; metrics.jsonl has the rows of a "
                       "training");
    if (run->options->dry_run || run->options->explain)
        /* else: one that comes while a large model is loaded stops the run after its first step */
        ls_signals_end_at_once();
    LS_TRY(read_config(run, call));
    if (run->options->explain)
        return ls_dist_agree(
            run->comm, run->comm->rank == 0 ? ls_explain(run->config, call->operand[0], run->options->json) : LS_OK);
    LS_TRY(ls_dist_agree(run->comm, ls_train_open(run->config, run->comm->size, &run->training, &run->validation)));
    LS_TRY(ls_dist_agree(run->comm, ls_samples_open(&run->samples, run->config, run->training->tokenizer)));
    LsPeak peaks;
    LS_TRY(ls_job_peak(run->comm, LS_PEAK_PRODUCTS, run->config->train.memory, &peaks));
    double peak = ls_job_products(&peaks, ls_train_precision(run->config));
    if (run->options->dry_run)
        return ls_dry_run(run->config, run->comm, run->training, run->validation, peak, run->options->json);
    LS_TRY(ls_trainer_new(run->config, run->comm, run->training, run->validation,
                          &(LsTrainOptions){.peak_gflops = peak}, &run->trainer));
    LS_TRY(ls_dist_agree(run->comm, run->comm->rank == 0 ? open_for_writing(run) : LS_OK));
    LS_TRY(ls_trainer_broadcast(run->trainer));
    LS_TRY(ls_trace_file_open(run->comm, run->options->trace));
    return ls_trace_file_close(run->comm, run->options->trace, train(run));
}

/* The run's last word, in a folder that is still its own. The message of its failure stays. */
static void write_status(const Run *run, LsStatus status)
{
    bool complete = run->nothing_to_do && run->trainer->progress.step == run->config->train.steps;
    if (!run->accepted || (run->nothing_to_do && !complete))
        return;
    char *message = status == LS_OK ? NULL : ls_strdup(ls_message());
    if (ls_run_folder_check(&run->folder) == LS_OK &&
        ls_run_folder_status(&run->folder, ls_run_folder_word(status)) != LS_OK)
        ls_warn("the run's status could not be written: %s", ls_message());
    if (message)
        ls_fail(status, "%s", message);
    ls_free(message);
}

static LsStatus run(LsCall *call)
{
    Run run = {.options = call->options, .comm = call->comm, .folder = {.metrics = -1}, .resumed_step = -1};
    LsStatus status = prepare_and_train(&run, call);
    write_status(&run, status);
    ls_trainer_free(run.trainer);
    ls_source_free(run.training);
    ls_source_free(run.validation);
    ls_run_folder_close(&run.folder, run.accepted);
    ls_config_free(run.config);
    ls_free(run.text);
    ls_free(run.tokenizer);
    ls_free(run.resumed);
    ls_samples_close(&run.samples);
    return status;
}

const LsCommand ls_command_train = {
    .name = "train",
    .summary = "trains a model as a job file says, or goes on with a run that was stopped",
    .operands = "CONFIG.yaml [key=value ...]",
    .least = 1,
    .most = -1,
    .description =
        "Writes config.yaml, metrics.jsonl, checkpoints/, status and log.txt to output.path. On Ctrl-C, SIGTERM, "
        "SIGHUP, SIGUSR1 or SIGUSR2 the run finishes its step, is saved and ends with status 75: the same "
        "command goes on from there, on any number of ranks. A second Ctrl-C ends at once. mpirun kills its "
        "ranks one second after Ctrl-C and SIGTERM: send it SIGUSR1 instead. One training at a time writes to "
        "a run folder: a second one is refused; other commands may read there meanwhile.",
    .example = "mpirun -np 2 lockstep train jobs/shakespeare-gpt.yaml train.steps=500",
    .launch = LS_PARALLEL,
    .saves = true,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
