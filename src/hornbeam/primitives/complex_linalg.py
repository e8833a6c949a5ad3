"""Rules of matrix decompositions for complex numbers; see `ir/complex_pairs.py`.

A rule is a body of complex values, which is lowered as that of a composite is. What can be embedded in real
matrices is: z becomes the block [[x, -y], [y, x]], so that products become products of blocks. A Cholesky
factor has a real diagonal, and so has a triangular one with ones on its diagonal: their embeddings are
triangular, too.

QR, and the reductions to tridiagonal and bidiagonal matrices before eigenvalues and singular values, are
Householder's. Reflectors are those of LAPACK, after which the diagonal of R, and all of the reduced matrices,
are real: the rest is the real primitive.

Source: Golub & Van Loan, "Matrix Computations", 2013, chapters 3, 5 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.complex_pairs import Value, lower_nodes
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import COMPLEX_RULES, bind, full, ones_like, zeros_like
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import Shape, TensorType
from hornbeam.primitives import elementwise as e
from hornbeam.primitives.complex_numbers import complex_, conj, imag, magnitude, real
from hornbeam.primitives.control import scan
from hornbeam.primitives.index import gather
from hornbeam.primitives.linalg import (
    CHOLESKY,
    EIGH,
    SVD,
    TRIANGULAR_SOLVE,
    _adjoint,
    _band,
    _columns,
    _diagonal,
    _mm,
    _rows,
    _tril,
    _triu,
)
from hornbeam.primitives.reduce import argmax, reduce_max, reduce_sum
from hornbeam.primitives.shape import broadcast, concatenate, iota, reshape, slice_, transpose


def _rule(name: str) -> Callable[[Callable[..., Sequence[Node]]], None]:
    """Register the body of complex values that computes a primitive."""

    def register(body: Callable[..., Sequence[Node]]) -> None:
        def rule(node: Node, *operands: Value, **params: Any) -> Value:
            with new_level() as level:
                inputs = [placeholder(x.type, level) for x in node.inputs]  # type: ignore[arg-type]
                graph = Graph(inputs, body(*inputs, **params))
            outputs = lower_nodes(graph, operands)
            return outputs if isinstance(node.type, tuple) else outputs[0]

        COMPLEX_RULES[name] = rule

    return register


# -- embeddings in real matrices -----------------------------------------------------------------------------


def _interleave(upper: Node, lower: Node) -> Node:
    """Put the rows of two matrices (..., n, k) in turns: (..., 2n, k)."""
    *lead, n, k = upper.shape
    parts = [reshape(x, (*lead, n, 1, k)) for x in (upper, lower)]
    return reshape(concatenate(*parts, axis=len(lead) + 1), (*lead, 2 * n, k))


def _embed(z: Node) -> Node:
    """Replace every element of (..., n, m) by its block: (..., 2n, 2m)."""
    x, y = real(z), imag(z)
    *lead, n, m = z.shape
    pairs = [
        concatenate(*(reshape(part, (*part.shape, 1)) for part in row), axis=z.rank)
        for row in ((x, -y), (y, x))
    ]
    return _interleave(*(reshape(row, (*lead, n, 2 * m)) for row in pairs))


def _every_other(x: Node, axis: int, start: int) -> Node:
    low = tuple(min(start, n) if a == axis else 0 for a, n in enumerate(x.shape))
    return slice_(x, low, x.shape, tuple(2 if a == axis else 1 for a in range(x.rank)))


def _of_rows(x: Node) -> Node:
    """Return the complex matrices of which the real and imaginary rows are in turns."""
    return complex_(_every_other(x, x.rank - 2, 0), _every_other(x, x.rank - 2, 1))


@_rule("cholesky")
def _cholesky(a: Node) -> Sequence[Node]:
    # The imaginary part of the diagonal, which should be 0, is not read.
    factor = bind(CHOLESKY, _embed(_real_diagonal(a)))
    return (_of_rows(_every_other(factor, factor.rank - 1, 0)),)


def _real_diagonal(a: Node) -> Node:
    return complex_(real(a), imag(a) - _diagonal(imag(a)))


@_rule("triangular_solve")
def _triangular_solve(
    a: Node, b: Node, *, lower: bool, transpose: bool, unit_diagonal: bool
) -> Sequence[Node]:
    """With a = d u, where u has ones on its diagonal: u x = b / d, or u^T (d x) = b."""
    if not unit_diagonal:
        pivots = reduce_sum(_diagonal(a), (a.rank - 1,))
        a = a / _rows(pivots, a)
        if not transpose:
            b = b / _rows(pivots, b)
    strict = (_tril if lower else _triu)(a, strict=True)
    # The transposed embedding is that of the adjoint matrix.
    matrix = _embed(conj(strict) if transpose else strict)
    x = _of_rows(
        bind(
            TRIANGULAR_SOLVE,
            matrix,
            _interleave(real(b), imag(b)),
            lower=lower,
            transpose=transpose,
            unit_diagonal=True,
        )
    )
    return (x / _rows(pivots, x) if transpose and not unit_diagonal else x,)


# -- elimination ---------------------------------------------------------------------------------------------


def _grid(shape: Shape) -> tuple[Node, Node]:
    """Return the numbers of the rows, and of the columns, of matrices."""
    return iota("int32", shape, len(shape) - 2), iota("int32", shape, len(shape) - 1)


def _same(x: Node, k: Node) -> Node:
    """Return where x equals the scalar k."""
    return e.eq(x, broadcast(k, x.shape, ()))


def _column(a: Node, k: Node) -> Node:
    return reduce_sum(e.select(_same(_grid(a.shape)[1], k), a, zeros_like(a)), (a.rank - 1,))


def _row(a: Node, k: Node) -> Node:
    return reduce_sum(e.select(_same(_grid(a.shape)[0], k), a, zeros_like(a)), (a.rank - 2,))


def _last(x: Node) -> Node:
    """Move the first axis, of steps, to the end."""
    return transpose(x, (*range(1, x.rank), 0))


@_rule("lu")
def _lu(a: Node) -> Sequence[Node]:
    """Eliminate column by column; the first pivot that is largest by |x| + |y| is chosen, as in LAPACK."""
    *lead, rows, columns = a.shape
    batch = len(lead)
    length = min(rows, columns)
    number = iota("int32", (*lead, rows), batch)

    def step(carry: Sequence[Node], xs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        a, order = carry
        (k,) = xs
        column = _column(a, k)
        size = e.absolute(real(column)) + e.absolute(imag(column))
        here = broadcast(k, number.shape, ())
        best = argmax(e.select(e.ge(number, here), size, full(-1, size.type)), batch)
        pivot = broadcast(best, number.shape, tuple(range(batch)))
        exchanged = e.select(e.eq(number, here), pivot, e.select(e.eq(number, pivot), here, number))
        indices = reshape(exchanged, (*exchanged.shape, 1))
        a, order = (gather(x, indices, batch_dims=batch) for x in (a, order))
        column, row = _column(a, k), _row(a, k)
        pivots = _rows(reduce_sum(e.select(e.eq(number, here), column, zeros_like(column)), (batch,)), column)
        zero = e.eq(pivots, zeros_like(pivots))
        factors = e.select(zero, column, column / e.select(zero, ones_like(pivots), pivots))
        at_row, at_column = _grid(a.shape)
        k = broadcast(k, a.shape, ())
        below = e.gt(at_row, k)
        rest = e.select(e.gt(at_column, k), a - _rows(factors, a) * _columns(row, a), a)
        a = e.select(below, e.select(e.eq(at_column, k), _rows(factors, a), rest), a)
        return [a, order], [e.convert(best, "int32")]

    if not length:
        return a, full(0, TensorType((*lead, 0), "int32")), number
    (a, order), (pivots,) = scan(step, [a, number], [iota("int32", (length,), 0)], length=length)
    return a, _last(pivots), order


# -- reflectors ----------------------------------------------------------------------------------------------


def _reflector(x: Node, k: Node) -> tuple[Node, Node]:
    """Return (v, t) of h = 1 - t v v^H, for which h^H x has a real element k and zeros behind it."""
    number = iota("int32", x.shape, x.rank - 1)
    at, behind = _same(number, k), e.gt(number, broadcast(k, x.shape, ()))
    last = (x.rank - 1,)
    alpha = reduce_sum(e.select(at, x, zeros_like(x)), last)
    tail = e.select(behind, x, zeros_like(x))
    squares = reduce_sum(real(tail * conj(tail)), last)
    flat = e.bit_and(e.eq(squares, 0.0), e.eq(imag(alpha), 0.0))
    length = e.sqrt(squares + real(alpha * conj(alpha)))
    beta = e.select(e.ge(real(alpha), 0.0), -length, length)
    safe = e.select(flat, ones_like(beta), beta)
    scale = complex_((safe - real(alpha)) / safe, -imag(alpha) / safe)
    scale = e.select(flat, zeros_like(scale), scale)
    divisor = alpha - complex_(safe, zeros_like(safe))
    divisor = e.select(flat, ones_like(divisor), divisor)
    return e.select(at, ones_like(x), tail / _rows(divisor, tail)), scale


def _reflect(a: Node, v: Node, scale: Node) -> Node:
    """(1 - scale v v^H) a."""
    vector = reshape(v, (*v.shape, 1))
    return a - _mm(vector * _scales(scale, vector), _mm(_adjoint(vector), a))


def _reflect_right(a: Node, v: Node, scale: Node) -> Node:
    """a (1 - scale v v^H)."""
    vector = reshape(v, (*v.shape, 1))
    return a - _mm(_mm(a, vector * _scales(scale, vector)), _adjoint(vector))


def _scales(scale: Node, like: Node) -> Node:
    """Broadcast a number for each matrix."""
    return broadcast(scale, like.shape, tuple(range(scale.rank)))


def _product(vectors: Node, scales: Node, columns: int) -> Node:
    """Return the first columns of h_0 h_1 ..., from the reflectors stacked along the first axis."""
    shape = (*vectors.shape[1:], columns)
    row, column = _grid(shape)
    eye = e.convert(e.eq(row, column), vectors.dtype)
    (q,), _ = scan(
        lambda carry, xs: ([_reflect(carry[0], *xs)], []),
        [eye],
        [vectors, scales],
        length=vectors.shape[0],
        reverse=True,
    )
    return q


def _scaled(a: Node) -> tuple[Node, Node]:
    """Divide matrices by their largest absolute values, so that no square overflows; also return those."""
    if 0 in a.shape:
        return a, full(1, TensorType(a.shape[:-2], real(a).dtype))
    largest = reduce_max(magnitude(a), (a.rank - 2, a.rank - 1))
    plain = e.bit_and(e.gt(largest, 0.0), e.is_finite(largest))
    largest = e.select(plain, largest, ones_like(largest))
    return a / _scales(e.convert(largest, a.dtype), a), largest


@_rule("qr")
def _qr(a: Node) -> Sequence[Node]:
    *lead, rows, columns = a.shape
    rank = min(rows, columns)

    def step(carry: Sequence[Node], xs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        v, scale = _reflector(_column(carry[0], xs[0]), xs[0])
        return [_reflect(carry[0], v, conj(scale))], [v, scale]

    if 0 in a.shape:
        return tuple(full(0, TensorType((*lead, *s), a.dtype)) for s in ((rows, rank), (rank, columns)))
    a, size = _scaled(a)
    (reduced,), (v, scale) = scan(step, [a], [iota("int32", (rank,), 0)], length=rank)
    r = slice_(_real_diagonal(_triu(reduced)), (0,) * a.rank, (*lead, rank, columns))
    return _product(v, scale, rank), r * _scales(e.convert(size, r.dtype), r)


def _tridiagonal(a: Node) -> Node:
    """Return the real parts of three diagonals."""
    return _band(real(a), lambda row, column: e.le(e.absolute(row - column), ones_like(row)))


def _times_real(q: Node, x: Node) -> Node:
    return complex_(_mm(real(q), x), _mm(imag(q), x))


@_rule("eigh")
def _eigh(a: Node) -> Sequence[Node]:
    """Reduce to a real tridiagonal matrix t = q^H a q; with t = s diag(w) s^T the vectors are q s."""
    n = a.shape[-1]
    lower = _tril(a, strict=True)
    a = lower + _adjoint(lower) + _real_diagonal(_diagonal(a))
    if n < 2 or 0 in a.shape:
        return reduce_sum(real(a), (a.rank - 1,)), ones_like(a)
    a, size = _scaled(a)

    def step(carry: Sequence[Node], xs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        v, scale = _reflector(_column(carry[0], xs[0]), xs[0] + 1)
        return [_reflect_right(_reflect(carry[0], v, conj(scale)), v, scale)], [v, scale]

    (reduced,), (v, scale) = scan(step, [a], [iota("int32", (n - 1,), 0)], length=n - 1)
    w, s = outputs_of(bind(EIGH, _tridiagonal(reduced)))
    return w * broadcast(size, w.shape, tuple(range(size.rank))), _times_real(_product(v, scale, n), s)


@_rule("svd")
def _svd(a: Node) -> Sequence[Node]:
    """Reduce to a real bidiagonal b = p^H a q; with b = u diag(s) vh the vectors are p u and vh q^H."""
    *lead, rows, columns = a.shape
    rank = min(rows, columns)
    if 0 in a.shape:
        left, right = (full(0, TensorType((*lead, *s), a.dtype)) for s in ((rows, rank), (rank, columns)))
        return left, full(0, TensorType((*lead, rank), real(a).dtype)), right
    if rows < columns:
        u, s, vh = _tall_svd(_adjoint(a))
        return _adjoint(vh), s, _adjoint(u)
    return _tall_svd(a)


def _tall_svd(a: Node) -> tuple[Node, Node, Node]:
    n = a.shape[-1]
    a, size = _scaled(a)

    def step(carry: Sequence[Node], xs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        (k,) = xs
        v, scale = _reflector(_column(carry[0], k), k)
        reduced = _reflect(carry[0], v, conj(scale))
        w, factor = _reflector(conj(_row(reduced, k)), k + 1)
        return [_reflect_right(reduced, w, factor)], [v, scale, w, factor]

    (reduced,), (v, scale, w, factor) = scan(step, [a], [iota("int32", (n,), 0)], length=n)
    square = slice_(reduced, (0,) * a.rank, (*a.shape[:-2], n, n))
    u, s, vh = outputs_of(bind(SVD, _tridiagonal(_triu(square))))
    right = _adjoint(_product(w, factor, n))
    vectors = complex_(_mm(vh, real(right)), _mm(vh, imag(right)))
    return (
        _times_real(_product(v, scale, n), u),
        s * broadcast(size, s.shape, tuple(range(size.rank))),
        vectors,
    )
