"""Batches fetched ahead: the same order, errors at the right step, no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.data.pipeline import prefetch
from hornbeam.data.pipeline.prefetch import DEPTH, PROBE_ITEMS, Prefetcher, prefetch_if_worthwhile
from hornbeam.random import set_random_seed
from tests.helpers.builders import compiled_model


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "hornbeam-batches"]


def waiting(count: int, seen: list[str], fails: bool = False) -> Iterator[int]:
    for number in range(count):
        time.sleep(1e-3)
        seen.append(threading.current_thread().name)
        yield number
    if fails:
        raise OSError("the disk is gone")


def computing(count: int, seen: list[str]) -> Iterator[int]:
    for number in range(count):
        until = time.thread_time() + 1e-3
        while time.thread_time() < until:
            pass
        seen.append(threading.current_thread().name)
        yield number


def test_a_source_that_waits_is_read_ahead_in_order() -> None:
    seen: list[str] = []
    assert list(prefetch_if_worthwhile(waiting(20, seen), threads=99)) == list(range(20))
    assert seen == [threading.current_thread().name] * PROBE_ITEMS + ["hornbeam-batches"] * (20 - PROBE_ITEMS)
    assert not threads()


@pytest.mark.parametrize(("processors", "apart"), [(2, False), (3, True)])
def test_a_source_that_computes_is_read_ahead_on_spare_processors_only(
    processors: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(prefetch._native, "available_cpus", lambda: processors)
    monkeypatch.setattr(prefetch.time, "perf_counter", time.thread_time)  # others may have our processor
    assert list(prefetch_if_worthwhile(computing(8, seen), threads=2)) == list(range(8))
    assert ("hornbeam-batches" in seen) == apart


def test_quick_sources_get_no_thread() -> None:
    seen = [threading.current_thread().name for _ in prefetch_if_worthwhile((i for i in range(9)), threads=1)]
    assert len(seen) == 9
    assert not threads()


@pytest.mark.parametrize("count", [0, 1, PROBE_ITEMS, PROBE_ITEMS + 1, 9])
def test_errors_come_after_the_batches_before_them(count: int) -> None:
    results = []

    def read() -> None:
        for number in prefetch_if_worthwhile(waiting(count, [], fails=True), threads=99):
            results.append(number)

    with pytest.raises(OSError, match="the disk is gone"):
        read()
    assert results == list(range(count))
    assert not threads()


def test_leaving_early_ends_the_thread() -> None:
    seen: list[str] = []
    batches = prefetch_if_worthwhile(waiting(10**6, seen), threads=99)
    assert [next(batches) for _ in range(6)] == list(range(6))
    batches.close()
    assert not threads()
    assert len(seen) <= 6 + DEPTH + 1


def test_only_so_many_wait() -> None:
    seen: list[str] = []
    source = Prefetcher(waiting(100, seen))
    time.sleep(0.05)
    assert len(seen) == DEPTH
    source.close()


def batches(count: int, fails: bool = False) -> Iterator[Any]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        time.sleep(1e-3)
        x = rng.normal(size=(4, 3)).astype("float32")
        yield x, x[:, :1]
    if fails:
        raise OSError("the disk is gone")


def trained(monkeypatch: pytest.MonkeyPatch | None) -> hb.Model:
    set_random_seed(0)
    model = compiled_model((3,), [layers.Dense(1)], hb.optimizers.SGD(0.1), "mse")
    if monkeypatch is not None:
        monkeypatch.setattr("hornbeam.training.loop.prefetch_if_worthwhile", lambda source, threads: source)
    model.fit(batches(12), epochs=3, steps_per_epoch=4, verbose=0)
    return model


def test_training_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, plain = trained(None), trained(monkeypatch)
    for weight, expected in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert not threads()


def test_an_error_of_the_source_ends_training_at_its_step() -> None:
    model = trained(None)
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(batches(9, fails=True), verbose=0)
    assert int(model.optimizer.iterations) == 12 + 9
    assert not threads()


def test_a_callback_that_stops_training_leaves_no_thread() -> None:
    class Stop(hb.callbacks.Callback):
        chunked = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch >= 6

    model = trained(None)
    model.fit(batches(1000), verbose=0, callbacks=[Stop()])
    assert int(model.optimizer.iterations) == 12 + 7
    assert not threads()
