#include "io/sealed_internal.h"

#include "io/fault.h"
#include "io/file.h"
#include "io/mapped.h"
#include "io/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The block in front --------------------------------------------------------------------------------------- */

#define MAGIC "LOCKSTEP "

/* The whole block is a function of kind, version, size and digest; a reader makes it again and compares all 512
 * bytes. */
static void make_block(char block[LS_SEAL_BYTES], const char *kind, int version, int64_t bytes, const char *digest)
{
    memset(block, 0, LS_SEAL_BYTES);
    int used =
        snprintf(block, LS_SEAL_BYTES, MAGIC "%s %d\nbytes %" PRId64 "\nxxh3-128 %s\n", kind, version, bytes, digest);
    snprintf(block + used, (size_t)(LS_SEAL_BYTES - used), "block %016" PRIx64 "\n",
             (uint64_t)XXH3_64bits(block, (size_t)used));
}

static bool parse_block(const char *block, LsSealedHead *head)
{
    return sscanf(block, MAGIC "%63s %d bytes %" SCNd64 " xxh3-128 %32s", head->kind, &head->version, &head->bytes,
                  head->digest) == 4;
}

bool ls_sealed_head(const char *path, LsSealedHead *head)
{
    char block[LS_SEAL_BYTES + 1] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* one that nobody writes to must not make us wait */
    if (fd < 0)
        return false;
    *head = (LsSealedHead){.version = 0};
    ssize_t bytes = pread(fd, block, LS_SEAL_BYTES, 0);
    close(fd);
    return bytes > 0 && parse_block(block, head);
}

/* A failure to read: one of the file itself where it ended before its time. */
static LsStatus fail_read(const LsSealed *file, int error, bool *at_fault)
{
    *at_fault = error == 0;
    if (error == 0)
        return ls_fail(file->code, "%s: damaged: it became shorter while it was read", file->path);
    return ls_fail_errno(file->code, error, file->path, "read");
}

static LsStatus read_block(LsSealed *file, LsSealedHead *head, bool *at_fault)
{
    char block[LS_SEAL_BYTES + 1] = {0}, again[LS_SEAL_BYTES];
    struct stat st;
    *at_fault = false;
    if (fstat(file->disk->fd, &st) != 0)
        return ls_fail_errno(file->code, errno, file->path, "ask for its size");
    int64_t size = st.st_size < LS_SEAL_BYTES ? st.st_size : LS_SEAL_BYTES;
    if (S_ISREG(st.st_mode) && ls_sys_read_all(file->disk->fd, block, size, 0) != 0)
        return fail_read(file, errno, at_fault);
    *at_fault = true;
    if (!S_ISREG(st.st_mode))
        return ls_fail(file->code, "%s: this is a pipe, a device or a folder; a file is needed", file->path);
    if (size == 0)
        return ls_fail(file->code, "%s: damaged: the file is empty", file->path);
    if (strncmp(block, MAGIC, strlen(MAGIC)) != 0)
        return ls_sealed_fail_foreign(file, block, size, MAGIC);
    if (st.st_size < LS_SEAL_BYTES)
        return ls_fail(file->code, "%s: damaged: truncated to %" PRId64 " bytes", file->path, (int64_t)st.st_size);
    if (parse_block(block, head))
        make_block(again, head->kind, head->version, head->bytes, head->digest);
    else
        memset(again, 0xff, sizeof again);
    if (memcmp(block, again, LS_SEAL_BYTES) != 0)
        return ls_fail(file->code, "%s: damaged: its first %d bytes are not as they were written", file->path,
                       LS_SEAL_BYTES);
    if (st.st_size != head->bytes)
        return ls_fail(file->code, "%s: damaged: %" PRId64 " bytes where %" PRId64 " were written%s", file->path,
                       (int64_t)st.st_size, head->bytes, st.st_size < head->bytes ? " (truncated)" : "");
    return LS_OK;
}

/* ---- Opening and closing -------------------------------------------------------------------------------------- */

LsSealed *ls_sealed_create(const char *path, const char *kind, int version, LsStatus code)
{
    ls_h5_quiet();
    LsSealed *file = ls_sealed_blank(path, code);
    if (!file)
        return NULL;
    hid_t access = H5I_INVALID_HID, creation = H5I_INVALID_HID;
    snprintf(file->kind, sizeof file->kind, "%s", kind);
    file->version = version;
    file->temporary = ls_replace_name(path);
    if (!file->temporary)
        goto failed;
    file->disk->fd = ls_temporary_create(file->temporary);
    if (file->disk->fd < 0) {
        ls_fail_errno(code, errno, path, "create a file in its folder");
        goto failed;
    }
    file->disk->writable = true;
    access = ls_h5_access(file->disk);
    creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 && H5Pset_userblock(creation, LS_SEAL_BYTES) >= 0)
        file->h5 = H5Fcreate(file->temporary, H5F_ACC_TRUNC, creation, access);
    if (file->h5 < 0 || file->disk->error) {
        ls_sealed_fail(file, "create");
        goto failed;
    }
    H5Pclose(access);
    H5Pclose(creation);
    return file;
failed:
    if (access >= 0)
        H5Pclose(access);
    if (creation >= 0)
        H5Pclose(creation);
    ls_sealed_discard(file);
    return NULL;
}

void ls_sealed_discard(LsSealed *file)
{
    if (!file)
        return;
    if (file->disk && !file->disk->error)
        file->disk->error = ECANCELED; /* nothing more is written on the way out */
    bool h5_done = ls_sealed_close_h5(file);
    H5Eclear2(H5E_DEFAULT);
    if (file->temporary)
        ls_temporary_remove(file->temporary);
    ls_sealed_free(file, h5_done);
}

LsStatus ls_sealed_finish(LsSealed *file, LsStatus status)
{
    if (status == LS_OK)
        return ls_sealed_commit(file);
    ls_sealed_discard(file);
    return status;
}

/* Everything of ls_sealed_open but HDF5's side. trusted: the digest is not looked at. */
static LsStatus verify(LsSealed *file, const char *kind, bool trusted, bool *at_fault)
{
    LsSealedHead head = {.version = 0};
    char digest[LS_DIGEST_TEXT] = "";
    *at_fault = false;
    file->disk->fd =
        open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* what is no file is refused below, not waited for */
    if (file->disk->fd < 0) {
        *at_fault = errno == ENOENT || errno == ENOTDIR;
        return ls_fail(file->code, "%s: %s", file->path, strerror(errno));
    }
    LS_TRY(read_block(file, &head, at_fault));
    memcpy(file->kind, head.kind, sizeof file->kind);
    file->version = head.version;
    if (!trusted && ls_digest_file(file->disk->fd, LS_SEAL_BYTES, head.bytes - LS_SEAL_BYTES, digest) != 0)
        return fail_read(file, errno, at_fault);
    if (!trusted && strcmp(digest, head.digest) != 0)
        return ls_fail(file->code, "%s: damaged: the digest of its content is %s, but %s was written; use another copy",
                       file->path, digest, head.digest);
    if (kind && strcmp(kind, file->kind) != 0)
        return ls_fail(file->code, "%s: this is a file of kind '%s', one of kind '%s' is needed", file->path,
                       file->kind, kind);
    *at_fault = false;
    return LS_OK;
}

static LsSealed *open_sealed(const char *path, const char *kind, LsStatus code, bool trusted, bool *at_fault)
{
    ls_h5_quiet();
    *at_fault = false;
    LsSealed *file = ls_sealed_blank(path, code);
    if (!file)
        return NULL;
    hid_t access = H5I_INVALID_HID;
    if (verify(file, kind, trusted, at_fault) != LS_OK)
        goto failed;
    access = ls_h5_access(file->disk);
    if (access >= 0)
        file->h5 = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file->h5 < 0) {
        ls_sealed_fail(file, "open");
        goto failed;
    }
    if (!trusted && ls_sealed_check_form(file) != LS_OK) {
        *at_fault = file->disk->unread == 0;
        goto failed;
    }
    H5Pclose(access);
    return file;
failed:
    if (access >= 0)
        H5Pclose(access);
    ls_sealed_close(file);
    return NULL;
}

LsSealed *ls_sealed_open(const char *path, const char *kind, LsStatus code, bool *at_fault)
{
    bool ignored;
    return open_sealed(path, kind, code, false, at_fault ? at_fault : &ignored);
}

/* Everything is in the file but the block: digests the file as it reads back, writes the block, brings all to the disk,
 * and compares every array as it reads back with the checksum of what was in memory. The system may serve both from its
 * cache: a disk that loses what it has acknowledged is found by the digest at the next start, for which older
 * checkpoints are kept. */
static LsStatus seal(LsSealed *file)
{
    char block[LS_SEAL_BYTES], digest[LS_DIGEST_TEXT];
    struct stat st;
    int fd = file->disk->fd;
    ls_sys_start_sync(fd);
    if (fstat(fd, &st) != 0 || ls_digest_file(fd, LS_SEAL_BYTES, st.st_size - LS_SEAL_BYTES, digest) != 0)
        return ls_fail_errno(file->code, errno, file->path, "read back what was written");
    make_block(block, file->kind, file->version, st.st_size, digest);
    if (ls_sys_write_all(fd, block, LS_SEAL_BYTES, 0) != 0)
        return ls_fail_errno(file->code, errno, file->path, "write");
    if (ls_sys_sync(fd) != 0)
        return ls_fail_errno(file->code, errno, file->path, "sync");
    bool ignored;
    LsSealed *again = open_sealed(file->temporary, file->kind, file->code, true, &ignored);
    LsStatus status = again ? ls_sealed_check_arrays(again) : ls_message_status();
    ls_sealed_close(again);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s: what was written does not read back", file->path);
}

/* A check's message names the file as its user does. */
static LsStatus name_as_path(const LsSealed *file, LsStatus status)
{
    const char *message = ls_message(), *at = strstr(message, file->temporary);
    if (!at)
        return status;
    return ls_fail(status, "%.*s%s%s", (int)(at - message), message, file->path, at + strlen(file->temporary));
}

LsStatus ls_sealed_commit(LsSealed *file) { return ls_sealed_commit_checked(file, NULL, NULL); }

LsStatus ls_sealed_commit_checked(LsSealed *file, LsSealedCheck check, void *self)
{
    LsStatus status = LS_OK;
    bool failed = file->failed, h5_done = ls_sealed_close_h5(file);
    if (!h5_done || file->disk->error)
        status = ls_sealed_fail(file, "write");
    else if (failed)
        status = ls_fail(file->code, "%s: not kept, because a part of it could not be written", file->path);
    if (status == LS_OK)
        status = ls_mapped_check();
    if (status == LS_OK)
        status = seal(file);
    if (status == LS_OK && check && (status = check(self, file->temporary)) != LS_OK)
        status = name_as_path(file, status);
    if (status == LS_OK) {
        int closed = ls_sys_close(file->disk->fd), error = errno;
        file->disk->fd = -1;
        if (closed != 0)
            status = ls_fail_errno(file->code, error, file->path, "close");
    }
    if (status == LS_OK) {
        status = ls_replace_finish(file->temporary, file->path);
        if (status == LS_ERROR)
            status = file->code;
    }
    if (status != LS_OK)
        ls_temporary_remove(file->temporary);
    ls_sealed_free(file, h5_done);
    return status;
}

LsStatus ls_sealed_check_version(const LsSealed *file, int newest)
{
    if (file->version <= newest)
        return LS_OK;
    return ls_fail(
        file->code,
        "%s: written by a newer version of this program (%s format %d, this one reads up to %d); update the program",
        file->path, file->kind, file->version, newest);
}
