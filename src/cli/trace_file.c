#include "cli/trace_file.h"

#include "base/trace.h"
#include "dist/dist.h"

LsStatus ls_trace_file_open(const LsComm *comm, const char *file)
{
    if (!file)
        return LS_OK;
    char *path = ls_trace_path(file, comm->rank, comm->size);
    LS_TRY(ls_dist_agree(comm, path ? LS_OK : LS_RESOURCE));
    LS_TRY(comm->barrier(comm));
    LsStatus status = ls_trace_open(path, comm->rank);
    ls_free(path);
    status = ls_dist_agree(comm, status);
    if (status != LS_OK && ls_trace_on() && ls_trace_close() != LS_OK)
        ls_warn("%s", ls_message());
    return status;
}

LsStatus ls_trace_file_close(const LsComm *comm, const char *file, LsStatus status)
{
    if (!ls_trace_on())
        return status;
    char *message = status == LS_OK ? NULL : ls_strdup(ls_message());
    LsStatus closed = ls_dist_agree(comm, ls_trace_close());
    if (closed == LS_OK && comm->rank == 0)
        ls_log("trace: %s%s", file, comm->size > 1 ? ", one file a rank" : "");
    else if (closed != LS_OK && status != LS_OK)
        ls_warn("%s", ls_message());
    if (status == LS_OK)
        return closed;
    LsStatus kept = ls_fail(status, "%s", message ? message : "out of memory for a message");
    ls_free(message);
    return kept;
}
