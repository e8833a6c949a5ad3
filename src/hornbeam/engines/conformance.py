"""Conformance of an engine: every primitive, its values and its derivative, against the reference.

    python -m hornbeam.engines.conformance MODULE [PRIMITIVE ...]

MODULE is a module that registers engines when it is imported, or the name of an engine, such as "torch:cpu".
The cases are the samples that our own engines are tested on; limits of errors are in `accuracy.py`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hornbeam import primitives
from hornbeam.engines import Engine, available, get_engine
from hornbeam.engines.accuracy import DECOMPOSITIONS, EXACT, LIMITS, compare, wide
from hornbeam.engines.samples import CASES, differentiable_cases, dtypes_of, operands, types_of
from hornbeam.ir.autodiff import gradients, outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind, zeros_like
from hornbeam.ir.types import is_float, numpy_dtype

# Composites that functions apply: engines may replace their bodies.
COMPOSITES = [
    (name, index)
    for name, primitive in PRIMITIVES.items()
    if primitive.composite and hasattr(primitives, name)
    for index in range(len(primitive.samples))
]
# Cases whose gradients are compared. Functions of factors are not unique, and iota has no operand.
DIFFERENTIABLE = [
    (name, index)
    for name, index in (*differentiable_cases(), *COMPOSITES)
    if name not in DECOMPOSITIONS and name != "iota"
]
# Largest error of values and gradients, relative to the largest number of the exact result.
GRADIENT_LIMITS = {"float32": 1e-4, "float64": 1e-11}


@dataclass(frozen=True)
class Conformance:
    """Results of an engine on one primitive.

    Attributes:
        name: Name of the primitive or composite.
        passed: Number of its cases that agree.
        refused: Dtypes, or "gradient", that the engine says it does not implement. The dtype of a composite
            is float64, for values and gradients.
        faults: What differs or fails, a sentence each.
    """

    name: str
    passed: int
    refused: tuple[str, ...]
    faults: tuple[str, ...]


def check_engine(engine: Engine, names: Sequence[str] = ()) -> Iterator[Conformance]:
    """Yield the results of an engine, primitive by primitive.

    Args:
        engine: The engine.
        names: Primitives to check, by default all.
    """
    for name in dict.fromkeys(name for name, _ in (*CASES, *COMPOSITES)):
        if names and name not in names:
            continue
        passed, faults = 0, []
        refused: dict[str, None] = {}
        for case, index, kind in _checks(name):
            try:
                if kind == "gradient":
                    fault = gradient_fault(engine, case, index)
                elif PRIMITIVES[case].composite:
                    fault = gradient_fault(engine, case, index, kind)
                else:
                    fault = value_fault(engine, case, index, kind)
            except NotImplementedError:
                refused[kind] = None
            except Exception as error:  # whatever an engine raises is a result
                faults.append(f"{kind}: {type(error).__name__}: {error}")
            else:
                passed += not fault
                faults += [f"{kind}: {fault}"] * bool(fault)
        yield Conformance(name, passed, tuple(refused), tuple(dict.fromkeys(faults)))


def _checks(name: str) -> Iterator[tuple[str, int, str]]:
    """Yield the name, the sample, and the dtype or "gradient" of each check of a primitive."""
    for case, index in CASES:
        if case == name:
            for dtype in dtypes_of(PRIMITIVES[name], PRIMITIVES[name].samples[index]):
                yield name, index, dtype
    yield from ((name, index, "gradient") for case, index in DIFFERENTIABLE if case == name)
    for case, index in COMPOSITES:
        primitive = PRIMITIVES[case]
        if case == name and "float64" in dtypes_of(primitive, primitive.samples[index]):
            yield name, index, "float64"


def value_fault(engine: Engine, name: str, index: int, dtype: str) -> str:
    """Return how the values of a sample differ from the reference, "" if they are within the limit.

    Args:
        engine: The engine.
        name: Name of the primitive.
        index: Number of its sample.
        dtype: Dtype of the operands that the sample does not fix.

    Raises:
        NotImplementedError: If the engine refuses the primitive or the dtype.
    """
    primitive = PRIMITIVES[name]
    arrays, params = operands(primitive, index, dtype), primitive.samples[index].params
    error = compare(engine, name, arrays, params, flushes=True)
    limit = LIMITS.get(name, EXACT)
    if error.strays:
        return f"{error.strays} elements differ in kind or, being integers, in value"
    return "" if error.ulp <= limit else f"{error.ulp:.3g} units in the last place, of {limit:g} allowed"


def gradient_fault(engine: Engine, name: str, index: int, dtype: str = "float32") -> str:
    """Return how values and gradients of a sample differ from the reference's in float64, "" if they agree.

    Args:
        engine: The engine.
        name: Name of the primitive or composite.
        index: Number of its sample.
        dtype: "float32" or "float64", of the operands that the sample does not fix.

    Raises:
        NotImplementedError: If the engine refuses a primitive of the graph.
    """
    primitive = PRIMITIVES[name]
    arrays = operands(primitive, index, dtype)
    wides = [wide(array) for array in arrays]
    graph, exact = (_with_gradients(name, index, each) for each in (arrays, wides))
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=x.shape).astype(numpy_dtype(x.dtype)) for x in graph.inputs[len(arrays) :]]
    buffers = engine.executable(graph).run([engine.put(array.copy()) for array in (*arrays, *weights)])
    results = [np.asarray(engine.get(buffer)) for buffer in buffers]
    expected = reference(exact, [*wides, *map(wide, weights)])
    with np.errstate(invalid="ignore"):
        for result, right in zip(results, expected, strict=True):
            if result.shape != right.shape:
                return f"shape {result.shape}, expected {right.shape}"
            limit = GRADIENT_LIMITS[dtype] * (1.0 + float(np.abs(right[np.isfinite(right)]).max(initial=0.0)))
            if not np.allclose(result, right, rtol=0, atol=limit, equal_nan=True):
                return f"differs by {np.abs(result - right).max():.2g}, of {limit:.2g} allowed"
    return ""


def _with_gradients(name: str, index: int, arrays: Sequence[np.ndarray]) -> Graph:
    """Return the graph (operands, weights) -> float outputs, and gradients of sum(weights * outputs)."""
    xs = [placeholder(type, 0) for type in types_of(arrays)]
    outputs = [node for node in _applied(name, xs, index) if is_float(node.dtype)]
    weights = [placeholder(node.tensor_type(), 0) for node in outputs]
    wanted = [x for x in xs if is_float(x.dtype)]
    cotangents = gradients(outputs, weights, wanted)
    filled = [zeros_like(x) if ct is None else ct for x, ct in zip(wanted, cotangents, strict=True)]
    return Graph([*xs, *weights], [*outputs, *filled])


def _applied(name: str, xs: Sequence[Node], index: int) -> Sequence[Node]:
    primitive = PRIMITIVES[name]
    params = primitive.samples[index].params
    if not primitive.composite:
        return outputs_of(bind(primitive, *xs, **params))
    result = getattr(primitives, name)(*xs, **params)
    return outputs_of(result) if isinstance(result, Node) else result


def engines_of(module: str) -> list[str]:
    """Return the name of a known engine as it is, or the names that a module registers when imported."""
    before = available()
    if module.partition(":")[0] in before:
        return [module]
    importlib.import_module(module)
    return [name for name in available() if name not in before]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the results of the engines of a module; return 1 if one has a fault, 2 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m hornbeam.engines.conformance", description=__doc__)
    parser.add_argument("module", help="a module that registers engines, or the name of an engine")
    parser.add_argument("primitive", nargs="*", help="names of primitives, by default all")
    args = parser.parse_args(argv)
    names = engines_of(args.module)
    if not names:
        text = "registers no engine: it should call hornbeam.engines.register(name, make) when imported"
        print(f"{args.module} {text}", file=sys.stderr)
        return 2
    return max(_report(get_engine(name), args.primitive) for name in names)


def _report(engine: Engine, names: Sequence[str]) -> int:
    counts = {"agree": 0, "are refused": 0, "have faults": 0}
    for result in check_engine(engine, names):
        state = "have faults" if result.faults else "agree" if result.passed else "are refused"
        counts[state] += 1
        for fault in result.faults:
            print(f"{result.name}: FAULT: {fault}", flush=True)
        if result.refused:
            print(f"{result.name}: refused: {', '.join(result.refused)}", flush=True)
    print(f"{engine.name}: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    return int(counts["have faults"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
