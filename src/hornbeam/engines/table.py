"""Table engines: a table from primitives to functions of a host library.

The shared evaluator (`ir/interpret.py`) walks a graph and calls the table's functions as `fn(*operands,
**params)`; the body of a composite without an entry is evaluated instead. Gradients, optimizers and random
numbers are part of the graph, so the host library needs nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hornbeam._internal.extras import install_command
from hornbeam.engines.base import Engine
from hornbeam.engines.host import check_library
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import run, where
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import graph_param

Table = Mapping[str, Callable[..., Any]]

# Primitives that only structure a graph: an output of several, and barriers for gradients and passes.
STRUCTURE: Table = {
    "project": lambda values, *, index: values[index],
    "stop_gradient": lambda x: x,
    "optimization_barrier": lambda *values: values,
}


class TableEngine(Engine):
    """Base class of engines over other libraries. Most of them add only `table`."""

    table: Table

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """Return the function for a node, None for a composite whose body is to be evaluated."""
        return self.table.get(node.name)

    def instructions(self) -> list[str]:
        """List the primitives and composites of the table."""
        return list(self.table)

    def check(self, graph: Graph) -> None:
        """Raise MissingPrimitiveError for the first operation that is missing in the table.

        The message names the operation, the layer and, if known, the user's line.
        """
        for node in graph.nodes:
            if node.name == "host_call":
                check_library(self.name, self.library, node)
            fn = self.lower(node)
            composite = node.primitive is not None and node.primitive.composite
            if fn is None and not composite:
                raise MissingPrimitiveError(f"the {self.name} engine has no {node.name!r}{where(node)}")
            if fn is None or not composite:
                for body in graph_param(node.params):
                    self.check(body)

    def evaluate(self, graph: Graph, args: Sequence[Any]) -> list[Any]:
        """Compute a graph's outputs, node by node."""
        return run(graph, args, self.lower)


def require_version(engine: str, package: str, installed: str, needed: str, extra: str | None = None) -> None:
    """Raise ImportError, with the command that upgrades, if the installed version is below `needed`."""
    if _numbers(installed) < _numbers(needed):
        raise ImportError(
            f"the {engine} engine needs {package} {needed} or later, but {installed} is installed: "
            f"{install_command(extra or engine, upgrade=True)}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 15, 0) for 2.15.0+cpu."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def missing_package(engine: str, package: str, error: ImportError, extra: str | None = None) -> ImportError:
    """Build the error for a library that is not installed. extra: that installs it, by default the engine's
    name."""
    return ImportError(
        f"the {engine} engine needs {package}, which is not installed ({error}): "
        f"{install_command(extra or engine)}"
    )
