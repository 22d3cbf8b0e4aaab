/* Settings by their table: defaults, from text, to text. */
#include "config/config.h"
#include "config/nearest.h"
#include "config/number.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <strings.h>

static void *field(const LsSetting *setting, void *base) { return (char *)base + setting->offset; }

static const void *const_field(const LsSetting *setting, const void *base)
{
    return (const char *)base + setting->offset;
}

const LsSetting *ls_settings_find(const LsSetting *table, const char *name)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static LsStatus fail_unknown(const LsSetting *table, const char *name)
{
    LsNearest near = ls_nearest_setting(table, name);
    return ls_fail(LS_USAGE, "%s: unknown%s", name, ls_nearest_hint(&near));
}

/* "1 to 1000", or "at least 1" where the upper end is no real limit. */
static void range_text(const LsSetting *setting, char *text, size_t room)
{
    char low[32], high[32];
    ls_number_text(setting->low, low);
    ls_number_text(setting->high, high);
    if (setting->high >= 1e15)
        snprintf(text, room, "at least %s", low);
    else
        snprintf(text, room, "%s to %s", low, high);
}

static LsStatus check_range(const LsSetting *setting, const char *text, double value)
{
    if (value >= setting->low && value <= setting->high)
        return LS_OK;
    char range[80];
    range_text(setting, range, sizeof range);
    return ls_fail(LS_USAGE, "%s is out of range: %s", text, range);
}

/* Is `text` one of "layer|rms"? On the way offers all of them to `near`, copied to `names`. */
static bool is_choice(const char *choices, const char *text, LsNearest *near, char *names, size_t room)
{
    snprintf(names, room, "%s", choices);
    bool found = false;
    for (char *name = names, *rest = names; name; name = rest) {
        rest = strchr(name, '|');
        if (rest)
            *rest++ = '\0';
        found = found || strcmp(name, text) == 0;
        ls_nearest_offer(near, name);
    }
    return found;
}

static LsStatus set_choice(const LsSetting *setting, const char *text)
{
    char names[1024];
    LsNearest near = ls_nearest_to(text);
    if (is_choice(setting->choices, text, &near, names, sizeof names))
        return LS_OK;
    size_t length = strlen(setting->choices);
    if (length > 5 && strcmp(setting->choices + length - 5, "|PATH") == 0 && access(text, F_OK) == 0)
        return LS_OK;
    return ls_fail(LS_USAGE, "'%s' is none of %s%s", text, setting->choices, ls_nearest_hint(&near));
}

static LsStatus set_string(const LsSetting *setting, void *base, const char *text)
{
    char **value = field(setting, base);
    char *copy = text ? ls_strdup(text) : NULL;
    if (text && !copy)
        return LS_RESOURCE;
    ls_free(*value);
    *value = copy;
    return LS_OK;
}

static LsStatus set_bool(const LsSetting *setting, void *base, const char *text)
{
    static const char *const word[2][7] = {{"false", "False", "FALSE", "no", "off", "0", NULL},
                                           {"true", "True", "TRUE", "yes", "on", "1", NULL}};
    for (int value = 0; value < 2; value++)
        for (int i = 0; word[value][i]; i++)
            if (strcmp(text, word[value][i]) == 0) {
                *(bool *)field(setting, base) = value;
                return LS_OK;
            }
    return ls_fail(LS_USAGE, "'%s' is neither true nor false", text);
}

/* Sets one setting; the message does not name it. */
static LsStatus set(const LsSetting *setting, void *base, const char *text)
{
    int64_t whole = 0;
    double number = 0;
    switch (setting->type) {
    case LS_SETTING_TYPE_INT:
        if (!ls_number_int(text, &whole))
            return text[0] && strspn(text, "0123456789") == strlen(text)
                       ? ls_fail(LS_USAGE, "%s is too large: whole numbers end at 9223372036854775807", text)
                       : ls_fail(LS_USAGE, "'%s' is not a whole number", text);
        LS_TRY(check_range(setting, text, (double)whole));
        *(int64_t *)field(setting, base) = whole;
        return LS_OK;
    case LS_SETTING_TYPE_BYTES:
        if (!ls_number_bytes(text, &whole))
            return ls_fail(LS_USAGE, "'%s' is not a number of bytes: 4GiB, 512MiB, 2GB, 1000000", text);
        LS_TRY(check_range(setting, text, (double)whole));
        *(int64_t *)field(setting, base) = whole;
        return LS_OK;
    case LS_SETTING_TYPE_FLOAT:
        if (!ls_number_float(text, &number))
            return ls_fail(LS_USAGE, "'%s' is not a number", text);
        LS_TRY(check_range(setting, text, number));
        *(double *)field(setting, base) = number;
        return LS_OK;
    case LS_SETTING_TYPE_BOOL:
        return set_bool(setting, base, text);
    case LS_SETTING_TYPE_CHOICE:
        LS_TRY(set_choice(setting, text));
        return set_string(setting, base, text);
    case LS_SETTING_TYPE_STRING:
        return set_string(setting, base, text);
    case LS_SETTING_TYPE_LIST: /* of one */
        LS_TRY(set_string(setting, base, NULL));
        return ls_list_append(field(setting, base), text);
    case LS_SETTING_TYPE_MAP:
        return ls_fail(LS_USAGE, "'%s' where {name: value, ...} belongs", text);
    }
    return ls_fail(LS_ERROR, "setting %s has no type %d", setting->name, (int)setting->type);
}

/* Whether the structure has a text of its own for it. */
static bool is_text(const LsSetting *setting)
{
    return setting->type == LS_SETTING_TYPE_STRING || setting->type == LS_SETTING_TYPE_CHOICE ||
           setting->type == LS_SETTING_TYPE_LIST || setting->type == LS_SETTING_TYPE_MAP;
}

LsStatus ls_settings_defaults(const LsSetting *table, void *base)
{
    for (; table->name; table++) {
        if (is_text(table))
            *(char **)field(table, base) = NULL;
        if (!table->fallback) {
            if (is_text(table) && table->type != LS_SETTING_TYPE_CHOICE)
                continue;
            return ls_fail(LS_ERROR, "%s has no default", table->name);
        }
        LsStatus status = set(table, base, table->fallback);
        if (status)
            return ls_fail_in(status, "default of %s", table->name);
    }
    return LS_OK;
}

LsStatus ls_settings_set(const LsSetting *table, void *base, const char *name, const char *text)
{
    const LsSetting *setting = ls_settings_find(table, name);
    if (!setting)
        return fail_unknown(table, name);
    LsStatus status = LS_OK;
    if (text)
        status = set(setting, base, text);
    else if (is_text(setting) && !setting->fallback)
        status = set_string(setting, base, NULL);
    else
        status = ls_fail(LS_USAGE, "has no value");
    return status ? ls_fail_in(status, "%s", name) : LS_OK;
}

LsStatus ls_settings_set_members(const LsSetting *table, void *base, const char *name, bool list, const char *json)
{
    const LsSetting *setting = ls_settings_find(table, name);
    if (!setting)
        return fail_unknown(table, name);
    if (setting->type == (list ? LS_SETTING_TYPE_LIST : LS_SETTING_TYPE_MAP))
        return set_string(setting, base, json);
    const char *what = list ? "a list" : "a section";
    if (setting->type == LS_SETTING_TYPE_STRING)
        return ls_fail(LS_USAGE,
                       "%s: %s where one value belongs; a text with such characters needs quotes (inside the shell's)",
                       name, what);
    return ls_fail(LS_USAGE, "%s: %s where %s belongs", name, what,
                   setting->type == LS_SETTING_TYPE_LIST  ? "a list ([one, two])"
                   : setting->type == LS_SETTING_TYPE_MAP ? "{name: value, ...}"
                                                          : "one value");
}

void ls_settings_free(const LsSetting *table, void *base)
{
    if (!base)
        return;
    for (; table->name; table++)
        if (is_text(table)) {
            char **value = field(table, base);
            ls_free(*value);
            *value = NULL;
        }
}

/* Does `text` stand in YAML without quotes, and is no other type to any reader? */
static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.+-";
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    if (!isalpha((unsigned char)text[0]) && text[0] != '/')
        return false;
    for (size_t i = 0; i < LS_COUNT_OF(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return strspn(text, letters) == strlen(text);
}

/* Bytes of a character that YAML takes for no text, or folds into a line break, though it is UTF-8: U+0080 to U+009F,
 * U+2028, U+2029, U+FEFF, U+FFFE, U+FFFF; and its code point. 0: none stands here. */
static int unprintable(const unsigned char *at, unsigned *code)
{
    if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F) {
        *code = at[1];
        return 2;
    }
    if ((at[0] & 0xF0) != 0xE0 || (at[1] & 0xC0) != 0x80 || (at[2] & 0xC0) != 0x80)
        return 0;
    *code = (at[0] & 0xFu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    return *code == 0x2028 || *code == 0x2029 || *code == 0xFEFF || *code == 0xFFFE || *code == 0xFFFF ? 3 : 0;
}

char *ls_setting_quote(const char *text)
{
    char *out = ls_alloc(4 * strlen(text) + 3);
    if (!out)
        return NULL;
    char *to = out;
    unsigned code = 0;
    int bytes = 0;
    *to++ = '"';
    for (; *text; text += bytes ? bytes : 1) {
        unsigned char letter = (unsigned char)*text;
        bytes = unprintable((const unsigned char *)text, &code);
        if (letter == '"' || letter == '\\')
            *to++ = '\\';
        if (bytes)
            to += sprintf(to, "\\u%04x", code);
        else if (letter < 32 || letter == 127)
            to += sprintf(to, "\\x%02x", letter);
        else
            *to++ = *text;
    }
    *to++ = '"';
    *to = '\0';
    return out;
}

char *ls_setting_scalar(const char *text) { return is_plain(text) ? ls_strdup(text) : ls_setting_quote(text); }

char *ls_setting_text(const LsSetting *setting, const void *base)
{
    char number[32];
    const void *value = const_field(setting, base);
    switch (setting->type) {
    case LS_SETTING_TYPE_INT:
        return ls_format("%lld", (long long)*(const int64_t *)value);
    case LS_SETTING_TYPE_BYTES:
        ls_number_bytes_text(*(const int64_t *)value, number);
        return ls_strdup(number);
    case LS_SETTING_TYPE_FLOAT:
        ls_number_text(*(const double *)value, number);
        return ls_strdup(number);
    case LS_SETTING_TYPE_BOOL:
        return ls_strdup(*(const bool *)value ? "true" : "false");
    case LS_SETTING_TYPE_STRING:
    case LS_SETTING_TYPE_CHOICE: {
        const char *text = *(char *const *)value;
        return text ? ls_setting_scalar(text) : ls_strdup("null");
    }
    case LS_SETTING_TYPE_LIST:
    case LS_SETTING_TYPE_MAP:
        return ls_members_yaml(*(char *const *)value);
    }
    ls_fail(LS_ERROR, "setting %s has no type %d", setting->name, (int)setting->type);
    return NULL;
}

bool ls_setting_is_default(const LsSetting *setting, const void *base)
{
    union {
        int64_t whole;
        double real;
        bool flag;
        char *text;
    } standard = {0};
    LsSetting alone[] = {*setting, {0}};
    const void *value = const_field(setting, base);
    alone[0].offset = 0;
    bool same = true;
    if (ls_settings_defaults(alone, &standard) != LS_OK)
        return true;
    if (is_text(setting)) {
        const char *text = *(char *const *)value;
        same = text && standard.text ? strcmp(text, standard.text) == 0 : text == standard.text;
    } else if (setting->type == LS_SETTING_TYPE_FLOAT)
        same = *(const double *)value == standard.real;
    else if (setting->type == LS_SETTING_TYPE_BOOL)
        same = *(const bool *)value == standard.flag;
    else
        same = *(const int64_t *)value == standard.whole;
    ls_settings_free(alone, &standard);
    return same;
}
