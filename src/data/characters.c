#include "data/characters.h"

#include "data/characters_tables.inc"
#include "data/utf8.h"

bool ls_is_word(uint32_t code)
{
    int row = ls_code_row(&words[0][0], LS_COUNT_OF(words), 2, code);
    return row >= 0 && code <= (uint32_t)words[row][1];
}

bool ls_is_cut_letter(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {'A', 'Z'},     {'a', 'z'},       {0xC0, 0xD6},     {0xD8, 0xF6},     {0xF8, 0x24F},    {0x391, 0x3A1},
        {0x3A3, 0x3CE}, {0x400, 0x481},   {0x48A, 0x52F},   {0x5D0, 0x5EA},   {0x620, 0x64A},   {0x904, 0x939},
        {0xE01, 0xE30}, {0x10D0, 0x10FA}, {0x3041, 0x3096}, {0x30A1, 0x30FA}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}};
    for (size_t i = 0; i < LS_COUNT_OF(ranges) && code >= ranges[i][0]; i++)
        if (code <= ranges[i][1])
            return true;
    return false;
}

int ls_small_letters(uint32_t code, uint32_t small[2])
{
    if (code == 0x130) { /* I with a dot: the only small letter of two characters */
        small[0] = 'i';
        small[1] = 0x307;
        return 2;
    }
    small[0] = ls_small_letter(code);
    return 1;
}
