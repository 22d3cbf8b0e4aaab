/* Shared by the tests of tokenizers: files and folders made for them, and checks that every tokenizer must pass. */
#ifndef TOKENIZER_FILES_H
#define TOKENIZER_FILES_H

#include "data/gpt2.h"
#include "data/tokenizer.h"
#include "harness.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL TESTS_FOLDER "/fixtures/small_bpe"

static inline void write_file(const char *path, const char *text)
{
    ASSERT_OK(ls_file_replace(path, text, (int64_t)strlen(text)));
}

/* A fresh folder below the test's. */
static inline const char *new_folder(void)
{
    static int number;
    char name[32];
    snprintf(name, sizeof name, "folder-%d", number++);
    const char *path = harness_path(name);
    ASSERT_OK(ls_make_folders(path));
    return path;
}

static inline const char *in_folder(const char *folder, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* encode gives these ids, whole and in windows of `window` bytes (0: whole only), and decode gives `decoded`. */
static inline void check_ids_and_text(const LsTokenizer *tokenizer, const char *text, int64_t bytes,
                                      const int32_t *expected, int64_t expected_count, const char *decoded,
                                      int64_t decoded_bytes, int64_t window)
{
    int32_t *ids = NULL;
    int64_t count = 0, back_bytes = 0;
    char *back = NULL;
    ASSERT_OK(ls_tokenizer_encode(tokenizer, text, bytes, &ids, &count));
    if (expected) {
        CU_ASSERT_EQUAL(count, expected_count);
        CU_ASSERT(count == expected_count && memcmp(ids, expected, (size_t)count * sizeof *ids) == 0);
    }
    ASSERT_OK(ls_tokenizer_decode(tokenizer, ids, count, &back, &back_bytes));
    CU_ASSERT_EQUAL(back_bytes, decoded_bytes);
    CU_ASSERT(back_bytes == decoded_bytes && memcmp(back, decoded, (size_t)decoded_bytes) == 0);
    CU_ASSERT_EQUAL(back[back_bytes], '\0');
    ls_free(back);
    if (window > 0) {
        LsTokens tokens = {0};
        LsEncoder *encoder = ls_encoder_new(tokenizer);
        CU_ASSERT_PTR_NOT_NULL_FATAL(encoder);
        int64_t at = 0, room = window;
        while (at < bytes) {
            int64_t part = bytes - at < room ? bytes - at : room, used = -1;
            ASSERT_OK(ls_encoder_feed(encoder, text + at, part, at + part == bytes, &tokens, &used));
            CU_ASSERT_FATAL(used >= 0 && used <= part);
            at += used;
            room = used > 0 ? window : 2 * room;
        }
        CU_ASSERT(tokens.count == count && (count == 0 || memcmp(tokens.id, ids, (size_t)count * sizeof *ids) == 0));
        ls_encoder_free(encoder);
        ls_free(tokens.id);
    }
    ls_free(ids);
}

/* The same where decode gives the text back. */
static inline void check_ids(const LsTokenizer *tokenizer, const char *text, int64_t bytes, const int32_t *expected,
                             int64_t expected_count, int64_t window)
{
    check_ids_and_text(tokenizer, text, bytes, expected, expected_count, text, bytes, window);
}

/* Written as JSON and read again it writes the same. */
static inline void check_json(const LsTokenizer *tokenizer)
{
    char *json = ls_tokenizer_to_json(tokenizer);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    LsTokenizer *again = ls_tokenizer_from_json(json);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *json_again = ls_tokenizer_to_json(again);
    CU_ASSERT_STRING_EQUAL(json, json_again);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(again), ls_tokenizer_kind(tokenizer));
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(again), ls_tokenizer_vocabulary(tokenizer));
    CU_ASSERT_EQUAL(ls_tokenizer_end(again), ls_tokenizer_end(tokenizer));
    ls_free(json);
    ls_free(json_again);
    ls_tokenizer_free(again);
}

/* Written into a folder and read from it, it is the same tokenizer, which keeps the files. */
static inline void check_folder(const LsTokenizer *tokenizer)
{
    const char *folder = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(tokenizer, folder));
    LsTokenizer *again = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    ASSERT_OK(ls_tokenizer_check_same("one", tokenizer, "other", again, ""));
    CU_ASSERT(ls_file_exists(in_folder(folder, "tokenizer.json")));
    CU_ASSERT(ls_file_exists(in_folder(folder, "tokenizer_config.json")));
    ls_tokenizer_free(again);
}

#endif
