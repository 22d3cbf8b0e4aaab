/* Conversations as a data set of kind "chat": the answers alone are learnt from.
 *
 *     /SPLIT/ids, /SPLIT/ids_offsets   tokens of all conversations, and where each starts (N + 1)
 *     /SPLIT/answers                   1 for each token of an answer and of the marker behind it, else 0
 *     /info                            {"kind": "chat", "tokenizer": {...}, "template": {"system": TEXT, ..., "end": TEXT}}
 *
 * A message is its role's marker, what was said, and the marker of its end. Markers are tokenized as the text that they
 * are, each by itself; those that are special tokens of the tokenizer become these.
 */
#ifndef LS_DATA_CHAT_H
#define LS_DATA_CHAT_H

#include "data/text_write.h"
#include "data/texts.h"
#include "lockstep/data.h"

#define LS_CHAT_VERSION 1

typedef struct LsChatSettings {
    LsTokenizerSettings tokens;
    char *messages, *system, *user, *assistant, *end;
    int64_t longest;
    LsHeldOutSettings held_out;
} LsChatSettings;

#define LS_CHAT_MARKERS 4 /* of the roles, and of the end */

/* Of the section `data:`. */
typedef struct LsChatUse {
    bool pack; /* several conversations a sample */
} LsChatUse;
extern const LsSetting ls_chat_use_settings[];

enum { LS_CHAT_LEARNT = 1, LS_CHAT_MARKER = 2 }; /* a piece is part of an answer; is no message's words */

/* Of one part: the pieces of all conversations, in order. */
typedef struct LsChats {
    LsRawFiles raw;
    LsTexts piece;
    LsTokens kind;  /* of each piece: the bits above */
    LsTokens first; /* of each conversation: its first piece */
    int64_t blank;  /* empty lines, passed over */
} LsChats;

/* Reads the JSON lines of all files of a part. LS_DATA with file and line. */
LsStatus ls_chats_read(const LsChatSettings *settings, LsChats *part) LS_MUST_USE;
void ls_chats_free(LsChats *part);

/* The first of the markers that stands in what was said, without the blanks around it: it would look like another's
 * words. Of no bytes where none does; a marker may be NULL. */
LsSpan ls_chat_find_marker(LsSpan said, const char *const marker[LS_CHAT_MARKERS]);

/* Appends a piece's ids. Special tokens that stand in a marker are these; a message that holds one would say what nobody
 * can say: LS_DATA. kind: the bits above. */
LsStatus ls_chat_encode(const LsTokenizer *tokenizer, const LsSpecials *specials, const char *text, int64_t bytes,
                        int kind, LsTokens *id) LS_MUST_USE;

/* As LsDataKind.converse. */
LsStatus ls_chat_converse(const json_t *info, const LsTokenizer *tokenizer, const LsTurns *turns,
                          LsTurnsPrompt *prompt) LS_MUST_USE;

/* Fields "ids" (T) and "targets" (T), which are LS_IGNORE but where the next token is an answer's; of packed
 * conversations "positions" (T) too, each token's in its own. As LsDataKind.open. */
LsStatus ls_chat_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

#endif
