"""Writes words_tables.inc, what tokenizer_words.c knows of Unicode, from Python's unicodedata.

    python words_tables.py > words_tables.inc
"""
import sys
import unicodedata

from code_tables import add_lower, add_range, table

lower, marks = [], []
for code in range(sys.maxunicode + 1):
    if 0xD800 <= code < 0xE000:  # surrogates
        continue
    character = chr(code)
    small = character.lower()
    if len(small) == 1 and small != character:
        add_lower(lower, code, small)
    if unicodedata.category(character)[0] in "PS":
        add_range(marks, code)

print(f"/* Made by words_tables.py from Unicode {unicodedata.unidata_version}. */")
table("lower", "from, to, step (0: one code), difference: capital letters and their small ones, by code", lower)
table("marks", "from, to: punctuation and symbols (categories P and S), by code", marks)
