"""Operators on quantized numbers: exact sums, by kernels of int8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import ops
from hornbeam.onnx.operators.execution import run_graph

RNG = np.random.default_rng(0)


def levels(dtype: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def run(op: str, *inputs: np.ndarray, **attributes: Any) -> np.ndarray:
    """Compute one node."""
    names = [f"x{i}" for i in range(len(inputs))]
    node = {"op": op, "name": "n", "inputs": names, "outputs": ["y"], "attributes": attributes}
    graph = {"opset": 17, "outputs": [{"name": "y"}], "nodes": [node], "constants": {}}
    values = {name: ops.convert_to_tensor(x) for name, x in zip(names, inputs, strict=True)}
    return np.asarray(run_graph(graph, values)[0])


def convolved(x: np.ndarray, w: np.ndarray, groups: int) -> np.ndarray:
    """Convolve with a padding of 1, in int64, for kernels 3x3."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    parts = zip(np.split(windows, groups, 1), np.split(w, groups), strict=True)
    return np.concatenate([np.einsum("nchwij,ocij->nohw", a, b) for a, b in parts], 1)


@pytest.mark.parametrize("kinds", ["uint8 int8", "uint8 uint8", "int8 int8"])
@pytest.mark.parametrize("groups", [1, 2, 130])
def test_convolutions_are_exact(kinds: str, groups: int) -> None:
    """With zeros of both, of each filter too; sums leave the integers that float32 holds."""
    shapes = [(2, 130, 5, 4), (130, 130 // groups, 3, 3)]
    x, w = (levels(kind, *shape) for kind, shape in zip(kinds.split(), shapes, strict=True))
    x[0, :, :3], w[0] = np.iinfo(x.dtype).max, np.iinfo(w.dtype).max
    x_zero, w_zero = levels(str(x.dtype), 1)[0], levels(str(w.dtype), 130)
    x_zero, w_zero[0] = np.iinfo(x.dtype).min, np.iinfo(w.dtype).min
    y = run("ConvInteger", x, w, np.asarray(x_zero), w_zero, pads=[1, 1, 1, 1], group=groups)
    expected = convolved(x.astype("int64") - x_zero, w.astype("int64") - w_zero.reshape(-1, 1, 1, 1), groups)
    assert groups > 1 or expected.max() > 1 << 25
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("kinds", ["uint8 int8", "uint8 uint8", "int8 uint8"])
@pytest.mark.parametrize("rows", [1, 7])
def test_products_are_exact(kinds: str, rows: int) -> None:
    x, w = (
        levels(kind, *shape) for kind, shape in zip(kinds.split(), [(rows, 1100), (1100, 33)], strict=True)
    )
    x[0], w[:, 0] = np.iinfo(x.dtype).max, np.iinfo(w.dtype).max
    x_zero, w_zero = levels(str(x.dtype), rows), levels(str(w.dtype), 33)
    x_zero[0], w_zero[0] = np.iinfo(x.dtype).min, np.iinfo(w.dtype).min
    expected = (x.astype("int64") - x_zero[:, None]) @ (w.astype("int64") - w_zero)
    assert expected.max() > 1 << 25
    np.testing.assert_array_equal(run("MatMulInteger", x, w, x_zero, w_zero), expected)


def dequantized(name: str, values: Any, scale: Any, **attributes: Any) -> tuple[Any, dict[str, Any]]:
    """Return a node, and its operands."""
    operands = {
        name: values,
        f"{name}-scale": np.float32(scale),
        f"{name}-zero": np.zeros_like(scale, "int8"),
    }
    outputs = [f"{name}-floats"]
    node = {"op": "DequantizeLinear", "name": "n", "inputs": list(operands), "outputs": outputs}
    return {**node, "attributes": attributes}, operands


@pytest.mark.parametrize("op", ["Conv", "MatMul", "Gemm"])
def test_dequantized_operands_are_multiplied_as_integers(op: str) -> None:
    """Floats lose the last bit of the sum, which cancels its large terms."""
    size = 2**12
    x, scales = np.ones((1, size), "int8"), np.float32([0.5, 0.25])
    w = np.tile(np.int8([[127, -127], [127, -127], [127, 1], [-127, 127]]), (size // 4, 1))
    x[0, ::4], w[-1] = 127, [3, 5]
    expected = (x.astype("int64") @ w.astype("int64") * scales * 0.1).astype("float32")
    axis = 1
    if op == "Conv":
        x, w, axis = x.reshape(1, size, 1), w.T.reshape(2, size, 1), 0
    first, values = dequantized("x", x, 0.1)
    second, others = dequantized("w", w, scales, axis=axis)
    node = {"op": op, "name": "n", "inputs": ["x-floats", "w-floats"], "outputs": ["y"], "attributes": {}}
    graph = {"opset": 17, "outputs": [{"name": "y"}], "nodes": [first, second, node], "constants": {}}
    tensors = {name: ops.convert_to_tensor(value) for name, value in {**values, **others}.items()}
    (y,) = run_graph(graph, tensors)
    np.testing.assert_allclose(np.asarray(y).reshape(1, 2), expected, rtol=1e-7)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_a_larger_matrix(rows: int) -> None:
    x, w = levels("int8", 9, 40), levels("int8", 40, 70)
    y = ops.matmul(ops.cast(ops.convert_to_tensor(x)[2 : 2 + rows], "float32"), ops.cast(w, "float32"))
    np.testing.assert_array_equal(y, x[2 : 2 + rows].astype("float32") @ w.astype("float32"))
