"""Complex numbers: their parts, conjugates and angles, and conversions from and to pairs of real numbers.

Functions of real numbers (`exp`, `sqrt`, `matmul`, `sum`, ...) take complex ones, too. See
`ir/complex_pairs.py` for how they are computed, and for their derivatives.
"""

from __future__ import annotations

import math

from hornbeam import primitives as p
from hornbeam.core.convert import unify
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.primitive import full, zeros_like
from hornbeam.ir.types import ShapeError, is_complex
from hornbeam.ops._common import cut, float_dtype, float_node, node_of, value_tensor

# fmt: off
__all__ = ["angle", "conj", "conjugate", "imag", "isreal", "polar", "real", "view_as_complex", "view_as_real"]
# fmt: on


@operation
def real(x: TensorLike) -> Tensor:
    """Return the real part elementwise, of a real tensor the tensor itself.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, float32 for complex64 and float64 for complex128.

    Example:
        >>> float(hornbeam.ops.real(1 + 2j))
        1.0
    """
    tensor = value_tensor(x)
    return Tensor(p.real(tensor.node)) if is_complex(tensor.dtype) else tensor


@operation
def imag(x: TensorLike) -> Tensor:
    """Return the imaginary part elementwise, of a real tensor 0.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, float32 for complex64 and float64 for complex128.

    Example:
        >>> float(hornbeam.ops.imag(1 + 2j))
        2.0
    """
    node = node_of(x)
    return Tensor(p.imag(node) if is_complex(node.dtype) else zeros_like(node))


@operation
def conjugate(x: TensorLike) -> Tensor:
    """Return the complex conjugate elementwise: x - iy of x + iy, and a real tensor itself.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Example:
        >>> complex(hornbeam.ops.conjugate(1 + 2j))
        (1-2j)
    """
    tensor = value_tensor(x)
    return Tensor(p.conj(tensor.node)) if is_complex(tensor.dtype) else tensor


conj = conjugate


@operation
def angle(x: TensorLike) -> Tensor:
    """Compute the angle in the complex plane elementwise, in (-pi, pi].

    Of real numbers it is 0 for x >= 0 and pi for x < 0.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of floats.

    Example:
        >>> float(hornbeam.ops.angle(2.0))
        0.0
    """
    node = float_node(x)
    if is_complex(node.dtype):
        return Tensor(p.atan2(p.imag(node), p.real(node)))
    zero = zeros_like(node)
    angles = p.select(p.lt(node, zero), full(math.pi, node.type), zero)
    return Tensor(p.select(p.ne(node, node), node, angles))


@operation
def isreal(x: TensorLike) -> Tensor:
    """Test elementwise if the imaginary part is 0; it is for all elements of a real tensor.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.

    Example:
        >>> hornbeam.ops.isreal([1, 2j]).tolist()
        [True, False]
    """
    node = node_of(x)
    if is_complex(node.dtype):
        return Tensor(p.eq(p.imag(node), 0.0))
    return Tensor(full(True, p.eq(node, node).type))


@operation
def polar(abs_: TensorLike, angle: TensorLike) -> Tensor:
    """Make complex numbers of their absolute values and angles: abs_ (cos angle + i sin angle).

    Args:
        abs_: Tensor of real numbers, the absolute values.
        angle: Tensor of real numbers, the angles in radians, broadcast against `abs_`.

    Returns:
        Tensor of the broadcast shape, complex64, or complex128 for float64.

    Example:
        >>> complex(hornbeam.ops.polar(2.0, 0.0))
        (2+0j)
    """
    dtype = "float64" if float_dtype(abs_, angle) == "float64" else "float32"
    size, turn = unify(abs_, angle, dtype=dtype)
    return Tensor(p.complex_(size * p.cos(turn), size * p.sin(turn)))


@operation
def view_as_complex(x: TensorLike) -> Tensor:
    """Make complex numbers of pairs (real, imaginary) along the last axis.

    Args:
        x: Tensor (..., 2) of real numbers.

    Returns:
        Tensor (...), complex64 as in Keras.

    Raises:
        ShapeError: If the last axis has another size than 2.

    Example:
        >>> complex(hornbeam.ops.view_as_complex([1.0, 2.0]))
        (1+2j)
    """
    node = float_node(x)
    if not node.rank or node.shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex needs pairs (real, imaginary) along the last axis, got shape {node.shape}"
        )
    node = p.convert(node, "float32")
    last, shape = node.rank - 1, node.shape[:-1]
    return Tensor(p.complex_(*(p.reshape(cut(node, last, i, i + 1), shape) for i in range(2))))


@operation
def view_as_real(x: TensorLike) -> Tensor:
    """Return complex numbers as pairs (real, imaginary) along a new last axis.

    Args:
        x: Tensor of any shape; the imaginary part of a real one is 0.

    Returns:
        Tensor (..., 2) of floats.

    Example:
        >>> hornbeam.ops.view_as_real(1 + 2j).tolist()
        [1.0, 2.0]
    """
    parts = [part.node for part in (real(x), imag(x))]
    shape = (*parts[0].shape, 1)
    return Tensor(p.concatenate(*(p.reshape(n, shape) for n in parts), axis=len(shape) - 1))
