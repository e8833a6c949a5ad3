"""Checkpoints of strangers: a state that lacks something, or has what no training writes, changes nothing."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.errors import ModelFileError
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
OTHERS: list[Any] = [None, "x", -1, 1.5, 10**30, True, [], {}, [None], {"x": 1}, "\0" * 9]


def build_model() -> hb.Model:
    hb.utils.set_random_seed(0)
    return compiled_model(
        (3,), [layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(1)], "adam", "mse", metrics=["mae"]
    )


def trained(model: hb.Model, run: Path, epochs: int, *more: Any) -> Any:
    watched: list[Any] = [
        callbacks.EarlyStopping(patience=9, restore_best_weights=True),
        callbacks.ReduceLROnPlateau(),
        callbacks.Checkpoint(run, every=1, keep=1, keep_best="loss"),
        *more,
    ]
    return model.fit(
        X, Y, batch_size=4, epochs=epochs, validation_split=0.25, verbose=0, callbacks=watched, resume=run
    )


class Stop(callbacks.Callback):
    """Cuts a training off in the middle of its second epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 7

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("base") / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(build_model(), run, 3, Stop())
    (path,) = sorted(run.glob("step-*"))[-1:]
    state = state_of(path)
    assert state["done"] > 0
    assert {c["class"] for c in state["callbacks"]} >= {"EarlyStopping", "History", "Checkpoint"}
    return path


def state_of(path: Path) -> Any:
    with h5py.File(path) as store:
        return json.loads(bytes(store["training/state"][()]))["state"]


def rewritten(path: Path, state: Any) -> None:
    """The state in place of the file's own, under right sums."""
    with h5py.File(path, "r+") as store:
        note = json.loads(bytes(store["training/state"][()]))
        text = json.dumps({**note, "state": state}).encode()
        del store["training/state"], store["training/sha256"]
        store["training/state"] = np.frombuffer(text, np.uint8)
        store["training/sha256"] = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in (
        list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    ):
        yield value, key
        yield from places(value[key])


def mutations(state: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a state taken away, or made another one."""
    count = sum(1 for _ in places(state))
    for index in range(count):
        for change in ["gone", *OTHERS]:
            new = json.loads(json.dumps(state))
            container, key = next(itertools.islice(places(new), index, None))
            if change == "gone":
                del container[key]
            elif type(container[key]) is type(change) and container[key] == change:
                continue
            else:
                container[key] = change
            yield f"{key} (place {index}) {change!r}", new


def values(model: hb.Model) -> list[np.ndarray]:
    return [np.array(v) for v in [*model.variables, *model.optimizer.variables]]


def outcome(model: hb.Model, path: Path) -> str:
    """Return the outcome of resuming from a file; a refusal changes nothing."""
    before, stop = values(model), callbacks.EarlyStopping(patience=9, restore_best_weights=True)
    try:
        model.fit(
            X, Y, batch_size=4, epochs=3, validation_split=0.25, verbose=0, resume=path,
            callbacks=[stop, callbacks.ReduceLROnPlateau()],
        )  # fmt: skip
        return "went on"
    except ValueError as caught:
        error = caught
    assert len(str(error)) > 30
    for mine, theirs in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=str(error))
    return "refused" if isinstance(error, ModelFileError) else "other data"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 11])
def test_mutated_states(every: int, base: Path, tmp_path: Path) -> None:
    """Refused with a ModelFileError (or as a training on other data) before a weight changes; or the training
    goes on, where the value makes no difference to it. Never another error."""
    path, results = tmp_path / base.name, {"refused": 0, "went on": 0, "other data": 0}
    model = build_model()
    model.optimizer.build(model.trainable_variables)
    weights = model.get_weights()
    for label, state in itertools.islice(mutations(state_of(base)), 0, None, every):
        shutil.copy(base, path)
        rewritten(path, state)
        try:
            result = outcome(model, path)
        except Exception as error:
            raise AssertionError(f"{label}: {type(error).__name__}: {error}") from error
        results[result] += 1
        if result == "went on":
            model.set_weights(weights)
    print(results)
    assert results["refused"] > 0.7 * sum(results.values()), results


def test_what_is_lacking_is_named(base: Path, tmp_path: Path) -> None:
    path, state = tmp_path / base.name, state_of(base)
    shutil.copy(base, path)
    del state["epoch"], state["random"]["numpy"]["gauss"]
    state["callbacks"][0].pop("class")
    rewritten(path, state)
    with pytest.raises(ModelFileError, match=r"epoch, random/numpy/gauss, callbacks"):
        trained(build_model(), tmp_path, 3)
