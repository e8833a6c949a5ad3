"""tf.strings: operations on text, on the host. Arguments are TensorFlow's."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam import Tensor, ops, tree
from hornbeam.data import Strings
from hornbeam.extensions.tensors import as_tensor
from hornbeam.layers import Hashing
from hornbeam_compat.tensorflow.dtypes import TensorShape
from hornbeam_compat.tensorflow.typing import DTypeLike, Sizes, TensorLike, Tensors, TextOrTensor, Tree

__all__ = [
    "as_string", "format", "join", "length", "lower", "reduce_join", "regex_full_match", "regex_replace",
    "strip", "substr", "to_hash_bucket_fast", "to_number", "upper",
]  # fmt: skip


# -- tensors of strings --------------------------------------------------------------------------------------


def holds_text(x: object) -> bool:
    """Return True for a string, an array of strings, or nested lists of them."""
    if isinstance(x, (str, bytes)):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "SUO"
    if isinstance(x, (list, tuple)) and x:
        leaves = tree.flatten(list(x))
        return bool(leaves) and (isinstance(leaves[0], (str, bytes)) or holds_text(leaves[0]))
    return False


class StringTensor(Strings):
    """Array of bytes with `numpy()`, indexing and comparison as those of a tf.Tensor of strings."""

    def __new__(cls, value: object) -> StringTensor:
        return map_elements(to_bytes, np.array(value, dtype=object)).view(cls)

    @property
    def array(self) -> np.ndarray:
        """The same bytes in a plain array."""
        return self.view(np.ndarray)

    def texts(self) -> np.ndarray:
        """Decode the strings from UTF-8, to an array of objects."""
        return map_elements(lambda x: x.decode("utf-8", "replace"), self.array)

    @property  # type: ignore[misc]
    def shape(self) -> TensorShape:  # type: ignore[override]
        """Sizes of the axes."""
        return TensorShape(self.array.shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    def __getitem__(self, key: Tree) -> StringTensor:
        return StringTensor(self.array[key])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: TensorLike) -> StringTensor:
        return StringTensor(self.array + StringTensor(other).array)

    def __radd__(self, other: TensorLike) -> StringTensor:
        return StringTensor(StringTensor(other).array + self.array)

    def __eq__(self, other: object) -> Tree:
        if not holds_text(other):
            return NotImplemented
        return as_tensor(np.asarray(self.array == StringTensor(other).array, dtype=bool))

    def __ne__(self, other: object) -> Tree:
        return ~(self == other) if holds_text(other) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def as_bytes(strings: Strings) -> bytes | np.ndarray:
    """Return the bytes, or an array of them: `numpy()` of a tensor of strings."""
    array = StringTensor(strings).array
    return array if array.ndim else array.item()


def from_list(values: list[Any], dtype: str, shape: Sizes = (-1,)) -> TextOrTensor:
    """Return the tensor of the values in a list."""
    if dtype != "string":
        return as_tensor(np.array(values, dtype).reshape(shape))
    array = np.empty(len(values), object)
    array[:] = values
    return StringTensor(array.reshape(shape))


def take(values: TextOrTensor, places: np.ndarray) -> TextOrTensor:
    """Return the rows at these places."""
    if isinstance(values, StringTensor):
        return values[places]
    return ops.take(values, places.astype(np.int32), axis=0)


def to_bytes(x: object) -> bytes:
    return x if isinstance(x, bytes) else str(x).encode()


def map_elements(fn: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
    """Apply `fn` to each element, and return an array of objects."""
    results = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        results[index] = fn(array[index])
    return results


# -- operations ----------------------------------------------------------------------------------------------


def _map_texts(fn: Callable[[str], Any], input: TensorLike) -> np.ndarray:
    return map_elements(fn, StringTensor(input).texts())


def lower(input: TensorLike, encoding: str = "", name: str | None = None) -> StringTensor:
    """Convert to lower case; without an encoding, ASCII letters only."""
    return StringTensor(_map_texts(str.lower if encoding else _ascii_only(str.lower), input))


def upper(input: TensorLike, encoding: str = "", name: str | None = None) -> StringTensor:
    """Convert to upper case; without an encoding, ASCII letters only."""
    return StringTensor(_map_texts(str.upper if encoding else _ascii_only(str.upper), input))


def _ascii_only(fn: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(fn(c) if c.isascii() else c for c in text)


def strip(input: TensorLike, name: str | None = None) -> StringTensor:
    """Remove white space at both ends."""
    return StringTensor(_map_texts(str.strip, input))


def regex_replace(
    input: TensorLike, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None
) -> StringTensor:
    """Replace the matches of `pattern`. `\\1` in `rewrite` is the first group, `\\0` the whole match.

    As in TensorFlow nothing is replaced if `rewrite` names a group that the pattern does not have.
    """
    compiled = _compile(pattern)
    if any(int(group) > compiled.groups for group in re.findall(r"\\(\d)", rewrite)):
        return StringTensor(input)
    new = rewrite.replace("\\0", "\\g<0>")
    return StringTensor(
        _map_texts(lambda text: compiled.sub(new, text, count=0 if replace_global else 1), input)
    )


# RE2's names of character classes.
_CLASSES = {"[:punct:]": re.escape("""!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"""), "[:alpha:]": "A-Za-z",
            "[:digit:]": "0-9", "[:alnum:]": "A-Za-z0-9", "[:space:]": r"\s", "[:upper:]": "A-Z",
            "[:lower:]": "a-z"}  # fmt: skip


def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of RE2, whose syntax is translated as far as text tutorials need it."""
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    pattern = pattern.replace(r"\p{P}", re.escape("""!"#%&'()*,-./:;?@[\\]_{}"""))
    with warnings.catch_warnings():
        # A bracket inside of a character class is literal.
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(pattern)


def regex_full_match(input: TensorLike, pattern: str, name: str | None = None) -> Tensor:
    """Return True for each string that `pattern` matches from end to end."""
    compiled = _compile(pattern)
    return as_tensor(_map_texts(lambda text: compiled.fullmatch(text) is not None, input).astype(bool))


def join(inputs: Tensors, separator: str = "", name: str | None = None) -> StringTensor:
    """Join strings elementwise; shapes are broadcast."""
    arrays = np.broadcast_arrays(*(StringTensor(x).texts() for x in inputs))
    joined = np.empty(arrays[0].shape, object)
    for index in np.ndindex(joined.shape):
        joined[index] = separator.join(array[index] for array in arrays)
    return StringTensor(joined)


def reduce_join(
    inputs: TensorLike, axis: int | None = None, keepdims: bool = False, separator: str = "",
    name: str | None = None,
) -> StringTensor:  # fmt: skip
    """Join the strings along an axis, or all of them."""
    array = StringTensor(inputs).texts()
    if axis is None:
        return StringTensor(separator.join(array.reshape(-1)))
    rows = np.moveaxis(array, axis, -1)
    joined = np.empty(rows.shape[:-1], object)
    for index in np.ndindex(joined.shape):
        joined[index] = separator.join(rows[index])
    return StringTensor(np.expand_dims(joined, axis) if keepdims else joined)


def length(input: TensorLike, unit: str = "BYTE", name: str | None = None) -> Tensor:
    """Return the number of bytes, or of characters with unit="UTF8_CHAR"."""
    count = (lambda text: len(text)) if unit == "UTF8_CHAR" else (lambda text: len(text.encode()))
    return ops.cast(as_tensor(_map_texts(count, input).astype(np.int64)), "int32")


def substr(
    input: TensorLike, pos: int, len: int, unit: str = "BYTE", name: str | None = None
) -> StringTensor:
    """Return a substring of each string."""
    end = pos + len if pos + len else None
    return StringTensor(_map_texts(lambda text: text[pos:end], input))


def to_number(input: TensorLike, out_type: DTypeLike = "float32", name: str | None = None) -> Tensor:
    """Parse numbers."""
    return ops.cast(as_tensor(_map_texts(float, input).astype(np.float64)), out_type)


def to_hash_bucket_fast(input: TensorLike, num_buckets: int, name: str | None = None) -> Tensor:
    """Hash each string to an integer below `num_buckets`: FarmHash's fingerprint modulo that number."""
    return _hashing(num_buckets)(StringTensor(input).array)


@functools.cache
def _hashing(num_buckets: int) -> Hashing:
    return Hashing(num_buckets, name="to_hash_bucket_fast")


def as_string(
    input: TensorLike, precision: int = -1, name: str | None = None, **options: object
) -> StringTensor:
    """Format numbers."""
    digits = 6 if precision < 0 else precision

    def format_number(value: TensorLike) -> str:
        if isinstance(value, np.floating):
            return f"{value:.{digits}f}"
        return str(value).lower() if isinstance(value, np.bool_) else str(value)

    return StringTensor(map_elements(format_number, np.asarray(input)))


def format(
    template: str, inputs: TensorLike, placeholder: str = "{}", summarize: int = 3, name: str | None = None
) -> StringTensor:
    """Insert values into a template."""
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    text = template
    for value in values:
        printable = StringTensor(value).texts()[()] if holds_text(value) else np.asarray(value)
        text = text.replace(placeholder, str(printable), 1)
    return StringTensor(text)
