/* A mapped file that somebody shortens: zeros in place of a SIGBUS, and nothing is kept of what was read. */
#include "harness.h"
#include "io/mapped.h"
#include "io/sealed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static LsStatus make(const char *path)
{
    LsSealed *file = ls_sealed_create(path, "sample", 1, LS_DATA);
    uint8_t byte = 7;
    if (!file)
        return ls_message_status();
    LsStatus status = ls_sealed_write(file, "byte", LS_FILE_UINT8, 0, NULL, &byte, 0);
    if (status == LS_OK)
        return ls_sealed_commit(file);
    ls_sealed_discard(file);
    return status;
}

static void test_refused(void)
{
    const char *text = "";
    int64_t bytes = 0;
    ASSERT_FAILS(ls_map_file(harness_path("none.txt"), LS_DATA, &text, &bytes), LS_DATA, "none.txt");
    ASSERT_FAILS(ls_map_file("/dev/zero", LS_DATA, &text, &bytes), LS_DATA, "pipe or a device");
    CU_ASSERT_PTR_NULL(text);
}

/* Any other SIGBUS ends the process as before. */
static void test_foreign(void)
{
    pid_t child = fork();
    if (child == 0) {
        raise(SIGBUS);
        _exit(0);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void test_shortened(void)
{
    const char *path = harness_path("text.txt");
    const char *text = NULL;
    int64_t bytes = 0;
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    char letters[4096];
    memset(letters, 'a', sizeof letters);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(write(fd, letters, sizeof letters), (ssize_t)sizeof letters);
    ASSERT_OK(ls_map_file(path, LS_DATA, &text, &bytes));
    CU_ASSERT_EQUAL_FATAL(bytes, 4 * 4096);
    ASSERT_OK(ls_mapped_check());
    ASSERT_OK(make(harness_path("before.h5")));
    CU_ASSERT_EQUAL(ftruncate(fd, 4096), 0);
    CU_ASSERT_EQUAL(text[0], 'a');
    CU_ASSERT_EQUAL(text[2 * 4096], '\0');
    CU_ASSERT_EQUAL(text[4 * 4096 - 1], '\0');
    CU_ASSERT_EQUAL(text[4095], 'a');
    ls_unmap_file(text, bytes);
    close(fd);
    ASSERT_FAILS(ls_mapped_check(), LS_DATA, "text.txt: became shorter");
    ASSERT_FAILS(make(harness_path("after.h5")), LS_DATA, "text.txt: became shorter");
    CU_ASSERT_NOT_EQUAL(access(harness_path("after.h5"), F_OK), 0);
}

int main(void)
{
    return harness_run("mapped", (HarnessTest[]){{"what is refused", test_refused},
                                                 {"another SIGBUS", test_foreign},
                                                 {"a file that becomes shorter", test_shortened},
                                                 {0}});
}
