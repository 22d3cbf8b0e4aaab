/* Pictures of how the tokens of targets looked at those of their sources: a matrix a text, one below the other, the
 * source's tokens above its columns and the target's before its rows; the darker, the more. */
#ifndef LS_CLI_ATTENTION_SVG_H
#define LS_CLI_ATTENTION_SVG_H

#include "decode/translate.h"

typedef struct LsAttentionSvg LsAttentionSvg;

LsAttentionSvg *ls_attention_svg_new(void); /* NULL with a message */
LsStatus ls_attention_svg_add(LsAttentionSvg *svg, const LsAlignment *alignment) LS_MUST_USE;
LsStatus ls_attention_svg_save(LsAttentionSvg *svg, const char *path) LS_MUST_USE;
void ls_attention_svg_free(LsAttentionSvg *svg); /* NULL is allowed */

#endif
