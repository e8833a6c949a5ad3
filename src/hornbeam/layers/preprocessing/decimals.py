"""Hashes of whole numbers inside of a graph: of their decimal digits, as `fingerprints.py` has them of
strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.layers.preprocessing.fingerprints import (
    farmhash_1_to_3,
    farmhash_4_to_7,
    farmhash_8_to_16,
    farmhash_17_to_32,
    left,
    right,
    siphash_words,
)

POWERS = np.array([10**k for k in range(20)], np.uint64)
ZERO, MINUS = np.uint64(ord("0")), np.uint64(ord("-"))


class Decimal:
    """Whole numbers as strings: "-12" has the bytes "-", "1", "2". Bytes are uint64 tensors, 0 beyond the
    ends.
    """

    def __init__(self, x: Any) -> None:
        whole = ops.cast(x, "int64")
        bits = ops.cast(whole, "uint64")
        self.negative = whole < 0
        self.size = ops.where(self.negative, ops.zeros_like(bits) - bits, bits)
        self.digits, self.top = ops.ones_like(bits), ops.ones_like(bits)
        for power in POWERS[1:]:
            longer = self.size >= power
            self.digits = ops.where(longer, self.digits + np.uint64(1), self.digits)
            self.top = ops.where(longer, power, self.top)
        self.length = self.digits + ops.cast(self.negative, "uint64")

    def _digit(self, power: Any, inside: Tensor) -> Tensor:
        return ops.where(inside, self.size // power % np.uint64(10) + ZERO, np.uint64(0))

    def _counted(self, place: int) -> Tensor:
        """The digit that has `place` digits before it."""
        power = ops.maximum(self.top // POWERS[place], np.uint64(1))
        return self._digit(power, self.digits > np.uint64(place))

    def byte(self, place: int) -> Tensor:
        """The byte that has `place` bytes before it."""
        if place >= len(POWERS):
            return ops.zeros_like(self.size)
        return ops.where(self.negative, self._counted(place - 1) if place else MINUS, self._counted(place))

    def before_end(self, place: int) -> Tensor:
        """The byte that has `place` bytes behind it."""
        sign = ops.logical_and(self.negative, self.digits == np.uint64(place))
        return ops.where(sign, MINUS, self._digit(POWERS[place], self.digits > np.uint64(place)))

    def word(self, start: int) -> Tensor:
        """Eight bytes from `start` on, the first of them lowest."""
        return _joined([self.byte(start + i) for i in range(8)])

    def last_word(self, behind: int) -> Tensor:
        """The eight bytes that have `behind` bytes behind them; of shorter strings they end there."""
        return _joined([self.before_end(behind + 7 - i) for i in range(8)])


def _joined(bytes_: Sequence[Tensor]) -> Tensor:
    word = bytes_[0]
    for i, byte in enumerate(bytes_[1:], 1):
        word = word | left(byte, 8 * i)
    return word


def decimal_fingerprint64(x: Any) -> Tensor:
    """FarmHash's fingerprint of the decimal digits of whole numbers, uint64."""
    text = Decimal(x)
    n = text.length
    first, last = text.word(0), text.last_word(0)
    middle = ops.where(n == np.uint64(1), text.byte(0), text.byte(1))
    found = farmhash_17_to_32(first, text.word(8), last, text.last_word(8), n)
    found = ops.where(n <= np.uint64(16), farmhash_8_to_16(first, last, n), found)
    halves = first & np.uint64(0xFFFFFFFF), right(last, 32)
    found = ops.where(n < np.uint64(8), farmhash_4_to_7(*halves, n), found)
    return ops.where(n < np.uint64(4), farmhash_1_to_3(text.byte(0), middle, text.before_end(0), n), found)


def decimal_siphash(x: Any, key: Sequence[int]) -> Tensor:
    """SipHash-2-4 of the decimal digits of whole numbers, uint64."""
    text = Decimal(x)
    words = [text.word(start) for start in (0, 8, 16)]
    end = left(text.length, 56)
    found = [siphash_words([*words[:k], words[k] | end], key) for k in range(3)]
    return ops.where(
        text.length < np.uint64(8), found[0], ops.where(text.length < np.uint64(16), found[1], found[2])
    )


def decimal_buckets(x: Any, number: int, salt: Sequence[int] | None) -> Tensor:
    """The bins of whole numbers, int64."""
    hashes = decimal_fingerprint64(x) if salt is None else decimal_siphash(x, salt)
    return ops.cast(hashes % np.uint64(number), "int64")
