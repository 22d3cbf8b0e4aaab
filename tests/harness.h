/* A CUnit program in a few lines:
 *
 *     static void test_thing(void) { CU_ASSERT_EQUAL(1 + 1, 2); }
 *     int main(void) { return harness_run("thing", (HarnessTest[]){{"adds", test_thing}, {0}}); }
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct HarnessTest {
    const char *name;
    void (*run)(void);
} HarnessTest;

/* Runs all, prints CUnit's summary, returns 0 only if every assertion held and at least one was made. */
int harness_run(const char *suite, const HarnessTest *tests);

/* Whether this is a repetition at a lower level of the machine (tests/levels.cmake): the same test runs at the best
 * level too, so that what does not depend on the level is left to that one. */
static inline bool harness_repeats(void) { return getenv("LOCKSTEP_REPEATED") != NULL; }

/* A fresh folder under the system's temporary folder, removed at exit. The same on every call of a process. */
const char *harness_folder(void);

/* harness_folder()/name, in one of a few rotating buffers. */
const char *harness_path(const char *name);

/* Asserts LS_OK and prints the message otherwise. */
#define ASSERT_OK(call)                                                                                                \
    do {                                                                                                               \
        LsStatus harness_status_ = (call);                                                                             \
        if (harness_status_ != LS_OK)                                                                                  \
            fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, (int)harness_status_, ls_message());         \
        CU_ASSERT_EQUAL_FATAL(harness_status_, LS_OK);                                                                 \
    } while (0)

/* Asserts this status, and that the message contains this text. */
#define ASSERT_FAILS(call, expected, text)                                                                             \
    do {                                                                                                               \
        LsStatus harness_status_ = (call);                                                                             \
        if (harness_status_ != (expected) || !strstr(ls_message(), (text)))                                            \
            fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, (int)harness_status_, ls_message());         \
        CU_ASSERT_EQUAL(harness_status_, (expected));                                                                  \
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), (text)));                                                          \
    } while (0)

/* Asserts a <= b; NaN fails. */
#define ASSERT_AT_MOST(a, b)                                                                                           \
    do {                                                                                                               \
        double harness_a_ = (a), harness_b_ = (b);                                                                     \
        if (!(harness_a_ <= harness_b_))                                                                               \
            fprintf(stderr, "%s:%d: %g > %g\n", __FILE__, __LINE__, harness_a_, harness_b_);                           \
        CU_ASSERT(harness_a_ <= harness_b_);                                                                           \
    } while (0)

#endif
