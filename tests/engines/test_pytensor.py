"""Parts of the PyTensor engine alone: its convolutions, its state between steps, its linkers, its threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam.engines import get_engine, using
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import TensorType
from tests.helpers.builders import compiled_model

pytensor = pytest.importorskip("pytensor")
from hornbeam.engines import pytensor as ours  # noqa: E402

WINDOW = {"strides": (2, 1), "padding": ((1, 0), (1, 2)), "dilation": (1, 2), "groups": 2}


@pytest.mark.parametrize("name", ["conv", "conv_input_grad", "conv_kernel_grad"])
def test_convolutions_are_the_same_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are convolved a few at a time; here one at a time."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 7, 6, 4)), rng.normal(size=(3, 2, 2, 6))
    dy = PRIMITIVES["conv"].reference(x, w, **WINDOW)
    operands, params = {
        "conv": ((x, w), {}),
        "conv_input_grad": ((dy, w), {"input_shape": x.shape}),
        "conv_kernel_grad": ((x, dy), {"kernel_shape": w.shape}),
    }[name]
    monkeypatch.setattr(ours.windows, "_CACHED", 1)
    actual = ours.FUNCTIONS[name](*operands, **params, **WINDOW)
    expected = PRIMITIVES[name].reference(*operands, **params, **WINDOW)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def counting() -> Graph:
    """(state, row) to (state * 2 + row, state): in place it would write over what it returns."""
    state, row = placeholder(TensorType((3,), "float32"), 0), placeholder(TensorType((1, 3), "float32"), 0)
    following = state + state + PRIMITIVES["reshape"](row, shape=(3,))
    return Graph([state, row], [following, state])


def check_steps(engine: Any) -> None:
    start, data = np.ones(3, "float32"), np.arange(6, dtype="float32").reshape(2, 3)
    executable = engine.executable(counting())
    for _ in range(2):
        (last,), (logs,) = executable.run_steps([start], [data], np.array([[1], [0], [1]]))
        np.testing.assert_array_equal(logs, [[1, 1, 1], [5, 6, 7], [10, 13, 16]])
        np.testing.assert_array_equal(last, [23, 30, 37])
        np.testing.assert_array_equal(start, 1)


def test_steps_leave_what_they_were_given() -> None:
    check_steps(get_engine("pytensor"))


def test_the_users_linker_is_taken() -> None:
    """With rewrites that work in place; no compiler is needed for this one."""
    with pytensor.config.change_flags(linker="py", cxx=""):
        engine = ours.PyTensorEngine()
        assert type(engine._mode.linker).__name__ == "PerformLinker"
        check_steps(engine)
    assert type(get_engine("pytensor")._mode.linker).__name__ == "VMLinker"


def test_one_function_in_several_threads() -> None:
    engine = get_engine("pytensor")
    x = placeholder(TensorType((300, 300), "float32"), 0)
    executable = engine.executable(Graph([x], [PRIMITIVES["exp"](x) + x]))
    wrong: list[float] = []

    def work(value: float) -> None:
        inputs = np.full((300, 300), value, "float32")
        for _ in range(5):
            (result,) = executable.run([inputs])
            if not np.allclose(result, np.exp(value) + value):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(value / 4,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_loops_backwards_of_bfloat16_and_of_no_steps() -> None:
    def total(length: int) -> list[np.ndarray]:
        xs = ops.reshape(ops.arange(length * 2, dtype="bfloat16"), (length, 2))
        last, sums = ops.scan(lambda s, x: (s + x * 1.01, s), ops.zeros((2,), "bfloat16"), xs, reverse=True)
        return [np.asarray(last), np.asarray(sums)]

    for length in (5, 0):
        expected = total(length)
        with using("pytensor"):
            actual = total(length)
        for mine, other in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_mixed_precision_trains() -> None:
    def losses() -> list[float]:
        hornbeam.utils.set_random_seed(0)
        model = compiled_model(
            (8, 8, 1),
            [
                layers.Conv2D(4, 3, activation="relu", dtype="mixed_bfloat16"),
                layers.Flatten(),
                layers.Dense(2, activation="softmax"),
            ],
            "sgd",
            "sparse_categorical_crossentropy",
        )
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(64, 8, 8, 1)).astype("float32"), rng.integers(0, 2, 64)
        return model.fit(x, y, epochs=3, verbose=0).history["loss"]

    expected = losses()
    with using("pytensor"):
        actual = losses()
    np.testing.assert_allclose(actual, expected, rtol=5e-3)
    assert actual[-1] < actual[0]
