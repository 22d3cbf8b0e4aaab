/* SentencePiece's normal form: its rules, blanks as a sign, none twice. */
#include "data/sentencepiece.h"

#include "data/utf8.h"

#define BLANK_SIGN "\xE2\x96\x81"
#define REPLACEMENT "\xEF\xBF\xBD"

/* The replacement for a text's first bytes. */
typedef struct Prefix {
    const char *text;
    int64_t bytes, used; /* used 0: it depends on what follows the window */
} Prefix;

/* The longest rule at text[0]; false where the window ends before that is certain. */
static bool find_rule(const SentencePiece *piece, const char *text, int64_t bytes, bool last, Prefix *prefix)
{
    uint32_t unit = piece->rules > 0 ? piece->rule[0] : 0;
    int64_t node = (int64_t)(unit >> 10) << ((unit & 0x200) >> 6), i;
    for (i = 0; piece->rules > 0 && i < bytes; i++) {
        node ^= (unsigned char)text[i];
        if (node < 0 || node >= piece->rules)
            return true;
        unit = piece->rule[node];
        if ((unit & 0x800000FFu) != (unsigned char)text[i])
            return true;
        node ^= (int64_t)(unit >> 10) << ((unit & 0x200) >> 6);
        if (!(unit >> 8 & 1) || node < 0 || node >= piece->rules)
            continue;
        int64_t value = piece->rule[node] & 0x7FFFFFFFu;
        if (value < piece->normal_bytes)
            *prefix = (Prefix){piece->normal + value, (int64_t)strlen(piece->normal + value), i + 1};
    }
    return last || piece->rules == 0;
}

static Prefix normal_prefix(const SentencePiece *piece, const char *text, int64_t bytes, bool last)
{
    Prefix prefix = {0};
    uint32_t code;
    if (!last && (bytes < piece->longest_defined || bytes < 4))
        return prefix;
    for (int32_t i = piece->defined.first[(unsigned char)text[0]]; i >= 0; i = piece->defined.next[i])
        if (piece->defined.list[i].bytes <= bytes &&
            memcmp(text, piece->defined.list[i].text, (size_t)piece->defined.list[i].bytes) == 0)
            return (Prefix){text, piece->defined.list[i].bytes, piece->defined.list[i].bytes};
    if (!find_rule(piece, text, bytes, last, &prefix))
        return (Prefix){0};
    if (prefix.used > 0)
        return prefix;
    int length = ls_utf8_decode(text, bytes, &code);
    return length > 0 ? (Prefix){text, length, length} : (Prefix){REPLACEMENT, sizeof REPLACEMENT - 1, 1};
}

static LsStatus append(PieceMemory *memory, const char *text, int64_t bytes)
{
    if (memory->bytes + bytes > memory->room) {
        int64_t room = 2 * (memory->bytes + bytes) + 256;
        char *more = ls_alloc((size_t)room);
        if (!more)
            return LS_RESOURCE;
        if (memory->bytes > 0)
            memcpy(more, memory->text, (size_t)memory->bytes);
        ls_free(memory->text);
        memory->text = more;
        memory->room = room;
    }
    memcpy(memory->text + memory->bytes, text, (size_t)bytes);
    memory->bytes += bytes;
    return LS_OK;
}

static LsStatus append_blank(const SentencePiece *piece, PieceMemory *memory)
{
    return piece->escapes ? append(memory, BLANK_SIGN, sizeof BLANK_SIGN - 1) : append(memory, " ", 1);
}

static LsStatus append_prefix(const SentencePiece *piece, PieceMemory *memory, Prefix prefix)
{
    while (memory->after_blank && prefix.bytes > 0 && *prefix.text == ' ') {
        prefix.text++;
        prefix.bytes--;
    }
    for (int64_t at = 0; at < prefix.bytes;) {
        const char *blank = piece->escapes ? memchr(prefix.text + at, ' ', (size_t)(prefix.bytes - at)) : NULL;
        int64_t plain = blank ? blank - (prefix.text + at) : prefix.bytes - at;
        LS_TRY(append(memory, prefix.text + at, plain));
        at += plain;
        if (blank) {
            LS_TRY(append_blank(piece, memory));
            at++;
        }
    }
    if (prefix.bytes > 0)
        memory->after_blank = piece->extra_blanks_go && prefix.text[prefix.bytes - 1] == ' ';
    return LS_OK;
}

LsStatus ls_sentencepiece_normal(const SentencePiece *piece, PieceMemory *memory, const char *text, int64_t bytes,
                                 bool last, int64_t *used)
{
    *used = 0;
    while (*used < bytes) {
        Prefix prefix = normal_prefix(piece, text + *used, bytes - *used, last);
        if (prefix.used == 0)
            return LS_OK;
        bool blank = prefix.bytes == 1 && *prefix.text == ' ';
        *used += prefix.used;
        if (!memory->started && piece->extra_blanks_go && blank)
            continue;
        if (!memory->started) {
            memory->started = true;
            memory->after_blank = piece->extra_blanks_go;
            if (piece->dummy_prefix && !piece->as_suffix)
                LS_TRY(append_blank(piece, memory));
        }
        LS_TRY(append_prefix(piece, memory, prefix));
    }
    if (!last || !memory->started)
        return LS_OK;
    const char *sign = piece->escapes ? BLANK_SIGN : " ";
    int64_t length = (int64_t)strlen(sign);
    while (piece->extra_blanks_go && memory->bytes >= length &&
           memcmp(memory->text + memory->bytes - length, sign, (size_t)length) == 0)
        memory->bytes -= length;
    return piece->dummy_prefix && piece->as_suffix ? append_blank(piece, memory) : LS_OK;
}
