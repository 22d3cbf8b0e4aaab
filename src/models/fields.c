/* Fields as text: "ids T of 65, targets T of 65". */
#include "lockstep/field.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const LsField *ls_field_find(const LsFields *fields, const char *name)
{
    for (int i = 0; i < fields->count; i++)
        if (strcmp(fields->list[i].name, name) == 0)
            return &fields->list[i];
    return NULL;
}

bool ls_fields_have_steps(const LsFields *fields)
{
    for (int i = 0; i < fields->count; i++)
        for (int j = 0; j < fields->list[i].rank; j++)
            if (fields->list[i].dim[j] == LS_STEPS)
                return true;
    return false;
}

LsStatus ls_fields_add(LsFields *fields, const char *name, LsDtype dtype, int64_t classes, int rank, const int64_t *dim)
{
    if (fields->count == LS_MAX_FIELDS || strlen(name) >= LS_FIELD_NAME || !name[0] || ls_field_find(fields, name) ||
        rank > LS_MAX_RANK - 1)
        return ls_fail(LS_ERROR, "field '%s': there is one already, or there are %d, or its name or shape is too long",
                       name, LS_MAX_FIELDS);
    LsField *field = &fields->list[fields->count++];
    *field = (LsField){.dtype = dtype, .classes = classes, .rank = rank};
    memcpy(field->name, name, strlen(name) + 1);
    for (int i = 0; i < rank; i++)
        field->dim[i] = dim[i];
    return LS_OK;
}

/* A positive whole number at *at, which moves past it. */
static bool read_number(const char **at, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(*at, &end, 10);
    if (end == *at || errno != 0 || value < 1 || **at < '0' || **at > '9')
        return false;
    *number = value;
    *at = end;
    return true;
}

/* "Tx3", "28x28x1" */
static bool read_shape(const char *text, LsField *field)
{
    for (field->rank = 0; field->rank < LS_MAX_RANK - 1;) {
        int64_t *dim = &field->dim[field->rank++];
        if (*text == 'T') {
            *dim = LS_STEPS;
            text++;
        } else if (!read_number(&text, dim))
            return false;
        if (!*text)
            return true;
        if (*text++ != 'x')
            return false;
    }
    return false;
}

/* One field; `text` is cut into words. */
static bool read_field(char *text, LsField *field)
{
    char *rest = NULL, *name = strtok_r(text, " ", &rest), *word = strtok_r(NULL, " ", &rest);
    *field = (LsField){.dtype = LS_REAL};
    if (!name || strlen(name) >= LS_FIELD_NAME)
        return false;
    memcpy(field->name, name, strlen(name) + 1);
    if (word && strcmp(word, "of") != 0 && strcmp(word, "int") != 0) {
        if (!read_shape(word, field))
            return false;
        word = strtok_r(NULL, " ", &rest);
    }
    if (word) {
        field->dtype = LS_I32;
        const char *number = strcmp(word, "of") == 0 ? strtok_r(NULL, " ", &rest) : NULL;
        if (number ? !read_number(&number, &field->classes) || *number : strcmp(word, "int") != 0)
            return false;
        word = strtok_r(NULL, " ", &rest);
    }
    return !word;
}

LsStatus ls_fields_parse(const char *text, LsFields *fields)
{
    LsStatus status = LS_OK;
    *fields = (LsFields){0};
    char *copy = ls_strdup(text), *rest = NULL;
    if (!copy)
        return LS_RESOURCE;
    for (char *part = strtok_r(copy, ",", &rest); part && status == LS_OK; part = strtok_r(NULL, ",", &rest)) {
        LsField field;
        char shown[64];
        snprintf(shown, sizeof shown, "%.60s", part);
        status = read_field(part, &field)
                     ? ls_fields_add(fields, field.name, field.dtype, field.classes, field.rank, field.dim)
                     : ls_fail(LS_USAGE, "fields '%s': '%s' is no field, as \"pixels 28x28x1\", \"label of 10\"", text,
                               shown);
    }
    ls_free(copy);
    if (status == LS_OK && fields->count == 0)
        status = ls_fail(LS_USAGE, "fields '%s': there is none", text);
    return status;
}

static void print_field(FILE *out, const LsField *field)
{
    fprintf(out, "%s", field->name);
    for (int i = 0; i < field->rank; i++) {
        fprintf(out, "%s", i ? "x" : " ");
        if (field->dim[i] == LS_STEPS)
            fprintf(out, "T");
        else
            fprintf(out, "%lld", (long long)field->dim[i]);
    }
    if (field->dtype == LS_I32 && field->classes > 0)
        fprintf(out, " of %lld", (long long)field->classes);
    else if (field->dtype == LS_I32)
        fprintf(out, " int");
}

char *ls_fields_text(const LsFields *fields)
{
    char *buffer = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&buffer, &bytes);
    if (!out) {
        ls_fail(LS_RESOURCE, "out of memory for the text of fields");
        return NULL;
    }
    for (int i = 0; i < fields->count; i++) {
        fprintf(out, "%s", i ? ", " : "");
        print_field(out, &fields->list[i]);
    }
    if (fclose(out) != 0)
        ls_fail(LS_RESOURCE, "out of memory for the text of fields");
    else
        text = ls_strdup(buffer);
    free(buffer);
    return text;
}
