"""Hash values of byte strings that are the same everywhere: those by which TensorFlow fills bins.

`fingerprint64` is FarmHash's Fingerprint64 (Pike, Alakuijala 2014, the function farmhashna::Hash64), and
`siphash` is SipHash-2-4 (Aumasson, Bernstein 2012), which a key protects against made-up collisions.

Both work on many strings at once: those of one length form a matrix of bytes, which is hashed column by
column in wrapping 64-bit arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Words = np.ndarray  # uint64, one for each string

K0 = np.uint64(0xC3A5C85C97CB3127)
K1 = np.uint64(0xB492B66FBE98F273)
K2 = np.uint64(0x9AE16A3B2F90404F)
CROSS = np.uint64(0xC6A4A7935BD1E995)


def _word(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF)


# -- strings of any length -----------------------------------------------------------------------------------


def _by_length(strings: Sequence[bytes], hashed: Callable[[np.ndarray], Words]) -> Words:
    """The hash of every string, found for all of one length at once from their bytes (number, length)."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    found = np.zeros(len(strings), np.uint64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        joined = b"".join([strings[row] for row in rows.tolist()])
        found[rows] = hashed(np.frombuffer(joined, np.uint8).reshape(len(rows), length))
    return found


def fingerprint64(strings: Sequence[bytes]) -> Words:
    """FarmHash's 64-bit fingerprint of every string, as uint64."""
    return _by_length(strings, _farmhash)


def siphash(strings: Sequence[bytes], key: Sequence[int]) -> Words:
    """SipHash-2-4 of every string under a key of two 64-bit numbers, as uint64."""
    return _by_length(strings, lambda matrix: _siphash(matrix, _word(key[0]), _word(key[1])))


def combine(first: Words, second: Words) -> Words:
    """One fingerprint of two: what TensorFlow crosses features by."""
    mixed = (first ^ CROSS) ^ _shift_mix(second * CROSS) * CROSS
    mixed = mixed * CROSS
    return _shift_mix(_shift_mix(mixed) * CROSS)


# -- FarmHash ------------------------------------------------------------------------------------------------


def _rotate(x: Words, right: int) -> Words:
    return (x >> np.uint64(right)) | (x << np.uint64(64 - right))


def _shift_mix(x: Words) -> Words:
    return x ^ (x >> np.uint64(47))


def _hash16(u: Words, v: Words, mul: Words | np.uint64) -> Words:
    """128 bits to 64, as in CityHash."""
    a = _shift_mix((u ^ v) * mul)
    return _shift_mix((v ^ a) * mul) * mul


def _fetch(s: np.ndarray, start: int, dtype: str = "<u8") -> Words:
    """The little-endian words at a position of every string."""
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
        mul = _word(int(K2) + 2 * n)
        a, b = _fetch(s, 0) + K2, _fetch(s, n - 8)
        return _hash16(_rotate(b, 37) * mul + a, (_rotate(a, 25) + b) * mul, mul)
    if n >= 4:
        first, last = _fetch(s, 0, "<u4"), _fetch(s, n - 4, "<u4")
        return _hash16(_word(n) + (first << np.uint64(3)), last, _word(int(K2) + 2 * n))
    if n == 0:
        return np.full(len(s), K2)
    a, b, c = (s[:, place].astype(np.uint64) for place in (0, n >> 1, n - 1))
    y, z = a + (b << np.uint64(8)), _word(n) + (c << np.uint64(2))
    return _shift_mix(y * K2 ^ z * K0) * K2


def _farmhash_to_32(s: np.ndarray, n: int) -> Words:
    mul = _word(int(K2) + 2 * n)
    a, b = _fetch(s, 0) * K1, _fetch(s, 8)
    c, d = _fetch(s, n - 8) * mul, _fetch(s, n - 16) * K2
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
    """32 bytes and two seeds to 16 bytes."""
    w, x, y, z = (_fetch(s, start + 8 * i) for i in range(4))
    a = a + w
    b = _rotate(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotate(total, 44) + a


def _farmhash_long(s: np.ndarray, n: int) -> Words:
    """56 bytes of state, 64 bytes of the string at a time; the last 64 bytes once more at the end."""
    seed = 81
    y_seed = _word(seed * int(K1) + 113)
    x = _fetch(s, 0) + _word(seed * int(K2))
    y = np.full(len(s), y_seed)
    z = _shift_mix(y * K2 + np.uint64(113)) * K2
    v = w = (np.zeros_like(y), np.zeros_like(y))
    for start in range(0, (n - 1) // 64 * 64, 64):
        x, y, z, v, w = _block(s, start, x, y, z, v, w, K1, np.uint64(1))
    mul = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
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


def _left(x: Words, bits: int) -> Words:
    return _rotate(x, 64 - bits)


def _sip_round(v0: Words, v1: Words, v2: Words, v3: Words) -> tuple[Words, Words, Words, Words]:
    v0, v2 = v0 + v1, v2 + v3
    v1, v3 = _left(v1, 13) ^ v0, _left(v3, 16) ^ v2
    v0, v2 = _left(v0, 32) + v3, v2 + v1
    v1, v3 = _left(v1, 17) ^ v2, _left(v3, 21) ^ v0
    return v0, v1, _left(v2, 32), v3


def _siphash(s: np.ndarray, k0: np.uint64, k1: np.uint64) -> Words:
    count, n = s.shape
    # The last word: what is left of the string, zeros, and the string's length in the highest byte.
    padded = np.zeros((count, n // 8 * 8 + 8), np.uint8)
    padded[:, :n] = s
    padded[:, -1] = n & 0xFF
    start = (
        k0 ^ _word(0x736F6D6570736575),
        k1 ^ _word(0x646F72616E646F6D),
        k0 ^ _word(0x6C7967656E657261),
        k1 ^ _word(0x7465646279746573),
    )
    v0, v1, v2, v3 = (np.full(count, value) for value in start)
    for at in range(0, padded.shape[1], 8):
        word = _fetch(padded, at)
        v0, v1, v2, v3 = _sip_round(*_sip_round(v0, v1, v2, v3 ^ word))
        v0 = v0 ^ word
    v2 = v2 ^ np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
