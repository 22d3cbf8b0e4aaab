/* Declared settings: name, type, default, range and help stand in one table beside the code that uses them; parsing,
 * checking, printing and documentation are done from the table.
 *
 *     typedef struct { int64_t layers; double dropout; char *norm; } Config;
 *     static const LsSetting settings[] = {
 *         LS_SETTING_INT(Config, layers, "12", 1, 1000, "blocks"),
 *         LS_SETTING_FLOAT(Config, dropout, "0", 0, 0.99, "probability of zeroing an activation"),
 *         LS_SETTING_CHOICE(Config, norm, "layer", "layer|rms", "normalisation before each block"),
 *         {0}};
 */
#ifndef LOCKSTEP_SETTINGS_H
#define LOCKSTEP_SETTINGS_H

#include "lockstep/base.h"

typedef enum LsSettingType {
    LS_SETTING_TYPE_INT = 1, /* int64_t */
    LS_SETTING_TYPE_FLOAT,   /* double */
    LS_SETTING_TYPE_BOOL,    /* bool: true or false */
    /* char *, owned by the configuration; NULL where the default is NULL and none was given */
    LS_SETTING_TYPE_STRING,
    LS_SETTING_TYPE_CHOICE, /* char *, one of choices */
    LS_SETTING_TYPE_BYTES,  /* int64_t; written "4GiB", "1.5G", "300MB" or as a whole number of bytes */
    /* char *, owned by the configuration: JSON of what is written as [one, two], or {name: value, other: value}; all
     * members are texts. NULL where none was given. A list of one may be written without brackets. Not for commands'
     * options */
    LS_SETTING_TYPE_LIST,
    LS_SETTING_TYPE_MAP
} LsSettingType;

typedef struct LsSetting {
    const char *name;
    LsSettingType type;
    size_t offset;        /* in the structure the table describes */
    const char *fallback; /* the default, as it would be written in the file; NULL: none (a string stays NULL) */
    double low, high;     /* inclusive range of numbers */
    const char *choices;  /* "layer|rms"; "...|PATH": or the path of what is there */
    const char *help;     /* one line, units included */
} LsSetting;

#define LS_SETTING_INT(S, field, fallback, low, high, help)                                                            \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_INT, offsetof(S, field), fallback, low, high, NULL, help                               \
    }
#define LS_SETTING_BYTES(S, field, fallback, low, high, help)                                                          \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_BYTES, offsetof(S, field), fallback, low, high, NULL, help                             \
    }
#define LS_SETTING_FLOAT(S, field, fallback, low, high, help)                                                          \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_FLOAT, offsetof(S, field), fallback, low, high, NULL, help                             \
    }
#define LS_SETTING_BOOL(S, field, fallback, help)                                                                      \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_BOOL, offsetof(S, field), fallback, 0, 0, NULL, help                                   \
    }
#define LS_SETTING_STRING(S, field, fallback, help)                                                                    \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_STRING, offsetof(S, field), fallback, 0, 0, NULL, help                                 \
    }
#define LS_SETTING_LIST(S, field, help)                                                                                \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_LIST, offsetof(S, field), NULL, 0, 0, NULL, help                                       \
    }
#define LS_SETTING_MAP(S, field, help)                                                                                 \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_MAP, offsetof(S, field), NULL, 0, 0, NULL, help                                        \
    }
#define LS_SETTING_CHOICE(S, field, fallback, choices, help)                                                           \
    {                                                                                                                  \
#field, LS_SETTING_TYPE_CHOICE, offsetof(S, field), fallback, 0, 0, choices, help                              \
    }

#endif
