/* lockstep doctor: whether this machine, this folder and this launch are fit for training. */
#include "cli/cli.h"
#include "cli/doctor.h"
#include "dist/dist.h"

#include <stdlib.h>
#include <string.h>

typedef struct Options {
    bool forget, json;
} Options;

static const LsOption options[] = {
    {LS_SETTING_BOOL(Options, forget, "false", "keep only what is measured now, not the best of earlier")},
    {LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

/* Name and value of every line of the versions. */
static void report_versions(LsReport *report)
{
    char *text = NULL, *rest = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return;
    LsStatus status = ls_cli_version(out);
    if (fclose(out) == 0 && status == LS_OK)
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            char *value = strstr(line, "  ");
            if (!value || strncmp(line, "instruction", 11) == 0 || strncmp(line, "OpenMP", 6) == 0)
                continue; /* checked further down */
            *value = '\0';
            ls_report(report, LS_FINE, line, NULL, "%s", value + 1 + strspn(value + 1, " "));
        }
    free(text);
}

static LsStatus finish(LsCall *call, LsReport *report, bool json)
{
    LsStatus status = LS_OK;
    if (json && report->prints == false && call->comm->rank == 0)
        status = ls_print_json(json_pack("{s:O, s:i, s:i}", "lines", report->lines, "warnings", report->warnings,
                                         "failures", report->failures));
    else if (report->prints)
        printf("%d warning%s, %d failure%s\n", report->warnings, report->warnings == 1 ? "" : "s", report->failures,
               report->failures == 1 ? "" : "s");
    if (status == LS_OK && report->failures > 0) {
        call->told = true; /* in its lines */
        status = ls_fail(LS_ERROR, "the doctor found %d failure%s", report->failures, report->failures == 1 ? "" : "s");
    }
    return status;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    const LsComm *comm = ls_comm_self();
    LsReport report = {.lines = json_array()};
    bool launched = ls_doctor_launched();
    LsStatus started = launched ? ls_dist_start(NULL, NULL, &comm) : ls_dist_check_launcher();
    char *launch_message = ls_strdup(started ? ls_message() : "");
    if (started != LS_OK)
        comm = ls_comm_self();
    call->comm = comm;
    bool speaks = comm->rank == 0 && (started == LS_OK || ls_dist_launched_rank() <= 0);
    report.prints = !o->json && speaks;
    report_versions(&report);
    ls_doctor_machine(&report);
    if (started != LS_OK)
        ls_report(&report, LS_FAILURE, "launch", "start it as the message says", "%s",
                  launch_message ? launch_message : "MPI could not be started");
    else if (launched)
        ls_doctor_launch(&report, comm);
    else
        ls_report(&report, LS_FINE, "ranks", NULL, "one process (mpirun -np N lockstep doctor also looks at MPI)");
    ls_doctor_speed(&report, comm, o->forget);
    if (comm->rank == 0)
        ls_doctor_leftovers(&report);
    if (comm->rank == 0)
        ls_doctor_folder(&report, call->operands ? call->operand[0] : ".");
    LsStatus status = finish(call, &report, o->json);
    if (started == LS_OK && launched)
        status = ls_dist_agree(comm, status);
    call->told = call->told || !speaks;
    json_decref(report.lines);
    ls_free(launch_message);
    return status;
}

const LsCommand ls_command_doctor = {
    .name = "doctor",
    .summary = "checks the machine, the folder for runs and the launch; each line ok, warn or FAIL with its cure",
    .operands = "[FOLDER]",
    .most = 1,
    .description =
        "FOLDER is where runs are to be written (default: here). Takes a few seconds; the speeds measured are kept, "
        "and train and bench "
        "show their share of them. Under mpirun it also checks the ranks (as root Open MPI asks for "
        "OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 in the environment). Exit status 1 where a line "
        "says FAIL.",
    .example = "lockstep doctor runs\nmpirun -np 2 lockstep doctor runs",
    .computes = true,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
