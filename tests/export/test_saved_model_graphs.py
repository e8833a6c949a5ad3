"""SavedModels as Keras writes them: TensorFlow's operators under the names of layers, variables that live."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.engines import installed

pytestmark = pytest.mark.skipif("tensorflow" not in installed(), reason="needs TensorFlow")
RNG = np.random.default_rng(0)
# What is no operation: constants, copies, and reads of weights.
_UNCOUNTED = ("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp")


def trained(model: hb.Model) -> hb.Model:
    """The model with weights and statistics that are not those of the start."""
    for variable in model.variables:
        variable.assign(RNG.uniform(0.2, 0.8, variable.shape).astype("float32") - 0.3 * (variable.ndim > 1))
    return model


def images() -> hb.Model:
    x = start = layers.Input((16, 16, 3))
    for filters in (4, 8):
        y = layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
        y = layers.ReLU(6)(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", name=f"deep{filters}")(y))
        x = layers.Add()([y, layers.Conv2D(filters, 1, 2)(x)])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(layers.AveragePooling2D(2)(x)))
    return trained(hb.Model(start, layers.Dense(5, "softmax", name="digit")(x), name="net"))


def upwards() -> hb.Model:
    x = start = layers.Input((8, 8, 2))
    up = layers.Conv2DTranspose(4, 2, 2)(x)
    wide = layers.UpSampling2D(2, interpolation="bilinear")(x)
    near = layers.UpSampling2D((2, 2))(x)
    x = layers.Concatenate()([up, wide, near])
    grouped = layers.Conv2D(4, 3, groups=2, padding="same", activation="relu")(x)
    dilated = layers.Conv2D(4, 3, dilation_rate=2, padding="same")(layers.ZeroPadding2D(1)(x))
    padded = layers.AveragePooling2D(3, 1, padding="same")(grouped)
    return trained(hb.Model(start, [padded, layers.MaxPooling2D(3, 2, padding="same")(dilated)]))


def sequences() -> hb.Model:
    x = layers.Input((6, 4))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Masking()(x))
    z = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
    z = layers.AveragePooling1D(2)(layers.SeparableConv1D(4, 3, padding="same")(z))
    return trained(hb.Model(x, [layers.GRU(4)(y), layers.MaxPooling1D(2)(z)]))


def cells() -> hb.Model:
    """A loop whose body reads biases that are broadcast outside of it."""
    x = layers.Input((4, 3))
    return trained(hb.Model(x, layers.RNN([layers.GRUCell(2), layers.SimpleRNNCell(3)])(x)))


def text() -> hb.Model:
    x = start = layers.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    model = hb.Model(start, layers.Dense(9, "gelu")(layers.LayerNormalization()(x)))
    return trained(model)


def activations() -> hb.Model:
    x = layers.Input((9,))
    kinds = ["elu", "selu", "leaky_relu", "hard_sigmoid", "hard_silu", "softplus", "softsign", "silu", "mish"]
    outputs = [layers.Activation(kind)(x) for kind in kinds]
    outputs += [layers.PReLU()(x), layers.ELU(0.5)(x), layers.ReLU(4.0, 0.1, 0.5)(x), layers.Softmax()(x)]
    return trained(hb.Model(x, outputs))


MODELS = {f.__name__: f for f in (images, upwards, sequences, cells, text, activations)}


def batch_for(model: hb.Model, rows: int) -> np.ndarray:
    (x,) = model.inputs
    shape = (rows, *x.shape[1:])
    return (
        RNG.integers(0, 9, shape).astype("int32")
        if "int" in x.dtype
        else RNG.normal(scale=3, size=shape).astype("float32")
    )


def exported(model: hb.Model, folder: Path, **options: Any) -> Any:
    import tensorflow as tf

    model.export(folder, format="tf_saved_model", verbose=False, **options)
    return tf.saved_model.load(str(folder))


def nodes_of(function: Any) -> list[Any]:
    """The nodes of a signature, those of the functions that it calls included."""
    graph = function.graph.as_graph_def()
    return [*graph.node, *(node for f in graph.library.function for node in f.node_def)]


def operators(loaded: Any) -> Counter[str]:
    kinds = Counter(node.op for node in nodes_of(loaded.serve.concrete_functions[0]))
    return Counter({kind: n for kind, n in kinds.items() if kind not in _UNCOUNTED})


def assert_equal(got: Any, expected: Any) -> None:
    for y, wanted in zip(hb.tree.flatten(got), hb.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_as_predict_for_batches_of_any_size(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    loaded = exported(model, tmp_path)
    for rows in (1, 3):
        batch = batch_for(model, rows)
        assert_equal(loaded.serve(batch), model.predict(batch, verbose=0))


def test_a_net_of_images_has_nothing_but_its_layers(tmp_path: Path) -> None:
    loaded = exported(images(), tmp_path)
    assert operators(loaded) == {
        "Conv2D": 4, "DepthwiseConv2dNative": 2, "BiasAdd": 5, "FusedBatchNormV3": 4, "Relu6": 2, "AddV2": 2,
        "AvgPool": 1, "MaxPool": 1, "Mean": 1, "MatMul": 1, "Softmax": 1,
    }  # fmt: skip
    names = [node.name for node in nodes_of(loaded.serve.concrete_functions[0])]
    assert {"digit/MatMul", "digit/kernel/ReadVariableOp", "deep4/DepthwiseConv2dNative"} <= set(names)


def test_a_transformer_has_einsum(tmp_path: Path) -> None:
    kinds = operators(exported(text(), tmp_path))
    assert (kinds["Einsum"], kinds["Softmax"], kinds["GatherV2"]) == (6, 1, 1)
    assert not kinds["Transpose"]
    assert not kinds["Reshape"]


def test_signatures_and_variables_are_as_keras_has_them(tmp_path: Path) -> None:
    model = images()
    loaded = exported(model, tmp_path)
    assert sorted(loaded.signatures) == ["serve", "serving_default"]
    (name,) = loaded.signatures["serving_default"].structured_input_signature[1]
    assert name == model.inputs[0].name
    assert [v.shape for v in loaded.variables] == [v.shape for v in model.variables]
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    # What is assigned has an effect: nothing was folded into other values.
    batch = batch_for(model, 2)
    for theirs, ours in zip(loaded.variables, model.variables, strict=True):
        value = RNG.uniform(0.2, 0.8, ours.shape).astype("float32")
        theirs.assign(value)
        ours.assign(value)
    assert_equal(loaded.serve(batch), model.predict(batch, verbose=0))


def test_it_trains_in_tensorflow(tmp_path: Path) -> None:
    import tensorflow as tf

    model = images()
    loaded = exported(model, tmp_path)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded.serve(batch_for(model, 2))[:, 0])
    assert all(g is not None for g in tape.gradient(loss, loaded.trainable_variables))


def test_sizes_may_be_fixed(tmp_path: Path) -> None:
    model = sequences()
    loaded = exported(model, tmp_path, input_signature=[hb.InputSpec(shape=(2, 6, 4))])
    assert not operators(loaded)["Shape"]
    batch = batch_for(model, 2)
    assert_equal(loaded.serve(batch), model.predict(batch, verbose=0))


@pytest.mark.parametrize("name", ["images", "upwards", "text"])
@pytest.mark.filterwarnings("ignore")  # TensorFlow's interpreter moves to another package
def test_the_converter_of_lite_reads_it(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    model = MODELS[name]()
    model.export(tmp_path / "m.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    batch = batch_for(model, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    got = [interpreter.get_tensor(x["index"]) for x in interpreter.get_output_details()]
    expected = hb.tree.flatten(model.predict(batch, verbose=0))
    for wanted in expected:
        assert any(y.shape == wanted.shape and np.allclose(y, wanted, rtol=1e-3, atol=1e-4) for y in got)


def of_dtype(policy: str) -> hb.Model:
    parts = [
        layers.Conv2D(4, 3, padding="same", activation="relu", dtype=policy),
        layers.BatchNormalization(dtype=policy),
        layers.MaxPooling2D(2, dtype=policy),
        layers.Reshape((16, 4), dtype=policy),
        layers.LSTM(5, return_sequences=True, dtype=policy),
        layers.LayerNormalization(dtype=policy),
        layers.GlobalAveragePooling1D(dtype=policy),
        layers.Dense(3, "softmax", dtype=policy),
    ]
    return hb.Sequential([layers.Input((8, 8, 3)), *parts])


def of_int8() -> hb.Model:
    model = hb.Sequential(
        [layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(2)]
    )
    model.quantize("int8")
    return model


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "int8"]
)
def test_dtypes(dtype: str, tmp_path: Path) -> None:
    import tensorflow as tf

    model = of_int8() if dtype == "int8" else of_dtype(dtype)
    loaded = exported(model, tmp_path)
    batch = batch_for(model, 3)
    got = tf.cast(loaded.serve(batch), tf.float32).numpy()
    near = 2e-2 if "bfloat16" in dtype else 2e-3 if "float16" in dtype else 1e-5
    np.testing.assert_allclose(got, model.predict(batch, verbose=0).astype("float32"), atol=near, rtol=near)


def test_states_are_kept_in_the_file(tmp_path: Path) -> None:
    model = hb.Sequential([layers.Input(batch_shape=(2, 5, 3)), layers.LSTM(4, stateful=True)])
    loaded = exported(model, tmp_path)
    batch = batch_for(model, 2)
    first, second = (loaded.serve(batch).numpy() for _ in range(2))
    np.testing.assert_allclose(first, model.predict(batch, verbose=0, batch_size=2), atol=1e-6)
    np.testing.assert_allclose(second, model.predict(batch, verbose=0, batch_size=2), atol=1e-6)
    assert np.abs(first - second).max() > 1e-4
