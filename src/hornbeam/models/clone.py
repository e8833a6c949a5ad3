"""Models out of models: copies, and models from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hornbeam import tree
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
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """A model of the same architecture with new layers and new weights.

    input_tensors: symbolic tensors to begin with. clone_function: makes the copy of a layer; by default
    `layer.__class__.from_config(layer.get_config())`. call_function: called as `call_function(layer, *args,
    **kwargs)` in
    place of `layer(*args, **kwargs)`; functional models only. recursive: nested models are copied layer by
    layer too.

    Raises ValueError for arguments that a kind of model does not take.

    >>> twin = hornbeam.models.clone_model(model)  # doctest: +SKIP
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model takes a Model, got {model!r}")
    if kwargs:
        raise TypeError(f"clone_model() does not know {', '.join(map(repr, kwargs))}")

    def copy(layer: Layer) -> Layer:
        if recursive and isinstance(layer, (Functional, Sequential)):
            return clone_model(layer, clone_function=clone_function, recursive=True)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("call_function works with functional models only")
        return _clone_sequential(model, input_tensors, copy)
    if isinstance(model, Functional):
        return _clone_functional(model, input_tensors, copy, call_function)
    if clone_function is not None or input_tensors is not None or call_function is not None:
        raise ValueError(
            f"{type(model).__name__} is a subclassed model: it can only be cloned as a whole, without "
            f"input_tensors, "
            "clone_function and call_function"
        )
    return type(model).from_config(model.get_config())


def _clone_sequential(model: Sequential, input_tensors: Any, copy: Callable[[Layer], Layer]) -> Sequential:
    made = Sequential(name=model.name)
    given = tree.flatten(input_tensors) if input_tensors is not None else []
    if len(given) > 1:
        raise ValueError(f"a Sequential model has one input, got {len(given)} input_tensors")
    if given:
        made.add(given[0])
    for layer in model._stack:
        if not (given and isinstance(layer, InputLayer)):
            made.add(copy(layer))
    if not made.built and model.built and model._tensors.values:
        made.build(model._tensors.values[0].shape)
    if not model._trainable:
        made.trainable = False
    return made


def _inputs_like(inputs: list[KerasTensor], given: Any) -> list[Any]:
    """The symbolic tensors that a copy begins with: the given ones, or new ones like `inputs`."""
    if given is not None:
        tensors = tree.flatten(given)
        if len(tensors) != len(inputs) or not all(isinstance(x, KerasTensor) for x in tensors):
            raise ValueError(f"input_tensors must be {len(inputs)} symbolic tensors")
        return tensors
    made = []
    for x in inputs:
        layer = x.history.operation if x.history is not None else None
        if isinstance(layer, InputLayer):
            made.append(InputLayer.from_config(layer.get_config()).output)
        else:
            made.append(InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name or None).output)
    return made


def _clone_functional(
    model: Functional,
    input_tensors: Any,
    copy: Callable[[Layer], Layer],
    call_function: Callable[..., Any] | None,
) -> Model:
    graph = model._graph
    given = _inputs_like(graph.inputs, input_tensors)
    known: dict[int, Any] = {id(old): new for old, new in zip(graph.inputs, given, strict=True)}
    copies: dict[int, Any] = {}

    def settle(x: Any) -> Any:
        return known[id(x)] if isinstance(x, KerasTensor) else x

    def copied(part: Any) -> Any:
        if isinstance(part, Layer):
            if id(part) not in copies:
                copies[id(part)] = copy(part)
            return copies[id(part)]
        return part if isinstance(part, Operation) else recorded(part)

    for call in graph.calls:
        if isinstance(call.operation, InputLayer):
            continue
        operation = copied(call.operation)
        args, kwargs = tree.map_structure(settle, (call.args, call.kwargs))
        if call_function is not None and isinstance(operation, Layer):
            result = call_function(operation, *args, **kwargs)
        else:
            result = operation(*args, **kwargs)
        for old, new in zip(tree.flatten(call.outputs), tree.flatten(result), strict=True):
            known[id(old)] = new
    inputs = tree.map_structure(settle, model.input)
    outputs = tree.map_structure(settle, model.output)
    made = Model(inputs=inputs, outputs=outputs, name=model.name)
    if not model._trainable:
        made.trainable = False
    return made


@exported("keras.models")
def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """The model that `to_json` described, with new weights. Raises UnknownObjectError for unknown names."""
    return deserialize(json.loads(json_string), custom_objects)
