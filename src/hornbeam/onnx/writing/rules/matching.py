"""Matches, which the rules of an ONNX file return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hornbeam.export.patterns import MatchContext, Pattern
from hornbeam.ir.node import Node


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


Rule = Callable[[MatchContext, Node], "Match | None"]


def rule_of(pattern: Pattern, write: Callable[..., Any]) -> Rule:
    """The rule that writes what a pattern finds by `write(*values, **params)`."""

    def rule(context: MatchContext, node: Node) -> Match | None:
        operator = pattern(context, node)
        if operator is None:
            return None
        return Match(operator.inputs, lambda *values: write(*values, **operator.params), operator.layer)

    return rule
