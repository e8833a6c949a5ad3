"""Models as users have them, as ONNX files: names that clash, structures, masks, states, dtypes; refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, tree
from hornbeam.saving import load_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def words(*shape: int) -> np.ndarray:
    return RNG.integers(0, 9, shape).astype("int32")


def strange_names() -> tuple[hb.Model, Any]:
    """Those that the file's own values would have, and characters that few programs allow."""
    a, b, c, d = (layers.Input((3,), name=name) for name in ("v3", "rows", "constant_0", "v5_of_rows"))
    y = layers.Dense(3, name="v1")(a) + layers.Rescaling(0.5, [1.0, 2.0, 3.0], name="v12")(b) + c * d
    y = layers.Flatten(name="ünï cödé:0")(layers.Reshape((3, 1), name="v2")(y))
    ends = [layers.Dense(2, name=name) for name in ("a b.c-d", "hornbeam", "v9")]
    return hb.Model([a, b, c, d], [y, *(end(y) for end in ends), layers.RepeatVector(2, name="v7")(y)]), [
        floats(3, 3) for _ in range(4)
    ]


def an_input_as_output() -> tuple[hb.Model, Any]:
    x = layers.Input((3,), name="x")
    return hb.Model(x, [x, layers.ReLU()(x)]), floats(3, 3)


def the_importers_name() -> tuple[hb.Model, Any]:
    x = layers.Input((3,), name="onnx_graph")
    return hb.Model(x, layers.Dense(2)(x)), floats(3, 3)


def dicts() -> tuple[hb.Model, Any]:
    a, b = layers.Input((3,), name="z"), layers.Input((4,), name="y")
    model = hb.Model({"z": a, "y": b}, {"u": layers.Dense(2)(a), "t": layers.Dense(3)(b)})
    return model, {"z": floats(3, 3), "y": floats(3, 4)}


def nested_and_shared() -> tuple[hb.Model, Any]:
    inner = hb.Sequential([layers.Input((3,)), layers.Dense(3, "relu"), layers.BatchNormalization()])
    x, y = layers.Input((3,)), layers.Input((3,))
    return hb.Model([x, y], layers.Dense(2)(inner(inner(x)) + inner(y))), [floats(3, 3), floats(3, 3)]


def masked() -> tuple[hb.Model, Any]:
    x = layers.Input((6,), dtype="int32")
    e = layers.Embedding(9, 4, mask_zero=True)(x)
    e = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(layers.MultiHeadAttention(2, 3)(e, e))
    return hb.Model(x, layers.GlobalAveragePooling1D()(e)), words(3, 6)


def states() -> tuple[hb.Model, Any]:
    x, h = layers.Input((5, 3)), layers.Input((4,))
    return hb.Model([x, h], layers.GRU(4, return_state=True)(x, initial_state=h)), [
        floats(3, 5, 3), floats(3, 4),
    ]  # fmt: skip


def constants_as_wide_as_the_batch() -> tuple[hb.Model, Any]:
    parts = [
        layers.AveragePooling1D(3, 2, "same"),
        layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 4.0]),
    ]
    return hb.Sequential([layers.Input((7, 2)), *parts]), floats(3, 7, 2)


def numbers() -> tuple[hb.Model, Any]:
    x = layers.Input((4, 4, 3), dtype="uint8")
    model = hb.Model(x, layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(x)))
    return model, RNG.integers(0, 255, (3, 4, 4, 3)).astype("uint8")


def doubles() -> tuple[hb.Model, Any]:
    parts = [layers.Input((4,), dtype="float64"), layers.Dense(3, "tanh", dtype="float64")]
    return hb.Sequential(parts), floats(3, 4).astype("float64")


def under(policy: str) -> Callable[[], tuple[hb.Model, Any]]:
    def make() -> tuple[hb.Model, Any]:
        parts = [
            layers.Conv1D(4, 2, dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.LSTM(3, dtype=policy),
            layers.Dense(2, dtype=policy),
        ]
        return hb.Sequential([layers.Input((6, 3)), *parts]), floats(3, 6, 3)

    return make


CASES: dict[str, Callable[[], tuple[hb.Model, Any]]] = {
    **{
        make.__name__: make
        for make in (
            strange_names, an_input_as_output, the_importers_name, dicts, nested_and_shared, masked, states,
            constants_as_wide_as_the_batch, numbers, doubles,
        )
    },
    **{policy: under(policy) for policy in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")},
}  # fmt: skip


def exported(model: hb.Model, path: Path, signature: Any = None) -> Any:
    model.export(path, "onnx", False, signature)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def names_of(ends: Any) -> list[str]:
    return [end.name for end in ends]


@pytest.mark.parametrize("case", CASES)
def test_as_predict_and_back(case: str, tmp_path: Path) -> None:
    model, args = CASES[case]()
    session = exported(model, tmp_path / "m.onnx")
    assert names_of(session.get_inputs()) == model.input_names
    again = load_onnx(tmp_path / "m.onnx")
    near = {"rtol": 1e-4, "atol": 1e-5} if "16" not in case else {"rtol": 2e-2, "atol": 2e-2}
    for rows in (1, 3):
        batch = tree.map_structure(lambda x, rows=rows: x[:rows], args)
        flat = tree.flatten(batch)
        expected = tree.flatten(model.predict(batch, verbose=0))
        served = session.run(None, dict(zip(model.input_names, flat, strict=True)))
        back = tree.flatten(again.predict(flat if len(flat) > 1 else flat[0], verbose=0))
        for y, ours, theirs in zip(expected, back, served, strict=True):
            np.testing.assert_allclose(theirs, y.astype(theirs.dtype), **near)
            np.testing.assert_allclose(ours, theirs, **near)


def test_outputs_have_the_models_names(tmp_path: Path) -> None:
    assert names_of(exported(dicts()[0], tmp_path / "m.onnx").get_outputs()) == ["t", "u"]
    model, _ = an_input_as_output()
    assert names_of(exported(model, tmp_path / "m.onnx").get_outputs()) == ["x_1", model.output_names[1]]


def test_a_subclass_has_the_names_of_its_dicts(tmp_path: Path) -> None:
    class Two(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, data: Any) -> Any:
            return {"p": self.dense(data["a"]), "q": data["b"] * 2}

    model, args = Two(), {"a": floats(2, 4), "b": floats(2, 2)}
    model(args)
    with pytest.raises(ValueError, match="Pass export\\(\\) an input_signature"):
        model.export(tmp_path / "m.onnx", format="onnx")
    signature = [{key: hb.InputSpec(shape=(None, *x.shape[1:])) for key, x in args.items()}]
    session = exported(model, tmp_path / "m.onnx", signature)
    assert names_of(session.get_inputs()) == ["a", "b"]
    assert names_of(session.get_outputs()) == ["p", "q"]
    np.testing.assert_allclose(session.run(["p"], args)[0], model.predict(args, verbose=0)["p"], rtol=1e-5)


def stateful() -> hb.Model:
    return hb.Sequential([layers.Input(batch_shape=(2, 5, 3)), layers.LSTM(3, stateful=True, name="memory")])


def bent() -> hb.Model:
    parts = [layers.Input((3,), dtype="float64"), layers.Activation("gelu", name="bend", dtype="float64")]
    return hb.Sequential(parts)


def sentences() -> hb.Model:
    lookup = layers.StringLookup(vocabulary=["a"], name="words")
    return hb.Sequential([layers.Input((1,), dtype="string"), lookup, layers.Embedding(3, 2)])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (stateful, ValueError, "assigns .*memory.* during inference.*stateful=False"),
        (bent, NotImplementedError, r"no Erf of float64 \(in .*bend"),
        (sentences, ValueError, r"not part of a graph: layer 'words' \(StringLookup\)"),
    ],
)  # fmt: skip
def test_refusals_say_what_and_where(
    make: Callable[[], hb.Model], error: type[Exception], says: str, tmp_path: Path
) -> None:
    model = make()
    with pytest.raises(error, match=says):
        model.export(tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_two_values_of_one_name_are_no_model() -> None:
    from hornbeam.ir.graph import Graph
    from hornbeam.ir.node import placeholder
    from hornbeam.ir.types import TensorType
    from hornbeam.onnx.emitter.emit import Emitter

    x = placeholder(TensorType((2,), "float32"), 0)
    with pytest.raises(ValueError, match="must be unique"):
        Emitter({}, {}).model(Graph([x], [x]), inputs=["a"], outputs=["a"])
