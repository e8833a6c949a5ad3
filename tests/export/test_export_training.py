"""A training step as an ONNX file: onnxruntime alone, fed with its own outputs, trains as `fit` does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.engines import installed
from hornbeam.optimizers import SGD
from hornbeam.saving.model_parts import weight_names
from tests.helpers.training_cases import CASES, RNG, compiled, floats, mlp, named

ROWS = 4
needs_onnx = pytest.mark.skipif("onnxruntime" not in installed(), reason="needs ONNX and ONNX Runtime")


# In a process of its own, which has nothing of Hornbeam's.
SESSION = """
import sys, numpy as np, onnx, onnxruntime
onnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options)
given, rows = dict(np.load(sys.argv[2])), int(sys.argv[4])
assert sorted(given) == sorted(i.name for i in session.get_inputs()), [i.name for i in session.get_inputs()]
names, state, logs = [output.name for output in session.get_outputs()], {}, []
for start in range(0, len(next(iter(given.values()))), rows):
    batch = {name: array[start : start + rows] for name, array in given.items()}
    found = dict(zip(names, session.run(None, {**batch, **state})))
    state = {name[:-5]: value for name, value in found.items() if name.endswith(".next")}
    logs.append({"log " + name: value for name, value in found.items() if not name.endswith(".next")})
assert "hornbeam" not in sys.modules
np.savez(sys.argv[3], **state, **{name: np.stack([log[name] for log in logs]) for name in logs[0]})
"""


def stepped(folder: Path, batch: dict[str, np.ndarray], rows: int = ROWS) -> dict[str, np.ndarray]:
    """Run `step.onnx` of a folder by onnxruntime: return the final state, and logs of all steps."""
    np.savez(folder / "batch.npz", **batch)
    files = [str(folder / name) for name in ("step.onnx", "batch.npz", "end.npz")]
    subprocess.run([sys.executable, "-c", SESSION, *files, str(rows)], check=True)
    return dict(np.load(folder / "end.npz"))


class BatchLogs(hb.callbacks.Callback):
    """The logs of each step by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.found.append(dict(logs))


@needs_onnx
@pytest.mark.parametrize(("batch_size", "rows"), [(ROWS, ROWS), (None, ROWS), (None, 8)])
@pytest.mark.parametrize("case", CASES)
def test_steps_of_the_file_are_steps_of_fit(
    case: str, batch_size: int | None, rows: int, tmp_path: Path
) -> None:
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    before = [np.array(v) for v in model.get_weights()]
    path = tmp_path / "step.onnx"
    model.export(path, format="onnx", verbose=False, training=True, batch_size=batch_size)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # writing a step makes none
    actual = stepped(tmp_path, named(model, x, y), rows)
    logs = BatchLogs()
    with hb.engines.using("native"):
        model.fit(x, y, batch_size=rows, shuffle=False, verbose=0, callbacks=[logs])
    assert {f"log {name}" for name in logs.found[0]} == {name for name in actual if name.startswith("log ")}
    for name in logs.found[0]:
        expected = [step[name] for step in logs.found]
        np.testing.assert_allclose(actual[f"log {name}"], expected, rtol=1e-5, atol=1e-5, err_msg=name)
    steps = len(logs.found)
    assert steps == {4: 5, 8: 3}[rows]
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for name, variable in weight_names(model):
        np.testing.assert_allclose(actual[name], variable.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
    assert int(actual["optimizer/iteration"]) == steps
    if case == "dropout":
        state = model.layers[1].seed_generator.state.numpy()
        np.testing.assert_array_equal(actual["dropout/seed_generator/state"], state)
        assert state[1] == steps


@needs_onnx
def test_larger_models(tmp_path: Path) -> None:
    words = [layers.Bidirectional(layers.GRU(3, return_sequences=True, dropout=0.2)), layers.LSTM(4)]
    embedded = [hb.Input((7,), dtype="int32"), layers.Embedding(20, 8, mask_zero=True), *words]
    model = compiled([*embedded, layers.Dense(1, "sigmoid")], "adamw", "binary_crossentropy", ["AUC"])
    follows(model, RNG.integers(0, 20, (20, 7)).astype("int32"), RNG.integers(0, 2, (20, 1)), tmp_path)
    x = hb.Input((6, 16), name="x")
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x))
    y = layers.GlobalAveragePooling1D()(layers.Dense(8, "gelu")(y))
    model = hb.Model(x, layers.Dense(2)(y))
    model.compile(SGD(0.1, nesterov=True, momentum=0.5), "huber")
    follows(model, floats(6, 16), floats(2), tmp_path)


def follows(model: hb.Model, x: np.ndarray, y: np.ndarray, folder: Path) -> None:
    signature = tuple(hb.InputSpec(shape=(None, *a.shape[1:]), dtype=a.dtype.name) for a in (x, y))
    model.export(folder / "step.onnx", "onnx", False, signature, training=True)
    result = stepped(folder, named(model, x, y))
    with hb.engines.using("native"):
        model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0)
    for name, variable in weight_names(model):
        np.testing.assert_allclose(result[name], variable.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


@needs_onnx
def test_the_text_in_the_file_is_a_program(tmp_path: Path) -> None:
    import onnx

    model, x, y = mlp()
    model.fit(x, y, verbose=0)  # from the middle of a training
    gathered = [np.array(v.numpy()) for v in model.metrics_variables]
    model.export(tmp_path / "step.onnx", format="onnx", verbose=False, training=True)
    for before, variable in zip(gathered, model.metrics_variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())
    loaded = onnx.load(tmp_path / "step.onnx")
    props = {p.key: json.loads(p.value) for p in loaded.metadata_props}
    assert props["hornbeam.batch"] == [model.input_names[0], "y"]
    fed = props["hornbeam.state"]
    assert {"dense/kernel", "optimizer/iteration", "optimizer/dense/kernel/velocity"} < set(fed)
    assert all(after == f"{name}.next" for name, after in fed.items())
    assert set(fed.values()) < {output.name for output in loaded.graph.output}
    assert "optimizer/learning_rate" not in fed  # which the step does not change
    assert {"optimizer/learning_rate", *fed} < {i.name for i in loaded.graph.input}
    program = loaded.doc_string[loaded.doc_string.index("import numpy") :]
    np.savez(tmp_path / "batch.npz", **named(model, x, y))
    batches = "batches = [dict(numpy.load('batch.npz'))] * 3\n"
    command = [sys.executable, "-c", "import numpy\n" + batches + program]
    ran = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ran.stdout.count("'loss'") == ran.stdout.count("'accuracy'") == 3
    assert not ran.stderr
    model.fit(x, y, batch_size=20, epochs=3, shuffle=False, verbose=0)
    expected, state = model.predict(x, verbose=0), dict(np.load(tmp_path / "state.npz"))
    for name, variable in weight_names(model):
        np.testing.assert_allclose(state[name], variable.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
        variable.assign(state.get(name, variable))  # as docs/saving.md says
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


class Remembers(layers.Layer):
    """Notes what it saw last, which no step reads."""

    def build(self, shape: Any) -> None:
        self.seen = self.add_weight((), "zeros", trainable=False, name="seen")

    def call(self, x: Any) -> Any:
        self.seen.assign(hb.ops.mean(x))
        return x


class Plain(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.end = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.end(x)


@needs_onnx
def test_state_that_is_only_written_and_models_without_symbols(tmp_path: Path) -> None:
    model = compiled([hb.Input((6,)), Remembers(), layers.Dense(1)], "sgd", "mse")
    x, y = floats(6), floats(1)
    model.export(tmp_path / "step.onnx", format="onnx", verbose=False, training=True)
    result = stepped(tmp_path, named(model, x, y))
    np.testing.assert_allclose(result["remembers/seen"], x[-ROWS:].mean(), rtol=1e-5)

    plain = Plain()
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="is not built"):
        plain.export(tmp_path / "step.onnx", format="onnx", training=True)
    plain(x)
    with pytest.raises(ValueError, match=r"Pass export\(\) an input_signature \(x, y\)"):
        plain.export(tmp_path / "step.onnx", format="onnx", training=True)
    specs = [hb.InputSpec(shape=(None, *a.shape[1:]), dtype="float32") for a in (x, y, y[:, 0])]
    plain.export(tmp_path / "step.onnx", "onnx", False, specs, training=True)
    weights = np.linspace(0, 1, 20, dtype="float32")
    result = stepped(tmp_path, {"x": x, "y": y, "sample_weight": weights})
    plain.fit(x, y, sample_weight=weights, batch_size=ROWS, shuffle=False, verbose=0)
    np.testing.assert_allclose(result["end/kernel"], plain.end.kernel.numpy(), rtol=1e-5, atol=1e-5)


class Stubborn(hb.metrics.Mean):
    def reset_state(self) -> None:
        pass


def test_wrong_requests(tmp_path: Path) -> None:
    model = hb.Sequential([hb.Input((6,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="batch_size needs training=True"):
        model.export(tmp_path / "x.onnx", format="onnx", batch_size=3)
    with pytest.raises(
        ValueError, match=r'training=True needs format="onnx" or "hornbeam", got format=\'stablehlo\''
    ):
        model.export(tmp_path / "x", format="stablehlo", training=True)
    with pytest.raises(NotImplementedError, match="tf_saved_model, onnx"):
        model.export(tmp_path / "x", format="pickle", training=True)


class Few(layers.Layer):
    """Multiplies small batches, so that no graph computes what it computes."""

    def call(self, x: Any) -> Any:
        return x * 2 if x.shape[0] < 3 else x


@needs_onnx
def test_what_no_step_can_be_made_of(tmp_path: Path) -> None:
    model = hb.Sequential([hb.Input((6,)), layers.Dense(3), Few(), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"not compiled: call model.compile"):
        model.export(tmp_path / "x.onnx", format="onnx", training=True)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r'must end in "\.onnx"'):
        model.export(tmp_path / "x", format="onnx", training=True)
    with pytest.raises(ValueError, match=r"a training step of .* computes something else for batch=1"):
        model.export(tmp_path / "x.onnx", format="onnx", training=True)
    model.compile(None, "mse")
    with pytest.raises(ValueError, match="without an optimizer"):
        model.export(tmp_path / "x.onnx", format="onnx", training=True)
    model.compile("sgd", "mse", metrics=[Stubborn()])
    with pytest.raises(ValueError, match=r"reset_state\(\) of its metrics does not assign"):
        model.export(tmp_path / "x.onnx", format="onnx", training=True, batch_size=4)
    assert not list(tmp_path.iterdir())
