"""Generated: every type rule on symbols agrees with the rule on numbers."""

from __future__ import annotations

import gc
import random
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from hornbeam import primitives as p
from hornbeam.errors import ShapeError
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES, Sample
from hornbeam.ir.sizes import evaluate, new_size, symbols_of
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import TensorType, ValueType
from tests.helpers.primitive_cases import CASES, dtypes_of

COMPOSITES = [
    (name, index)
    for name, primitive in PRIMITIVES.items()
    if primitive.composite and hasattr(p, name)
    for index in range(len(primitive.samples))
]

# Parameters that are shapes.
SHAPES = ("shape", "input_shape", "kernel_shape", "sizes")

# Small sizes are those of kernels, of keys, and numbers of indexed axes: these stay known.
SMALL = {
    "conv": 3, "conv_input_grad": 3, "conv_kernel_grad": 3, "gather": 2, "scatter": 2, "random_bits": 2,
    "attention": 2, "attention_grad": 2,
}  # fmt: skip

SETS = 50


def _rule(name: str, sample: Sample, dtype: str) -> Callable[..., ValueType]:
    """Return the type of a primitive as a function of the shapes of its operands and its parameters."""
    pinned = sample.dtypes or (None,) * len(sample.shapes)

    def rule(shapes: Any, params: dict[str, Any]) -> ValueType:
        types = [TensorType(shape, own or dtype) for shape, own in zip(shapes, pinned, strict=True)]
        if not PRIMITIVES[name].composite:
            return PRIMITIVES[name].type_rule(*types, **params)
        with new_level() as level:
            result = getattr(p, name)(*(placeholder(t, level) for t in types), **params)
            return tuple(x.type for x in result) if isinstance(result, tuple) else result.type

    return rule


def _mapped(sample: Sample, replace: Callable[[Any], Any]) -> tuple[list[Any], dict[str, Any]]:
    shapes = [tuple(map(replace, shape)) for shape in sample.shapes]
    params = {
        key: tuple(map(replace, value)) if key in SHAPES else value for key, value in sample.params.items()
    }
    return shapes, params


def _flat(type: ValueType) -> list[TensorType]:
    return list(type) if isinstance(type, tuple) else [type]


@pytest.mark.parametrize(("name", "index"), [*CASES, *COMPOSITES])
def test_rules_agree_on_symbols_and_numbers(name: str, index: int) -> None:
    sample = PRIMITIVES[name].samples[index]
    rule = _rule(name, sample, dtypes_of(PRIMITIVES[name], sample)[0])
    draw = random.Random(zlib.crc32(f"{name} {index}".encode()))
    # Sizes of all shapes, which stay 1 and 0 where they are; equal sizes become the same symbol.
    values = sorted({n for shape in sample.shapes for n in shape if n > SMALL.get(name, 1)})
    for count in {1, len(values)}:
        unknown = {n: new_size(f"n{n}") for n in draw.sample(values, min(count, len(values)))}
        names = {n: next(iter(symbols_of(size))) for n, size in unknown.items()}
        shapes, params = _mapped(sample, lambda n, unknown=unknown: unknown.get(n, n))
        try:
            symbolic = _flat(rule(shapes, params))
        except ShapeError:
            symbolic = None
        agreed = 0
        for number in range(SETS):
            # The sizes of the sample, and large ones, as symbols are taken to be.
            chosen = {n: n if number == 0 else draw.randint(20, 60) for n in unknown}
            shapes, params = _mapped(sample, lambda n, chosen=chosen: chosen.get(n, n))
            try:
                known = _flat(rule(shapes, params))
            except ShapeError:
                continue
            assert symbolic is not None, f"{name} refuses symbols for {shapes}"
            bound = {names[n]: size for n, size in chosen.items()}
            results = [TensorType(tuple(evaluate(n, bound) for n in t.shape), t.dtype) for t in symbolic]
            assert results == known, f"{name} of {shapes}, {params}"
            agreed += 1
        assert agreed, f"{name} takes no numbers"


def test_models_that_are_gone_leave_few_bodies() -> None:
    """Each model has a batch size of its own, so that what was traced for one is of no use for others."""
    bodies = []
    for _ in range(300):
        with new_level() as level:
            x = placeholder(TensorType((new_size("batch"), 4), "float32"), level)
            bodies.append(weakref.ref(p.gelu(x, approximate=False).params["body"]))
    del x
    gc.collect()
    assert 0 < sum(body() is not None for body in bodies) < 290
