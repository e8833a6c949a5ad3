"""Unknown sizes in layers of other libraries: shapes of functions of JAX, modules of PyTorch, ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hornbeam import engines, layers
from hornbeam.core.symbolic import KerasTensor
from hornbeam.engines import installed
from hornbeam.ir.sizes import evaluate, symbols_of

NEEDS_TORCH = pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
NEEDS_JAX = pytest.mark.skipif("jax" not in installed(), reason="needs JAX")


def agrees(layer: Any, shapes: list[tuple[int | None, ...]], numbers: list[tuple[int, ...]]) -> Any:
    """Call a layer on symbols, check their sizes with those of arrays, and return the symbols."""
    inputs = [KerasTensor(shape, "float32") for shape in shapes]
    result = layer(inputs if len(inputs) > 1 else inputs[0])
    names = {name for x in inputs for size in x.sizes for name in symbols_of(size)}
    values = {}
    for x, shape in zip(inputs, numbers, strict=True):
        for size, number in zip(x.sizes, shape, strict=True):
            values.update(dict.fromkeys(symbols_of(size), number))
    assert {name for size in result.sizes for name in symbols_of(size)} <= names
    arrays = [np.zeros(shape, "float32") for shape in numbers]
    with engines.using("jax"):
        expected = layer(arrays if len(arrays) > 1 else arrays[0])
    assert tuple(evaluate(size, values) for size in result.sizes) == tuple(expected.shape)
    assert result.dtype == expected.dtype
    return result


def _pooled(inputs: Any) -> Any:
    import jax

    return jax.lax.reduce_window(inputs, 0.0, jax.lax.add, (1, 3, 1), (1, 2, 1), "SAME")


def _scores(inputs: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.nn.softmax(inputs @ jnp.swapaxes(inputs, 1, 2))


def _skip(inputs: Any) -> Any:
    import jax.numpy as jnp

    return jnp.concatenate([inputs, jnp.repeat(inputs[:, ::2], 2, 1)], -1)


JAX: dict[str, tuple[Callable[[Any], Any], tuple[int | None, ...], tuple[int, ...]]] = {
    "batch": (lambda inputs: inputs.reshape(inputs.shape[0], -1), (None, 3, 4), (5, 3, 4)),
    "two unknown sizes": (_scores, (None, None, 4), (5, 7, 4)),
    "product": (lambda inputs: inputs.reshape(-1, 2), (None, None, 4), (5, 7, 4)),
    "half": (lambda inputs: inputs[:, ::2], (None, None, 4), (5, 7, 4)),
    "windows": (_pooled, (None, None, 4), (5, 7, 4)),
    "cut": (lambda inputs: inputs[:, 2:-1], (None, None, 4), (5, 7, 4)),
    "first rows": (lambda inputs: inputs[:, :6], (None, None, 4), (5, 7, 4)),
    "halved and doubled": (_skip, (None, None, 4), (5, 32, 4)),
    "mean": (lambda inputs: inputs.sum(1) / inputs.shape[1], (None, None, 4), (5, 7, 4)),
}


@NEEDS_JAX
@pytest.mark.parametrize("name", list(JAX))
def test_functions_of_jax(name: str) -> None:
    function, shape, numbers = JAX[name]
    agrees(layers.JaxLayer(function), [shape], [numbers])


@NEEDS_JAX
def test_unknown_sizes_of_several_inputs_are_taken_to_be_equal() -> None:
    layer = layers.JaxLayer(lambda inputs: inputs[0] * 2 + inputs[1])
    agrees(layer, [(None, None, 4), (None, None, 4)], [(5, 7, 4), (5, 7, 4)])


@NEEDS_JAX
def test_functions_of_jax_that_need_numbers_say_so() -> None:
    layer = layers.JaxLayer(lambda inputs: sum(inputs[:, i] for i in range(inputs.shape[1])))
    with pytest.raises(TypeError, match=r"unknown.*Give Input all sizes"):
        layer(KerasTensor((None, None, 4), "float32"))
    assert layer(KerasTensor((None, 3, 4), "float32")).shape == (None, 4)


@NEEDS_JAX
def test_errors_of_jax_are_not_replaced() -> None:
    import jax.numpy as jnp

    with pytest.raises(TypeError, match="contracting dimensions"):
        layers.JaxLayer(lambda inputs: inputs @ jnp.ones((3, 2)))(KerasTensor((None, 4), "float32"))


@NEEDS_JAX
def test_modules_of_flax() -> None:
    nn = pytest.importorskip("flax.linen")
    layer = layers.FlaxLayer(nn.Conv(3, (3,), strides=2))
    agrees(layer, [(None, None, 4)], [(5, 7, 4)])


@NEEDS_TORCH
def test_modules_of_torch() -> None:
    import torch

    x = KerasTensor((None, 4, None), "float32")
    y = layers.TorchModuleWrapper(torch.nn.Conv1d(4, 3, 3, padding=1))(x)
    assert (y.shape, y.sizes[0], y.sizes[2]) == ((None, 3, None), x.sizes[0], x.sizes[2])
    halved = layers.TorchModuleWrapper(torch.nn.Conv1d(4, 3, 3, stride=2))(x)
    assert (halved.shape, halved.sizes[0]) == ((None, 3, None), x.sizes[0])


def _graph(nodes: list[dict[str, Any]], constants: dict[str, np.ndarray]) -> layers.OnnxGraph:
    from hornbeam.onnx.operators.structure import pack_array

    shape = {"dtype": "float32", "shape": [None, None, 4]}
    return layers.OnnxGraph(
        {
            "opset": 20,
            "inputs": [{"name": "x", **shape}],
            "outputs": [{"name": "y", "dtype": "float32", "shape": None}],
            "nodes": [{"name": node["op"], "attributes": {}, **node} for node in nodes],
            "weights": [],
            "constants": {name: pack_array(array, str(array.dtype)) for name, array in constants.items()},
        }
    )


def node(op: str, inputs: str, output: str, **attributes: Any) -> dict[str, Any]:
    return {"op": op, "inputs": inputs.split(), "outputs": [output], "attributes": attributes}


def index(value: Any) -> np.ndarray:
    return np.array(value, "int64")


# Graphs of x (batch, steps, 4), and what NumPy computes.
ONNX: dict[str, tuple[list[dict[str, Any]], dict[str, np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "rows": (
        [
            node("Shape", "x", "s"), node("Gather", "s zero", "b"), node("Gather", "s one", "n"),
            node("Mul", "b n", "rows"), node("Unsqueeze", "rows axis", "r"),
            node("Concat", "r four", "t", axis=0), node("Reshape", "x t", "y"),
        ],
        {"zero": index(0), "one": index(1), "axis": index([0]), "four": index([4])},
        lambda x: x.reshape(-1, 4),
    ),
    "half": (
        [
            node("Shape", "x", "s", start=1, end=2), node("Div", "s two", "h"),
            node("Slice", "x zero h one", "y"),
        ],
        {"two": index([2]), "zero": index([0]), "one": index([1])},
        lambda x: x[:, : x.shape[1] // 2],
    ),
    "zeros": (
        [
            node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Add", "x z", "y"),
        ],
        {},
        lambda x: x,
    ),
    "range": (
        [
            node("Shape", "x", "s", start=1, end=2), node("Squeeze", "s", "n"),
            node("Range", "zero n one", "r"), node("Cast", "r", "f", to=1), node("Unsqueeze", "f axes", "c"),
            node("Mul", "x c", "y"),
        ],
        {"zero": index(0), "one": index(1), "axes": index([0, 2])},
        lambda x: x * np.arange(x.shape[1], dtype="float32")[None, :, None],
    ),
    "repeated": (
        [
            node("Shape", "x", "s"), node("Equal", "s s", "e"), node("Where", "e s ones", "t"),
            node("Expand", "x t", "y"),
        ],
        {"ones": index([1, 1, 1])},
        lambda x: x,
    ),
    "fraction": (
        [
            node("Shape", "x", "s", start=1, end=2), node("Cast", "s", "f", to=1), node("Mul", "f half", "h"),
            node("Floor", "h", "g"), node("Cast", "g", "i", to=7), node("Slice", "x zero i one", "y"),
        ],
        {"half": np.array([0.5], "float32"), "zero": index([0]), "one": index([1])},
        lambda x: x[:, : x.shape[1] // 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ONNX))
def test_onnx_graphs(name: str) -> None:
    nodes, constants, expected = ONNX[name]
    layer, x = _graph(nodes, constants), KerasTensor((None, None, 4), "float32")
    array = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    symbols, result = layer(x), expected(array)
    values = {next(iter(symbols_of(size))): n for size, n in zip(x.sizes[:2], array.shape[:2], strict=True)}
    assert len(symbols.shape) == result.ndim
    if name != "fraction":  # there a size is cut to a fraction, of which nothing is known
        assert tuple(evaluate(size, values) for size in symbols.sizes) == result.shape
    np.testing.assert_allclose(layer(array), result)
