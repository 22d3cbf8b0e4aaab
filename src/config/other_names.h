/* Names of settings in other programs. */
#ifndef LS_CONFIG_OTHER_NAMES_H
#define LS_CONFIG_OTHER_NAMES_H

/* The setting that corresponds to a name in other programs: "lr" -> "train.learning_rate". NULL: none is known. */
const char *ls_other_name(const char *name);

/* "train." where a section has a setting of this name that every kind shares; NULL: none. */
const char *ls_section_with(const char *name);

#endif
