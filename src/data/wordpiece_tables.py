"""Writes wordpiece_tables.inc, what BERT's tokenizer knows of Unicode, by asking Hugging Face's tokenizers about every character.

    pip install tokenizers; python wordpiece_tables.py > wordpiece_tables.inc
"""
import tokenizers
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from code_tables import add_lower, add_range, table


def only(step):
    steps = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return BertNormalizer(**{**steps, step: True}).normalize_str


clean, ideograph, strip, small = map(only, ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
cut = BertPreTokenizer().pre_tokenize_str
traits, lower = [], []
for code in range(0x110000):
    if 0xD800 <= code < 0xE000:  # surrogates
        continue
    character = chr(code)
    between = "a" + character + "b"
    pieces = len(cut(between))
    bits = (1 if clean(between) == "ab" else 0) | (2 if clean(between) == "a b" else 0) | (4 if pieces == 2 else 0)
    bits |= (8 if pieces == 3 else 0) | (16 if strip(between) == "ab" else 0) | (32 if ideograph(between) != between else 0)
    if bits:
        add_range(traits, code, bits)
    lowered = small(character)
    if lowered != character and len(lowered) == 1:
        add_lower(lower, code, lowered)

print(f"/* Made by wordpiece_tables.py from tokenizers {tokenizers.__version__}. */")
table("traits", "from, to, traits (1 cleaned away, 2 cleaned to a space, 4 white space, 8 punctuation, 16 accent, 32 ideograph)", traits)
table("lower", "from, to, step (0: one code), difference: capital letters and their small ones, by code", lower)
