"""Arguments of one layer call: bound to names, cast to the compute dtype, with their masks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.call_errors import argument_hint
from hornbeam._internal.naming import current_path
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.symbolic import holds_strings, strings_refused
from hornbeam.core.tensor import Tensor, copy_mask
from hornbeam.distribution import distribution
from hornbeam.ir.sizes import known_or_none
from hornbeam.ir.types import HornbeamTypeError, is_float
from hornbeam.layers.context import current_call_hook
from hornbeam.layers.masking import masks_of

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


class CallSignature:
    """Parameters of the `call` method of a layer class."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.signature = inspect.signature(call)
        # The first parameter is self.
        self.parameters = list(self.signature.parameters.values())[1:]
        self.signature = self.signature.replace(parameters=self.parameters)
        self.names = [p.name for p in self.parameters]
        self.takes_training = "training" in self.names
        self.variadic = next((p.name for p in self.parameters if p.kind is p.VAR_POSITIONAL), None)
        default = self.signature.parameters["training"].default if self.takes_training else None
        required = default is inspect.Parameter.empty
        self.default_training = None if required else default
        # Position of a `training` without a default, which callers may omit all the same, as in Keras 2.
        self.training_position = self.names.index("training") if required else None


call_signature = functools.lru_cache(maxsize=None)(CallSignature)


def is_array(x: object) -> bool:
    """True for tensors and for objects with a shape that NumPy converts to arrays."""
    return isinstance(x, Tensor) or (hasattr(x, "__array__") and hasattr(x, "shape"))


class LayerCall:
    """One call of `layer`: `arguments` by name, in the order of the signature."""

    def __init__(self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.layer = layer
        self.spec = call_signature(type(layer).call)
        kwargs = dict(kwargs)
        self.training = kwargs.get("training")
        # `training` and `mask` may be passed to every layer, even if its `call` has no such parameter.
        for name in ("training", "mask"):
            if name in kwargs and name not in self.spec.names and not self._takes_any():
                kwargs.pop(name)
        if self.spec.training_position is not None and len(args) <= self.spec.training_position:
            kwargs.setdefault("training", None)
        try:
            bound = self.spec.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{layer.describe()}: {error}. {self._advice(args, kwargs)}") from None
        self.bound = bound
        self.arguments = bound.arguments
        for name, value in self.arguments.items():
            if not layer._convert_input_args:
                continue
            if name == self.spec.names[0]:
                value = _list_to_array(value, layer.takes_strings)
            self.arguments[name] = tree.map_structure(self._convert, value)
        if self.training is None:
            self.training = self.arguments.get("training")
        shape = getattr(self.training, "shape", ())
        if shape != ():
            raise TypeError(
                f"{layer.describe()}: `training` is True or False, got a tensor of shape "
                f"{tuple(shape)}. Several tensors go into one list: layer([a, b])."
            )
        leaves = tree.flatten(list(self.arguments.values()))
        self.symbolic = any(isinstance(x, Tensor) and x.symbolic for x in leaves)

    def _advice(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return what was probably meant by arguments that do not fit `call`."""
        first = next(iter(inspect.signature(type(self.layer).call).parameters), "")
        if not self.spec.names and first not in ("self", ""):
            return f"Is `self` missing? Write call(self, {first})"
        unknown = [name for name in kwargs if name not in self.spec.names]
        hint = argument_hint(unknown[0], [*self.spec.names, "training", "mask"]) if unknown else ""
        tensors = len(args) > 1 and all(is_array(x) for x in args)
        if tensors and sum(p.default is p.empty for p in self.spec.parameters) == 1:
            hint = " Several tensors go into one list: layer([a, b])."
        if self.spec.names[:2] == ["query", "value"] and len(args) == 1:
            hint = " For self-attention write layer(x, x)."
        return f"It takes ({', '.join(self.spec.names)}).{hint}"

    def _takes_any(self) -> bool:
        return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in self.spec.parameters)

    def _convert(self, x: Any) -> Any:
        if not is_array(x):
            return x
        if holds_strings(x):
            if not self.layer.takes_strings:
                raise HornbeamTypeError(strings_refused(self.layer.describe(), x))
            return x if isinstance(x, Tensor) else np.asarray(x)
        x = as_tensor(x)
        dtype = self.layer._autocast_dtype if self.layer.casts_inputs else None
        if x.symbolic or dtype is None or not is_float(x.dtype) or x.dtype == dtype:
            return x
        converted = cast(x, dtype)
        copy_mask(x, converted)
        return converted

    @property
    def first(self) -> Tree:
        """The first argument, to which `input_spec`, masks and errors refer."""
        return self._one(*next(iter(self.arguments.items()), ("", None)))

    def _one(self, name: str, value: Any) -> Any:
        """Return the only argument of `call(self, *args)`, any other as it is."""
        return value[0] if name == self.spec.variadic and len(value) == 1 else value

    @functools.cached_property
    def tensors(self) -> dict[str, Any]:
        """Arguments that are tensors, arrays of strings, or structures of them, without masks."""
        return {
            name: self._one(name, value)
            for name, value in self.arguments.items()
            if name != "mask"
            and not name.endswith("_mask")
            and any(isinstance(x, (Tensor, np.ndarray)) for x in tree.flatten(value))
        }

    @functools.cached_property
    def shapes(self) -> dict[str, Any]:
        """`{argument}_shape` for every tensor argument, in its structure."""
        return {f"{name}_shape": tree.map_structure(_shape_of, value) for name, value in self.tensors.items()}

    @property
    def all_shapes(self) -> dict[str, Any]:
        """The same, with those of arguments such as `attention_mask`, but not of `mask`."""
        masks = {
            f"{name}_shape": tree.map_structure(_shape_of, value)
            for name, value in self.arguments.items()
            if name.endswith("_mask") and isinstance(value, (Tensor, np.ndarray))
        }
        return {**self.shapes, **masks}

    def resolve_training(self, inherited: bool | None) -> bool | None:
        """Return the argument, else the flag of the calling layer, else the default of `call`."""
        training = self.training if self.training is not None else inherited
        if training is None:
            training = self.spec.default_training
        if self.spec.takes_training and training is not None:
            self.arguments["training"] = training
        return training

    def resolve_masks(self) -> Tree:
        """Pass the masks of tensors to `mask` arguments. Return the mask of the first argument."""
        names = self.spec.names
        if len(self.tensors) == 1 and "mask" in names:
            if self.arguments.get("mask") is None:
                mask = masks_of(next(iter(self.tensors.values())))
                if any(m is not None for m in tree.flatten(mask)):
                    self.arguments["mask"] = mask
            return self.arguments.get("mask")
        for name, value in self.tensors.items():
            label = f"{name}_mask"
            if label in names and self.arguments.get(label) is None:
                mask = masks_of(value)
                if any(m is not None for m in tree.flatten(mask)):
                    self.arguments[label] = mask
        explicit_mask = self.arguments.get("mask")
        return masks_of(self.first) if explicit_mask is None else explicit_mask

    @property
    def has_one_tensor(self) -> bool:
        """True if the call is `layer(x)` with one tensor of the layer's dtype."""
        x = self.first
        return len(self.arguments) == 1 and isinstance(x, Tensor) and x.dtype == self.layer.compute_dtype

    def invoke(self) -> Tree:
        """Run the layer's `call`."""
        ordered = {name: self.arguments[name] for name in self.spec.names if name in self.arguments}
        bound = inspect.BoundArguments(self.spec.signature, ordered)
        call, hook = self.layer._call_of_mode(), current_call_hook()
        if self.layer._hb_remat is not None:
            call = self.layer.rematerialized_call(call, *bound.args, **bound.kwargs)
        if hook is None:
            outputs = call(*bound.args, **bound.kwargs)
        else:
            outputs = hook(self.layer, functools.partial(call, *bound.args, **bound.kwargs))
        # Only our own, such as InputLayer's, may return nothing.
        if outputs is None and not self.layer._losses and not is_own(type(self.layer).call):
            warning_policy.on_warning(
                f"{type(self.layer).__name__}.call() returned None: is a `return` missing at its end?"
            )
        active = distribution()
        return outputs if active is None else active.constrain(outputs, f"{current_path()}/output")

    def summary(self) -> str:
        """Describe the arguments in one line, for errors."""
        return ", ".join(f"{name}={_describe(value)}" for name, value in self.arguments.items())

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Append the layer and its inputs to the message of an error, once: in the innermost layer."""
        try:
            yield
        except Exception as error:
            if not hasattr(error, "hornbeam_layer"):
                error.hornbeam_layer = self.layer.path  # type: ignore[attr-defined]
                text = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
                where = f"  in {self.layer.describe()}, called with {self.summary()}"
                error.args = (f"{text}\n{where}", *error.args[1:])
            raise


def _shape_of(x: Any) -> tuple[int | None, ...] | None:
    if not isinstance(x, (Tensor, np.ndarray)):
        return None
    return known_or_none(x.shape)


def _list_to_array(value: Any, strings: bool) -> Any:
    """Convert a list of numbers, such as [[1.0, 2.0]], to a tensor, and one of strings to an array."""
    if not isinstance(value, (list, tuple)) or not len(value):
        return value
    leaves = tree.flatten(value)
    if all(isinstance(x, (bool, int, float)) for x in leaves):
        return as_tensor(value)
    if strings and all(isinstance(x, (str, bytes)) for x in leaves):
        return np.array(value, object)
    return value


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_describe(x)}" for key, x in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_describe, value)) + "]"
    return repr(value) if isinstance(value, (bool, int, float, str, type(None))) else type(value).__name__
