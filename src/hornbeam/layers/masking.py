"""Masks of layer calls: taken from the inputs, computed, attached to the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.convert import cast
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import is_float

if TYPE_CHECKING:
    from hornbeam.layers.call import LayerCall
    from hornbeam.layers.layer import Layer


def masks_of(structure: Tree) -> Tree:
    """Return the masks of the tensors in a structure; of symbolic tensors, only masks with a history."""
    return tree.map_structure(_mask_of, structure)


def _mask_of(x: object) -> Tensor | None:
    mask = getattr(x, "_keras_mask", None)
    return None if isinstance(mask, KerasTensor) and mask.history is None else mask


def attach_masks(layer: Layer, call: LayerCall, outputs: Tree, mask: Tree) -> None:
    """Compute the masks of the outputs and attach them; warn if the layer drops the mask of its input."""
    is_masked = any(m is not None for m in tree.flatten(mask))
    if not layer.supports_masking:
        if is_masked:
            warn_user(f"{layer.describe()} does not support masking: the mask of its input ends here")
        return
    output_masks = layer.compute_mask(call.first, mask if is_masked else None)
    if output_masks is None:
        return
    for output, output_mask in zip(tree.flatten(outputs), tree.flatten(output_masks), strict=False):
        if isinstance(output, Tensor) and output_mask is not None and output._keras_mask is None:
            output._keras_mask = output_mask


def record_masks(layer: Layer, call: LayerCall, outputs: Tree) -> None:
    """Record how the masks of symbolic outputs are computed, and which masks this call received.

    In Keras these are operations of the model. Here tensors carry their masks, and the record only puts the
    layers into the same order. A mask becomes an argument there, by an alias of a dict, where a layer was
    called as `layer(x)` and had nothing to cast.
    """
    has_one_tensor = call.has_one_tensor
    mask = call.resolve_masks()
    symbols = [x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)]
    if (has_one_tensor or not layer.casts_inputs) and symbols and symbols[0].history is not None:
        arguments = tree.flatten(call.arguments.get("mask"))
        symbols[0].history.masks = [m for m in arguments if isinstance(m, KerasTensor)]
    if layer.supports_masking:
        inputs = tree.map_structure(lambda x: _cast_symbol(layer, x), call.first)
        is_masked = any(m is not None for m in tree.flatten(mask))
        output_masks = tree.flatten(layer.compute_mask(inputs, mask if is_masked else None))
        for symbol, output_mask in zip(symbols, output_masks, strict=False):
            if isinstance(output_mask, KerasTensor):
                symbol._keras_mask = output_mask


def _cast_symbol(layer: Layer, x: Tree) -> Tree:
    dtype = layer._autocast_dtype
    if not isinstance(x, KerasTensor) or dtype in (None, x.dtype) or not is_float(x.dtype):
        return x
    return cast(x, dtype)
