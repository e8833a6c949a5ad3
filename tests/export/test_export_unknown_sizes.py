"""Files of models whose inputs have unknown sizes: other programs compute what we do, for small sizes too."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.engines import installed
from hornbeam.export.unknown_sizes import input_types, trace_for_export
from hornbeam.runtime import FrozenModel
from tests.helpers.parity.grammar import build, write

RNG = np.random.default_rng(0)
Run = Callable[[list[np.ndarray]], Any]

# A model, and the inputs for a batch of n rows and a size m (of images n x m x (m + 1)).
Case = tuple[hb.Model, Callable[[int, int], list[np.ndarray]]]


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def tokens() -> Case:
    x = hb.Input((None,), dtype="int32")
    e = layers.Embedding(20, 6, mask_zero=True)(x)
    e = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(e)
    e = e + layers.MultiHeadAttention(2, 3)(e, e, use_causal_mask=True)
    ends = [layers.GRU(4)(e), layers.GlobalAveragePooling1D()(e), layers.Dense(2)(e)]
    return hb.Model(x, ends), lambda n, m: [RNG.integers(0, 20, (n, m)).astype("int32")]


def positions() -> Case:
    class Positions(layers.Layer):
        def build(self, shape: Any) -> None:
            self.table = self.add_weight((50, 6), name="table")

        def call(self, x: Any) -> Any:
            length = ops.shape(x)[1]
            steps = ops.cast(ops.arange(length), "float32") / length
            return x + self.table[:length] + ops.expand_dims(steps, 1)

    y = x = hb.Input((None, 6))
    y = layers.LayerNormalization()(Positions()(y))
    return hb.Model(x, layers.Conv1D(4, 3, padding="causal")(y)), lambda n, m: [floats(n, m, 6)]


def two_lengths() -> Case:
    a, b = hb.Input((None, 4), name="a"), hb.Input((None, 4), name="b")
    both = layers.Attention()([a, b])
    flat = ops.reshape(ops.concatenate([a, b], axis=1), (-1, 4))
    return hb.Model([a, b], [both, layers.Dense(2)(flat), ops.mean(b, axis=1)]), lambda n, m: [
        floats(n, m, 4), floats(n, m + 3, 4)
    ]  # fmt: skip


def images() -> Case:
    x = hb.Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.SeparableConv2D(4, 3, padding="same")(layers.MaxPooling2D(2, padding="same")(y))
    y = layers.BatchNormalization()(layers.AveragePooling2D(3, 2, padding="same")(y))
    return hb.Model(x, layers.Dense(3)(layers.GlobalMaxPooling2D()(y))), lambda n, m: [floats(n, m, m + 1, 3)]


def upwards() -> Case:
    x = hb.Input((None, None, 2))
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
    y = layers.ZeroPadding2D(1)(layers.UpSampling2D(2, interpolation="bilinear")(y))
    y = layers.Cropping2D(((1, 2), (0, 1)))(layers.Conv2DTranspose(2, 2)(y))
    return hb.Model(x, [y, layers.Resizing(4, 5)(x)]), lambda n, m: [floats(n, m, m + 1, 2)]


def running() -> Case:
    x = hb.Input((None,))
    parts = [ops.cumsum(x, 1), ops.cumprod(x, 1), ops.sort(x, 1), ops.argmax(x, 1), ops.flip(x, 1)]
    parts += [ops.pad(x, [[0, 0], [1, 2]], mode=mode) for mode in ("edge", "reflect", "symmetric", "wrap")]
    parts += [x[:, ::2], x[:, -2:], ops.roll(x, 1, axis=1), ops.tile(x, (2, 3)), ops.repeat(x, 2, axis=1)]
    parts += [ops.softmax(x), ops.logsumexp(x, 1), ops.std(x, 1), ops.max(x, 1), ops.diff(x, axis=1)]
    parts += [ops.cast(ops.cumsum(ops.cast(x > 0, "int32"), 1), "float32")]
    return hb.Model(x, parts), lambda n, m: [floats(n, m)]


def sounds() -> Case:
    x = hb.Input((None,))
    spectrum = ops.stft(x, 4, 2, 4)
    ends = [*spectrum, ops.istft(spectrum, 4, 2, 4), *ops.rfft(x)]
    return hb.Model(x, ends), lambda n, m: [floats(n, m + 8)]


def rows_of_a_batch() -> Case:
    """Results that depend on other rows, and on their number."""

    class Rows(layers.Layer):
        def call(self, x: Any) -> Any:
            n = ops.shape(x)[0]
            parts = [x - ops.mean(x, axis=0, keepdims=True), ops.matmul(x, ops.transpose(x))]
            parts += [ops.sum(x) / n, ops.reshape(x, (n * 3,)), ops.ones((n, 2)) + ops.cast(n, "float32")]
            return [*parts, ops.arange(n)]

    x = hb.Input((3,))
    return hb.Model(x, Rows()(x)), lambda n, m: [floats(n, 3)]


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (tokens, positions, two_lengths, images, upwards, running, sounds, rows_of_a_batch)
}
SIZES = ((1, 3), (2, 4), (5, 9), (3, 16))


def check(model: hb.Model, run: Run, inputs: list[np.ndarray]) -> None:
    expected = hb.tree.flatten(model(hb.tree.pack_sequence_as(model.input, inputs), training=False))
    got = run(inputs)
    assert len(got) == len(expected)
    for value, wanted in zip(got, expected, strict=True):
        assert np.asarray(value).dtype == wanted.dtype
        wanted = np.asarray(wanted)
        scale = np.abs(wanted).max(initial=1)
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=1e-4, atol=1e-5 * scale)


def onnx_runner(model: hb.Model, folder: Path) -> Run:
    import onnx
    import onnxruntime

    path = folder / "model.onnx"
    model.export(path, format="onnx", verbose=False)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    names = [x.name for x in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def tensorflow_runner(model: hb.Model, folder: Path) -> Run:
    import tensorflow as tf

    model.export(folder / "model", verbose=False)
    loaded = tf.saved_model.load(str(folder / "model"))
    return lambda inputs: tf.nest.flatten(loaded.serve(hb.tree.pack_sequence_as(model.input, inputs)))


def stablehlo_runner(model: hb.Model, folder: Path) -> Run:
    import jax.export

    model.export(folder / "model", format="stablehlo", verbose=False)
    loaded = jax.export.deserialize(bytearray((folder / "model" / "model.jax").read_bytes()))
    return lambda inputs: hb.tree.flatten(loaded.call(*inputs))


def frozen_runner(model: hb.Model, folder: Path) -> Run:
    path = folder / "model.hornbeam"
    model.export(path, format="hornbeam", verbose=False)
    frozen = FrozenModel(path)
    names = [x.name for x in frozen.signatures["predict"].inputs]
    return lambda inputs: list(frozen.run(dict(zip(names, inputs, strict=True))).values())


def needs(condition: bool, packages: str) -> Any:
    return pytest.mark.skipif(not condition, reason=f"needs {packages}")


needs_jax = needs(
    "jax" in installed() and importlib.util.find_spec("flatbuffers") is not None, "JAX and flatbuffers"
)
FORMATS = [
    pytest.param(frozen_runner, id="hornbeam"),
    pytest.param(onnx_runner, id="onnx", marks=needs("onnxruntime" in installed(), "ONNX and ONNX Runtime")),
    pytest.param(tensorflow_runner, id="saved_model", marks=needs("tensorflow" in installed(), "TensorFlow")),
    pytest.param(stablehlo_runner, id="stablehlo", marks=needs_jax),
]


@pytest.mark.parametrize("runner", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_cases(case: str, runner: Callable[[hb.Model, Path], Run], tmp_path: Path) -> None:
    model, make = CASES[case]()
    run = runner(model, tmp_path)
    for n, m in SIZES:
        check(model, run, make(n, m))


@needs_jax
def test_what_jax_cannot_decide(tmp_path: Path) -> None:
    x = hb.Input((None,))
    model = hb.Model(x, ops.irfft(ops.rfft(x)))
    with pytest.raises(
        ValueError, match=r"'floordiv\(size_0_1, 2\)' >= '1' is inconclusive.*input_signature"
    ):
        model.export(tmp_path / "model", format="stablehlo")
    model.export(tmp_path / "model", "stablehlo", False, [hb.InputSpec(shape=(None, 8))])


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("runner", FORMATS)
@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 40))]
)
def test_random_models(seed: int, runner: Callable[[hb.Model, Path], Run], tmp_path: Path) -> None:
    model = build(write(seed), hb)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(0.4 * rng.normal(size=weight.shape))
    run = runner(model, tmp_path)
    for rows in (1, 2):
        shapes = [(rows, *x.shape[1:]) for x in model.inputs]
        check(model, run, [
            rng.integers(0, 6, shape).astype(x.dtype) if "int" in x.dtype else floats(*shape)
            for x, shape in zip(model.inputs, shapes, strict=True)
        ])  # fmt: skip


def test_small_sizes_are_tried_until_a_model_takes_some() -> None:
    def of(smallest: int) -> Callable[[Any], Any]:
        def fn(x: Any) -> Any:
            if not x.shape[1] >= smallest:
                raise hb.errors.ShapeError("too small")
            return x * 2 if x.shape[1] < smallest + 100 else x

        return fn

    types = input_types([((None, None), "float32")])
    with pytest.raises(ValueError, match=r"fn computes something else for batch=3, size_0_1=80"):
        trace_for_export(of(60), types, "fn")
    with pytest.raises(ValueError, match="fn takes none of the sizes that were tried, up to 640"):
        trace_for_export(of(1000), types, "fn")
