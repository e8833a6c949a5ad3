"""Hashes of integers inside graphs, equal to those of their decimal digits as strings (`fingerprints.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.layers.preprocessing._hashing.fingerprints import (
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
    """Integers as strings of bytes: "-12" has the bytes "-", "1", "2".

    Bytes are uint64 tensors, 0 beyond the ends.
    """

    def __init__(self, x: TensorLike) -> None:
        integers = ops.cast(x, "int64")
        bits = ops.cast(integers, "uint64")
        self.negative = integers < 0
        self.magnitude = ops.where(self.negative, ops.zeros_like(bits) - bits, bits)
        self.digits, self.leading_power = ops.ones_like(bits), ops.ones_like(bits)
        for power in POWERS[1:]:
            longer = self.magnitude >= power
            self.digits = ops.where(longer, self.digits + np.uint64(1), self.digits)
            self.leading_power = ops.where(longer, power, self.leading_power)
        self.length = self.digits + ops.cast(self.negative, "uint64")

    def _digit(self, power: TensorLike, is_digit: Tensor) -> Tensor:
        return ops.where(is_digit, self.magnitude // power % np.uint64(10) + ZERO, np.uint64(0))

    def _digit_from_start(self, index: int) -> Tensor:
        """Return the digit at `index`, counted from the first digit."""
        power = ops.maximum(self.leading_power // POWERS[index], np.uint64(1))
        return self._digit(power, self.digits > np.uint64(index))

    def byte(self, index: int) -> Tensor:
        """Return the byte at `index`, counted from the start."""
        if index >= len(POWERS):
            return ops.zeros_like(self.magnitude)
        return ops.where(
            self.negative,
            self._digit_from_start(index - 1) if index else MINUS,
            self._digit_from_start(index),
        )

    def byte_from_end(self, index: int) -> Tensor:
        """Return the byte at `index`, counted from the end."""
        sign = ops.logical_and(self.negative, self.digits == np.uint64(index))
        return ops.where(sign, MINUS, self._digit(POWERS[index], self.digits > np.uint64(index)))

    def word(self, start: int) -> Tensor:
        """Return eight bytes from `start` on as a word, the first byte lowest."""
        return _join_bytes([self.byte(start + i) for i in range(8)])

    def last_word(self, skipped: int) -> Tensor:
        """Return the eight bytes that precede the last `skipped` bytes."""
        return _join_bytes([self.byte_from_end(skipped + 7 - i) for i in range(8)])


def _join_bytes(bytes_: Sequence[Tensor]) -> Tensor:
    word = bytes_[0]
    for i, byte in enumerate(bytes_[1:], 1):
        word = word | left(byte, 8 * i)
    return word


def decimal_fingerprint64(x: TensorLike) -> Tensor:
    """Compute FarmHash's fingerprint of the decimal digits of integers, uint64."""
    text = Decimal(x)
    n = text.length
    first, last = text.word(0), text.last_word(0)
    middle = ops.where(n == np.uint64(1), text.byte(0), text.byte(1))
    hashes = farmhash_17_to_32(first, text.word(8), last, text.last_word(8), n)
    hashes = ops.where(n <= np.uint64(16), farmhash_8_to_16(first, last, n), hashes)
    halves = first & np.uint64(0xFFFFFFFF), right(last, 32)
    hashes = ops.where(n < np.uint64(8), farmhash_4_to_7(*halves, n), hashes)
    return ops.where(
        n < np.uint64(4), farmhash_1_to_3(text.byte(0), middle, text.byte_from_end(0), n), hashes
    )


def decimal_siphash(x: TensorLike, key: Sequence[int]) -> Tensor:
    """Compute SipHash-2-4 of the decimal digits of integers, uint64."""
    text = Decimal(x)
    words = [text.word(start) for start in (0, 8, 16)]
    end = left(text.length, 56)
    short, middle, long = (siphash_words([*words[:k], words[k] | end], key) for k in range(3))
    hashes = ops.where(text.length < np.uint64(16), middle, long)
    return ops.where(text.length < np.uint64(8), short, hashes)


def decimal_buckets(x: TensorLike, number: int, salt: Sequence[int] | None) -> Tensor:
    """Map integers to bins, int64."""
    hashes = decimal_fingerprint64(x) if salt is None else decimal_siphash(x, salt)
    return ops.cast(hashes % np.uint64(number), "int64")
