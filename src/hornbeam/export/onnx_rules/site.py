"""Matches, which the rules of an ONNX file return, and the graph as they see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam.export import patterns
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node


class Site(patterns.Site):
    """A graph, with the version of ONNX's operators that it is written in."""

    def __init__(self, graph: Graph, arrays: Mapping[Node, np.ndarray], opset: int) -> None:
        super().__init__(graph, arrays)
        self.opset = opset


@dataclass(frozen=True)
class Match:
    """An operator of ONNX for a node.

    Attributes:
        inputs: The nodes that it reads.
        write: A function of their values.
        layer: Name of the layer that it stands for, None for that of the node.
    """

    inputs: tuple[Node, ...]
    write: Callable[..., Any]
    layer: str | None = None


Rule = Callable[[Site, Node], "Match | None"]


def written(pattern: patterns.Pattern, write: Callable[..., Any]) -> Rule:
    """The rule that writes what a pattern finds by `write(*values, **params)`."""

    def rule(site: Site, node: Node) -> Match | None:
        operator = pattern(site, node)
        if operator is None:
            return None
        return Match(operator.inputs, lambda *values: write(*values, **operator.params), operator.layer)

    return rule
