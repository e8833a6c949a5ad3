"""Objects with variables, as a graph of named parts: what checkpoints store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import Variable
from hornbeam.layers import Layer
from hornbeam_compat.tensorflow.data import DatasetIterator
from hornbeam_compat.tensorflow.tensors import Module

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class Parts:
    """Base class of objects that have parts as attributes, and those of `_root`."""


def children_of(owner: object) -> dict[str, Any]:
    """Return the parts of an object that have variables, by name."""
    if isinstance(owner, dict):
        parts = {str(key): value for key, value in owner.items()}
    elif isinstance(owner, (list, tuple)):
        parts = {str(index): value for index, value in enumerate(owner)}
    elif isinstance(owner, Layer):
        names = [name for name in vars(owner) if not name.startswith(("_hb_", "_tracked", "_training"))]
        parts = {name: vars(owner)[name] for name in names if name not in ("_losses", "_dtype_policy")}
        if hasattr(type(owner), "layers"):
            parts["layers"] = list(owner.layers)  # type: ignore[attr-defined]
        reached = {id(v) for v in _variables(parts)}
        rest = [v for v in owner.variables if id(v) not in reached]
        parts |= {f"variables/{index}": v for index, v in enumerate(rest)}
    elif isinstance(owner, (Module, Parts)):
        parts = {name: value for name, value in vars(owner).items() if name not in ("_name", "_root")}
        root = vars(owner).get("_root")
        parts |= {} if root is None else children_of(root)
    elif hasattr(owner, "variables"):  # optimizers, metrics, generators
        parts = {f"variables/{index}": v for index, v in enumerate(owner.variables)}
    else:
        parts = {}
    return {name: part for name, part in parts.items() if is_tracked(part)}


def is_tracked(part: object) -> bool:
    """Return True if an object has variables, or may get some."""
    kinds = (Variable, Layer, Module, Parts, DatasetIterator)
    if isinstance(part, kinds) or (hasattr(part, "variables") and not isinstance(part, type)):
        return True
    children = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    return getattr(part, "is_tracked", False) or any(is_tracked(child) for child in children)


def _variables(parts: object) -> Iterator[Variable]:
    """Yield the variables in parts of a layer."""
    seen: set[int] = set()
    queue = [parts]
    while queue:
        part = queue.pop()
        if isinstance(part, Variable):
            yield part
        elif id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, (dict, list, tuple)):
                queue += part.values() if isinstance(part, dict) else part
            elif hasattr(part, "variables") and not isinstance(part, type):
                queue += list(part.variables)


class ObjectGraph:
    """Objects with variables, as nodes: each has the numbers of its children by name, and its key if it has
    a value in the file."""

    def __init__(self, root: object) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.values: dict[str, np.ndarray] = {}
        numbers: dict[int, int] = {}
        self.parts: list[Any] = []
        self._add(root, "", numbers)
        queue = [(root, 0, "")]
        while queue:
            owner, number, path = queue.pop(0)
            for name, child in children_of(owner).items():
                known = numbers.get(id(child))
                inner = f"{path}/{name}" if path else name
                if known is None:
                    known = self._add(child, inner, numbers)
                    if "key" not in self.nodes[known]:
                        queue.append((child, known, inner))
                self.nodes[number]["children"][name] = known

    def _add(self, part: object, path: str, numbers: dict[int, int]) -> int:
        node: dict[str, Any] = {"children": {}}
        self.parts.append(part)  # so that no other object gets its id
        numbers[id(part)] = len(self.nodes)
        self.nodes.append(node)
        if isinstance(part, Variable):
            node["key"] = path + VALUE
            self.values[node["key"]] = np.asarray(part)
        elif isinstance(part, DatasetIterator):
            node["key"] = f"{path}/.ATTRIBUTES/ITERATOR_STATE"
            self.values[node["key"]] = part.state()
        return numbers[id(part)]
