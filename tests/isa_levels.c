/* Prints the instruction-set levels below the one in force, one a line: those at which ctest runs the tests of
 * level_tests once more. */
#include "lockstep/base.h"

#include <stdio.h>

int main(void)
{
    LsIsa best;
    if (ls_isa_choose(&best) != LS_OK) {
        fprintf(stderr, "%s\n", ls_message());
        return 1;
    }
    for (int level = 0; level < (int)best; level++)
        printf("%s\n", ls_isa_name((LsIsa)level));
    return 0;
}
