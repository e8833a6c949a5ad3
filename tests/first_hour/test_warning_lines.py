"""Warnings carry the user's file and line, not a line of Hornbeam's."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from tests.helpers.builders import compiled_model
from tests.helpers.paths import ROOT

SOURCES = ROOT / "src" / "hornbeam"


def test_every_warning_is_issued_by_warn_user() -> None:
    """It walks out to the user's frame, where a constant `stacklevel` is right for one way in only."""
    for path in sorted(SOURCES.rglob("*.py")):
        if path == SOURCES / "_internal" / "warn.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("warnings.warn", "warnings.warn_explicit"), (
                f"{path.relative_to(ROOT)}:{node.lineno}: use hornbeam._internal.warn.warn_user"
            )


def no_weights() -> None:
    model = compiled_model((4,), [layers.Flatten()], "sgd", "mse")
    model.fit(np.zeros((8, 4), "float32"), np.zeros((8, 4), "float32"), verbose=0)


def mask_that_ends() -> None:
    x = hb.Input((5,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(x)
    layers.Conv1D(2, 3)(x)


def no_gradient() -> None:
    first, second = hb.Variable(np.ones(2, "float32")), hb.Variable(np.ones(2, "float32"))
    hb.optimizers.SGD().apply([hb.ops.ones(2), None], [first, second])


def stft() -> None:
    layers.STFTSpectrogram(fft_length=300, frame_length=256, frame_step=64)


def endless_monitor() -> None:
    model = compiled_model((4,), [layers.Dense(1)], "sgd", "mse")
    x = np.zeros((8, 4), "float32")
    model.fit(x, x[:, :1], verbose=0, callbacks=[hb.callbacks.EarlyStopping(monitor="val_loss")])


@pytest.mark.parametrize("cause", [no_weights, mask_that_ends, no_gradient, stft, endless_monitor])
def test_the_line_is_in_the_users_file(cause: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cause()
    assert caught
    code = cause.__code__
    lines = {line for _, _, line in code.co_lines() if line}
    for warning in caught:
        assert warning.filename == __file__, f"{warning.filename}:{warning.lineno}"
        assert warning.lineno in lines


def batches() -> Iterator[Any]:
    yield np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")


def test_a_warning_is_shown_once_for_a_line() -> None:
    model = compiled_model((4,), [layers.Dense(1)], "sgd", "mse")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            model.fit(batches(), epochs=2, verbose=0)
    assert len([w for w in caught if "ran out" in str(w.message)]) == 1
