"""Models from models: copies, and models from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.dispatch import operation as recorded
from hornbeam.core.operation import Operation
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.layers import InputLayer, Layer
from hornbeam.models.functional import Functional
from hornbeam.models.model import Model
from hornbeam.models.sequential import Sequential


@exported("keras.models")
def clone_model(
    model: Model,
    input_tensors: Tree = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """Build a model of the same architecture with new layers and new weights, compiled as the model is.

    Args:
        model: The model to copy.
        input_tensors: Symbolic tensors to begin with, by default new ones.
        clone_function: Function that copies a layer, by default
            `layer.__class__.from_config(layer.get_config())`.
        call_function: Called as `call_function(layer, *args, **kwargs)` in place of `layer(*args, **kwargs)`;
            functional models only.
        recursive: Also copy nested models layer by layer.
        **kwargs: None are accepted.

    Returns:
        The copy.

    Raises:
        ValueError: For arguments that a kind of model does not take.

    Example:
        >>> copy = hornbeam.models.clone_model(model)  # doctest: +SKIP
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model takes a Model, got {model!r}")
    if kwargs:
        raise TypeError(f"clone_model() does not accept {', '.join(map(repr, kwargs))}")

    def copy(layer: Layer) -> Layer:
        if recursive and isinstance(layer, (Functional, Sequential)):
            return clone_model(layer, clone_function=clone_function, recursive=True)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    clone = _clone(model, input_tensors, copy, clone_function, call_function)
    if model.compiled and not clone.compiled:
        clone.compile_from_config(model.get_compile_config() or {})
    return clone


def _clone(
    model: Model,
    input_tensors: Tree,
    copy: Callable[[Layer], Layer],
    clone_function: Callable[[Layer], Layer] | None,
    call_function: Callable[..., Any] | None,
) -> Model:
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("call_function works with functional models only")
        return _clone_sequential(model, input_tensors, copy)
    if isinstance(model, Functional):
        return _clone_functional(model, input_tensors, copy, call_function)
    if clone_function is not None or input_tensors is not None or call_function is not None:
        raise ValueError(
            f"{type(model).__name__} is a subclassed model: it can only be cloned as it is, without "
            "input_tensors, clone_function and call_function"
        )
    return type(model).from_config(model.get_config())


def _clone_sequential(model: Sequential, input_tensors: Any, copy: Callable[[Layer], Layer]) -> Sequential:
    clone = Sequential(name=model.name)
    inputs = tree.flatten(input_tensors) if input_tensors is not None else []
    if len(inputs) > 1:
        raise ValueError(f"a Sequential model has one input, got {len(inputs)} input_tensors")
    if inputs:
        history = inputs[0].history
        known = history is not None and isinstance(history.callee, InputLayer)
        clone.add(inputs[0] if known else InputLayer(batch_shape=inputs[0].shape, dtype=inputs[0].dtype))
    for layer in model._hb_stack:
        if not (inputs and isinstance(layer, InputLayer)):
            clone.add(copy(layer))
    if not clone.built and model.built and model._hb_tensors.values:
        clone.build(model._hb_tensors.values[0].shape)
    if not model.trainable:
        clone.trainable = False
    return clone


def _inputs_like(model: Functional, input_tensors: Any) -> list[Any]:
    """Return the symbolic tensors that a copy begins with: `input_tensors`, or new ones like the model's."""
    inputs = model._hb_graph.inputs
    if input_tensors is not None:
        tensors = tree.flatten(input_tensors)
        if isinstance(model.input, dict) != isinstance(input_tensors, dict) and len(inputs) > 1:
            raise ValueError(
                f"input_tensors must have the structure of the model's inputs, a {type(model.input).__name__}"
                f", got a {type(input_tensors).__name__}"
            )
        if len(tensors) != len(inputs) or not all(isinstance(x, KerasTensor) for x in tensors):
            raise ValueError(f"input_tensors must be {len(inputs)} symbolic tensors")
        return tensors
    tensors = []
    for x in inputs:
        layer = x.history.callee if x.history is not None else None
        if isinstance(layer, InputLayer):
            tensors.append(InputLayer.from_config(layer.get_config()).output)
        else:
            tensors.append(InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name or None).output)
    return tensors


def _clone_functional(
    model: Functional,
    input_tensors: Any,
    copy: Callable[[Layer], Layer],
    call_function: Callable[..., Any] | None,
) -> Model:
    graph = model._hb_graph
    inputs = _inputs_like(model, input_tensors)
    new_tensors: dict[int, Any] = {id(old): new for old, new in zip(graph.inputs, inputs, strict=True)}
    copies: dict[int, Any] = {}

    def resolve(x: Tree) -> Any:
        return new_tensors[id(x)] if isinstance(x, KerasTensor) else x

    def copied(operation: Any) -> Any:
        if isinstance(operation, Layer):
            if id(operation) not in copies:
                copies[id(operation)] = copy(operation)
            return copies[id(operation)]
        return operation if isinstance(operation, Operation) else recorded(operation)

    for call in graph.calls:
        if isinstance(call.callee, InputLayer):
            continue
        operation = copied(call.callee)
        args, kwargs = tree.map_structure(resolve, (call.args, call.kwargs))
        if call_function is not None and isinstance(operation, Layer):
            result = call_function(operation, *args, **kwargs)
        else:
            result = operation(*args, **kwargs)
        for old, new in zip(tree.flatten(call.result), tree.flatten(result), strict=True):
            new_tensors[id(old)] = new
    ends = tree.map_structure(resolve, model.input), tree.map_structure(resolve, model.output)
    clone = Model(inputs=ends[0], outputs=ends[1], name=model.name)
    if not model.trainable:
        clone.trainable = False
    return clone


@exported("keras.models")
def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Build the model that `Model.to_json` described, with new weights.

    Args:
        json_string: Result of `Model.to_json`.
        custom_objects: Classes and functions of the user's by name.

    Returns:
        A model.

    Raises:
        UnknownObjectError: For unknown names.
    """
    return deserialize(json.loads(json_string), custom_objects)
