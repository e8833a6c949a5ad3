"""Functions of ONNX files: their nodes take the place of the nodes that call them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise

Message = Mapping[str, Any]

# Names that calls of functions may make, for every member that a file may have; a long one costs more.
COST = 100
MOST_LETTERS = 64


class Functions:
    """The functions of a parsed model, whose other nodes use version `opset` of the operators.

    Raises ModelFileError for functions that use another version of them.
    """

    def __init__(self, functions: Sequence[Message], opset: int) -> None:
        self._functions = {(x.get("domain", ""), *_key(x, "name")): x for x in functions}
        self._calls = self._cost = 0
        self._most, self._deepest = COST * current_budget().members, current_budget().nesting // 5
        for function in functions:
            versions = {x.get("version", 0) for x in function["opset_import"] if not x.get("domain")}
            if versions - {opset}:
                raise ModelFileError(
                    f"the function {function.get('name', '')!r:.80} uses version {versions.pop()} of the "
                    f"operators, the graph {opset}: convert the file to one version"
                )

    def expanded(self, nodes: Sequence[Message], depth: int = 1) -> Iterator[Message]:
        """Yield nodes, and those of functions instead of calls. Raises ModelFileError."""
        for node in nodes:
            function = self._functions.get((node.get("domain", ""), *_key(node, "op_type")))
            if function is None:
                yield node
                continue
            if depth > self._deepest:
                raise ModelFileError(
                    f"functions call each other more than {self._deepest} deep. {how_to_raise('nesting')}"
                )
            yield from self.expanded(list(self._body(function, node)), depth + 1)

    def _body(self, function: Message, call: Message) -> Iterator[Message]:
        """Yield the nodes of a function with the names and attributes of a call."""
        for kind in ("input", "output"):
            if len(call[kind]) > len(function[kind]):
                raise ModelFileError(
                    f"the function {function.get('name', '')!r:.80} is called with {len(call[kind])} "
                    f"{kind}s, it has {len(function[kind])}"
                )
        self._calls += 1
        self._spend(sum(len(function[key]) for key in ("input", "output", "attribute_proto")))
        prefix = f"{function.get('name', '')[:MOST_LETTERS]}.{self._calls}/"
        names = {
            **dict.fromkeys(function["input"], ""),
            **dict(zip(function["input"], call["input"], strict=False)),
        }
        same = []
        for inner, outer in zip(function["output"], call["output"], strict=False):
            if inner in names and outer:  # a second name of one value
                same.append((names[inner], outer))
            elif outer:
                names[inner] = outer
        parameters = {x.get("name", ""): x for x in (*function["attribute_proto"], *call["attribute"])}

        def rename(name: str) -> str:
            self._spend(1 + len(name) // MOST_LETTERS)
            return names.get(name, prefix + name) if name else ""

        yield from self._renamed(function["node"], rename, parameters)
        for inner, outer in same:
            yield {"op_type": "Identity", "input": [inner], "output": [outer], "attribute": []}

    def _spend(self, cost: int) -> None:
        self._cost += cost
        if self._cost > self._most:
            raise ModelFileError(
                f"calls of functions make more than {self._most} names. {how_to_raise('members')}"
            )

    def _renamed(
        self, nodes: Sequence[Message], rename: Callable[[str], str], parameters: Message
    ) -> Iterator[Message]:
        """Yield nodes with other names of values, and attributes of the call where they refer to those."""
        for node in nodes:
            self._spend(1 + len(node["attribute"]))
            attributes = []
            for x in node["attribute"]:
                reference = x.get("ref_attr_name")
                if "g" in x:
                    x = {**x, "g": self._renamed_graph(x["g"], rename, parameters)}
                if not reference:
                    attributes.append(x)
                elif reference in parameters:
                    attributes.append({**parameters[reference], "name": x.get("name", "")})
            ends = {key: list(map(rename, node[key])) for key in ("input", "output")}
            yield {**node, **ends, "attribute": attributes}

    def _renamed_graph(self, graph: Message, rename: Callable[[str], str], parameters: Message) -> Message:
        parts = {
            key: [{**x, "name": rename(x.get("name", ""))} for x in graph[key]]
            for key in ("input", "output", "initializer")
        }
        return {**graph, **parts, "node": list(self._renamed(graph["node"], rename, parameters))}


def _key(message: Message, name: str) -> tuple[str, str]:
    return message.get(name, ""), message.get("overload", "")
