"""Functions of tf.strings that split strings: words, characters and code points, n-grams."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import Tensor
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.ragged import RaggedTensor
from hornbeam_compat.tensorflow.strings import StringTensor, from_list, map_elements, to_bytes
from hornbeam_compat.tensorflow.typing import RaggedLike, RaggedOrTensor, TensorLike, TextOrTensor

# Namespace -> its names.
NAMESPACES = {
    "strings": (
        "bytes_split ngrams split unicode_decode unicode_decode_with_offsets unicode_encode unicode_script "
        "unicode_split unicode_split_with_offsets unicode_transcode"
    )
}

_ERRORS = {"strict": "strict", "replace": "replace", "ignore": "ignore"}


def rows_of(
    input: RaggedLike, split: Callable[[bytes], Any], convert: Callable[[list[Any]], Any]
) -> RaggedOrTensor:
    """Return the parts of a string, or a ragged tensor of the parts of several ones.

    Args:
        input: String, or tensor of strings.
        split: Function from bytes to a list of parts.
        convert: Function from a list of parts to a tensor.
    """
    if isinstance(input, RaggedTensor):
        return input.with_flat_values(rows_of(input.flat_values, split, convert))
    array = StringTensor(input).array
    if array.ndim == 0:
        return convert(list(split(array.item())))
    if array.ndim > 1:
        inner = rows_of(StringTensor(array.reshape(-1)), split, convert)
        for size in reversed(array.shape[1:]):
            inner = RaggedTensor.from_uniform_row_length(inner, size)
        return inner
    parts = [list(split(text)) for text in array]
    flat = convert([part for row in parts for part in row])
    return RaggedTensor.from_row_lengths(flat, [len(row) for row in parts])


def strings(parts: list[Any]) -> TextOrTensor:
    """Return a tensor of strings."""
    return from_list(parts, "string")


def split(
    input: RaggedLike, sep: TensorLike | None = None, maxsplit: int = -1, name: str | None = None
) -> RaggedOrTensor:
    """Split a string into words; several strings into the rows of a ragged tensor."""
    separator = (to_bytes(sep) or None) if sep is not None else None
    return rows_of(input, lambda text: text.split(separator, maxsplit), strings)


def _numbers(parts: list[Any]) -> TextOrTensor:
    return from_list(parts, "int32")


def _decoded(text: bytes, encoding: str, errors: str, replacement: int) -> str:
    decoded = text.decode(encoding, _ERRORS[errors])
    return decoded.replace("\ufffd", chr(replacement)) if errors == "replace" else decoded


def unicode_decode(
    input: RaggedLike, input_encoding: str, errors: str = "replace", replacement_char: int = 65533,
    replace_control_characters: bool = False, name: str | None = None,
) -> RaggedOrTensor:  # fmt: skip
    """Return the code points of each string."""
    return rows_of(
        input, lambda text: map(ord, _decoded(text, input_encoding, errors, replacement_char)), _numbers
    )


def unicode_split(
    input: RaggedLike, input_encoding: str = "UTF-8", errors: str = "replace", replacement_char: int = 65533,
    name: str | None = None,
) -> RaggedOrTensor:  # fmt: skip
    """Split each string into characters."""
    return rows_of(
        input,
        lambda text: (
            c.encode(input_encoding) for c in _decoded(text, input_encoding, errors, replacement_char)
        ),
        strings,
    )


def _offsets(input: RaggedLike, encoding: str) -> RaggedOrTensor:
    def starts(text: bytes) -> list[int]:
        sizes = [len(c.encode(encoding)) for c in text.decode(encoding, "replace")]
        return [0, *np.cumsum(sizes)[:-1].tolist()] if sizes else []

    return rows_of(input, starts, lambda parts: as_tensor(np.array(parts, np.int64)))


def unicode_decode_with_offsets(
    input: RaggedLike, input_encoding: str, *args: Any, **options: Any
) -> tuple[RaggedOrTensor, RaggedOrTensor]:
    """Return the code points of each string, and the bytes at which they begin."""
    return unicode_decode(input, input_encoding, *args, **options), _offsets(input, input_encoding)


def unicode_split_with_offsets(
    input: RaggedLike, input_encoding: str = "UTF-8", *args: Any, **options: Any
) -> tuple[RaggedOrTensor, RaggedOrTensor]:
    """Split each string into characters, and return the bytes at which they begin."""
    return unicode_split(input, input_encoding, *args, **options), _offsets(input, input_encoding)


def unicode_encode(
    input: RaggedLike, output_encoding: str, errors: str = "replace", replacement_char: int = 65533,
    name: str | None = None,
) -> RaggedOrTensor:  # fmt: skip
    """Return the strings of the code points along the last axis."""
    if isinstance(input, RaggedTensor) and input.ragged_rank > 1:
        return input.with_values(unicode_encode(input.values, output_encoding))
    rows = input.to_list() if isinstance(input, RaggedTensor) else np.asarray(input)
    if isinstance(rows, np.ndarray) and rows.ndim == 1:
        return StringTensor("".join(map(chr, rows)).encode(output_encoding))
    return strings(["".join(map(chr, row)).encode(output_encoding) for row in rows])


def unicode_transcode(
    input: RaggedLike, input_encoding: str, output_encoding: str, errors: str = "replace",
    replacement_char: int = 65533, replace_control_characters: bool = False, name: str | None = None,
) -> StringTensor:  # fmt: skip
    """Change the encoding of strings."""
    return StringTensor(
        map_elements(
            lambda text: _decoded(text, input_encoding, errors, replacement_char).encode(output_encoding),
            StringTensor(input).array,
        )
    )


# Numbers of scripts in the International Components for Unicode; others are -1.
_SCRIPTS = {
    "ARABIC": 2, "ARMENIAN": 3, "CYRILLIC": 8, "DEVANAGARI": 10, "GREEK": 14, "HANGUL": 18, "CJK": 17,
    "HEBREW": 19, "HIRAGANA": 20, "KATAKANA": 22, "LATIN": 25, "THAI": 38,
}  # fmt: skip


def unicode_script(input: RaggedLike, name: str | None = None) -> Tensor:
    """Return the number of the script of each code point: 25 for Latin, 8 for Cyrillic, 0 for none."""

    def script(code: int) -> int:
        name = unicodedata.name(chr(code), "").split(" ")[0]
        return _SCRIPTS.get(name, 0 if not chr(code).isalpha() else -1)

    codes = np.asarray(input)
    return as_tensor(np.array([script(int(c)) for c in codes.reshape(-1)], np.int32).reshape(codes.shape))


def bytes_split(input: RaggedLike, name: str | None = None) -> RaggedOrTensor:
    """Split each string into bytes."""
    return rows_of(input, lambda text: (text[i : i + 1] for i in range(len(text))), strings)


def ngrams(
    data: RaggedLike, ngram_width: TensorLike, separator: str = " ",
    pad_values: str | bytes | tuple[str | bytes, str | bytes] | None = None, padding_width: int | None = None,
    preserve_short_sequences: bool = False, name: str | None = None,
) -> RaggedOrTensor:  # fmt: skip
    """Join neighboring strings along the last axis.

    Args:
        data: Strings (..., words), or a ragged tensor of them.
        ngram_width: Number of strings to join, or several ones.
        separator: Text between them.
        pad_values: Text around each row, or a pair of texts before and after it. None for no padding.
        padding_width: Number of texts on each side; one less than the width if None.
        preserve_short_sequences: True to join rows that are shorter than the width.
        name: Ignored.
    """
    widths = [int(w) for w in np.atleast_1d(ngram_width)]

    def joined(row: list[bytes]) -> list[bytes]:
        result = []
        for width in widths:
            words = list(row)
            if pad_values is not None:
                left, right = (pad_values, pad_values) if isinstance(pad_values, (str, bytes)) else pad_values
                count = width - 1 if padding_width is None else min(padding_width, width - 1)
                words = [to_bytes(left)] * count + words + [to_bytes(right)] * count
            grams = [words[i : i + width] for i in range(len(words) - width + 1)]
            if not grams and preserve_short_sequences and words:
                grams = [words]
            result += [to_bytes(separator).join(gram) for gram in grams]
        return result

    if isinstance(data, RaggedTensor):
        if data.ragged_rank > 1:
            return data.with_values(ngrams(data.values, widths, separator, pad_values, padding_width))
        rows = [joined(row) for row in data.to_list()]
        flat = strings([gram for row in rows for gram in row])
        return RaggedTensor.from_row_lengths(flat, [len(row) for row in rows])
    array = StringTensor(data).array
    if array.ndim == 1:
        return strings(joined(array.tolist()))
    rows = [joined(row.tolist()) for row in array.reshape(-1, array.shape[-1])]
    return StringTensor(np.array(rows, object).reshape(*array.shape[:-1], len(rows[0])))
