/* A regular expression over names of files, as an option gives it (PCRE2's notation, names as bytes). */
#ifndef LS_DATA_NAME_REGEX_H
#define LS_DATA_NAME_REGEX_H

#include "data/raw.h"

typedef struct LsNameRegex LsNameRegex;

/* option: "--label", for messages. group: it must have a group in parentheses. LS_USAGE where it has none, or PCRE2
 * cannot read it. */
LsStatus ls_name_regex_new(const char *option, const char *text, bool group, LsNameRegex **regex) LS_MUST_USE;
/* Whether it matches somewhere in the name, and what of the name: the first group, without a group all that matches.
 * found->text is NULL where it does not match, or the group has no part in the match. */
LsStatus ls_name_regex_find(const LsNameRegex *regex, const char *name, LsSpan *found) LS_MUST_USE;
void ls_name_regex_free(LsNameRegex *regex); /* NULL is allowed */

#endif
