/* Memory, random numbers, status. Philox's known answers are those published with Random123 (kat_vectors). */
#include "base/text.h"
#include "harness.h"
#include "lockstep/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_philox(void)
{
    uint32_t out[4];
    ls_philox(0, 0, 0, out);
    CU_ASSERT_EQUAL(out[0], 0x6627e8d5u);
    CU_ASSERT_EQUAL(out[1], 0xe169c58du);
    CU_ASSERT_EQUAL(out[2], 0xbc57ac4cu);
    CU_ASSERT_EQUAL(out[3], 0x9b00dbd8u);
    ls_philox(UINT64_MAX, UINT64_MAX, UINT64_MAX, out);
    CU_ASSERT_EQUAL(out[0], 0x408f276du);
    CU_ASSERT_EQUAL(out[1], 0x41c83b0eu);
    CU_ASSERT_EQUAL(out[2], 0xa20bc7c6u);
    CU_ASSERT_EQUAL(out[3], 0x6d5451fdu);
}

static void test_normal_moments(void)
{
    double sum = 0, squares = 0, fourth = 0;
    const int count = 200000;
    uint64_t key = ls_key(3, "moments");
    for (int i = 0; i < count; i++) {
        double x = ls_normal_at(key, 0, (uint64_t)i);
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    /* five standard errors of each moment: 1, sqrt 2 and sqrt 96 over sqrt n */
    ASSERT_AT_MOST(fabs(sum / count), 5 / sqrt(count));
    ASSERT_AT_MOST(fabs(squares / count - 1), 5 * sqrt(2.0 / count));
    ASSERT_AT_MOST(fabs(fourth / count - 3), 5 * sqrt(96.0 / count));
}

static void test_permute(void)
{
    for (int64_t count = 1; count < 400; count += 7) {
        char seen[400] = {0};
        for (int64_t i = 0; i < count; i++) {
            int64_t at = ls_permute(42, count, i);
            CU_ASSERT_FATAL(at >= 0 && at < count);
            CU_ASSERT_EQUAL(seen[at], 0);
            seen[at] = 1;
        }
    }
    int moved = 0;
    for (int64_t i = 0; i < 100; i++)
        moved += ls_permute(1, 100, i) != ls_permute(2, 100, i);
    CU_ASSERT(moved > 80);
}

static void test_memory(void)
{
    int64_t before = ls_alloc_count();
    char *block = ls_alloc(100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(block);
    CU_ASSERT_EQUAL((uintptr_t)block % LS_ALIGN, 0);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(block[i], 0);
    CU_ASSERT_EQUAL(ls_alloc_count(), before + 1);
    ls_free(block);
    CU_ASSERT_PTR_NULL(ls_alloc_array(INT64_MAX, 16));
    CU_ASSERT_PTR_NULL(ls_alloc_array(-1, 16));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "out of memory"));
    char *text = ls_format("%d-%s", 7, "x");
    CU_ASSERT_STRING_EQUAL(text, "7-x");
    ls_free(text);
    CU_ASSERT(ls_resident_bytes() > 0);
    CU_ASSERT(ls_peak_resident_bytes() >= 1 << 20);
}

static LsStatus failing(void) { return ls_fail(LS_DATA, "line %d", 3); }

/* Blocks that several threads clear, of memory that was written before: the allocator gives back what was freed. */
static void test_large_blocks(void)
{
    int before = ls_threads();
    for (int threads = 1; threads <= 3; threads++) {
        ls_set_threads(threads);
        for (size_t bytes = ((size_t)16 << 20) - 64; bytes < (size_t)30 << 20; bytes += ((size_t)5 << 20) + 4096) {
            for (int again = 0; again < 2; again++) {
                unsigned char *block = ls_alloc(bytes), any = 0;
                CU_ASSERT_PTR_NOT_NULL_FATAL(block);
                for (size_t i = 0; i < bytes; i++)
                    any |= block[i];
                CU_ASSERT_EQUAL(any, 0);
                memset(block, 0xff, bytes);
                ls_free(block);
            }
        }
    }
    ls_set_threads(before);
}

static void test_status(void)
{
    ASSERT_FAILS(failing(), LS_DATA, "line 3");
    ASSERT_FAILS(ls_fail_in(failing(), "file %s", "a"), LS_DATA, "file a: line 3");
    ASSERT_FAILS(ls_fail(LS_USAGE, "again: %s", ls_message()), LS_USAGE, "again: file a: line 3");
    CU_ASSERT_EQUAL(ls_message_status(), LS_USAGE);
    ls_fail(LS_RESOURCE, "out of memory"); /* says nothing of what was read */
    ASSERT_FAILS(ls_fail_in(LS_CHECKPOINT, "file %s", "a"), LS_RESOURCE, "file a: out of memory");
    ls_clear_message();
    CU_ASSERT_STRING_EQUAL(ls_message(), "");
    CU_ASSERT_EQUAL(ls_message_status(), LS_ERROR);
}

static void test_text(void)
{
    const char *scalar = ls_dims_text(0, NULL), *two = ls_dims_text(2, (int64_t[]){37, 1});
    CU_ASSERT_STRING_EQUAL(scalar, "()");
    CU_ASSERT_STRING_EQUAL(two, "(37, 1)");

    LsNotes notes = {0};
    CU_ASSERT_STRING_EQUAL(ls_notes_text(&notes), "");
    ls_note(&notes, "one is %d", 1);
    ls_note(&notes, "two");
    CU_ASSERT_STRING_EQUAL(ls_notes_text(&notes), "\n  one is 1\n  two");
    for (int length = 1; length <= 1000; length *= 10) { /* many lines, and few that fill the text */
        int lines = 0;
        notes = (LsNotes){0};
        for (int i = 0; i < 100; i++)
            ls_note(&notes, "%0*d", length, i);
        const char *text = ls_notes_text(&notes), *more = strstr(text, "\n  and ");
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            lines++;
        CU_ASSERT_PTR_NOT_NULL_FATAL(more);
        CU_ASSERT_EQUAL(atoi(more + strlen("\n  and ")), 100 - (lines - 1));
        CU_ASSERT(lines > 5 && lines <= 41);
        CU_ASSERT_STRING_EQUAL(ls_notes_text(&notes), text); /* asked again it is the same */
    }
}

static void test_isa(void)
{
    LsIsa isa;
    setenv("LOCKSTEP_ISA", "baseline", 1);
    ASSERT_OK(ls_isa_choose(&isa));
    CU_ASSERT_EQUAL(isa, LS_ISA_BASELINE);
    CU_ASSERT_EQUAL(ls_isa(), LS_ISA_BASELINE);
    setenv("LOCKSTEP_ISA", "nonsense", 1);
    ASSERT_FAILS(ls_isa_choose(&isa), LS_USAGE, "nonsense");
    CU_ASSERT_EQUAL(ls_isa(), LS_ISA_BASELINE);
    unsetenv("LOCKSTEP_ISA");
    ASSERT_OK(ls_isa_choose(&isa));
    CU_ASSERT_EQUAL(ls_isa(), isa);
    CU_ASSERT(strlen(ls_isa_name(isa)) > 0);
}

int main(void)
{
    return harness_run("base", (HarnessTest[]){{"philox known answers", test_philox},
                                               {"normal moments", test_normal_moments},
                                               {"permute is a bijection", test_permute},
                                               {"memory", test_memory},
                                               {"large blocks", test_large_blocks},
                                               {"status messages", test_status},
                                               {"text of messages", test_text},
                                               {"instruction set", test_isa},
                                               {0}});
}
