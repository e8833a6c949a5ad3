"""Ctrl-C during fit, evaluate and predict: it is never lost, and splits no step."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.engines import current_engine
from hornbeam.training import signals
from hornbeam.training.packing import make_batch
from hornbeam.training.signals import uninterrupted
from hornbeam.training.step import Step
from tests.helpers.builders import compiled_model

pytestmark = pytest.mark.posix

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = RNG.normal(size=(50, 1)).astype("float32")


def linear() -> hb.Model:
    return compiled_model((4,), [layers.Dense(1)], optimizer=hb.optimizers.SGD(0.1), loss="mse")


def test_an_interrupt_waits_for_the_end_of_the_step() -> None:
    done = []

    def step() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class InterruptsItself:
    """Is interrupted while Python collects it, where exceptions are ignored."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def in_a_finalizer() -> None:
    InterruptsItself()


def in_a_weak_callback() -> None:
    target = type("Target", (), {})()
    reference = weakref.ref(target, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del target
    assert reference() is None


def where_errors_are_swallowed() -> None:
    with contextlib.suppress(BaseException):  # as the import of a compiled module does
        os.kill(os.getpid(), signal.SIGINT)


class InterruptsOnce(hb.callbacks.Callback):
    """Is interrupted in the first batch, and counts batches."""

    batches = 0

    def __init__(self, interrupt: Callable[[], None]) -> None:
        super().__init__()
        self.interrupt = interrupt

    def interrupted(self, batch: int, logs: Any = None) -> None:
        self.batches += 1
        if self.batches == 1:
            self.interrupt()

    on_train_batch_end = on_test_batch_end = on_predict_batch_end = interrupted


@pytest.mark.parametrize("interrupt", [in_a_finalizer, in_a_weak_callback, where_errors_are_swallowed])
@pytest.mark.parametrize("mode", ["train", "test", "predict"])
def test_an_interrupt_is_not_lost(mode: str, interrupt: Callable[[], None]) -> None:
    model, hook = linear(), InterruptsOnce(interrupt)
    calls = {
        "train": lambda: model.fit(X, Y, batch_size=10, verbose=0, callbacks=[hook]),
        "test": lambda: model.evaluate(X, Y, batch_size=10, verbose=0, callbacks=[hook]),
        "predict": lambda: model.predict(X, batch_size=10, verbose=0, callbacks=[hook]),
    }
    with pytest.raises(KeyboardInterrupt):
        calls[mode]()
    assert hook.batches <= 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_at_the_end_of_the_last_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    hook = hb.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        linear().fit(X, Y, batch_size=10, verbose=2, callbacks=[hook])
    assert "Interrupted at the end of the last epoch" in capsys.readouterr().err


def test_a_second_interrupt_breaks_a_callback_that_hangs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_PATIENCE", 0.01)

    def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the callback went on")

    model, hook = linear(), InterruptsOnce(hang)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, verbose=0, callbacks=[hook])
    assert "press it again to stop at once" in capsys.readouterr().err
    model.fit(X, Y, batch_size=10, verbose=0)  # nothing waits any more


def test_a_second_interrupt_breaks_a_step_and_keeps_weights_and_constants() -> None:
    scale = ops.convert_to_tensor(np.full(1, 0.1, "float32"))  # captured by the step
    model = compiled_model((4,), [layers.Dense(1), layers.Rescaling(scale)], optimizer="sgd", loss="mse")
    arrays = make_batch(X[:4], Y[:4])
    step = Step(lambda data: model.train_step(data), arrays.signature(), current_engine())
    buffers = [current_engine().put(array) for array in arrays.leaves]
    step.run_many(buffers, np.zeros((2, 4), "int64"))
    for delay in (0.2, 0.4):
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        step.run_many(buffers, np.zeros((3_000_000, 4), "int64"))
    assert np.isfinite(step.run_many(buffers, np.zeros((2, 4), "int64"))["loss"]).all()
    model.fit(X, Y, batch_size=10, verbose=0)


def test_an_interrupt_beside_another_error_does_not_come_back() -> None:
    def step() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("the step failed")

    with pytest.raises(ValueError, match="the step failed"):
        step()
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # a handler of the program's own
    try:
        linear().predict(X, batch_size=10, verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
