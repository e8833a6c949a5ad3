"""Calls of functions on symbolic tensors, such as `x + 1` and `ops.sum(x)`, as objects of Keras's classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from hornbeam import tree
from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.typing import Tree
from hornbeam.core.dispatch import operation
from hornbeam.core.operation import Operation
from hornbeam.core.operation_names import Split, class_name, is_call_argument
from hornbeam.core.registry import describe_export, serialize
from hornbeam.core.symbolic import KerasTensor, SymbolicCall, set_operation_maker

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


# Module and name in Keras's sources -> class.
_classes: dict[tuple[str, str], type[FunctionOperation]] = {}


class Arguments(NamedTuple):
    """Arguments of an operation's call, without those of its constructor."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    keras_tensors: list[KerasTensor]


class FunctionOperation(Operation):
    """Function of `hornbeam.ops` with fixed options, which are attributes: `Sum(axis=1).axis`.

    Args:
        *args: Options in the order of the function's arguments that are no tensors.
        name: Name of the operation.
        **config: Further options.

    Raises:
        TypeError: If the function has no such option, or needs one more.
    """

    function: Callable[..., Any]
    _keras_module: str

    def __init__(self, *args: Any, name: str | None = None, **config: Any) -> None:
        super().__init__(name or to_snake_case(type(self).__name__))
        parameters = inspect.signature(self.function).parameters
        self._hb_names = [key for key in parameters if not is_call_argument(self.function, key)]
        named = [key for key in self._hb_names if parameters[key].kind not in _VARIADIC]
        options = {**dict(zip(named, args, strict=False)), **config}
        absent = [key for key in named if key not in options and parameters[key].default is inspect._empty]
        unknown = [key for key in options if key not in named] if named == self._hb_names else []
        if absent or unknown or len(args) > len(named):
            raise TypeError(f"{type(self).__name__} takes the options {', '.join(named) or 'none'}")
        defaults = {key: parameters[key].default for key in named if key not in options}
        self._hb_config = {**defaults, **options}

    def __getattr__(self, name: str) -> Any:
        config = vars(self).get("_hb_config", {})
        if name not in config:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return config[name]

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        """Apply the function; a call on symbolic tensors is recorded as one of this operation."""
        outputs = self.call(*args, **kwargs)
        first = next((x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)), None)
        if first is not None and first.history is not None:
            first.history.set_operation(self)
            self._hb_inbound = (*self._hb_inbound, first.history)
        return outputs

    def call(self, *args: Any, **kwargs: Any) -> Tree:
        """Apply the function.

        Args:
            *args: Its tensors.
            **kwargs: Further ones by name.
        """
        function = type(self).function
        parameters = list(inspect.signature(function).parameters)
        # What is before the tensors, such as einsum's subscripts or a loop's body.
        first = next((i for i, key in enumerate(parameters) if key not in self._hb_names), 0)
        options = dict(self._hb_config)
        leading = [options.pop(key) for key in parameters[:first]]
        return function(*leading, *args, **kwargs, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the name and the options."""
        return {"name": self.name, **{key: serialize(value) for key, value in self._hb_config.items()}}

    def _hb_arguments(self, call: SymbolicCall) -> Any:
        split = Split(call.callee, call.args, call.kwargs)
        return Arguments(tuple(split.args), split.kwargs, call.inputs)


def class_of(function: Callable[..., Any]) -> type[FunctionOperation]:
    """Return the class of the calls of a function: `keras.src.ops.numpy.Sum` for `ops.sum`."""
    function = inspect.unwrap(function)
    known = class_name(function)
    if known is None:
        return _new_class("".join(function.__name__.title().split("_")), function)
    if known not in _classes:
        _classes[known] = _new_class(known[1], function)
        describe_export(_classes[known], known[0])
    return _classes[known]


def _new_class(name: str, function: Callable[..., Any]) -> type[FunctionOperation]:
    members = {"function": staticmethod(operation(function)), "__module__": __name__}
    return type(name, (FunctionOperation,), members)


def operation_of(call: SymbolicCall) -> Operation:
    """Return the operation that was called; for a call of a function a new one, named as its class."""
    if isinstance(call.callee, Operation):
        return call.callee
    cls = class_of(call.callee)
    instance = cls(**Split(call.callee, call.args, call.kwargs).config)
    instance._hb_inbound = (call,)
    return instance


set_operation_maker(operation_of)
