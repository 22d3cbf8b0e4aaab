/* YAML of two levels, sections with scalars (or lists and maps of scalars), to a list of entries with their line
 * numbers; and the list of mistakes.
 *
 * Refused, each with its line: syntax errors, anchors and aliases, tags, several documents, keys that are no scalars,
 * keys twice, lists and sections inside a value, bytes that are no text, more than 1 MiB.
 */
#ifndef LS_CONFIG_YAML_H
#define LS_CONFIG_YAML_H

#include "lockstep/base.h"

/* Mistakes, gathered to be told all at once. */
typedef struct LsMistakes {
    const char *name; /* of the file, for the message */
    int count;
    struct LsMistake {
        int line;
        char *text; /* "line 3: ..." */
    } list[50];     /* the first ones; more are only counted */
    bool failed;    /* out of memory while gathering */
} LsMistakes;

/* line: 0 for the command line, -1 for none. */
void ls_mistakes_add(LsMistakes *mistakes, int line, const char *format, ...) LS_PRINTF(3, 4);

/* Whether one more would only be counted: its text need not be made then. */
bool ls_mistakes_full(const LsMistakes *mistakes);

/* LS_OK where there are none; else LS_USAGE with all of them as the message, by line, the command line's last. Frees
 * the texts. */
LsStatus ls_mistakes_status(LsMistakes *mistakes) LS_MUST_USE;

typedef enum LsYamlForm { LS_YAML_SCALAR, LS_YAML_LIST, LS_YAML_MAP } LsYamlForm;

typedef struct LsYamlEntry {
    char *section, *key;
    char *value;     /* NULL: null, or nothing after the colon. Of a list or map: JSON, whose members are texts */
    LsYamlForm form; /* whether one belongs there is for the setting to say */
    int line;        /* 0: command line */
} LsYamlEntry;

typedef struct LsYamlEntries {
    LsYamlEntry *list; /* line -1: of another file */
    int count, room;
} LsYamlEntries;

/* Appends the entries of a text; what is wrong with it goes to mistakes. LS_RESOURCE when out of memory, else LS_OK. */
LsStatus ls_yaml_read(const char *text, size_t bytes, LsYamlEntries *entries, LsMistakes *mistakes) LS_MUST_USE;

/* Appends the entry of "section.key=value". The value stands for itself, whatever is in it, but for: nothing, `null`
 * and `~` (no value); "..." and '...', which are read as YAML's quotes; [...] and {...}, which are lists and
 * sections. */
LsStatus ls_yaml_override(const char *assignment, LsYamlEntries *entries, LsMistakes *mistakes) LS_MUST_USE;

void ls_yaml_free(LsYamlEntries *entries);

#endif
