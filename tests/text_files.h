/* Shared by the tests of text data sets: files, data sets and graphs made for them. */
#ifndef TEXT_FILES_H
#define TEXT_FILES_H

#include "data/text.h"
#include "harness.h"
#include "io/file.h"
#include "lockstep/model.h"

#include <stdio.h>
#include <string.h>

#define T 8 /* tokens a sample */
#define SMALL TESTS_FOLDER "/fixtures/small_bpe"

static inline char *write_file(const char *name, const char *text, int64_t bytes)
{
    char *path = (char *)harness_path(name);
    ASSERT_OK(ls_file_replace(path, text, bytes));
    return path;
}

static inline LsStatus prepare(const char *tokenizer, double validation, int sources, char *const *source,
                               const char *output)
{
    LsTextSettings settings = {.tokens = {.tokenizer = (char *)(uintptr_t)tokenizer, .vocabulary = SMALL},
                               .validation = validation};
    return ls_text_prepare(&settings, sources, source, output);
}

/* A data set of `count` bytes whose byte i is (i * i + i / 7) % 251, nine tenths of it to train. */
static inline unsigned char byte_at(int64_t i) { return (unsigned char)((i * i + i / 7) % 251); }

static inline const char *numbered(int64_t count, double validation)
{
    char *bytes = ls_alloc((size_t)count), name[64];
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (char)byte_at(i);
    snprintf(name, sizeof name, "numbered-%lld-%g.bin", (long long)count, validation);
    char *source = write_file(name, bytes, count);
    ls_free(bytes);
    snprintf(name, sizeof name, "numbered-%lld-%g.h5", (long long)count, validation);
    const char *output = harness_path(name);
    ASSERT_OK(prepare("bytes", validation, 1, &source, output));
    return output;
}

static inline LsSource *open_source(const char *path, const char *split, int64_t sequence, uint64_t seed)
{
    LsSource *source = ls_text_source(path, split, sequence, seed);
    if (!source)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    return source;
}

/* The tokens of an array into `to`; -1 where there is none. */
static inline int64_t tokens_of(const char *path, const char *array, LsFileType expected_type, int32_t *to,
                                int64_t room)
{
    bool exists = false;
    LsFileType type = LS_FILE_FLOAT32;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    static uint8_t bytes[1 << 16];
    static uint16_t words[1 << 16];
    LsSealed *file = ls_sealed_open(path, "text", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_shape(file, array, &exists, &type, &rank, dim));
    if (exists) {
        CU_ASSERT_EQUAL_FATAL(type, expected_type);
        CU_ASSERT_FATAL(dim[0] <= room);
        ASSERT_OK(ls_sealed_read(file, array, type, dim[0], type == LS_FILE_UINT8 ? (void *)bytes : (void *)words));
        for (int64_t i = 0; i < dim[0]; i++)
            to[i] = type == LS_FILE_UINT8 ? bytes[i] : words[i];
    }
    ls_sealed_close(file);
    return exists ? dim[0] : -1;
}

#endif
