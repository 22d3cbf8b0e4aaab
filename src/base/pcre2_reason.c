#include "base/pcre2_reason.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

LsPcre2Reason ls_pcre2_reason(int error)
{
    LsPcre2Reason reason = {""};
    pcre2_get_error_message(error, (PCRE2_UCHAR *)reason.text, sizeof reason.text);
    return reason;
}
