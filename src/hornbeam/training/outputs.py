"""Outputs of a model by name, and assignment of losses, weights, metrics and targets to them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from hornbeam import tree
from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree
from hornbeam.errors import UnknownOutputError


def is_several(structure: Tree) -> bool:
    """Return True for a list, tuple or dict of outputs."""
    return isinstance(structure, (list, tuple, dict))


class Outputs:
    """Names of a model's outputs, in order.

    y_pred: the model's result: one tensor, a list or tuple, or a dict. names: those of the layers, if the
    model knows them.
    """

    def __init__(self, y_pred: Tree, names: Sequence[str] | None = None) -> None:
        self.single = not is_several(y_pred)
        # True if the outputs have structures inside: then they are those of the leaves.
        self.nested = not self.single and any(map(is_several, parts_of(y_pred)))
        self.structure = y_pred
        self.keys = list(y_pred) if isinstance(y_pred, dict) and not self.nested else None
        flat = [y_pred[key] for key in self.keys] if self.keys is not None else tree.flatten(y_pred)
        if self.keys is not None:
            self.names = [str(key) for key in self.keys]
        elif names is not None and len(names) == len(flat):
            self.names = unique_names(names)
        else:
            self.names = ["output"] if self.single else [f"output_{i + 1}" for i in range(len(flat))]
        self.tensors = flat

    def without_values(self) -> Outputs:
        """Return the same names without the tensors."""
        names = object.__new__(Outputs)
        names.single, names.nested, names.keys, names.names = self.single, self.nested, self.keys, self.names
        names.structure, names.tensors = tree.map_structure(lambda _: None, self.structure), []
        return names

    def packed(self, leaves: Sequence[Any]) -> Tree:
        """Return one value for each output in the structure of the outputs."""
        if self.keys is not None:
            return dict(zip(self.keys, leaves, strict=True))
        return tree.pack_sequence_as(self.structure, list(leaves))

    def __len__(self) -> int:
        return len(self.names)

    def by_structure(self, setting: Tree, argument: str) -> list[Any]:
        """Return `setting`, in the structure of nested outputs, with one entry for each.

        Raises UnknownOutputError for another structure.
        """
        result: list[Any] = []

        def visit(part: Tree, outputs: Tree, path: tuple[Any, ...]) -> None:
            if not is_several(outputs):
                result.append(part)
                return
            keys = sorted(outputs) if isinstance(outputs, dict) else range(len(outputs))
            by_key = part if isinstance(part, dict) else dict(enumerate(part or ()))
            unknown = [key for key in by_key if key not in keys]
            if unknown:
                where = "/".join(map(str, (*path, unknown[0])))
                raise UnknownOutputError(
                    f"{argument} has an entry for {where}, which is not an output of the model"
                )
            for key in keys:
                visit(by_key.get(key), outputs[key], (*path, key))

        visit(setting, self.structure, ())
        return result

    def by_name(self, setting: Tree, argument: str, default: object = None) -> list[Any]:
        """Return `setting` (a dict by output name, or a list in order) with one entry for each output.

        Raises UnknownOutputError for unknown names and ValueError for a list of the wrong length.
        """
        if isinstance(setting, dict):
            unknown = [key for key in setting if str(key) not in self.names]
            if unknown:
                raise UnknownOutputError(
                    f"{argument} names {unknown[0]!r}, which is not an output of the model."
                    f"{nearest(str(unknown[0]), self.names)} Outputs: {', '.join(self.names)}"
                )
            return [setting.get(name, default) for name in self.names]
        if len(setting) != len(self):
            raise ValueError(
                f"{argument} has {len(setting)} entries, the model has {len(self)} output(s): "
                f"{', '.join(self.names)}"
            )
        return list(setting)

    def targets(self, y: Tree, needed: Sequence[bool]) -> list[Any]:
        """Return the targets of each output, None where they are absent.

        needed: outputs with a loss or metric. Raises ValueError if the structure of y does not match.
        """
        if self.single and not is_several(y):
            return [y]
        if self.nested and is_several(y):
            return self._flat(y, "y")
        if isinstance(y, dict):
            targets = self.by_name(y, "y")
            absent = [
                name
                for name, target, must in zip(self.names, targets, needed, strict=True)
                if must and target is None
            ]
            if absent:
                raise ValueError(
                    f"y has no entry for the output {absent[0]!r}; it has: {', '.join(map(str, y))}"
                )
            return targets
        if not is_several(y):
            if sum(needed) == 1:
                return [y if must else None for must in needed]
            raise ValueError(
                f"the model has {len(self)} outputs ({', '.join(self.names)}), y is one array: give a list "
                f"or a dict of {len(self)} arrays"
            )
        if len(y) != len(self) and len(y) == sum(needed):
            rest = iter(y)
            return [next(rest) if must else None for must in needed]
        return self.by_name(y, "y")

    def weights(self, sample_weight: Tree) -> list[Any]:
        """Return the sample weights of each output; one array serves all of them."""
        if self.nested and is_several(sample_weight):
            return self._flat(sample_weight, "sample_weight")
        if is_several(sample_weight):
            return self.by_name(sample_weight, "sample_weight")
        return [sample_weight] * len(self)

    def _flat(self, data: Tree, argument: str) -> list[Any]:
        flat = tree.flatten(data)
        if len(flat) != len(self):
            raise ValueError(
                f"{argument} has {len(flat)} arrays, the model has {len(self)} outputs: "
                f"{', '.join(self.names)}"
            )
        return flat


def parts_of(structure: Tree) -> list[Any]:
    """Return the entries of a list, tuple or dict; of anything else, that alone."""
    if isinstance(structure, dict):
        return list(structure.values())
    return list(structure) if isinstance(structure, (list, tuple)) else [structure]


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where one is repeated."""
    unique: dict[str, None] = {}
    for name in names:
        unique[free_name(name, unique)] = None
    return list(unique)


def free_name(name: str, used: Container[str]) -> str:
    """Return the name, numbered if it is used."""
    candidate, count = name, 0
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
