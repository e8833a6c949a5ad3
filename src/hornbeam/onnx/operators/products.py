"""ONNX operators that multiply matrices."""

from __future__ import annotations

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.onnx.operators.vocabulary import Call, operator


@operator("MatMul", weights=(0, 1))
def matmul(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Multiply matrices, for each index of the leading axes."""
    return ops.matmul(x, y)


@operator("Gemm", weights=(1, 2))
def gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Compute alpha A B + beta C, with either matrix transposed."""
    left = ops.transpose(a) if call.get("transA", 0) else a
    right = ops.transpose(b) if call.get("transB", 0) else b
    product = ops.matmul(left, right)
    call.get("broadcast")  # of versions before 7: as always from then on
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    product = product if alpha == 1 else product * ops.cast(as_tensor(alpha), product.dtype)
    if c is None or beta == 0:
        return product
    return product + (c if beta == 1 else c * ops.cast(as_tensor(beta), product.dtype))


@operator("Det")
def determinant(call: Call, x: Tensor) -> Tensor:
    """Compute determinants of square matrices."""
    return ops.det(x)


@operator("Einsum", weights=(0, 1, 2))
def einsum(call: Call, *xs: Tensor) -> Tensor:
    """Compute sums of products in Einstein's notation."""
    return ops.einsum(call.get("equation", "").replace(" ", ""), *xs)
