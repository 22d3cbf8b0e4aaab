"""Writes words_tables.inc, what tokenizer_words.c knows of Unicode, from Python's unicodedata.

    python words_tables.py > words_tables.inc
"""
import sys
import unicodedata

lower, marks = [], []
for code in range(sys.maxunicode + 1):
    if 0xD800 <= code < 0xE000:  # surrogates
        continue
    character = chr(code)
    small = character.lower()
    if len(small) == 1 and small != character:
        delta = ord(small) - code
        last = lower[-1] if lower else None
        if last and last[3] == delta and code - last[1] in (1, 2) and last[2] in (0, code - last[1]):
            last[2] = code - last[1]
            last[1] = code
        else:
            lower.append([code, code, 0, delta])
    if unicodedata.category(character)[0] in "PS":
        if marks and marks[-1][1] == code - 1:
            marks[-1][1] = code
        else:
            marks.append([code, code])


def table(name, what, columns, rows):
    print(f"/* {what} */\nstatic const int32_t {name}[][{columns}] = {{")
    line = "   "
    for row in rows:
        entry = " {" + ",".join(str(v) for v in row) + "},"
        if len(line) + len(entry) > 118:
            print(line)
            line = "   "
        line += entry
    print(line + "\n};")


print(f"/* Made by words_tables.py from Unicode {unicodedata.unidata_version}. */")
table("lower", "from, to, step (0: one code), difference: capital letters and their small ones, by code", 4, lower)
table("marks", "from, to: punctuation and symbols (categories P and S), by code", 2, marks)
