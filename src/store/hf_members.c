/* config.json's objects in objects: "rope_scaling.factor" is a key of the tables like any other. */
#include "store/hf_internal.h"

#include <stdlib.h>
#include <string.h>

json_t *ls_hf_member(const json_t *keys, const char *name)
{
    const char *dot = strchr(name, '.');
    json_t *whole = json_object_get(keys, name);
    if (whole || !dot)
        return whole;
    char *outer = ls_format("%.*s", (int)(dot - name), name);
    json_t *member = outer ? json_object_get(json_object_get(keys, outer), dot + 1) : NULL;
    ls_free(outer);
    return member;
}

/* Does one of "a|b.c" begin with "NAME."? */
static bool reaches_into(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, "|"), at += *at == '|')
        if (strncmp(at, name, length) == 0 && at[length] == '.')
            return true;
    return false;
}

static bool has_members(const LsHf *hf, const char *name)
{
    for (const LsHfKey *key = hf->keys; key->key; key++)
        if (reaches_into(key->key, name) || reaches_into(key->also, name))
            return true;
    return false;
}

static bool same(const json_t *a, const json_t *b)
{
    return json_equal(a, b) || (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b));
}

/* The value of another name of the key becomes that of the key itself. */
static LsStatus take_other(const char *path, const LsHfKey *key, const char *other, json_t *flat)
{
    json_t *value = json_object_get(flat, other), *have = json_object_get(flat, key->key);
    if (!value || json_is_null(value))
        return LS_OK;
    if (have && !json_is_null(have) && !same(have, value))
        return ls_fail(LS_DATA, "%s: keys %s and %s differ, which are two names of one thing", path, key->key, other);
    return json_object_set(flat, key->key, value) == 0 && json_object_del(flat, other) == 0
               ? LS_OK
               : ls_fail(LS_RESOURCE, "out of memory for the keys of %s", path);
}

static LsStatus take_others(const char *path, const LsHfKey *key, json_t *flat)
{
    for (const char *at = key->also; at && *at; at += strcspn(at, "|"), at += *at == '|') {
        char *other = ls_format("%.*s", (int)strcspn(at, "|"), at);
        LsStatus status = other ? take_other(path, key, other, flat) : LS_RESOURCE;
        ls_free(other);
        LS_TRY(status);
    }
    return LS_OK;
}

/* All members of `object` beside the others, as "NAME.member". */
static bool lay_flat(json_t *flat, const char *name, const json_t *object)
{
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)object, member, value)
    {
        char *whole = ls_format("%s.%s", name, member);
        bool set = whole && json_object_set(flat, whole, value) == 0;
        ls_free(whole);
        if (!set)
            return false;
    }
    return true;
}

LsStatus ls_hf_flatten(const char *path, const LsHf *hf, const json_t *keys, json_t **flat)
{
    const char *name;
    json_t *value;
    bool set = (*flat = json_object()) != NULL;
    json_object_foreach((json_t *)keys, name, value)
    {
        if (!set)
            break;
        set = json_is_object(value) && has_members(hf, name) ? lay_flat(*flat, name, value)
                                                             : json_object_set(*flat, name, value) == 0;
    }
    LsStatus status = set ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the keys of %s", path);
    for (const LsHfKey *key = hf->keys; key->key && status == LS_OK; key++)
        status = take_others(path, key, *flat);
    if (status != LS_OK) {
        json_decref(*flat);
        *flat = NULL;
    }
    return status;
}

bool ls_hf_set_member(json_t *keys, const char *name, json_t *value)
{
    const char *dot = strchr(name, '.');
    if (!dot)
        return json_object_set_new(keys, name, value) == 0;
    char *outer = ls_format("%.*s", (int)(dot - name), name);
    json_t *object = outer ? json_object_get(keys, outer) : NULL;
    bool set = outer && (object || json_object_set_new(keys, outer, json_object()) == 0);
    set = set && json_object_set(json_object_get(keys, outer), dot + 1, value) == 0;
    json_decref(value);
    ls_free(outer);
    return set;
}
