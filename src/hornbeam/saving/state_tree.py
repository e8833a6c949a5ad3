"""Variables of a model as nested dicts, with one level for each part of a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.core.variable import Variable

if TYPE_CHECKING:
    from hornbeam.layers.network import Network


def state_parts(model: Network) -> Iterator[tuple[str, Sequence[Variable]]]:
    """Yield the variables of a model, its optimizer and its metrics by the names of their parts."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    ids = {id(variable) for variable in metrics}
    yield "trainable_variables", model.trainable_variables
    yield "non_trainable_variables", [v for v in model.non_trainable_variables if id(v) not in ids]
    yield "optimizer_variables", model.optimizer.variables if model.optimizer is not None else []
    yield "metrics_variables", metrics


def state_tree(model: Network, value_format: str) -> dict[str, dict[str, Any]]:
    """See `Model.get_state_tree`."""
    if value_format not in ("backend_tensor", "numpy_array"):
        raise ValueError(f'value_format must be "backend_tensor" or "numpy_array", got {value_format!r}')
    state: dict[str, dict[str, Any]] = {}
    for name, variables in state_parts(model):
        state[name] = {}
        for path, variable in _by_path(model, variables).items():
            *parents, last = path.split("/")
            position = state[name]
            for parent in parents:
                position = position.setdefault(parent, {})
            as_array = value_format == "numpy_array"
            position[last] = np.array(variable.numpy()) if as_array else variable.value
    return state


def assign_state_tree(model: Network, state: Mapping[str, Any]) -> None:
    """See `Model.set_state_tree`."""
    for name, variables in state_parts(model):
        by_path = _by_path(model, variables)
        for path, value in leaves(state.get(name, {})):
            if path not in by_path:
                raise ValueError(
                    f"model {model.name!r} has no variable {path!r} among its {name}.{nearest(path, by_path)}"
                )
            by_path[path].assign(value)


def _by_path(model: Network, variables: Sequence[Variable]) -> dict[str, Variable]:
    by_path: dict[str, Variable] = {}
    for variable in variables:
        if by_path.setdefault(variable.path, variable) is not variable:
            raise ValueError(
                f"model {model.name!r} has two variables with the path {variable.path!r}: give their layers "
                "different names"
            )
    return by_path


def leaves(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts by path."""
    for name, value in state.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
