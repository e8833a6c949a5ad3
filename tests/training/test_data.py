"""Data that fit accepts, and its batches."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.row_hash import fingerprint
from hornbeam.data.pipeline.py_dataset import PyDataset, _is_stopped
from hornbeam.data.splits.split import class_ids, split_validation
from hornbeam.training.array_data import ArrayData
from hornbeam.training.packing import (
    Batch,
    apply_class_weight,
    as_array,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from hornbeam.training.stream_data import StreamData


class Numbers(PyDataset):
    """Ten batches; batch i is full of i."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.ended = 0

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return np.full((2, 3), index, "float32"), np.full((2, 1), index, "float32")

    def on_epoch_end(self) -> None:
        self.ended += 1


def firsts(dataset: PyDataset, order: Any = None) -> list[int]:
    return [int(x[0, 0]) for x, _ in dataset._batches(order)]


def test_pack_and_unpack() -> None:
    assert pack_x_y_sample_weight(1) == 1
    assert pack_x_y_sample_weight([1]) == ([1],)
    assert pack_x_y_sample_weight(1, 2) == (1, 2)
    assert unpack_x_y_sample_weight((1,)) == (1, None, None)
    assert unpack_x_y_sample_weight([1, 2]) == (1, 2, None)
    assert unpack_x_y_sample_weight((1, 2, 3)) == (1, 2, 3)
    with pytest.raises(ValueError, match="tuple of 4"):
        unpack_x_y_sample_weight((1, 2, 3, 4))


@pytest.mark.parametrize("settings", [{"workers": 0}, {"workers": 4}, {"workers": 4, "max_queue_size": 2}])
def test_the_order_does_not_depend_on_workers(settings: dict[str, Any]) -> None:
    order = np.random.default_rng(0).permutation
    assert firsts(Numbers(**settings)) == firsts(Numbers()) == list(range(10))
    shuffled = firsts(Numbers(), order)
    assert sorted(shuffled) == list(range(10)) != shuffled


class Dying(Numbers):
    def __getitem__(self, index: int) -> Any:
        os._exit(1)


def test_processes() -> None:
    assert firsts(Numbers(workers=2, use_multiprocessing=True)) == list(range(10))
    with pytest.raises(BrokenProcessPool, match="in a worker process of Dying"):  # no wait for ever
        firsts(Dying(workers=2, use_multiprocessing=True))


class Stopped(Numbers):
    def __getitem__(self, index: int) -> Any:
        if index == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().__getitem__(index)


@pytest.mark.skipif(sys.platform != "linux", reason="states of processes are read from /proc")
def test_a_stopped_process_is_named_and_may_go_on() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = Stopped(workers=2, use_multiprocessing=True)._batches(None)
        received = [next(batches) for _ in range(3)]
        helper = threading.Thread(target=continue_stopped)
        helper.start()
        received += batches
        helper.join()
    assert len(received) == 10
    (message,) = {str(warning.message) for warning in caught}
    assert re.search(
        r"the worker process \d+ of Stopped is stopped .*: kill -CONT \d+ lets it go on", message
    )


def continue_stopped() -> None:
    """Let a stopped child go on after some seconds."""
    for _ in range(300):
        time.sleep(0.1)
        for child in multiprocessing.active_children():
            if _is_stopped(child.pid):
                time.sleep(3)
                os.kill(child.pid or 0, signal.SIGCONT)
                return


SCRIPT = """
import os
import numpy as np
import hornbeam as hb
PARENT = os.getpid()
class Mine(hb.utils.PyDataset):
    def __len__(self): return 6
    def __getitem__(self, index):
        twice = np.asarray(hb.ops.matmul(hb.ops.eye(64), hb.ops.ones((64, 1)))) * index
        return np.full((2, 3), os.getpid() != PARENT, "float32"), twice[:2].astype("float32")
model = hb.Sequential([hb.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(Mine(workers=2, use_multiprocessing=True), epochs=2, verbose=0, shuffle=False)
print([x[0, 0] for x, _ in Mine(workers=2, use_multiprocessing=True)])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked from scripts")
def test_processes_of_a_script_that_guards_nothing(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1.0") == 6


class Broken(Numbers):
    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise OSError("the file is corrupt")
        return super().__getitem__(index)


@pytest.mark.parametrize("settings", [{}, {"workers": 4}, {"workers": 2, "use_multiprocessing": True}])
def test_an_error_in_a_worker_arrives_with_its_batch(settings: dict[str, Any]) -> None:
    with pytest.raises(OSError, match=r"(?s)the file is corrupt.*in batch 3 of Broken"):
        firsts(Broken(**settings))


@pytest.mark.parametrize("workers", [1, 4])
def test_a_dataset_without_an_end(workers: int) -> None:
    class Endless(Numbers):
        num_batches = None

    model = hb.Sequential([layers.Dense(1)])
    model.compile(hb.optimizers.SGD(1e-4), "mse")
    with pytest.raises(ValueError, match=r"no end.*steps_per_epoch"):
        model.fit(Endless(workers=workers), verbose=0)
    history = model.fit(Endless(workers=workers), steps_per_epoch=3, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_a_worker_sees_what_the_end_of_an_epoch_changed() -> None:
    class Growing(Numbers):
        def __getitem__(self, index: int) -> Any:
            return np.full((1, 1), self.ended)

    dataset = Growing(workers=3)
    assert [firsts_of(dataset) for _ in range(3)] == [[0] * 10, [1] * 10, [2] * 10]


def firsts_of(dataset: PyDataset) -> list[int]:
    return [int(batch[0, 0]) for batch in dataset]


def test_fit_on_a_dataset() -> None:
    dataset = Numbers(workers=2)
    model = hb.Sequential([layers.Dense(1)])
    model.compile(hb.optimizers.SGD(1e-4), "mse")
    history = model.fit(dataset, epochs=3, verbose=0, validation_data=Numbers())
    assert history.params["steps"] == 10
    assert len(history.history["val_loss"]) == 3
    assert dataset.ended == 3
    assert model.predict(Numbers(), verbose=0).shape == (20, 1)


def test_batches_of_arrays() -> None:
    data = ArrayData(Batch.of((np.arange(7), np.arange(7))), 3)
    assert [part.tolist() for part in data.epoch()] == [[[0, 1, 2], [3, 4, 5]], [[6]]]
    assert (data.samples, data.steps) == (7, 3)
    assert [part.tolist() for part in data.epoch(2)] == [[[0, 1, 2], [3, 4, 5]]]
    assert [part.tolist() for part in data.epoch(2)] == [[[6]]]
    assert [part.tolist() for part in data.epoch(2)] == [[[0, 1, 2], [3, 4, 5]]]


def test_shuffling_whole_batches() -> None:
    data = ArrayData(Batch.of(np.arange(6)), 2, order=lambda n: np.arange(n)[::-1], by_batch=True)
    assert next(data.epoch()).tolist() == [[4, 5], [2, 3], [0, 1]]


def test_streams_keep_their_place() -> None:
    source = [(np.full((1, 1), i, "float32"),) for i in range(5)]
    data = StreamData(source)
    assert data.steps == 5
    data.first_batch()
    assert [int(batch.x[0, 0]) for batch in data.epoch(3)] == [0, 1, 2]
    assert [int(batch.x[0, 0]) for batch in data.epoch(3)] == [3, 4]
    assert [int(batch.x[0, 0]) for batch in data.epoch(5)] == [0, 1, 2, 3, 4]
    data.rewind()
    assert [int(batch.x[0, 0]) for batch in data.epoch()] == [0, 1, 2, 3, 4]


def test_frames_and_torch_like_tensors() -> None:
    class Frame:
        def to_numpy(self) -> np.ndarray:
            return np.ones(3)

    class Torchlike:
        dtype = "torch.float32"

        def detach(self) -> Any:
            return self

        cpu = detach

        def numpy(self) -> np.ndarray:
            return np.zeros(2)

    assert as_array(Frame(), "x").tolist() == [1, 1, 1]
    assert as_array(Torchlike(), "x").tolist() == [0, 0]
    assert as_array(hb.ops.ones(2), "x").tolist() == [1, 1]


def test_arrays_are_not_copied() -> None:
    x = np.zeros((4, 2), "float32")
    assert as_array(x, "x") is x


def test_class_numbers() -> None:
    assert class_ids(np.array([2.0, 0.0])).tolist() == [2, 0]
    assert class_ids(np.array([[1], [0]])).tolist() == [1, 0]
    assert class_ids(np.eye(3)[[2, 0]]).tolist() == [2, 0]
    assert class_ids(np.array([0.5, 1.0])) is None
    assert class_ids(np.ones((3, 2))) is None
    assert class_ids(np.zeros((3, 2, 2))) is None


def test_class_weights() -> None:
    y = np.array([0, 1, 2, 1])
    assert apply_class_weight({1: 3.0}, y, None).tolist() == [1, 3, 1, 3]
    assert apply_class_weight({1: 3.0}, np.eye(3)[y], np.array([2.0] * 4)).tolist() == [2, 6, 2, 6]
    with pytest.raises(ValueError, match="needs y of class indices"):
        apply_class_weight({1: 3.0}, y + 0.5, None)


def test_split_validation() -> None:
    order = np.random.default_rng(0).permutation
    y = np.repeat([0, 1, 2], [50, 30, 20])
    train, held, said = split_validation(y, 100, 0.1, "auto", order)
    assert sorted([*train, *held]) == list(range(100))
    assert np.bincount(y[held]).tolist() == [5, 3, 2]
    assert said == "10 of 100 samples are held out, shuffled, stratified"
    train, held, said = split_validation(None, 100, 0.1, "auto", order)
    assert (len(train), len(held)) == (90, 10)
    assert said.endswith("shuffled")
    train, held, said = split_validation(y, 100, 0.1, "tail", order)
    assert held.tolist() == list(range(90, 100))


def test_fingerprints() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 3))
    assert fingerprint((x, None)) == fingerprint((x.copy(), None))
    assert fingerprint(x) != fingerprint(x[::-1])
    assert fingerprint(x) != fingerprint(x.astype("float32"))
