"""Compile whole graphs by `torch.compile`: when, and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from hornbeam.engines.torch.random import random_bits
from hornbeam.engines.torch.triton import import_beside_tensorflow
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import graph_param, node_cost

# Operations with data-dependent control flow, that would be unrolled, or that PyTorch cannot trace.
_NOT_COMPILED = frozenset(
    {"cond", "while_loop", "scan", "dynamic_slice", "dynamic_update_slice", "host_call"}
)
# Longer graphs take minutes to compile.
_LONGEST = 1000
_NOT_COMPILED |= {"svd", "eig", "eigh", "qr", "lu", "cholesky", "triangular_solve"}
# Compiling takes about half a minute for any graph; a graph has to have run for longer than that before.
_SECONDS_BEFORE = 60.0
# Rough costs of an operation of PyTorch on CPUs.
_CALL_SECONDS, _FLOPS, _BYTES = 5e-6, 100e9, 20e9


def runs_before(graph: Graph) -> float:
    """Return the number of runs after which a graph is compiled: those that take a minute.

    The time of a run is estimated from the graph, not measured, so that a program is compiled at the same
    step each time: results before and after differ by rounding. With HORNBEAM_TORCH_COMPILE=0 nothing is
    compiled, with 1 everything at once. Graphs with loops, branches and the like are never compiled, nor,
    unless at once, those of more than a thousand nodes; nor anything without a C++ compiler, which PyTorch
    needs.
    """
    setting = os.environ.get("HORNBEAM_TORCH_COMPILE", "auto")
    if setting not in ("0", "1", "auto"):
        raise ValueError(f"HORNBEAM_TORCH_COMPILE must be 0, 1 or auto, got {setting!r}")
    able = shutil.which(os.environ.get("CXX", "g++")) is not None and hasattr(torch.library, "custom_op")
    if setting == "0" or not able or any(node.name in _NOT_COMPILED for node in _inside(graph)):
        return float("inf")
    if setting == "1":
        return 0.0
    return _SECONDS_BEFORE / _estimate(graph) if len(graph.nodes) <= _LONGEST else float("inf")


def _inside(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for body in graph_param(node.params):
            yield from _inside(body)


def _estimate(graph: Graph) -> float:
    """Estimate the seconds of a run."""
    seconds = 1e-6
    for node in graph.nodes:
        if node.name != "project":
            flops, moved = node_cost(node)
            seconds += _CALL_SECONDS + max(flops / _FLOPS, moved / _BYTES)
    return seconds


def compiled(
    walk: Callable[..., Sequence[Any]], inputs: Sequence[Any]
) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Compile `walk(random_bits, *inputs)`, a run of a graph, for inputs of these types."""
    import_beside_tensorflow()
    from torch.fx.experimental.proxy_tensor import make_fx  # slow to import, and rarely needed

    with torch.no_grad():
        graph = make_fx(lambda *xs: list(walk(_traceable_bits, *xs)), tracing_mode="real")(*inputs)
    program = torch.compile(graph, fullgraph=True, dynamic=False)
    program(*inputs)  # compiles now, so that failures are raised here
    return lambda xs: program(*xs)


def _traceable_bits(key: Any, *, shape: tuple[int, ...]) -> Any:
    """Compute `random_bits` by an operation that is opaque to PyTorch's compiler."""
    return _operation()(key, list(shape))


def _operation() -> Any:
    if not _registered:

        @torch.library.custom_op("hornbeam::random_bits", mutates_args=())
        def operation(key: torch.Tensor, shape: list[int]) -> torch.Tensor:
            return random_bits(key, shape=tuple(shape))

        operation.register_fake(lambda key, shape: key.new_empty(shape))
        _registered.append(operation)
    return _registered[0]


_registered: list[Any] = []
