"""Initializers and random functions beside Keras's: equal distributions, or values."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.comparison import Comparison
from tests.helpers.parity.configs import SIDES, check_configs
from tests.helpers.parity.reasons import WITHOUT_CASE

EXACT = [
    ("Zeros()", (3, 4)), ("Ones()", (3, 4)), ("Constant(2.5)", (3, 4)), ("Constant(3)", (2,)),
    ("Identity()", (3, 3)), ("Identity(gain=2.0)", (3, 5)), ("STFT()", (16, 1, 9)),
    ("STFT('imag', window='hamming', scaling='spectrum', periodic=True)", (16, 1, 9)),
    ("STFT('imag', window=None, scaling=None)", (8, 1, 5)),
]  # fmt: skip
DRAWN = [
    ("RandomNormal(seed=1)", (150, 100)), ("RandomNormal(1.0, 0.5, seed=2)", (150, 100)),
    ("RandomUniform(seed=1)", (150, 100)), ("RandomUniform(-1.0, 3.0, seed=2)", (150, 100)),
    ("TruncatedNormal(seed=1)", (150, 100)), ("TruncatedNormal(1.0, 0.5, seed=2)", (150, 100)),
    *((f"{kind}{form}(seed=3)", shape)
      for kind in ("Glorot", "He", "Lecun") for form in ("Normal", "Uniform")
      for shape in ((150, 100), (3, 3, 20, 80))),
    ("GlorotUniform(seed=3, input_axes=[0], output_axes=[1, 2])", (20, 30, 25)),
    *((f"VarianceScaling(2.0, {mode!r}, {form!r}, seed=4)", (200, 75))
      for mode in ("fan_in", "fan_out", "fan_avg")
      for form in ("truncated_normal", "untruncated_normal", "uniform")),
]  # fmt: skip
ORTHOGONAL = [("Orthogonal(seed=1)", (5, 3)), ("Orthogonal(gain=2.0, seed=1)", (3, 2, 5))]
RANDOM = [
    "normal((15000,), 1.0, 2.0, seed=1)", "uniform((15000,), -1.0, 2.0, seed=1)",
    "truncated_normal((15000,), 1.0, 2.0, seed=1)", "randint((15000,), 0, 10, seed=1)",
    "gamma((15000,), 2.0, seed=1)", "gamma((15000,), 0.5, seed=1)", "beta((15000,), 2.0, 0.7, seed=1)",
    "binomial((15000,), 10.0, 0.3, seed=1)",
    "categorical(np.log([[0.1, 0.2, 0.7]]).astype('float32'), 15000, seed=1)",
    "dropout(np.ones(15000, 'float32'), 0.3, seed=1)",
    "shuffle(np.arange(15000.0, dtype='float32'), seed=1)",
]  # fmt: skip


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov and Smirnov's: the largest gap between two empirical distributions."""
    a, b = np.sort(a.ravel()), np.sort(b.ravel())
    every = np.concatenate([a, b])
    return float(
        np.abs(
            np.searchsorted(a, every, "right") / a.size - np.searchsorted(b, every, "right") / b.size
        ).max()
    )


def same_distribution(ours: Any, theirs: Any) -> None:
    """Both samples are of one distribution; one pair in a hundred thousand would say otherwise."""
    mine, other = np.asarray(ours), np.asarray(theirs)
    assert mine.shape == other.shape
    assert mine.dtype == other.dtype
    bound = 2.47 * math.sqrt(2 / mine.size)
    assert distance(mine, other) < bound, f"{distance(mine, other):.4f} apart, {bound:.4f} allowed"
    # Distributions that end do so at one place.
    if max(mine.max() / mine.std(), other.max() / other.std()) < 3:
        assert abs(mine.max() - other.max()) < 0.05 * other.std()


@pytest.mark.parametrize(("text", "shape"), [*EXACT, *DRAWN, *ORTHOGONAL])
def test_initializers(compare: Comparison, text: str, shape: tuple[int, ...]) -> None:
    ours, theirs = (eval(f"initializers.{text}", {"initializers": side.initializers}) for side in SIDES)
    mine, other = ours(shape), theirs(shape)
    if (text, shape) in EXACT:
        compare.close("values", mine, other)
    elif (text, shape) in ORTHOGONAL:
        flat = [np.asarray(w).reshape(-1, shape[-1]) for w in (mine, other)]
        compare.close("products", *(w.T @ w for w in flat))
    else:
        compare.check("distribution", lambda: same_distribution(mine, other))
    check_configs(compare, "initializers", ours, theirs)


@pytest.mark.parametrize("text", RANDOM)
def test_random_functions(compare: Comparison, text: str) -> None:
    mine, other = (eval(f"random.{text}", {"random": side.random, "np": np}) for side in SIDES)
    compare.check("distribution", lambda: same_distribution(mine, other))


def test_every_public_initializer_has_a_case() -> None:
    named = {text.partition("(")[0] for text, _ in [*EXACT, *DRAWN, *ORTHOGONAL]}
    covered = {getattr(hornbeam.initializers, name) for name in named}
    public = hornbeam.initializers.__all__
    without = [n for n in public if getattr(hornbeam.initializers, n) not in covered]
    assert [n for n in without if n not in WITHOUT_CASE["initializers"]] == []
    named = {text.partition("(")[0] for text in RANDOM}
    public = [n for n in hornbeam.random.__all__ if re.match("[a-z]", n) and hasattr(keras.random, n)]
    assert [n for n in public if n not in named] == []
