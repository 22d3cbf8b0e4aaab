"""Writes nfc_tables.inc, what nfc.c knows of Unicode, from Python's unicodedata.

    python nfc_tables.py > nfc_tables.inc
"""
import sys
import unicodedata

from code_tables import add_range, table

decompositions, compositions, classes = [], [], []
for code in range(sys.maxunicode + 1):
    if 0xD800 <= code < 0xE000 or 0xAC00 <= code <= 0xD7A3:  # surrogates; Hangul syllables are computed
        continue
    character = chr(code)
    parts = unicodedata.decomposition(character).split()
    if parts and not parts[0].startswith("<"):
        pair = [int(p, 16) for p in parts] + [0] * (2 - len(parts))
        decompositions.append((code, *pair))
        if pair[1] and unicodedata.normalize("NFC", character) == character:
            compositions.append((*pair, code))
    combining = unicodedata.combining(character)
    if combining:
        add_range(classes, code, combining)

UNSIGNED = dict(type="uint32_t", number=lambda v: f"0x{v:X}", width=140)
print(f"/* Made by nfc_tables.py from Unicode {unicodedata.unidata_version}. */")
table("decompositions", "code, first, second (0: none): canonical decompositions, by code", decompositions, **UNSIGNED)
table("compositions", "first, second, code: primary composites, by first and second", sorted(compositions), **UNSIGNED)
table("classes", "from, to, canonical combining class where it is not 0, by code", classes, **UNSIGNED)
