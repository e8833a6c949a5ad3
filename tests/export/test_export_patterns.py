"""Operators that nodes stand for, and that files get: no other library is needed to find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops, tree
from hornbeam import primitives as p
from hornbeam.export.patterns import MatchContext, Operator, arrays, first_found, planned, sequences
from hornbeam.export.patterns.walk import FileLibrary, Walk
from hornbeam.export.signature import signature_of
from hornbeam.export.tensorflow_rules import RULES, einsum_equation, padding_name
from hornbeam.export.unknown_sizes import ExportTrace, input_types, trace_for_export
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import leaf
from hornbeam.ir.sizes import named_size
from hornbeam.ir.types import TensorType
from hornbeam.layers.host_checks import noted_indices

RNG = np.random.default_rng(0)


def trace(model: hb.Model) -> ExportTrace:
    structure = signature_of(model)
    types = input_types([(x.shape, x.dtype) for x in tree.flatten(structure)])

    def predict(*xs: Any) -> Any:
        return model(*tree.pack_sequence_as(structure, list(xs)), training=False)

    with noted_indices(are_checked=True):
        return trace_for_export(predict, types, "the model")


def found_in(model: hb.Model) -> list[Operator]:
    """The operators of a model on TensorFlow, without those that depend on weights alone."""
    graph = trace(model).graph
    count = len(model.variables)
    context = MatchContext(graph, {}, graph.inputs[:count])
    plan = planned(context, graph.inputs, lambda node: first_found(context, node, RULES.get(node.name, ())))
    return [
        operator or Operator(node.name, node.inputs, dict(node.params))
        for node, operator in plan
        if node not in context.known and node.name != "project"
    ]


def names(model: hb.Model) -> Counter[str]:
    return Counter(x.name for x in found_in(model))


def sequential(*parts: Any) -> hb.Model:
    return hb.Sequential([layers.Input(parts[0]), *parts[1:]])


def test_a_net_of_images_has_nothing_but_its_layers() -> None:
    x = start = layers.Input((16, 16, 3))
    for filters in (4, 8):
        y = layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
        y = layers.ReLU(6)(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y))
        x = layers.Add()([y, layers.Conv2D(filters, 1, 2)(x)])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(layers.AveragePooling2D(2)(x)))
    model = hb.Model(start, layers.Dense(5, "softmax")(x))
    assert names(model) == {
        "conv": 4, "depthwise_conv": 2, "batch_normalization": 4, "clip": 2, "bias_add": 5, "add": 2,
        "average_pool": 1, "max_pool": 1, "mean": 1, "matmul": 1, "softmax": 1,
    }  # fmt: skip
    kernels = [x.inputs[1] for x in found_in(model) if x.name == "depthwise_conv"]
    assert all(kernel.primitive is None for kernel in kernels), "the variables themselves"


def test_a_transformer_has_einsum_and_no_sizes() -> None:
    x = start = layers.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    model = hb.Model(start, layers.Dense(9, "gelu")(layers.LayerNormalization()(x)))
    assert names(model) == {
        "embedding": 1, "einsum": 4, "add": 4, "attention": 1, "bias_add": 2, "layer_norm": 1, "matmul": 1,
        "gelu": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("elu", "elu"), ("gelu", "gelu"), ("hard_sigmoid", "hard_sigmoid"), ("hard_silu", "hard_silu"),
        ("leaky_relu", "leaky_relu"), ("log_softmax", "log_softmax"), ("relu", "clip"), ("relu6", "clip"),
        ("selu", "selu"), ("softmax", "softmax"), ("softplus", "softplus"), ("softsign", "softsign"),
    ],
)  # fmt: skip
def test_activations(activation: str, name: str) -> None:
    assert names(sequential((5,), layers.Activation(activation))) == {name: 1}


def test_weights_are_not_numbers() -> None:
    class Bounded(layers.Layer):
        def build(self, shape: Any) -> None:
            self.bound = self.add_weight((), initializer=hb.initializers.Constant(6.0), name="bound")

        def call(self, x: Any) -> Any:
            return ops.minimum(ops.relu(x), self.bound)

    assert names(sequential((5,), Bounded())) == {"clip": 1, "min": 1}


def test_recurrent_layers_say_which_results_are_read() -> None:
    model = sequential((7, 3), layers.LSTM(4, return_sequences=True), layers.GRU(4, go_backwards=True))
    loops = {x.name: x.params for x in found_in(model) if x.name in ("lstm", "gru")}
    assert loops == {
        "lstm": {"reverse": False, "all_steps": True},
        "gru": {"reverse": True, "all_steps": False},
    }


@pytest.mark.parametrize("size", [7, 8, None])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 2), (5, 3)])
def test_same_padding_has_its_name_for_all_sizes(size: int | None, kernel: int, stride: int) -> None:
    x = layers.Input((size, 9, 2))
    model = hb.Model(x, layers.Conv2D(2, kernel, stride, "same", use_bias=False)(x))
    assert [x.params["padding"] for x in found_in(model)] == ["SAME"]


def test_other_padding() -> None:
    n = named_size("n")
    assert padding_name([n], [3], [1], ((0, 0),)) == "VALID"
    assert padding_name([n], [3], [1], ((2, 0),)) == ((2, 0),)
    assert padding_name([n], [3], [2], ((1, 1),)) == ((1, 1),)
    assert padding_name([8], [3], [2], ((0, 1),)) == "SAME"
    assert padding_name([8], [3], [2], ((1, 1),)) == ((1, 1),)
    # Keras's ResNet pads by hand, and MobileNet does as "same" would.
    by_hand = sequential((8, 8, 2), layers.ZeroPadding2D(1), layers.Conv2D(2, 3, 2, use_bias=False))
    assert [(x.name, x.params.get("padding")) for x in found_in(by_hand)] == [
        ("pad", None),
        ("conv", "VALID"),
    ]
    same = sequential(
        (8, 8, 2), layers.ZeroPadding2D(((0, 1), (0, 1))), layers.Conv2D(2, 3, 2, use_bias=False)
    )
    assert [(x.name, x.params["padding"]) for x in found_in(same)] == [("conv", "SAME")]


@pytest.mark.parametrize(
    ("x", "y", "contract", "batch"),
    [
        ((2, 3, 4), (4, 5, 6), ((2,), (0,)), ((), ())),
        ((2, 3, 4), (5, 3, 2), ((0, 1), (2, 1)), ((), ())),
        ((2, 3, 4, 5), (2, 6, 4, 5), ((3,), (3,)), ((0, 2), (0, 2))),
    ],
)
def test_einsum_equations(x: Any, y: Any, contract: Any, batch: Any) -> None:
    values = [RNG.normal(size=shape) for shape in (x, y)]
    operands = [leaf(value, TensorType(value.shape, "float64")) for value in values]
    product = p.dot_general(*operands, contract=contract, batch=batch)
    (expected,) = reference(Graph(operands, [product]), values)
    equation = einsum_equation(len(x), len(y), contract, batch)
    np.testing.assert_allclose(np.einsum(equation, *values), expected)


# -- the walk, with NumPy in the place of a library ----------------------------------------------------------

NUMPY = {
    "add": np.add,
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "column": lambda x, axis, index: np.take(x, index, axis),
    "mul": np.multiply,
    "pad": lambda x, paddings: np.pad(x, paddings),
    "reshape": lambda x, shape: np.reshape(x, shape),
    "slice": lambda x, bounds: x[tuple(slice(*axis) for axis in bounds)],
    "sub": np.subtract,
}
ARRAY_RULES = {
    **{name: (arrays.elementwise,) for name in ("add", "mul", "sub")},
    "broadcast": (arrays.broadcast,),
    "pad": (arrays.pad,),
    "reshape": (sequences.column, arrays.reshape),
    "slice": (arrays.strided_slice,),
}


def on_numpy(model: hb.Model, batch: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """The outputs of a model, and the sizes that were computed from those of arrays."""
    asked: list[int] = []

    def size_of(array: np.ndarray, axis: int) -> int:
        asked.append(axis)
        return array.shape[axis]

    library = FileLibrary(
        lambda node: None if node.primitive is None else node.primitive.reference,
        lambda walk: {},
        size_of,
        lambda size: np.asarray(size, np.int32),
        {"min": min, "max": max},
        NUMPY,
        np.asarray,
        lambda layer: nullcontext(),
    )
    traced = trace(model)
    graph = traced.graph
    weights = [variable.numpy() for variable in traced.traced.variables]
    known = dict(zip(graph.inputs, weights, strict=False))
    walk = Walk(library, ARRAY_RULES)
    return walk(graph, [*weights, *batch], known), asked


@pytest.mark.parametrize("rows", [1, 3])
def test_a_walk_computes_what_the_model_does(rows: int) -> None:
    x = layers.Input((6, 4))
    y = layers.ZeroPadding1D((1, 2))(layers.BatchNormalization()(x) * 2 - 1)
    y = layers.Concatenate()([layers.Flatten()(y), x[:, 2], layers.Flatten()(x[:, 1:-1])])
    model = hb.Model(x, layers.Dense(3)(y))
    batch = RNG.normal(size=(rows, 6, 4)).astype("float32")
    (got,), asked = on_numpy(model, [batch])
    np.testing.assert_allclose(got, model.predict(batch, verbose=0), rtol=1e-5, atol=1e-6)
    assert asked == [], "no size is needed"


def test_sizes_are_computed_once_and_where_they_are_needed() -> None:
    x = layers.Input((None, 4))
    model = hb.Model(x, ops.tile(x, (2, 3, 1)) - ops.tile(x * 2, (2, 3, 1)))
    batch = RNG.normal(size=(3, 5, 4)).astype("float32")
    (got,), asked = on_numpy(model, [batch])
    np.testing.assert_allclose(got, model(batch).numpy(), rtol=1e-5, atol=1e-6)
    assert sorted(asked) == [0, 1]
