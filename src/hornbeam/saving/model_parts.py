"""The parts of a model that hold values, with their paths in a file, as Keras 3 traverses a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.origin import is_own
from hornbeam.errors import ModelFileError
from hornbeam.layers import Layer
from hornbeam.layers.weights import own_weights
from hornbeam.optimizers import Optimizer
from hornbeam.random import SeedGenerator

if TYPE_CHECKING:
    from hornbeam.layers.network import Network


@dataclass
class Part:
    """A layer, optimizer or random generator of a model, with its path in the file and its own variables.

    Attributes:
        path: Path in the file.
        name: Name of the object.
        variables: Variables of the object itself, without those of its children.
        required: Whether a file must have its values: true for layers.
        layer: The layer, if it is one.
        values: Values of the variables in the file; the variables' own by default.
    """

    path: str
    name: str
    variables: Sequence[Any]
    required: bool = True
    layer: Layer | None = None
    values: Sequence[Any] | None = None

    @property
    def custom_store(self) -> Layer | None:
        """The layer, if it overrides `save_own_variables` or `load_own_variables`."""
        custom = self.layer is not None and any(
            getattr(type(self.layer), name) is not getattr(Layer, name)
            for name in ("save_own_variables", "load_own_variables")
        )
        return self.layer if custom else None

    def dataset_path(self, index: int) -> str:
        """Return the path of a variable's dataset."""
        return join_path(self.path, "vars", str(index))


def saved_parts(model: Network, skip: Sequence[Any] = (), merged: bool = True) -> Iterator[Part]:
    """Yield everything in a model that holds values, each once, without the objects to skip.

    Args:
        model: The model.
        skip: Objects without values in the file.
        merged: Whether low-rank factors are part of the weights that they change (see `enable_lora`).
    """
    seen: dict[int, Any] = {id(x): x for x in skip}  # kept alive: ids of freed objects are reused

    def visit(part: Any, path: str) -> Iterator[Part]:
        if id(part) in seen:
            return
        seen[id(part)] = part
        if isinstance(part, Optimizer):
            yield Part(path, part.name, part.variables, required=False)
        elif isinstance(part, SeedGenerator):
            yield Part(path, part.name, [part.state], required=False)
        elif isinstance(part, Layer):
            stored = part._stored_weights(merged)
            yield Part(path, part.name, list(stored), layer=part, values=list(stored.values()))
            for name, child in _children(part):
                yield from visit(child, join_path(path, name))
        elif isinstance(part, (list, tuple, dict)):
            for name, child in _named(part):
                yield from visit(child, join_path(path, name))

    yield from visit(model, "")


def _children(part: Layer) -> Iterator[tuple[str, Any]]:
    """Yield the children of a layer in Keras's order.

    These are attributes by name, `layers` of models among them, those with a leading underscore last.
    Sequential and functional models begin with `layers`.
    """
    children = {name: value for name, value in part._hb_attributes.items() if name not in _LAYER_LISTS}
    if part.layers_in_file == "first":
        yield "layers", part.layers  # type: ignore[attr-defined]
    elif part.layers_in_file == "sorted":
        children["layers"] = part.layers  # type: ignore[attr-defined]
    optimizer = getattr(part, "optimizer", None)
    if optimizer is not None and optimizer.built:
        children["optimizer"] = optimizer
    for name in sorted(children, key=lambda name: (name.startswith("_"), name)):
        yield name, children[name]


# Attributes in which our models keep their layers, besides `layers`.
_LAYER_LISTS = ("_hb_stack", "_graph_layers")


def _named(container: Any) -> Iterator[tuple[str, Any]]:
    """Yield the items of a list or dict with Keras's names for them: their class, numbered."""
    counts: dict[str, int] = {}
    for item in container.values() if isinstance(container, dict) else container:
        kind = "list" if isinstance(item, (list, tuple, dict)) else to_snake_case(type(item).__name__)
        count = counts.get(kind, 0)
        counts[kind] = count + 1
        yield (f"{kind}_{count}" if count else kind), item


def other_paths(model: Network) -> dict[int, list[str]]:
    """Return all paths that lead to each layer, by its id.

    The same layer may be an attribute, in a list, among the `layers`, and the value of a property; a file has
    it under one of these.
    """
    paths: dict[int, list[str]] = {}
    pending: list[tuple[Any, str, tuple[int, ...]]] = [(model, "", ())]
    for _ in range(_WALK):
        if not pending:
            break
        part, path, around = pending.pop()
        if id(part) in around:
            continue
        around = (*around, id(part))
        if isinstance(part, Layer):
            paths.setdefault(id(part), []).append(path)
            children = [*_children(part), *_properties(part)]
            pending += [(child, join_path(path, name), around) for name, child in children]
        elif isinstance(part, (list, tuple, dict)):
            pending += [(child, join_path(path, name), around) for name, child in _named(part)]
    return paths


def _properties(part: Layer) -> Iterator[tuple[str, Layer]]:
    """Yield the layers that the properties of a user's class return: Keras saves them by these names too."""
    for cls in type(part).__mro__:
        if is_own(cls):
            return
        for name in [name for name, value in vars(cls).items() if isinstance(value, property)]:
            try:
                value = getattr(part, name)
            except Exception:  # a user's code, which may need what is not there yet
                continue
            if isinstance(value, Layer):
                yield name, value


# Steps of the search for all paths: their number may grow with the product of the places of layers.
_WALK = 10_000


def complete_parts(model: Network, skip: Sequence[Any] = (), merged: bool = True) -> list[Part]:
    """List `saved_parts`. Raises ValueError if a weight of the model is in none of them."""
    parts = list(saved_parts(model, skip, merged))
    known = {id(variable) for part in (*parts, *skip) for variable in part.variables}
    known |= {id(v) for part in parts if part.layer is not None for v in own_weights(part.layer)}
    lost = [variable.path for variable in model.weights if id(variable) not in known]
    if lost:
        raise ValueError(
            f"the weights {', '.join(lost[:5])} would be missing in a file: keep their layers in attributes "
            "of the model, or in lists and dicts of layers"
        )
    return parts


def weight_names(model: Network, skip: Sequence[Any] = ()) -> list[tuple[str, Any]]:
    """Return a model's weights with names of their layers' path and the weight, such as
    "block/dense_1/kernel".

    A layer has its explicit name, else that of its class, numbered inside its model: a model that is built
    again has the same names.
    """
    weights = []
    for path, part in named_parts(model, skip):
        if part.layer is None:
            continue
        counts: dict[str, int] = {}
        for variable in part.variables:
            count = counts[variable.name] = counts.get(variable.name, -1) + 1
            name = f"{variable.name}_{count}" if count else variable.name
            weights.append((join_path(path, name), variable))
    return weights


def named_parts(model: Network, skip: Sequence[Any] = ()) -> Iterator[tuple[str, Part]]:
    """Yield everything that holds values, with its readable name (see `weight_names`)."""
    shown = {"": ""}
    for part in saved_parts(model, skip, merged=False):
        steps = part.path.split("/") if part.path else []
        above = next(
            (p for p in ("/".join(steps[:n]) for n in range(len(steps) - 1, -1, -1)) if p in shown), ""
        )
        rest = [step for step in steps[len(above.split("/")) if above else 0 :] if step != "layers"]
        if part.layer is None:
            yield join_path(shown[above], *rest), part
            continue
        kind = to_snake_case(type(part.layer).__name__)
        if rest and _is_numbered(rest[-1], kind) and not _is_numbered(part.layer.name, kind):
            rest[-1] = part.layer.name
        shown[part.path] = join_path(shown[above], *rest)
        yield shown[part.path], part


def _is_numbered(name: str, kind: str) -> bool:
    return re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name) is not None


def assets_of(parts: Iterable[Part]) -> dict[str, str]:
    """Return the texts of layers besides weights, such as vocabularies, by path in the file."""
    return {
        join_path(part.path, name): text
        for part in parts
        if hasattr(part.layer, "asset_texts")
        for name, text in part.layer.asset_texts().items()  # type: ignore[union-attr]
    }


def load_assets(model: Network, assets: Mapping[str, str]) -> None:
    """Load the texts of a file into their layers.

    Raises:
        ModelFileError: If one is missing or does not fit.
    """
    for part in saved_parts(model):
        if hasattr(part.layer, "take_asset_texts"):
            start = f"{part.path}/" if part.path else ""
            texts = {name[len(start) :]: text for name, text in assets.items() if name.startswith(start)}
            try:
                part.layer.take_asset_texts(texts)  # type: ignore[union-attr]
            except Exception as error:  # damaged vocabularies raise many types
                raise ModelFileError(f"a vocabulary does not fit the model: {error}") from error


def join_path(*names: str) -> str:
    return "/".join(name for name in names if name)
