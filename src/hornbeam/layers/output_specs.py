"""Shapes and dtypes of a layer's outputs, declared by its class or inferred by running `call`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam.core.registry import custom_object_scope
from hornbeam.core.symbolic import compute_output_spec, infer_types
from hornbeam.ir.sizes import known_or_none
from hornbeam.layers.building import call_with_shapes
from hornbeam.layers.call import LayerCall, call_signature
from hornbeam.layers.context import shapes_only
from hornbeam.layers.shapes import symbolic_tensors
from hornbeam.layers.weights import flatten_layers

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def declared_spec(layer: Layer, call: LayerCall) -> Tree:
    """Return symbolic tensors of the shapes that a user's `compute_output_shape` gives."""
    return symbolic_tensors(call_with_shapes(layer, "compute_output_shape", call), layer.compute_dtype)


def inferred_spec(layer: Layer, *args: Any, **kwargs: Any) -> Tree:
    """Return symbolic tensors like the outputs of a call, by running `call` on symbolic tensors."""
    spec = compute_output_spec(layer.__call__, *args, **kwargs)
    layer._clear_losses()
    return spec


def output_shape(
    layer: Layer, args: tuple[ShapeTree, ...], kwargs: dict[str, ShapeTree], own_spec: bool
) -> ShapeTree:
    """Infer the output's shape from shapes of inputs. own_spec: `compute_output_spec` is not `Layer`'s."""
    if "input_shape" in kwargs:
        args = (kwargs.pop("input_shape"), *args)
    names = call_signature(type(layer).call).names
    kwargs = {k if k in names else k.removesuffix("_shape"): shape for k, shape in kwargs.items()}
    with shapes_only():
        classes = {type(inner).__name__: type(inner) for inner in flatten_layers(layer, False)}
        with custom_object_scope(classes):  # those of sublayers need not be registered
            is_ready = layer.built or layer._hb_building
            runnable = layer if is_ready else type(layer).from_config(layer.get_config())
        inputs = [symbolic_tensors(shape, layer.compute_dtype) for shape in args]
        keywords = symbolic_tensors(kwargs, layer.compute_dtype)
        if layer._hb_building:  # asked by build() of a subclass, after that of our layer
            calls = [vars(cls)["call"] for cls in type(layer).__mro__ if "call" in vars(cls)]
            call = next(call for call in calls if is_own(call))
            specs = infer_types(functools.partial(call, layer), inputs, keywords)
            return tree.pack_sequence_as(specs.structure, [known_or_none(x[0]) for x in specs.leaves])
        # Not a spec that may ask the subclass's `compute_output_shape`, which calls this.
        own_spec = own_spec and is_own(type(layer).compute_output_shape)
        spec = runnable.compute_output_spec if own_spec else functools.partial(inferred_spec, runnable)
        return tree.map_structure(lambda x: x.shape, spec(*inputs, **keywords))
