"""Numbers of the words of a text, as `TextVectorization` computes them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from hornbeam.serving.errors import RequestError

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_SPACES = str.maketrans(dict.fromkeys("\t\n\v\f\r", " "))
_UNKNOWN = 1


def word_numbers(text: str, kind: Mapping[str, Any], length: int | None) -> list[int]:
    """Return the numbers of a text's words, padded with 0 or cut to a length.

    Args:
        text: The text. Like in TensorFlow, ASCII letters, punctuation and white space alone count as such.
        kind: What the model's file says: `vocabulary` (as of `get_vocabulary`, from "" and "[UNK]" on),
            `standardize` and `split`.
        length: Size of the input, or None if it is unknown.
    """
    standardize = kind.get("standardize", "lower_and_strip_punctuation")
    split = kind.get("split", "whitespace")
    if standardize not in (None, "lower_and_strip_punctuation", "lower", "strip_punctuation"):
        raise RequestError(415, f"texts are not standardized by {standardize!r} here: send words' numbers")
    if standardize and standardize.startswith("lower"):
        text = text.translate(_LOWER)
    if standardize and standardize.endswith("punctuation"):
        text = text.translate(_PUNCTUATION)
    if split == "whitespace":
        words = text.translate(_SPACES).split(" ")
    elif split == "character":
        words = list(text)
    else:
        words = [text]
    numbers = {word: number for number, word in enumerate(kind["vocabulary"])}
    known = [numbers.get(word, _UNKNOWN) for word in words if word]
    length = kind.get("output_sequence_length") or length
    if length is None:
        return known or [0]
    return (known + [0] * length)[:length]
