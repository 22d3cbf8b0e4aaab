"""Writes characters_tables.inc, the characters that Rust's regex (and so Hugging Face's tokenizers) counts as parts of words (\\w), by
asking that library about every character.

    pip install tokenizers; python characters_tables.py > characters_tables.inc
"""
import tokenizers
from tokenizers import AddedToken, Tokenizer, models

from code_tables import add_range, table

judge = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
judge.add_tokens([AddedToken("X", single_word=True, normalized=False)])
rows = []
for code in range(0x110000):
    if 0xD800 <= code < 0xE000:  # surrogates
        continue
    if judge.encode("X" + chr(code)).ids[0] == 1:  # it stands alone
        continue
    add_range(rows, code)

print(f"/* Made by characters_tables.py from tokenizers {tokenizers.__version__}: from, to. */")
table("words", None, rows)
