/* Names of settings in other programs. */
#ifndef LS_CONFIG_OTHER_NAMES_H
#define LS_CONFIG_OTHER_NAMES_H

/* The setting that corresponds to a name in other programs: "lr" -> "train.learning_rate". NULL: none is known. */
const char *ls_other_name(const char *name);

/* The setting that names such a file: "train.init" a checkpoint, "data.path" a data set. NULL: it is neither. */
const char *ls_setting_of_file(const char *path);

/* "train." where a section has a setting of this name that every kind shares; NULL: none. */
const char *ls_section_with(const char *name);

#endif
