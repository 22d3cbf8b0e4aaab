#include "data/shell_words.h"

#include "config/config.h"
#include "data/utf8.h"

#include <string.h>

char *ls_shell_word(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,:@%";
    if (text[0] && text[strspn(text, safe)] == '\0')
        return ls_strdup(text);
    char *quoted = ls_strdup("'");
    for (const char *at = text; quoted && *at;) {
        size_t length = strcspn(at, "'");
        char *longer = ls_format("%s%.*s%s", quoted, (int)length, at, at[length] ? "'\\''" : "");
        ls_free(quoted);
        quoted = longer;
        at += length + (at[length] != '\0');
    }
    char *closed = quoted ? ls_format("%s'", quoted) : NULL;
    ls_free(quoted);
    return closed;
}

/* The value as the option takes it; NULL with *none true: a text that was not given. */
static char *value_of(const LsSetting *setting, const void *values, bool *none)
{
    bool text = setting->type == LS_SETTING_TYPE_STRING || setting->type == LS_SETTING_TYPE_CHOICE;
    const char *given = text ? *(char *const *)(const void *)((const char *)values + setting->offset) : NULL;
    *none = text && !given;
    if (!text)
        return ls_setting_text(setting, values);
    char *shown = given ? ls_utf8_repair(given) : NULL;
    char *word = shown ? ls_shell_word(shown) : NULL;
    ls_free(shown);
    return word;
}

/* One more option behind those of `all`, which is freed; NULL: out of memory. */
static char *with_option(char *all, const LsSetting *setting, const void *values)
{
    bool none = false, flag = setting->type == LS_SETTING_TYPE_BOOL;
    char *value = value_of(setting, values, &none);
    if (none)
        return all;
    char *name = ls_strdup(setting->name);
    for (char *at = name; at && *at; at++)
        *at = *at == '_' ? '-' : *at;
    char *longer = name && value
                       ? ls_format("%s%s--%s%s%s", all, *all ? " " : "", name, flag ? "" : " ", flag ? "" : value)
                       : NULL;
    ls_free(name);
    ls_free(value);
    ls_free(all);
    return longer;
}

char *ls_shell_options(const LsSetting *table, const void *values)
{
    char *all = ls_strdup("");
    for (; all && table->name; table++)
        if (!ls_setting_is_default(table, values))
            all = with_option(all, table, values);
    return all;
}
