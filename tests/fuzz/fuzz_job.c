/* Job files, and what stands on the command line after them: "YAML NUL key=value NUL key=value". What is taken is
 * written out as YAML, which reads back to the same. */
#include "shared.h"

#include "config/config.h"
#include "train/optimizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    FuzzParts parts = {input, input + bytes};
    char *text = fuzz_part(&parts), *override[8];
    int overrides = 0;
    while (overrides < 8 && (override[overrides] = fuzz_part(&parts)))
        overrides++;
    LsConfig *config = ls_config_parse("job.yaml", text, overrides, override);
    fuzz_is_ok(config ? LS_OK : ls_message_status());
    if (config) {
        ls_warn_unused(config);
        char *yaml = ls_config_yaml(config);
        LsConfig *again = yaml ? ls_config_parse("config.yaml", yaml, 0, NULL) : NULL;
        FUZZ_ASSERT(again);
        char *same = ls_config_yaml(again);
        FUZZ_ASSERT(same && strcmp(yaml, same) == 0);
        ls_free(yaml);
        ls_free(same);
        ls_config_free(again);
    }
    ls_config_free(config);
    while (overrides > 0)
        free(override[--overrides]);
    free(text);
    return 0;
}
