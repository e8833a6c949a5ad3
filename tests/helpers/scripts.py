"""Texts of many scripts, made from the letters of their blocks in Unicode."""

from __future__ import annotations

import random

# First and last letter of a part of a block, without unassigned characters among the first.
SCRIPTS = {
    "Latin": ("a", "z"), "Latin with accents": ("à", "ÿ"), "Latin Extended": ("Ā", "ž"),
    "Greek": ("α", "ω"), "Cyrillic": ("а", "я"), "Armenian": ("ա", "ֆ"), "Hebrew": ("א", "ת"),
    "Arabic": ("ا", "ي"), "Syriac": ("ܐ", "ܬ"), "Thaana": ("ހ", "ޥ"), "NKo": ("ߊ", "ߪ"),
    "Devanagari": ("क", "ह"), "Bengali": ("ক", "ন"), "Gurmukhi": ("ਕ", "ਨ"), "Gujarati": ("ક", "ન"),
    "Odia": ("କ", "ନ"), "Tamil": ("ந", "ப"), "Telugu": ("క", "న"), "Kannada": ("ಕ", "ನ"),
    "Malayalam": ("ക", "ന"), "Sinhala": ("ක", "න"), "Thai": ("ก", "ฮ"), "Lao": ("ຕ", "ທ"),
    "Tibetan": ("ཀ", "ཇ"), "Myanmar": ("က", "အ"), "Georgian": ("ა", "ჰ"), "Hangul Jamo": ("ᄀ", "ᄒ"),
    "Ethiopic": ("ሀ", "ሆ"), "Cherokee": ("Ꭰ", "Ᏼ"), "Canadian syllabics": ("ᐁ", "ᐟ"), "Ogham": ("ᚁ", "ᚚ"),
    "Runic": ("ᚠ", "ᛪ"), "Khmer": ("ក", "អ"), "Mongolian": ("ᠠ", "ᡂ"), "Hiragana": ("あ", "ん"),
    "Katakana": ("ア", "ン"), "Bopomofo": ("ㄅ", "ㄩ"), "Han": ("一", "龥"), "Hangul": ("가", "힣"),
    "Yi": ("ꀀ", "ꒌ"), "Gothic": ("𐌰", "𐍊"), "Emoji": ("😀", "😿"), "Mathematical": ("𝐀", "𝐙"),
}  # fmt: skip

CODE = 'def f(x):\n\treturn {"a": [x ** 2, 0x1F], **kw}  # it\'s\r\n\n    if x >= 1_000: pass\n'
ODD = [
    "", " ", "   a  b ", "\n\n\t", "\u200b\u200d\ufeff", "👩‍👩‍👧‍👦 👍🏽 🇫🇮", "e\u0301 é", "ﬁ ½ Ⅷ",
    "a\x00b\x07", "I'll DON'T we've", "\ufffd", CODE,
]  # fmt: skip


def texts(characters: int, seed: int = 0) -> list[str]:
    """Return one text of words for each script, and odd ones; all together of about `characters`."""
    chance = random.Random(seed)
    size = characters // len(SCRIPTS)
    result = list(ODD)
    for first, last in SCRIPTS.values():
        letters: list[str] = []
        while len(letters) < size:
            word = [chr(chance.randint(ord(first), ord(last))) for _ in range(chance.randint(1, 9))]
            letters += [*word, chance.choice([" ", " ", " ", ", ", ".\n", " 12 ", "-"])]
        result.append("".join(letters))
    return result
