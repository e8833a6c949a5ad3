"""Whole graphs compiled by `torch.compile`: when that pays, and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from hornbeam.engines.torch.random import random_bits
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import graph_param

# What decides by values what is run next, or would be unrolled step by step, or is no operation of PyTorch's.
_PLAIN = frozenset({"cond", "while_loop", "scan", "dynamic_slice", "dynamic_update_slice", "host_call"})
# Longer graphs take minutes to compile.
_LONGEST = 1000
_PLAIN |= {"svd", "eigh", "qr", "lu", "cholesky", "triangular_solve"}
# Compiling takes about half a minute, whatever the graph; a graph has to have taken more than that before.
_SECONDS = 60.0
# What an operation of PyTorch's takes on CPUs, roughly.
_CALL, _FLOPS, _BYTES = 5e-6, 100e9, 20e9


def runs_before(graph: Graph) -> float:
    """After how many runs a graph is compiled: those in which it has computed for a minute.

    How long a run takes is estimated from the graph, not measured, so that the same program is compiled at
    the same step each time: results before and after differ by rounding. HORNBEAM_TORCH_COMPILE=0 says never,
    1 at once. Never are graphs with loops, branches and other things that cannot be one piece, nor, unless at
    once, those of more than a thousand nodes; nor without a C++ compiler, which PyTorch needs for it.
    """
    wish = os.environ.get("HORNBEAM_TORCH_COMPILE", "auto")
    if wish not in ("0", "1", "auto"):
        raise ValueError(f"HORNBEAM_TORCH_COMPILE may be 0, 1 or auto, got {wish!r}")
    able = shutil.which(os.environ.get("CXX", "g++")) is not None and hasattr(torch.library, "custom_op")
    if wish == "0" or not able or any(node.name in _PLAIN for node in _inside(graph)):
        return float("inf")
    if wish == "1":
        return 0.0
    return _SECONDS / _estimate(graph) if len(graph.nodes) <= _LONGEST else float("inf")


def _inside(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for body in graph_param(node.params):
            yield from _inside(body)


def _estimate(graph: Graph) -> float:
    """Seconds of a run."""
    seconds = 1e-6
    for node in graph.nodes:
        assert node.primitive is not None
        types: Any = [x.type for x in node.inputs]
        if node.name != "project":
            flops, moved = node.primitive.cost(types, node.type, **node.params)
            seconds += _CALL + max(flops / _FLOPS, moved / _BYTES)
    return seconds


def compiled(
    walk: Callable[..., Sequence[Any]], inputs: Sequence[Any]
) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """`walk(random_bits, *inputs)`, a run of a graph, as one program for inputs of these types."""
    from torch.fx.experimental.proxy_tensor import make_fx  # takes its time, and few need it

    with torch.no_grad():
        graph = make_fx(lambda *xs: list(walk(_traceable_bits, *xs)), tracing_mode="real")(*inputs)
    program = torch.compile(graph, fullgraph=True, dynamic=False)
    program(*inputs)  # compiled now, so that what fails, fails here
    return lambda xs: program(*xs)


def _traceable_bits(key: Any, *, shape: tuple[int, ...]) -> Any:
    """`random_bits` as one operation of PyTorch's, into which nobody looks."""
    return _operation()(key, list(shape))


def _operation() -> Any:
    if not _made:

        @torch.library.custom_op("hornbeam::random_bits", mutates_args=())
        def operation(key: torch.Tensor, shape: list[int]) -> torch.Tensor:
            return random_bits(key, shape=tuple(shape))

        operation.register_fake(lambda key, shape: key.new_empty(shape))
        _made.append(operation)
    return _made[0]


_made: list[Any] = []
