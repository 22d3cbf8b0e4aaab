/* What PCRE2 says of an error. */
#ifndef LS_BASE_PCRE2_REASON_H
#define LS_BASE_PCRE2_REASON_H

typedef struct LsPcre2Reason {
    char text[256];
} LsPcre2Reason;

/* error: a negative code, or a positive one of pcre2_compile. Empty where PCRE2 does not know it. */
LsPcre2Reason ls_pcre2_reason(int error);

#endif
