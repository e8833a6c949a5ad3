"""Engines that are a table: the name of a primitive, and the function of a host library that computes it.

The shared evaluator (`ir/interpret.py`) walks a graph and calls the table's functions as `fn(*operands,
**params)`; a composite without an entry is walked itself. Gradients, optimizers and random numbers are in the
graph already, so nothing else is asked of the host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hornbeam.engines.base import Engine, MissingPrimitiveError
from hornbeam.engines.host import refuse_foreign
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import run, where
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import graph_param

Table = Mapping[str, Callable[..., Any]]


class TableEngine(Engine):
    """What the engines over other libraries share. `table` is all that most of them add."""

    table: Table

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """The function for a node, or None for a composite that is to be walked."""
        return self.table.get(node.name)

    def instructions(self) -> list[str]:
        """Names of the primitives and composites that the table has."""
        return list(self.table)

    def check(self, graph: Graph) -> None:
        """Raises MissingPrimitiveError for the first thing that the table lacks, naming it, the layer and, if
        known, the user's line.
        """
        for node in graph.nodes:
            if node.name == "host_call":
                refuse_foreign(self.name, self.library, node)
            fn = self.lower(node)
            composite = node.primitive is not None and node.primitive.composite
            if fn is None and not composite:
                raise MissingPrimitiveError(f"the {self.name} engine has no {node.name!r}{where(node)}")
            if fn is None or not composite:
                for body in graph_param(node.params):
                    self.check(body)

    def evaluate(self, graph: Graph, args: Sequence[Any]) -> list[Any]:
        """The graph's outputs, computed node by node with the table."""
        return run(graph, args, self.lower)


def require_version(engine: str, package: str, found: str, needed: str, extra: str | None = None) -> None:
    """Raises ImportError, with the command that helps, if `found`, the host's version, is below `needed`."""
    if _numbers(found) < _numbers(needed):
        raise ImportError(
            f"the {engine} engine needs {package} {needed} or later, {found} is installed: "
            f'pip install --upgrade "hornbeam[{extra or engine}]"'
        )


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.15.0+cpu is (2, 15, 0)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def missing_package(engine: str, package: str, error: ImportError, extra: str | None = None) -> ImportError:
    """What to say when an engine's library is not installed: `extra` installs it, by default of its name."""
    return ImportError(
        f"the {engine} engine needs {package}, which is not installed ({error}): "
        f'pip install "hornbeam[{extra or engine}]"'
    )
