"""Complex operands of every primitive that takes them: its own samples, and functions of control flow."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hornbeam import primitives as p
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import COMPLEX_RULES, PRIMITIVES, Primitive, Sample, bind
from hornbeam.ir.types import is_complex, numpy_dtype, real_dtype
from tests.helpers.primitive_cases import random_array

# Random numbers are so far from the branch cuts and poles of these.
DOMAINS = {"acosh": (1.2, 2.0), "log": (0.3, 2.0), "div": (0.4, 2.0), "pow": (0.4, 1.6)}


@dataclass(frozen=True)
class Case:
    """A function of nodes, and the arrays to apply it to.

    Attributes:
        derivative: Whether central differences are of use: the function is smooth, and its result unique.
    """

    name: str
    apply: Callable[..., Sequence[Node]]
    arrays: tuple[np.ndarray, ...]
    derivative: bool


def _random(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, domain: tuple[float, float]
) -> np.ndarray:
    if not is_complex(dtype):
        return random_array(rng, shape, dtype, domain)
    parts = [random_array(rng, shape, real_dtype(dtype), domain) for _ in range(2)]
    return (parts[0] + 1j * parts[1]).astype(numpy_dtype(dtype))


def _operands(
    primitive: Primitive, sample: Sample, rng: np.random.Generator, dtype: str
) -> list[np.ndarray] | None:
    if sample.make is not None:
        first, second = (sample.make(rng, real_dtype(dtype)) for _ in range(2))
        if not all(np.isfinite(x).all() for x in first):
            return None  # edges of real numbers
        arrays = [(x + 0.3j * y).astype(numpy_dtype(dtype)) for x, y in zip(first, second, strict=True)]
        if primitive.name in ("cholesky", "eigh"):
            arrays = [(z + z.conj().swapaxes(-1, -2)) / 2 for z in arrays]
        return arrays
    own = real_dtype(dtype) if primitive.name == "complex" else dtype
    pinned = sample.dtypes or (None,) * len(sample.shapes)
    domain = DOMAINS.get(primitive.name, sample.domain)
    return [
        _random(rng, shape, fixed or own, domain) for shape, fixed in zip(sample.shapes, pinned, strict=True)
    ]


def _of_primitive(name: str, dtype: str) -> list[Case]:
    primitive = PRIMITIVES[name]
    cases = []
    for index, sample in enumerate(primitive.samples):
        if sample.params.get("mode") not in (None, "add", "set") or name in ("constant", "convert"):
            continue
        rng = np.random.default_rng(zlib.crc32(f"{name} {index} {dtype}".encode()))
        arrays = _operands(primitive, sample, rng, dtype)
        if arrays is None:
            continue
        if primitive.composite:
            apply = getattr(p, name)
        else:

            def apply(*xs: Node, sample: Sample = sample) -> Sequence[Node]:
                return outputs_of(bind(primitive, *xs, **sample.params))

        unique = name not in ("eigh", "svd", "round", "stop_gradient")
        derivative = sample.derivative and primitive.vjp is not None and unique
        cases.append(Case(name, _as_list(apply), tuple(arrays), derivative))
    return cases


def _as_list(fn: Callable[..., Node | Sequence[Node]]) -> Callable[..., Sequence[Node]]:
    def apply(*xs: Node) -> Sequence[Node]:
        result = fn(*xs)
        return (result,) if isinstance(result, Node) else result

    return apply


def _loop(z: Node, w: Node) -> Sequence[Node]:
    number = p.full(0, p.iota("int32", (1,), 0).type)
    done = p.while_loop(lambda i, x: p.reshape(p.lt(i, 3), ()), lambda i, x: (i + 1, x * w), number, z)
    return (done[1],)


def _scan(z: Node, w: Node) -> Sequence[Node]:
    last, rows = p.scan(lambda c, x: ([c[0] * x[0] + w], [c[0] - x[0]]), [w], [z], length=z.shape[0])
    return (*last, *rows)


# Functions of z (3, 2) and w (2,).
CONTROL: dict[str, Callable[..., Sequence[Node]]] = {
    "cond": lambda z, w: p.cond(
        p.gt(p.real(p.reduce_sum(w, (0,))), 0.0), lambda: [p.exp(z)], lambda: [z * z]
    ),
    "while_loop": lambda z, w: _loop(w, w),
    "scan": _scan,
    "checkpoint": lambda z, w: p.checkpoint(lambda x: [p.sin(x) * x], z),
    "custom_gradient": lambda z, w: p.custom_gradient(lambda x: ([x * x], lambda ct: [ct * x * 2.0]), z),
}


def _conversions(dtype: str) -> list[Case]:
    rng = np.random.default_rng(7)
    z = _random(rng, (3, 5), dtype, (-3, 3))
    z[0, 0] = 0
    cases = [
        Case("convert", lambda x, to=to: (p.convert(x, to),), (z,), to in ("float64", "complex128"))
        for to in ("bool", "int32", "bfloat16", "float32", "float64", "complex64", "complex128")
    ]
    cases += [
        Case(
            "convert", lambda x: (p.convert(x, dtype),), (_random(rng, (3, 5), of, (-3, 3)),), of == "float64"
        )
        for of in ("bool", "int8", "uint32", "float16", "float64")
    ]
    return cases


def complex_cases(name: str, dtype: str) -> list[Case]:
    """Return the cases of a name of `NAMES`, with operands of a complex dtype where they are not pinned."""
    rng = np.random.default_rng(11)
    arrays = tuple(_random(rng, shape, dtype, (-1, 1)) for shape in ((3, 2), (2,)))
    if name in CONTROL:
        return [Case(name, CONTROL[name], arrays, name != "while_loop")]
    if name == "convert":
        return _conversions(dtype)
    if name == "constant":
        value = arrays[0]
        return [Case(name, lambda z: (z * p.constant(value, dtype),), (value,), True)]
    return _of_primitive(name, dtype)


NAMES = [*dict.fromkeys([*COMPLEX_RULES, *CONTROL])]
