"""Training in frozen models: `hornbeam.runtime` and WebAssembly make the steps of `fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.runtime import FrozenModel
from hornbeam.saving.model_parts import weight_names
from tests.helpers.training_cases import CASES, classes, compiled, mlp, named
from tests.helpers.web_engine import NODE, WebEngine, WebModel

EPOCHS = 3
Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays, str], Arrays]


def exported(model: hb.Model, folder: Path, batch_size: int | None = None) -> FrozenModel:
    path = folder / "m.hornbeam"
    model.export(path, format="hornbeam", training=True, batch_size=batch_size, verbose=False)
    return FrozenModel(folder / "m.hornbeam")


def batches(data: Arrays, rows: int) -> list[Arrays]:
    return [{name: x[start : start + rows] for name, x in data.items()} for start in range(0, 20, rows)]


def trained(run: Run, about: Any, data: Arrays, rows: int) -> tuple[Arrays, list[Arrays]]:
    """Train as the documentation says: return the last state, and the logs of each epoch."""
    state = dict(run({}, "state"))
    first = dict(state)
    logs: list[Arrays] = []
    for _ in range(EPOCHS):
        state |= {name: first[name] for name in about["metrics"]}
        for batch in batches(data, rows):
            results = run({**batch, **state}, "train")
            state = {name: results.get(f"{name}.next", value) for name, value in state.items()}
        logs.append({name: value for name, value in results.items() if not name.endswith(".next")})
    return state, logs


def fitted(model: hb.Model, x: Any, y: Any, rows: int) -> dict[str, list[float]]:
    with hb.engines.using("native"):
        return model.fit(x, y, batch_size=rows, epochs=EPOCHS, shuffle=False, verbose=0).history


@pytest.mark.parametrize("case", CASES)
def test_three_epochs_are_those_of_fit(case: str, tmp_path: Path) -> None:
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    before = model.get_weights()
    frozen = exported(model, tmp_path, batch_size=10)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    state, logs = trained(frozen.run, frozen.metadata["training"], named(model, x, y), 10)
    history = fitted(model, x, y, 10)
    assert logs[0].keys() == history.keys()
    for name, values in history.items():
        assert [float(epoch[name]) for epoch in logs] == values, name
    for name, variable in weight_names(model):
        np.testing.assert_array_equal(state[name], variable.numpy(), name)


@pytest.mark.parametrize("case", CASES)
def test_three_epochs_of_batches_of_several_sizes(case: str, tmp_path: Path) -> None:
    """The last of 3 batches is smaller. The engine divides where it else multiplies by a known 1/n."""
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    frozen = exported(model, tmp_path)
    _, logs = trained(frozen.run, frozen.metadata["training"], named(model, x, y), 8)
    for name, values in fitted(model, x, y, 8).items():
        np.testing.assert_allclose([epoch[name] for epoch in logs], values, rtol=1e-6, err_msg=name)


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
@pytest.mark.parametrize("case", CASES)
def test_three_epochs_in_web_assembly(case: str, tmp_path: Path) -> None:
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    exported(model, tmp_path)
    engine = WebEngine()
    loaded = WebModel(engine, (tmp_path / "m.hornbeam").read_bytes())
    about, data = loaded.metadata["training"], named(model, x, y)
    _, logs = trained(lambda inputs, name: loaded.run(inputs, name)[0], about, data, 8)
    engine.close()
    for name, values in fitted(model, x, y, 8).items():
        np.testing.assert_allclose([epoch[name] for epoch in logs], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_evaluate(case: str, tmp_path: Path) -> None:
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    frozen = exported(model, tmp_path)
    read = [spec.name for spec in frozen.signatures["evaluate"].inputs]
    state = dict(frozen.run({}, "state"))
    for batch in batches(named(model, x, y), 8):
        inputs = {**batch, **state}
        results = frozen.run({name: inputs[name] for name in read}, "evaluate")
        state |= {
            name.removesuffix(".next"): array for name, array in results.items() if name.endswith(".next")
        }
    for name, value in model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True).items():
        assert float(results[name]) == value, name


def test_the_initial_state_is_that_of_a_new_model(tmp_path: Path) -> None:
    model, x, y = mlp()
    model.fit(x, y, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.25
    frozen = exported(model, tmp_path)
    state, initial = (frozen.run({}, name) for name in ("state", "initial_state"))
    assert state.keys() == initial.keys()
    for name, variable in weight_names(model):
        np.testing.assert_array_equal(state[name], variable.numpy())
    assert int(state["optimizer/iteration"]) == 2
    assert int(initial["optimizer/iteration"]) == 0
    assert float(initial["optimizer/learning_rate"]) == 0.25
    assert not initial["dense_1/bias"].any()
    assert not initial["optimizer/dense/kernel/momentum"].any()
    kernels = initial["dense/kernel"], state["dense/kernel"]
    assert abs(kernels[0].std() - kernels[1].std()) < 0.2
    assert not np.allclose(*kernels)
    for values in (state, initial):  # of metrics, at the beginning of an epoch
        assert not any(values[name].any() for name in frozen.metadata["training"]["metrics"])


def test_data_of_other_dtypes(tmp_path: Path) -> None:
    hb.utils.set_random_seed(1)
    parts = [hb.Input((6,), name="x"), layers.Rescaling(1 / 255), layers.Dense(3, "softmax")]
    model = compiled(parts, "sgd", "categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 6)).astype("uint8"), np.eye(3, dtype="float32")[classes(3)]
    signature = tuple(hb.InputSpec(shape=(None, *a.shape[1:]), dtype=a.dtype.name) for a in (x, y))
    model.export(tmp_path / "m.hornbeam", "hornbeam", False, signature, training=True)
    frozen = FrozenModel(tmp_path / "m.hornbeam")
    assert [spec.dtype for spec in frozen.signatures["train"].inputs[:2]] == ["uint8", "float32"]
    _, logs = trained(frozen.run, frozen.metadata["training"], {"x": x, "y": y}, 8)
    losses = [float(epoch["loss"]) for epoch in logs]
    np.testing.assert_allclose(losses, fitted(model, x, y, 8)["loss"], rtol=1e-6)


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "m.hornbeam"
    plain = hb.Sequential([hb.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="compile"):
        plain.export(path, format="hornbeam", training=True)

    class Peeking(hb.Model):
        def train_step(self, data: Any) -> Any:
            return {"loss": super().train_step(data)["loss"] * float(hb.ops.sum(data[0]))}

    x = hb.Input((3,))
    peeking = Peeking(x, layers.Dense(2)(x))
    peeking.compile("sgd", "mse")
    with pytest.raises(hb.errors.ConcretizationError):
        peeking.export(path, format="hornbeam", training=True)
    with pytest.raises(ValueError, match=r'training=True needs format="onnx" or "hornbeam", got .*"web"|web'):
        plain.export(path, format="web", training=True)
    assert not path.exists()
