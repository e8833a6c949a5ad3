"""Building of layers: `build` by the shapes of a call, once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam._internal.typing import Config
from hornbeam.core.variable import autocast, eager_scope
from hornbeam.layers.ownership import building
from hornbeam.layers.shapes import build_shapes

if TYPE_CHECKING:
    from hornbeam.layers.call import LayerCall
    from hornbeam.layers.layer import Layer


def build_once(build: Callable[..., None]) -> Callable[..., None]:
    """Wrap `build` to run once, eagerly and in the layer's scope, and to remember its shapes."""

    @functools.wraps(build)
    def build_first(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._hb_building:  # super().build(...) of a subclass
            build(self, *args, **kwargs)
            return
        if self.built:
            return
        shapes = inspect.signature(build).bind(self, *args, **kwargs).arguments
        self._hb_building = True
        try:
            with self._hb_scope(), eager_scope(), autocast(None), building():
                build(self, *args, **kwargs)
        finally:
            self._hb_building = False
        self._mark_built({name: value for name, value in shapes.items() if name != "self"})

    return build_first


def call_with_shapes(layer: Layer, method: str, call: LayerCall) -> Any:
    """Call `build` or `compute_output_shape` with the shapes of a call's tensors."""
    parameters = list(inspect.signature(getattr(type(layer), method)).parameters.values())[1:]
    if len(parameters) == 1 and parameters[0].kind is not inspect.Parameter.VAR_KEYWORD:
        return getattr(layer, method)(next(iter(call.shapes.values()), None))
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    names = {p.name for p in parameters}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    shapes = {name: shape for name, shape in call.all_shapes.items() if name in names or takes_any}
    absent = [name for name in required if name not in shapes]
    if absent:
        raise ValueError(
            f"{layer.describe()}: {method}() takes {absent[0]!r}, but only {', '.join(call.shapes)} are "
            "known. Name its arguments after those of call(), followed by _shape"
        )
    return getattr(layer, method)(**shapes)


def build_config(layer: Layer, is_default: bool) -> Config | None:
    """Return the shapes with which a layer can be built again. is_default: `build` is that of `Layer`."""
    if not layer.built or layer._build_shapes is None or (layer._is_stateless and is_default):
        return None
    shapes = build_shapes(layer)
    if len(shapes) == 1:
        return {"input_shape": next(iter(shapes.values()))}
    if is_default:  # it takes one shape: a call builds the sublayers
        return None
    parameters = list(inspect.signature(type(layer).build).parameters.values())[1:]
    needs_none = all(p.default is not p.empty for p in parameters)
    return {"shapes_dict": dict(shapes)} if shapes or needs_none else None
