"""ONNX files as a person would write them: ONNX's own operators, one layout, names of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
# Multiplications and additions in another order.
NEAR = {"rtol": 1e-4, "atol": 1e-5}


def trained(model: hb.Model) -> hb.Model:
    """The model with weights and statistics that are not those of the start."""
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(
                RNG.uniform(0.2, 0.8, variable.shape).astype("float32") - 0.3 * (variable.ndim > 1)
            )
    return model


def exported(model: hb.Model, path: Path, **options: Any) -> Any:
    """The file's graph, checked, and compared with `predict` on batches of two sizes."""
    file = path / "model.onnx"
    model.export(file, format="onnx", verbose=False, **options)
    proto = onnx.load(file)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(str(file))
    first = options.get("data_format") == "channels_first"
    for rows in (1, 3):
        batch = [inputs(x, rows) for x in model.inputs]
        fed = [np.moveaxis(x, -1, 1) if first and x.ndim > 3 else x for x in batch]
        names = [x.name for x in session.get_inputs()]
        got = session.run(None, dict(zip(names, fed, strict=True)))
        expected = hb.tree.flatten(model.predict(batch if len(batch) > 1 else batch[0], verbose=0))
        for y, wanted in zip(got, expected, strict=True):
            y = np.moveaxis(y, 1, -1) if first and y.ndim > 3 else y
            np.testing.assert_allclose(y, wanted, **NEAR)
    return proto.graph


def inputs(x: Any, rows: int) -> np.ndarray:
    if x.name == "indices":
        return RNG.integers(0, 9, (rows, *x.shape[1:])).astype("float32")
    shape = (rows, *(n or 9 for n in x.shape[1:]))
    return (
        RNG.integers(0, 9, shape).astype(x.dtype)
        if "int" in x.dtype
        else RNG.normal(size=shape).astype(x.dtype)
    )


def operators(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


def sequential(*parts: Any) -> hb.Model:
    return trained(hb.Sequential([layers.Input(parts[0]), *parts[1:]], name="net"))


def block(x: Any, filters: int, strides: int = 1) -> Any:
    """A residual block with batch normalization."""
    y = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    if strides > 1:
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1, strides, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, y]))


def resnet() -> hb.Model:
    x = start = layers.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)))
    for filters, strides in ((4, 1), (8, 2), (16, 2)):
        x = block(x, filters, strides)
    x = layers.GlobalAveragePooling2D()(x)
    return trained(hb.Model(start, layers.Dense(10, "softmax")(x)))


def unet() -> hb.Model:
    x = start = layers.Input((16, 16, 2))
    high = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    low = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(high))
    up = layers.Conv2DTranspose(4, 2, 2)(low)
    wide = layers.UpSampling2D(2, interpolation="bilinear")(low)
    x = layers.Concatenate()([up, high, layers.UpSampling2D(2)(low), wide])
    return trained(hb.Model(start, layers.Conv2D(1, 1, activation="sigmoid")(x)))


def vit(blocks: int = 2) -> hb.Model:
    x = start = layers.Input((8, 8, 3))
    x = layers.Reshape((4, 8))(layers.Conv2D(8, 4, 4)(x))
    for _ in range(blocks):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(y, y)
        y = layers.Dense(16, "gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(8)(y)
    return trained(hb.Model(start, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))))


def gpt() -> hb.Model:
    x = start = layers.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(x)
    return trained(hb.Model(start, layers.Dense(9)(x)))


def test_a_residual_net_has_nothing_but_its_layers(tmp_path: Path) -> None:
    graph = exported(resnet(), tmp_path)
    assert operators(graph) == {
        "Transpose": 1, "Conv": 9, "Relu": 7, "Add": 3, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1,
        "Softmax": 1,
    }  # fmt: skip
    assert graph.node[0].op_type == "Transpose"


def test_channels_first_needs_no_transpose(tmp_path: Path) -> None:
    graph = exported(resnet(), tmp_path, data_format="channels_first")
    assert operators(graph)["Transpose"] == 0
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[1:]] == [3, 16, 16]
    graph = exported(unet(), tmp_path, data_format="channels_first")
    assert operators(graph)["Transpose"] == 0


def test_an_image_in_and_out_is_transposed_twice(tmp_path: Path) -> None:
    counts = operators(exported(unet(), tmp_path))
    assert counts == {
        "Transpose": 1, "Reshape": 1, "Conv": 3, "Relu": 2, "MaxPool": 1, "ConvTranspose": 1, "Resize": 2,
        "Concat": 1, "Sigmoid": 1,
    }  # fmt: skip


def test_batch_normalization_can_keep_its_weights(tmp_path: Path) -> None:
    model = sequential((8, 8, 3), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn"))
    graph = exported(model, tmp_path, fold_batch_normalization=False)
    assert operators(graph) == {"Transpose": 2, "Conv": 1, "BatchNormalization": 1}
    weights = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    for variable in model.layers[-1].variables:
        np.testing.assert_array_equal(weights[f"bn/{variable.name}"], variable.numpy())
    assert weights["conv/kernel"].shape == (4, 3, 3, 3)


def test_batch_normalization_before_a_convolution_is_one_node(tmp_path: Path) -> None:
    parts = [layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization(), layers.Conv2D(2, 3)]
    assert operators(exported(sequential((9, 9, 3), *parts), tmp_path)) == {
        "Transpose": 2, "Conv": 2, "Relu": 1, "BatchNormalization": 1
    }  # fmt: skip


ACTIVATIONS: dict[str, dict[str, int]] = {
    "relu": {"Relu": 1},
    "relu6": {"Clip": 1},
    "leaky_relu": {"LeakyRelu": 1},
    "elu": {"Elu": 1},
    "selu": {"Selu": 1},
    "gelu": {"Gelu": 1},
    "sigmoid": {"Sigmoid": 1},
    "silu": {"Sigmoid": 1, "Mul": 1},
    "hard_sigmoid": {"HardSigmoid": 1},
    "hard_silu": {"HardSwish": 1},
    "softplus": {"Softplus": 1},
    "softsign": {"Softsign": 1},
    "softmax": {"Softmax": 1},
    "log_softmax": {"LogSoftmax": 1},
    "mish": {"Softplus": 1, "Tanh": 1, "Mul": 1},
    "tanh": {"Tanh": 1},
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, tmp_path: Path) -> None:
    assert operators(exported(sequential((7,), layers.Activation(name)), tmp_path)) == ACTIVATIONS[name]


LAYERS: dict[str, tuple[Callable[[], hb.Model], dict[str, int]]] = {
    "PReLU": (lambda: sequential((5, 4), layers.PReLU(shared_axes=[1])), {"PRelu": 1}),
    "ReLU": (lambda: sequential((7,), layers.ReLU(3.0)), {"Clip": 1}),
    "LeakyReLU": (lambda: sequential((7,), layers.LeakyReLU(0.1)), {"LeakyRelu": 1}),
    "Dense": (lambda: sequential((7,), layers.Dense(3)), {"Gemm": 1}),
    "Dense of sequences": (lambda: sequential((5, 7), layers.Dense(3)), {"MatMul": 1, "Add": 1}),
    "EinsumDense": (
        lambda: sequential((5, 7), layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
        {"MatMul": 1, "Add": 1, "Reshape": 1},
    ),
    "padded": (
        lambda: sequential((8, 8, 3), layers.ZeroPadding2D(1), layers.Conv2D(2, 3)),
        {"Transpose": 2, "Conv": 1},
    ),
    "pools": (
        lambda: sequential(
            (9, 9, 2), layers.MaxPooling2D(3, 2, "same"), layers.AveragePooling2D(2, 2, "same")
        ),
        {"Transpose": 2, "MaxPool": 1, "AveragePool": 1},
    ),
    "Conv1D": (
        lambda: sequential((9, 3), layers.Conv1D(4, 3, padding="causal"), layers.BatchNormalization()),
        {"Transpose": 2, "Conv": 1},
    ),
    "SeparableConv2D": (
        lambda: sequential((9, 9, 3), layers.SeparableConv2D(4, 3)),
        {"Transpose": 2, "Conv": 2},
    ),
    "LayerNormalization": (
        lambda: sequential((5, 7), layers.LayerNormalization()),
        {"LayerNormalization": 1},
    ),
    "GroupNormalization": (
        lambda: sequential((6, 6, 8), layers.Conv2D(8, 3), layers.GroupNormalization(2)),
        {"Transpose": 2, "Conv": 1, "Reshape": 2, "InstanceNormalization": 1, "Mul": 1, "Add": 1},
    ),
    "Embedding": (
        lambda: trained(hb.Sequential([layers.Input((5,), dtype="int32"), layers.Embedding(9, 3)])),
        {"Gather": 1},
    ),
    "LSTM": (lambda: sequential((5, 3), layers.LSTM(4)), {"Transpose": 1, "LSTM": 1, "Reshape": 1}),
    "GRU": (
        lambda: sequential((None, 3), layers.GRU(4, go_backwards=True, use_bias=False)),
        {"Transpose": 1, "GRU": 1, "Reshape": 1},
    ),
    "Bidirectional": (
        lambda: sequential((5, 3), layers.Bidirectional(layers.LSTM(4, return_sequences=True))),
        {"Transpose": 2, "LSTM": 2, "Reshape": 2, "Concat": 1},
    ),
    "Embedding of floats": (
        lambda: trained(hb.Sequential([layers.Input((5,), name="indices"), layers.Embedding(9, 3)])),
        {"Cast": 1, "Gather": 1},
    ),
    "Flatten": (
        lambda: sequential((6, 6, 2), layers.Flatten(), layers.Dense(3)),
        {"Reshape": 1, "Gemm": 1},
    ),
    "Flatten of channels first": (
        lambda: sequential((6, 7, 2), layers.Conv2D(3, 2), layers.Flatten(), layers.Dense(3)),
        {"Transpose": 1, "Conv": 1, "Reshape": 1, "Gemm": 1},
    ),
    "UnitNormalization": (
        lambda: sequential((7,), layers.UnitNormalization()),
        {"Mul": 2, "ReduceSum": 1, "Clip": 1, "Sqrt": 1, "Div": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_layers(case: str, tmp_path: Path) -> None:
    make, expected = LAYERS[case]
    assert operators(exported(make(), tmp_path)) == expected


def test_attention_is_one_operator_where_the_version_has_it(tmp_path: Path) -> None:
    counts = operators(exported(vit(2), tmp_path, opset_version=23))
    assert (counts["Attention"], counts["LayerNormalization"], counts["Gelu"]) == (2, 4, 2)
    assert counts["Softmax"] == counts["Transpose"] - 2 == 0  # those of the convolution
    counts = operators(exported(vit(2), tmp_path, opset_version=20))
    assert (counts["Attention"], counts["Softmax"], counts["LayerNormalization"]) == (0, 2, 4)
    assert counts["ReduceSum"] + counts["Where"] + counts["Shape"] == 0
    for version in (20, 23):
        counts = operators(exported(gpt(), tmp_path, opset_version=version))
        assert counts["Attention"] == (version == 23)
        assert counts["GreaterOrEqual"] + counts["Shape"] == 0


QUANTIZED = {
    "Abs": 1,
    "ReduceMax": 1,
    "Div": 2,
    "Mul": 1,
    "QuantizeLinear": 1,
    "DequantizeLinear": 2,
    "Add": 2,
}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: sequential((7,), layers.Dense(3)), {**QUANTIZED, "Gemm": 1}),
        (lambda: sequential((5, 7), layers.Dense(3)), {**QUANTIZED, "MatMul": 1}),
        (
            lambda: sequential((5, 7), layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
            {**QUANTIZED, "MatMul": 1, "Reshape": 2},
        ),
    ],
    ids=["Dense", "Dense of sequences", "EinsumDense"],
)
def test_integers_between_quantize_and_dequantize(
    make: Callable[[], hb.Model], expected: dict[str, int], tmp_path: Path
) -> None:
    model = make()
    model.quantize("int8")
    graph = exported(model, tmp_path)
    assert operators(graph) == expected
    arrays = [onnx.numpy_helper.to_array(x) for x in graph.initializer]
    (kernel,) = (x for x in arrays if x.dtype == np.int8 and x.ndim > 1)
    np.testing.assert_array_equal(kernel.reshape(-1), model.layers[0].kernel.numpy().reshape(-1))


@pytest.mark.parametrize("version", [17, 18, 19, 22, 24, 28])
def test_versions_of_the_operators(version: int, tmp_path: Path) -> None:
    for make in (resnet, unet, vit, gpt):
        exported(make(), tmp_path, opset_version=version)
        assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == version


def test_nodes_are_named_after_their_layers(tmp_path: Path) -> None:
    parts = [
        layers.Input((8, 8, 3), name="image"),
        layers.Conv2D(4, 3, name="stem"),
        layers.BatchNormalization(),
        layers.Reshape((6, 24), name="rows"),
        layers.GlobalMaxPooling1D(name="top"),
        layers.Dense(2, "softmax", name="head"),
    ]
    model = trained(hb.Sequential(parts))
    names = [node.name for node in exported(model, tmp_path).node]
    assert names == [
        "image/Transpose",
        "stem/Conv",
        "rows/Transpose",
        "rows/Reshape",
        "top/ReduceMax",
        "head/Gemm",
        "head",
    ]
    weights = {x.name for x in exported(model, tmp_path).initializer}
    assert {"stem/kernel_folded", "stem/bias_folded", "head/kernel", "head/bias"} <= weights


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    model = sequential((3,), layers.Dense(2))
    with pytest.raises(NotImplementedError, match=r"opset=.* format takes opset_version, data_format, fold"):
        model.export(tmp_path / "m.onnx", format="onnx", opset=20)
    with pytest.raises(NotImplementedError, match=r"opset_version=.* takes no further arguments"):
        model.export(tmp_path / "m", format="stablehlo", opset_version=20)
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match="takes no further arguments for a training step"):
        model.export(tmp_path / "m.onnx", format="onnx", training=True, opset_version=20)
    with pytest.raises(ValueError, match="opset_version must be between 17 and 28, got 99"):
        model.export(tmp_path / "m.onnx", format="onnx", opset_version=99)
    with pytest.raises(ValueError, match="data_format must be"):
        model.export(tmp_path / "m.onnx", format="onnx", data_format="NCHW")
    assert not list(tmp_path.iterdir())


def test_an_operator_that_the_version_does_not_have(tmp_path: Path) -> None:
    x = layers.Input((3,), dtype="int32")
    model = hb.Model(x, layers.Lambda(lambda x: hb.ops.bitwise_and(x, 5), name="bits")(x))
    with pytest.raises(NotImplementedError, match=r"bits needs the operator BitwiseAnd, .* version 17"):
        model.export(tmp_path / "m.onnx", format="onnx", opset_version=17)
