"""Computes a graph with a host library for a file: by the operators that a format has, else node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam.export.patterns.matching import MatchContext, Operator, Pattern, first_found, planned
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import Lower, where
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import bind
from hornbeam.ir.scope import scope
from hornbeam.ir.sizes import Choices, axes_of_symbols, evaluated

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class FileLibrary:
    """Functions of a host library that compute a graph of unknown sizes, for files that it writes.

    Attributes:
        lower: Returns the function for a node, see `interpret.run`.
        control: Makes the table of control flow from a function that evaluates bodies.
        size_of: `size_of(array, axis)` returns a size as the library has it.
        to_tensor: Makes such a size a scalar int32 array.
        choose: The library's minimum and maximum of two sizes.
        operators: Functions for operators that a format has, called as `fn(*operands, **params)`.
        constant: Makes a NumPy array one of the library's.
        named: Returns a context in which nodes get the name of a layer.
    """

    lower: Lower
    control: Callable[[Callable[[Graph, Sequence[Any]], list[Any]]], Functions]
    size_of: Callable[[Any, int], Any]
    to_tensor: Callable[[Any], Any]
    choose: Choices
    operators: Functions
    constant: Callable[[np.ndarray], Any]
    named: Callable[[str], AbstractContextManager[Any]]


class _Sizes(Mapping[str, Any]):
    """Values of the symbols in the shapes of a graph's inputs, computed where they are needed.

    Those that the body of a loop computes are not kept: nothing outside of it can read them.
    """

    def __init__(self, graph: Graph, args: Sequence[Any], size_of: Callable[[Any, int], Any]) -> None:
        self._axes = axes_of_symbols(x.shape for x in graph.inputs)
        self._args, self._size_of = args, size_of
        self._kept: dict[str, Any] = {}
        self.is_kept = True

    def __getitem__(self, name: str) -> Any:
        if name in self._kept:
            return self._kept[name]
        index, axis = self._axes[name]
        size = self._size_of(self._args[index], axis)
        if self.is_kept:
            self._kept[name] = size
        return size

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)


def _closed(graph: Graph) -> Graph:
    """The body of a loop with placeholders for nodes around it, so that no pattern looks into these."""
    known = {x: x if x.primitive is None else placeholder(x.type, 0) for x in graph.inputs}  # type: ignore[arg-type]
    if all(x is known[x] for x in graph.inputs):
        return graph
    for node in graph.nodes:
        if node.primitive is not None and node not in known:
            with scope(node.scope):
                known[node] = bind(node.primitive, *(known[x] for x in node.inputs), **node.params)
    return Graph([known[x] for x in graph.inputs], [known[x] for x in graph.outputs])


class Walk:
    """One graph, computed by a host library.

    Args:
        library: The library.
        rules: For each primitive the patterns that are tried, in order.
    """

    def __init__(self, library: FileLibrary, rules: Mapping[str, Sequence[Pattern]]) -> None:
        self._library, self._rules = library, rules
        self._own: dict[str, Callable[..., Any]] = {
            **library.control(self._body),
            "size": lambda *, size: library.to_tensor(size),
        }
        self._sizes: Any = {}

    def __call__(
        self,
        graph: Graph,
        args: Sequence[Any],
        arrays: Mapping[Node, np.ndarray],
        weights: Iterable[Node] = (),
    ) -> list[Any]:
        """The outputs of `graph` for `args`. `arrays` and `weights`: see `MatchContext`."""
        self._sizes = _Sizes(graph, args, self._library.size_of)
        return self._outputs(MatchContext(graph, arrays, weights), args)

    def _body(self, graph: Graph, args: Sequence[Any]) -> list[Any]:
        before, self._sizes.is_kept = self._sizes.is_kept, False
        outputs = self._outputs(MatchContext(_closed(graph), {}), args)
        self._sizes.is_kept = before
        return outputs

    def _outputs(self, context: MatchContext, args: Sequence[Any]) -> list[Any]:
        values: dict[Node, Any] = dict(zip(context.graph.inputs, args, strict=True))
        for node, operator in planned(context, values, lambda node: self._found(context, node)):
            layer = node.scope if operator is None or operator.layer is None else operator.layer
            with self._library.named(layer):
                if operator is not None:
                    fn, inputs, params = (
                        self._library.operators[operator.name],
                        operator.inputs,
                        operator.params,
                    )
                    values[node] = fn(*(values[x] for x in inputs), **self._with_sizes(params))
                elif context.is_computed(node):
                    values[node] = self._library.constant(context.array(node))  # type: ignore[arg-type]
                else:
                    values[node] = self._computed(node, [values[x] for x in node.inputs])
        return [values[node] for node in context.graph.outputs]

    def _found(self, context: MatchContext, node: Node) -> Operator | None:
        return first_found(context, node, self._rules.get(node.name, ()))

    def _with_sizes(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: evaluated(x, self._sizes, self._library.choose) for name, x in params.items()}

    def _computed(self, node: Node, operands: list[Any]) -> Any:
        fn = self._own.get(node.name) or self._library.lower(node)
        if fn is not None:
            return fn(*operands, **self._with_sizes(node.params))
        if node.primitive is None or not node.primitive.composite:
            raise NotImplementedError(f"the format has no {node.name!r}{where(node)}")
        outputs = self._outputs(MatchContext(node.params["body"], {}), operands)
        return tuple(outputs) if isinstance(node.type, tuple) else outputs[0]
