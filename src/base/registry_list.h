/* Makes a file's LsRegistry `registry` from a list of names, one a line of a .def file. Before it is included:
 *
 *     #define LS_LIST_FILE "lockstep/models.def"         lines of the form MODEL(name)
 *     #define MODEL LS_LIST_ENTRY
 *     #define LS_LIST_TYPE LsModel                       a structure that begins with its name
 *     #define LS_LIST_SYMBOL(name) ls_model_##name
 *     #define LS_LIST_WHAT "model"                       for messages
 *     #define LS_LIST_ROOM LS_MAX_ADDED_MODELS           members that a program may add, or 0
 */
#include "base/registry.h"

#define LS_LIST_ENTRY(name) extern const LS_LIST_TYPE LS_LIST_SYMBOL(name);
#include LS_LIST_FILE
#undef LS_LIST_ENTRY

#define LS_LIST_ENTRY(name) +1
enum {
    LS_LISTED = 0
#include LS_LIST_FILE
};
#undef LS_LIST_ENTRY

static const void *members[LS_LISTED + LS_LIST_ROOM + 1] = {
#define LS_LIST_ENTRY(name) &LS_LIST_SYMBOL(name),
#include LS_LIST_FILE
#undef LS_LIST_ENTRY
};
static LsRegistry registry = {LS_LIST_WHAT, members, LS_LISTED, LS_LIST_ROOM, 0};
