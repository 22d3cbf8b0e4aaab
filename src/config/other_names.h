/* What people write who come from other programs. */
#ifndef LS_CONFIG_OTHER_NAMES_H
#define LS_CONFIG_OTHER_NAMES_H

/* What to write here in place of a setting's name elsewhere: "lr" -> "train.learning_rate". NULL: nothing is known. */
const char *ls_other_name(const char *name);

/* "train." where a section has a setting of this name that every kind shares; NULL: none. */
const char *ls_section_with(const char *name);

#endif
