"""Portable hashes of byte strings, with the values of TensorFlow.

`fingerprint64` is FarmHash's Fingerprint64 (Pike, Alakuijala 2014, the function farmhashna::Hash64), and
`siphash` is SipHash-2-4 (Aumasson, Bernstein 2012), whose key protects against crafted collisions.

Both hash many strings at once: those of one length form a matrix of bytes, which is hashed column by column
in wrapping 64-bit arithmetic. The arithmetic works on arrays and tensors alike: `decimals.py` hashes integers
with it inside graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops

Words = Any  # uint64, one for each string: an array, or a tensor

K0 = np.uint64(0xC3A5C85C97CB3127)
K1 = np.uint64(0xB492B66FBE98F273)
K2 = np.uint64(0x9AE16A3B2F90404F)
CROSS = np.uint64(0xC6A4A7935BD1E995)


def _word(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF)


# -- strings of any length -----------------------------------------------------------------------------------


def _by_length(strings: Sequence[bytes], hash_matrix: Callable[[np.ndarray], Words]) -> Words:
    """Hash strings, those of one length at once from their bytes (number, length)."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    hashes = np.zeros(len(strings), np.uint64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        joined = b"".join([strings[row] for row in rows.tolist()])
        hashes[rows] = hash_matrix(np.frombuffer(joined, np.uint8).reshape(len(rows), length))
    return hashes


def fingerprint64(strings: Sequence[bytes]) -> Words:
    """Compute FarmHash's 64-bit fingerprint of every string, as uint64."""
    return _by_length(strings, _farmhash)


def siphash(strings: Sequence[bytes], key: Sequence[int]) -> Words:
    """Compute SipHash-2-4 of every string under a key of two 64-bit numbers, as uint64."""
    return _by_length(strings, lambda matrix: _siphash(matrix, key))


def combine(first: Words, second: Words) -> Words:
    """Combine two fingerprints to one, as TensorFlow crosses features."""
    mixed = (first ^ CROSS) ^ _shift_mix(second * CROSS) * CROSS
    mixed = mixed * CROSS
    return _shift_mix(_shift_mix(mixed) * CROSS)


# -- FarmHash ------------------------------------------------------------------------------------------------


def left(x: Words, bits: int) -> Words:
    """Shift left: x << bits."""
    return x << np.uint64(bits) if isinstance(x, np.ndarray) else ops.left_shift(x, np.uint64(bits))


def right(x: Words, bits: int) -> Words:
    """Shift right: x >> bits."""
    return x >> np.uint64(bits) if isinstance(x, np.ndarray) else ops.right_shift(x, np.uint64(bits))


def _rotate(x: Words, bits: int) -> Words:
    return right(x, bits) | left(x, 64 - bits)


def _shift_mix(x: Words) -> Words:
    return x ^ right(x, 47)


def _hash16(u: Words, v: Words, mul: Words | np.uint64) -> Words:
    """Hash 128 bits to 64, as in CityHash."""
    a = _shift_mix((u ^ v) * mul)
    return _shift_mix((v ^ a) * mul) * mul


def _fetch(s: np.ndarray, start: int, dtype: str = "<u8") -> Words:
    """Return the little-endian words at a position of every string."""
    size = np.dtype(dtype).itemsize
    return np.ascontiguousarray(s[:, start : start + size]).view(dtype)[:, 0].astype(np.uint64)


def _farmhash(s: np.ndarray) -> Words:
    n = s.shape[1]
    if n <= 16:
        return _farmhash_to_16(s, n)
    if n <= 32:
        return _farmhash_to_32(s, n)
    return _farmhash_to_64(s, n) if n <= 64 else _farmhash_long(s, n)


def _farmhash_to_16(s: np.ndarray, n: int) -> Words:
    if n >= 8:
        return farmhash_8_to_16(_fetch(s, 0), _fetch(s, n - 8), np.uint64(n))
    if n >= 4:
        return farmhash_4_to_7(_fetch(s, 0, "<u4"), _fetch(s, n - 4, "<u4"), np.uint64(n))
    if n == 0:
        return np.full(len(s), K2)
    first, middle, last = (s[:, position].astype(np.uint64) for position in (0, n >> 1, n - 1))
    return farmhash_1_to_3(first, middle, last, np.uint64(n))


def _farmhash_to_32(s: np.ndarray, n: int) -> Words:
    first, second, last, before = (_fetch(s, position) for position in (0, 8, n - 8, n - 16))
    return farmhash_17_to_32(first, second, last, before, np.uint64(n))


def farmhash_1_to_3(first: Words, middle: Words, last: Words, n: Words) -> Words:
    """Hash strings of n bytes from their first, middle and last byte."""
    y, z = first + left(middle, 8), left(last, 2) + n
    return _shift_mix(y * K2 ^ z * K0) * K2


def farmhash_4_to_7(first: Words, last: Words, n: Words) -> Words:
    """Hash strings of n bytes from their first and last four."""
    return _hash16(left(first, 3) + n, last, n * np.uint64(2) + K2)


def farmhash_8_to_16(first: Words, last: Words, n: Words) -> Words:
    """Hash strings of n bytes from their first and last eight."""
    mul = n * np.uint64(2) + K2
    a = first + K2
    return _hash16(_rotate(last, 37) * mul + a, (_rotate(a, 25) + last) * mul, mul)


def farmhash_17_to_32(first: Words, second: Words, last: Words, before: Words, n: Words) -> Words:
    """Hash strings of n bytes from their first and second eight, last eight, and the eight before those."""
    mul = n * np.uint64(2) + K2
    a, b, c, d = first * K1, second, last * mul, before * K2
    return _hash16(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + K2, 18) + c, mul)


def _farmhash_to_64(s: np.ndarray, n: int) -> Words:
    mul = _word(int(K2) + 2 * n)
    a, b = _fetch(s, 0) * K2, _fetch(s, 8)
    c, d = _fetch(s, n - 8) * mul, _fetch(s, n - 16) * K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _hash16(y, a + _rotate(b + K2, 18) + c, mul)
    e, f = _fetch(s, 16) * mul, _fetch(s, 24)
    g, h = (y + _fetch(s, n - 32)) * mul, (z + _fetch(s, n - 24)) * mul
    return _hash16(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, mul)


def _weak32(s: np.ndarray, start: int, a: Words, b: Words) -> tuple[Words, Words]:
    """Hash 32 bytes and two seeds to 16 bytes."""
    w, x, y, z = (_fetch(s, start + 8 * i) for i in range(4))
    a = a + w
    b = _rotate(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotate(total, 44) + a


def _farmhash_long(s: np.ndarray, n: int) -> Words:
    """Update a state of 56 bytes by 64 bytes of the string at a time, the last 64 bytes twice."""
    seed = 81
    y_seed = _word(seed * int(K1) + 113)
    x = _fetch(s, 0) + _word(seed * int(K2))
    y = np.full(len(s), y_seed)
    z = _shift_mix(y * K2 + np.uint64(113)) * K2
    v = w = (np.zeros_like(y), np.zeros_like(y))
    for start in range(0, (n - 1) // 64 * 64, 64):
        x, y, z, v, w = _block(s, start, x, y, z, v, w, K1, np.uint64(1))
    mul = left(z & np.uint64(0xFF), 1) + K1
    w = (w[0] + _word((n - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _block(s, n - 64, x, y, z, v, w, mul, np.uint64(9))
    first = _hash16(v[0], w[0], mul) + _shift_mix(y) * K0 + z
    return _hash16(first, _hash16(v[1], w[1], mul) + x, mul)


Pair = tuple[Words, Words]


def _block(
    s: np.ndarray,
    at: int,
    x: Words,
    y: Words,
    z: Words,
    v: Pair,
    w: Pair,
    mul: Words | np.uint64,
    scale: np.uint64,
) -> tuple[Words, Words, Words, Pair, Pair]:
    x = _rotate(x + y + v[0] + _fetch(s, at + 8), 37) * mul
    y = _rotate(y + v[1] + _fetch(s, at + 48), 42) * mul
    x = x ^ (w[1] * scale)
    y = y + v[0] * scale + _fetch(s, at + 40)
    z = _rotate(z + w[0], 33) * mul
    v = _weak32(s, at, v[1] * mul, x + w[0])
    w = _weak32(s, at + 32, z + w[1], y + _fetch(s, at + 16))
    return z, y, x, v, w


# -- SipHash -------------------------------------------------------------------------------------------------


def _sip_round(v0: Words, v1: Words, v2: Words, v3: Words) -> tuple[Words, Words, Words, Words]:
    v0, v2 = v0 + v1, v2 + v3
    v1, v3 = _rotate(v1, 64 - 13) ^ v0, _rotate(v3, 64 - 16) ^ v2
    v0, v2 = _rotate(v0, 32) + v3, v2 + v1
    v1, v3 = _rotate(v1, 64 - 17) ^ v2, _rotate(v3, 64 - 21) ^ v0
    return v0, v1, _rotate(v2, 32), v3


def _siphash(s: np.ndarray, key: Sequence[int]) -> Words:
    count, n = s.shape
    # The last word: the rest of the string, zeros, and the string's length in the highest byte.
    padded = np.zeros((count, n // 8 * 8 + 8), np.uint8)
    padded[:, :n] = s
    padded[:, -1] = n & 0xFF
    return siphash_words([_fetch(padded, at) for at in range(0, padded.shape[1], 8)], key)


def siphash_words(words: Sequence[Words], key: Sequence[int]) -> Words:
    """Compute SipHash-2-4 of padded strings from their words."""
    k0, k1 = _word(key[0]), _word(key[1])
    zero = words[0] ^ words[0]
    v0, v1 = zero + (k0 ^ _word(0x736F6D6570736575)), zero + (k1 ^ _word(0x646F72616E646F6D))
    v2, v3 = zero + (k0 ^ _word(0x6C7967656E657261)), zero + (k1 ^ _word(0x7465646279746573))
    for word in words:
        v0, v1, v2, v3 = _sip_round(*_sip_round(v0, v1, v2, v3 ^ word))
        v0 = v0 ^ word
    v2 = v2 ^ np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
