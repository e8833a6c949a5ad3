"""ONNX operators that multiply matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.layers.onnx_graph.vocabulary import Call, operator

if TYPE_CHECKING:
    from hornbeam.core.typing import TensorLike


@operator("MatMul", weights=(0, 1))
def matmul(call: Call, x: TensorLike, y: TensorLike) -> Tensor:
    """Multiply matrices, for each index of the leading axes."""
    return ops.matmul(as_tensor(x), as_tensor(y))


@operator("Gemm", weights=(1, 2))
def gemm(call: Call, a: TensorLike, b: TensorLike, c: TensorLike | None = None) -> Tensor:
    """Compute alpha A B + beta C, with either matrix transposed."""
    left, right = as_tensor(a), as_tensor(b)
    left = ops.transpose(left) if call.get("transA", 0) else left
    right = ops.transpose(right) if call.get("transB", 0) else right
    product = ops.matmul(left, right)
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    product = product if alpha == 1 else product * ops.cast(as_tensor(alpha), product.dtype)
    if c is None or beta == 0:
        return product
    return product + (as_tensor(c) if beta == 1 else as_tensor(c) * ops.cast(as_tensor(beta), product.dtype))


@operator("Einsum", weights=(0, 1, 2))
def einsum(call: Call, *xs: TensorLike) -> Tensor:
    """Compute sums of products in Einstein's notation."""
    return ops.einsum(call.get("equation", "").replace(" ", ""), *map(as_tensor, xs))
