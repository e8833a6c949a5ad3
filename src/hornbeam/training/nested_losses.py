"""Losses of structures of outputs: several for one output, and one for several outputs together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.losses import Loss
from hornbeam.training.outputs import Outputs, is_several

Path = tuple[Any, ...]


class NestedLoss(NamedTuple):
    """A loss of the outputs below `path`, its factor, and its name in logs without "_loss"."""

    path: Path
    loss: Loss
    weight: float
    name: str


def map_losses(make: Callable[[Any], Any], spec: Tree) -> Tree:
    """Apply `make` to every loss of a structure. A list of one loss is that loss."""
    if isinstance(spec, dict):
        return {key: map_losses(make, part) for key, part in spec.items()}
    if not isinstance(spec, (list, tuple)):
        return make(spec)
    parts = [map_losses(make, part) for part in spec]
    if hasattr(spec, "_fields"):  # a named tuple
        return type(spec)(*parts)
    return type(spec)(parts)


def unwrapped(spec: Tree) -> Tree:
    """Return the loss of an output without a list around it."""
    return spec[0] if isinstance(spec, (list, tuple)) and len(spec) == 1 else spec


def is_nested(spec: Tree) -> bool:
    """Return whether a structure of losses has structures inside."""
    parts = spec.values() if isinstance(spec, dict) else spec if is_several(spec) else ()
    return any(map(is_several, parts))


def nested_losses(spec: Tree, weights: Tree, y_pred: Tree, names: list[str]) -> list[NestedLoss]:
    """Assign a structure of losses to a structure of outputs, with `names` for its leaves in order.

    A list with one loss for each leaf goes to the leaves. Another list, where the outputs are no list, has
    several losses of the same outputs. Dicts go by key, lists and tuples by index.

    Raises ValueError for a part without an output, and for weights of another number than losses.
    """
    weights = _weights_like(spec, weights)
    result: list[NestedLoss] = []

    def assign(loss: Tree, weight: Tree, outputs: Tree, labels: Tree, path: Path) -> None:
        if loss is None:
            return
        if not is_several(loss):
            factor = 1.0 if weight is None else float(weight)
            result.append(NestedLoss(path, loss, factor, _name(path, labels)))
            return
        several = isinstance(loss, (list, tuple))
        if several and not is_nested(loss) and len(loss) == len(tree.flatten(outputs)):
            weight = None if weight is None else tree.pack_sequence_as(outputs, tree.flatten(weight))
            loss = tree.pack_sequence_as(outputs, list(loss))
            if not is_several(loss):
                assign(loss, weight, outputs, labels, path)
                return
        elif several and not isinstance(outputs, type(loss)):
            for index, part in enumerate(loss):
                assign(part, None if weight is None else weight[index], outputs, labels, path)
            return
        for key, part in loss.items() if isinstance(loss, dict) else enumerate(loss):
            if part is None:
                continue
            if not _has(outputs, key, isinstance(loss, dict)):
                raise ValueError(
                    f"the loss at {'/'.join(map(str, (*path, key)))} belongs to no output: the losses must "
                    "have the structure of the outputs"
                )
            inner = None if weight is None else weight[key]
            assign(part, inner, outputs[key], labels[key], (*path, key))

    assign(spec, weights, y_pred, tree.pack_sequence_as(y_pred, names), ())
    return result


def _weights_like(spec: Tree, weights: Tree) -> Tree:
    """Return the weights in the structure of the losses."""
    if weights is None:
        return None
    try:
        tree.assert_same_structure(spec, weights)
    except ValueError:
        flat, count = tree.flatten(weights), len(tree.flatten(spec))
        if len(flat) != count:
            raise ValueError(f"loss_weights has {len(flat)} numbers, there are {count} losses") from None
        return tree.pack_sequence_as(spec, flat)
    return weights


def loss_names(outputs: Outputs) -> list[str]:
    """Return the name of each output's loss in logs without "_loss": for nested outputs their path."""
    if not outputs.nested:
        return outputs.names
    paths = [path for path, _ in tree.flatten_with_path(outputs.structure)]
    return [_name(tuple(path), name) for path, name in zip(paths, outputs.names, strict=True)]


def at_path(structure: Tree, path: Path) -> Tree:
    """Return the part of a structure at a path."""
    for key in path:
        structure = structure[key]
    return structure


def _has(outputs: Tree, key: Any, by_name: bool) -> bool:
    if by_name:
        return isinstance(outputs, dict) and key in outputs
    return isinstance(outputs, (list, tuple)) and key < len(outputs)


def _name(path: Path, labels: Tree) -> str:
    """Return the name of a part of the outputs: its path, where the name of an output replaces an index."""
    if not path:
        return labels if isinstance(labels, str) else "_".join(_labels(labels))
    last = labels if isinstance(path[-1], int) and isinstance(labels, str) else path[-1]
    return "/".join(map(str, (*path[:-1], last)))


def _labels(labels: Tree) -> list[str]:
    return sorted(map(str, labels)) if isinstance(labels, dict) else tree.flatten(labels)
