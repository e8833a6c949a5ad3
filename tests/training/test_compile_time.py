"""The time to trace and compile a step grows with the depth of a model as its work does."""

from __future__ import annotations

import gc
import time

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.ir.trace import gc_paused


def deep(blocks: int) -> hb.Model:
    x = inputs = hb.Input((8, 8, 4))
    for _ in range(blocks):
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
        x = layers.Add()([x, layers.ReLU()(y)])
    model = hb.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model.compile("adam", "mse")
    return model


def seconds(blocks: int) -> float:
    """Of this thread's own processor time, for the first step."""
    x, y = np.zeros((64, 8, 8, 4), "float32"), np.zeros((64, 3), "float32")
    results = []
    for _ in range(2):
        # The step is compiled anew: what is remembered goes by the structure of its graph.
        blocks += 1
        model = deep(blocks)
        start = time.thread_time()
        model.train_on_batch(x, y)
        results.append(time.thread_time() - start)
    return min(results)


def test_the_first_step_takes_time_in_proportion_to_depth() -> None:
    # Seven times the layers took 6.6 times the time; what grows with the square of depth takes 49 times.
    assert seconds(98) < 16 * seconds(14)


def test_the_collector_waits_and_is_on_again_after_errors() -> None:
    assert gc.isenabled()
    with gc_paused():
        assert not gc.isenabled()
        with gc_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    try:
        with gc_paused():
            raise ValueError("in the middle")
    except ValueError:
        assert gc.isenabled()
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled(), "a caller who turned it off keeps it off"
    finally:
        gc.enable()
