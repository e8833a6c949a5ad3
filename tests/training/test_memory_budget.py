"""`fit(memory_budget=...)`: less memory, the same bits."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.engines import using
from hornbeam.training.memory_budget import MemoryPlan, check_memory_budget
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 50, (48, 24)).astype("int32")
IMAGES = RNG.normal(size=(48, 16, 16, 3)).astype("float32")
ROWS = RNG.normal(size=(48, 32)).astype("float32")
CLASSES = RNG.integers(0, 10, 48)


def transformer() -> hb.Model:
    x = inputs = hb.Input((24,), dtype="int32")
    x = layers.Embedding(50, 32)(x)
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(4, 8, dropout=0.1)(y, y, use_causal_mask=True)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(32)(y)])
    model = hb.Model(inputs, layers.Dense(50)(x))
    model.compile("adam", hb.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def convolutions() -> hb.Model:
    x = inputs = hb.Input((16, 16, 3))
    for _ in range(6):
        y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x))
        y = layers.SpatialDropout2D(0.1)(layers.ReLU()(y))
        x = layers.Add()([layers.Conv2D(16, 1)(x), y])
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = hb.Model(inputs, x)
    optimizer = hb.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def recurrent() -> hb.Model:
    return compiled_model(
        (24,),
        [layers.Embedding(50, 16), layers.LSTM(32, return_sequences=True), layers.GRU(32), layers.Dense(10)],
        "adam",
        hb.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def dense(depth: int = 10) -> hb.Model:
    hidden = [part for _ in range(depth) for part in (layers.Dense(64, "tanh"), layers.Dropout(0.2))]
    return compiled_model(
        (32,), [*hidden, layers.Dense(10, "softmax")], "adam", "sparse_categorical_crossentropy"
    )


def fitted(build: Callable[[], hb.Model], x: Any, y: Any, **settings: Any) -> tuple[hb.Model, Any]:
    hb.utils.set_random_seed(0)
    model = build()
    return model, model.fit(x, y, epochs=2, batch_size=20, verbose=0, **settings)


def same_bits(a: hb.Model, b: hb.Model) -> bool:
    pairs = zip(a.weights + a.optimizer.variables, b.weights + b.optimizer.variables, strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


@pytest.mark.parametrize(
    ("build", "x", "y"),
    [(transformer, TOKENS, TOKENS), (convolutions, IMAGES, CLASSES), (dense, ROWS, CLASSES)],
)
def test_same_bits_in_less_memory(build: Callable[[], hb.Model], x: Any, y: Any) -> None:
    free, expected = fitted(build, x, y)
    _, wide = fitted(build, x, y, memory_budget="1TB")
    unlimited = wide.memory_plan
    assert (unlimited.bytes, unlimited.more_operations) == (unlimited.unlimited_bytes, 0)
    weights = sum(np.asarray(v).nbytes for v in free.weights + free.optimizer.variables)
    budget = weights + (unlimited.bytes - weights) * 6 // 10
    small, history = fitted(build, x, y, memory_budget=budget)
    plan = history.memory_plan
    assert plan.bytes <= budget < plan.unlimited_bytes == unlimited.bytes
    assert 0 < plan.more_operations < 0.6
    assert history.history == expected.history
    assert same_bits(small, free)


def test_recurrent_layers_keep_their_bits() -> None:
    labels = TOKENS[:, 0] % 10
    free, _ = fitted(recurrent, TOKENS, labels)
    _, wide = fitted(recurrent, TOKENS, labels, memory_budget="1TB")
    small, history = fitted(recurrent, TOKENS, labels, memory_budget=int(wide.memory_plan.bytes * 0.9))
    assert history.memory_plan.bytes < wide.memory_plan.bytes
    assert same_bits(small, free)


def test_a_batch_and_a_stream_use_the_budget_too() -> None:
    hb.utils.set_random_seed(0)
    model = dense()
    hb.utils.set_random_seed(0)
    other = dense()
    plan = fitted(dense, ROWS, CLASSES, memory_budget="1TB")[1].memory_plan
    budget = plan.bytes - 30_000
    for _ in range(3):
        limited = model.train_on_batch(ROWS[:20], CLASSES[:20], memory_budget=budget)
        assert limited == other.train_on_batch(ROWS[:20], CLASSES[:20])
    assert same_bits(model, other)
    with pytest.raises(MemoryError, match="the least is"):
        model.train_on_batch(ROWS, CLASSES, memory_budget=1000)
    stream = hb.data.Dataset.from_tensor_slices((ROWS, CLASSES)).batch(16)
    assert model.fit(stream, verbose=0, memory_budget=budget).memory_plan.bytes <= budget
    assert model._hb_trainer.memory_budget is None


def test_a_budget_that_is_too_small_says_what_would_do() -> None:
    model = dense(16)
    before = [np.array(v) for v in model.weights]
    with pytest.raises(MemoryError, match=r"a memory budget of 0\.01 MB is too small") as caught:
        model.fit(ROWS, CLASSES, batch_size=48, verbose=0, memory_budget="10kB")
    message = str(caught.value)
    assert all(part in message for part in ("the most at ", "dense", "batch_size"))
    least = re.search(r"the least is ([\d.]+) MB", message)
    assert least is not None
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, model.weights, strict=True))
    plan = model.fit(ROWS, CLASSES, batch_size=48, verbose=0, memory_budget=f"{least[1]}MB").memory_plan
    assert plan.bytes <= float(least[1]) * 1e6


def test_the_line_that_fit_prints(capsys: pytest.CaptureFixture[str]) -> None:
    model = dense()
    plan = model.fit(ROWS, CLASSES, memory_budget="1TB", verbose=0).memory_plan
    assert capsys.readouterr().out == ""
    model.fit(ROWS, CLASSES, memory_budget=plan.bytes - 30_000)
    assert re.search(r"memory_budget: [\d.]+ kB planned \([\d.]+ kB without\), \d", capsys.readouterr().out)
    assert "nothing is computed again" in MemoryPlan(10, 1.0, 10, 1.0).sentence()
    model.fit(ROWS, CLASSES)
    assert "memory_budget" not in capsys.readouterr().out
    assert model.history.memory_plan is None


def test_sizes() -> None:
    sizes = {"2GB": 2 * 10**9, "512MB": 512 * 10**6, "1.5GiB": 3 * 2**29, "64 kb": 64_000, "100B": 100}
    assert {text: check_memory_budget(text) for text in sizes} == sizes
    assert (check_memory_budget(np.int64(5)), check_memory_budget(None)) == (5, None)
    for wrong in ("2", "GB", "-1GB", 1.5, True, "two GB"):
        with pytest.raises(ValueError, match="memory_budget must be"):
            check_memory_budget(wrong)
    with pytest.raises(ValueError, match="must be positive"):
        dense().fit(ROWS, CLASSES, memory_budget=0)


def test_where_there_is_no_plan() -> None:
    model = dense(1)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    with pytest.raises(ValueError, match="run_eagerly"):
        model.fit(ROWS, CLASSES, memory_budget="1GB")
    model.compile("sgd", "sparse_categorical_crossentropy")
    with using("reference"), pytest.raises(NotImplementedError, match="use the native engine"):
        model.fit(ROWS, CLASSES, memory_budget="1GB", verbose=0)


_PEAK = """
import re, sys
import numpy as np
import hornbeam as hb
layers = hb.layers
hidden = [part for _ in range(16) for part in (layers.Dense(256, "tanh"), layers.Dropout(0.1))]
model = hb.Sequential([hb.Input((256,)), *hidden, layers.Dense(1)])
model.compile("sgd", "mse")
x = np.zeros((8192, 256), "float32")
# The peak of this process: `ru_maxrss` may be that of the one that started it.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
model.fit(x, x[:, :1], batch_size=8192, verbose=0, shuffle=False, memory_budget=sys.argv[1])
print(peak() - before, model.history.memory_plan.bytes // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_takes_less_memory() -> None:
    def peak(budget: str) -> tuple[int, int]:
        run = subprocess.run(
            [sys.executable, "-c", _PEAK, budget], capture_output=True, text=True, check=True
        )
        resident, planned = run.stdout.split()
        return int(resident), int(planned)

    (wide, wide_plan), (small, small_plan) = peak("1TB"), peak("120MB")
    assert small_plan < 120_000 < wide_plan
    assert wide - small > 0.7 * (wide_plan - small_plan)
