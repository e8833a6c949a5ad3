"""Random draws: reproducible by seed, distributed as they say, part of compiled graphs."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from hornbeam import jit, ops, random
from hornbeam.core.grad import value_and_grad
from hornbeam.ir.types import ShapeError

N = 40000


def near(value: float, expected: float, spread: float) -> None:
    """Within five standard errors of the mean of N draws."""
    assert abs(value - expected) < 5 * spread / math.sqrt(N) + 1e-6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_uniform(dtype: str) -> None:
    x = np.asarray(random.uniform((N,), -1.0, 3.0, dtype, seed=1)).astype(np.float64)
    assert x.min() >= -1
    assert x.max() < 3
    near(x.mean(), 0.98 if dtype == "bfloat16" else 1.0, 4 / math.sqrt(12))
    near(x.var(), 16 / 12, 16 / math.sqrt(180))
    assert (np.asarray(random.uniform((N,), dtype=dtype, seed=2)) < 1).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_normal(dtype: str, seed: int) -> None:
    x = np.asarray(random.normal((N,), 1.0, 2.0, dtype, seed)).astype(np.float64)
    near(x.mean(), 1.0, 2.0)
    near(x.var(), 4.0, 4 * math.sqrt(2))
    near(((x - 1) ** 4).mean(), 48.0, 16 * math.sqrt(96))
    near((np.abs(x - 1) < 2).mean(), 0.6827, 0.5)


def test_truncated_normal() -> None:
    x = np.asarray(random.truncated_normal((N,), seed=3))
    assert np.abs(x).max() <= 2
    near(x.mean(), 0.0, 0.88)
    near(x.std(), 0.8796, 0.6)


def test_randint() -> None:
    x = np.asarray(random.randint((N,), -3, 4, seed=4))
    assert x.dtype == np.int32
    for value in range(-3, 4):
        near((x == value).mean(), 1 / 7, 0.35)
    assert set(np.unique(x)) == set(range(-3, 4))
    wide = np.asarray(random.randint((N,), 0, 2**40, "int64", seed=5))
    near(wide.mean() / 2**40, 0.5, 0.29)
    with pytest.raises(ValueError, match="is empty"):
        random.randint((2,), 3, 3)
    with pytest.raises(ValueError, match="needs an integer dtype"):
        random.randint((2,), 0, 3, "float32")


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.5])
def test_gamma(alpha: float) -> None:
    x = np.asarray(random.gamma((N,), alpha, seed=6)).astype(np.float64)
    assert (x >= 0).all()
    near(x.mean(), alpha, math.sqrt(alpha))
    near(x.var(), alpha, math.sqrt(2 * alpha**2 + 6 * alpha))


def test_beta() -> None:
    x = np.asarray(random.beta((N,), 2.0, 3.0, seed=7))
    near(x.mean(), 0.4, 0.2)
    near(x.var(), 0.04, 0.05)


@pytest.mark.parametrize(("count", "chance"), [(20.0, 0.3), (7.0, 0.9), (5.0, 0.0), (5.0, 1.0)])
def test_binomial(count: float, chance: float) -> None:
    x = np.asarray(random.binomial((N,), count, chance, seed=8))
    variance = count * chance * (1 - chance)
    near(x.mean(), count * chance, math.sqrt(variance))
    near(x.var(), variance, 2 * variance)
    assert x.min() >= 0
    assert x.max() <= count
    assert (x == np.round(x)).all()


def test_categorical() -> None:
    chances = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        x = np.asarray(random.categorical(np.log(chances).astype(np.float32), N, seed=9))
    assert x.shape == (2, N)
    for row in range(2):
        for value in range(3):
            near((x[row] == value).mean(), chances[row, value], 0.5)
    with pytest.raises(ShapeError, match=r"\(batch, classes\)"):
        random.categorical([0.0, 1.0], 3)


def test_dropout() -> None:
    x = np.ones((200, 200), np.float32)
    y = np.asarray(random.dropout(x, 0.3, seed=10))
    near((y == 0).mean(), 0.3, 0.46)
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)
    rows = np.asarray(random.dropout(x, 0.5, noise_shape=(None, 1), seed=11))
    assert (rows == rows[:, :1]).all()
    np.testing.assert_array_equal(random.dropout(x, 0.0), x)
    assert not np.asarray(random.dropout(x, 1.0, seed=12)).any()
    with pytest.raises(ValueError, match="rate"):
        random.dropout(x, 1.5)
    with pytest.raises(ShapeError, match="noise_shape"):
        random.dropout(x, 0.5, noise_shape=(3, 1))


def test_shuffles_are_the_same_in_the_graph_and_on_the_host() -> None:
    order = np.asarray(random.shuffle(np.arange(1000), seed=12))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    np.testing.assert_array_equal(order, random.host_permutation(12, 1000))
    assert not np.array_equal(order, random.host_permutation(12, 1000, 1))
    assert not np.array_equal(random.host_permutation(12, 1000, 2), random.host_permutation(12, 1000, 1))
    x = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(np.sort(random.shuffle(x, axis=1, seed=1), axis=1), x)
    firsts = [random.host_permutation(seed, 4)[0] for seed in range(2000)]
    np.testing.assert_allclose(np.bincount(firsts) / 2000, 0.25, atol=0.05)


DRAWS: list[Callable] = [
    lambda seed: random.normal((5,), seed=seed),
    lambda seed: random.uniform((5,), seed=seed),
    lambda seed: random.randint((5,), 0, 1000, seed=seed),
    lambda seed: random.gamma((5,), 2.0, seed=seed),
    lambda seed: random.dropout(np.ones(50, np.float32), 0.5, seed=seed),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_seeds(draw: Callable) -> None:
    np.testing.assert_array_equal(draw(7), draw(7))
    assert not np.array_equal(draw(7), draw(8))
    one, two = random.SeedGenerator(7), random.SeedGenerator(7)
    first = np.asarray(draw(one))
    np.testing.assert_array_equal(first, draw(two))
    assert not np.array_equal(first, draw(one))
    random.set_random_seed(3)
    first = np.asarray(draw(None))
    assert not np.array_equal(first, draw(None))
    random.set_random_seed(3)
    np.testing.assert_array_equal(first, draw(None))


def test_generators_advance_inside_compiled_code_as_outside() -> None:
    eager, compiled = random.SeedGenerator(5), random.SeedGenerator(5)
    step = jit(lambda: random.normal((3,), seed=compiled) + random.normal((3,), seed=compiled))
    for _ in range(3):
        expected = random.normal((3,), seed=eager) + random.normal((3,), seed=eager)
        np.testing.assert_allclose(step(), expected, rtol=1e-6)
    np.testing.assert_array_equal(compiled.state, eager.state)


def test_masks_are_constant_in_derivatives() -> None:
    generator = random.SeedGenerator(6)
    fn = value_and_grad(lambda x: ops.sum(random.dropout(x, 0.5, seed=generator)))
    x = np.full(64, 2.0, np.float32)
    value, gradient = fn(x)
    assert float(value) == pytest.approx(float(np.asarray(gradient).sum()) * 2)
    assert set(np.unique(np.asarray(gradient))) == {0.0, 2.0}
    assert not np.array_equal(gradient, fn(x)[1])


def test_configs_and_errors() -> None:
    generator = random.SeedGenerator(9, name="mine")
    again = random.SeedGenerator.from_config(generator.get_config())
    assert (again.name, again.get_config()) == ("mine", generator.get_config())
    np.testing.assert_array_equal(again.state, [9, 0])
    for wrong in (1.5, "x", True):
        with pytest.raises(ValueError, match="an integer"):
            random.SeedGenerator(wrong)
        with pytest.raises(ValueError, match="an integer"):
            random.normal((2,), seed=wrong)
    with pytest.raises(ValueError, match="2\\*\\*32"):
        random.set_random_seed(-1)
    with pytest.raises(ValueError, match="needs a float dtype"):
        random.uniform((2,), dtype="int32")


def test_bits_are_those_of_the_counter() -> None:
    """Threefry-2x32 with 20 rounds: the test vector of the Random123 library for zeros and for ones."""
    np.testing.assert_array_equal(random.host_bits(np.zeros(2, np.uint32), 2), [0x6B200159, 0x99BA4EFE])


def test_the_first_seeding_of_a_process_is_like_any_other() -> None:
    code = (
        "import hornbeam as hb\n"
        "for _ in range(2):\n"
        "    hb.utils.set_random_seed(3)\n"
        "    print(hb.random.make_default_seed(), hb.random.normal((2,)).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == second
