"""`Layer`: state (variables, sublayers) and a function on tensors, made when the first input's shape is
known.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from hornbeam import dtype_policies, ops, regularizers, tree
from hornbeam._internal.naming import current_path, nearest, path_scope, to_snake_case, unique_name
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.operation import Operation
from hornbeam.core.registry import exported, serialize
from hornbeam.core.scopes import StatelessScope, current_remat_scope, current_stateless_scope
from hornbeam.core.symbolic import KerasTensor, infer_types, record_call, symbolic_call
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, autocast, eager_scope
from hornbeam.ir.scope import Located, SourceLine, scope
from hornbeam.ir.source_lines import user_line
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import is_float
from hornbeam.layers.call import LayerCall
from hornbeam.layers.context import call_context, shapes_only
from hornbeam.layers.input_spec import check_inputs
from hornbeam.layers.weights import Weighted

L = TypeVar("L", bound="Layer")

# Constructor arguments that every layer takes; the first four are Keras 2's ways to say the input's shape.
_SHAPE_ARGUMENTS = ("input_shape", "batch_input_shape", "input_dim", "input_dtype")
_BASE_ARGUMENTS = ("name", "trainable", "dtype", "activity_regularizer", "autocast")


def _guarded(build: Callable[..., None]) -> Callable[..., None]:
    """`build`, run once: outside of any trace, in the layer's scope, with its shapes remembered."""

    @functools.wraps(build)
    def guarded(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._building:  # super().build(...) of a subclass
            build(self, *args, **kwargs)
            return
        if self.built:
            return
        shapes = inspect.signature(build).bind(self, *args, **kwargs).arguments
        self._building = True
        try:
            with self._scope(), eager_scope(), autocast(None):
                build(self, *args, **kwargs)
        finally:
            self._building = False
        self._mark_built({name: value for name, value in shapes.items() if name != "self"})

    return guarded


@exported("keras")
@exported("keras.layers")
class Layer(Operation, Weighted):
    """A function with state. Subclasses write `call(inputs)`, and `build(input_shape)` if they have weights.

    activity_regularizer: a loss on the output, divided by the batch size. trainable: whether the weights are
    trained. dtype: a dtype or policy (see `dtype_policies`); autocast: whether floating-point inputs are
    converted to the compute dtype. name: unique in its model; made up if None. input_shape, input_dim,
    batch_input_shape: the input's shape, for the first layer of a Sequential model.

    Raises ValueError for unknown arguments, ShapeError where an input does not fit.

    >>> class Double(hornbeam.layers.Layer):
    ...     def call(self, inputs): return inputs * 2
    """

    _building: bool
    _made_at: SourceLine | None
    # Whether `call` may be handed strings, as NumPy arrays; others are told what to put in front.
    takes_strings = False
    # Whether a call casts its inputs; models leave that to their layers.
    _casts_inputs = True
    # Constructor arguments that are not part of the config.
    _not_in_config: frozenset[str] = frozenset()

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        layer = object.__new__(cls)
        layer._start_tracking()
        # Kept for layers without a get_config of their own; what they hold is not this layer's state.
        object.__setattr__(layer, "_constructor", (args, kwargs))
        object.__setattr__(layer, "_building", False)
        # The user's line, for errors.
        object.__setattr__(layer, "_made_at", user_line(sys._getframe(1)))
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _guarded(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"name must be a string without '/', got {name!r}")
        unknown = [key for key in kwargs if key not in _SHAPE_ARGUMENTS]
        if unknown:
            known = [*inspect.signature(type(self).__init__).parameters, *_BASE_ARGUMENTS]
            raise ValueError(
                f"{type(self).__name__} has no argument {unknown[0]!r}.{nearest(unknown[0], known)}"
            )
        self._name = name or unique_name(to_snake_case(type(self).__name__))
        self._path: str | None = None
        self._trainable = bool(trainable)
        self._losses: Sequence[Tensor] = ()
        self._remat = current_remat_scope()
        self._build_shapes: Any = None
        self.built = False
        self.autocast = autocast
        self.dtype_policy = dtype
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_spec: Any = None
        self.supports_masking = type(self).compute_mask is not Layer.compute_mask
        self._take_input_shape(**kwargs)

    def _take_input_shape(
        self,
        input_shape: Any = None,
        batch_input_shape: Any = None,
        input_dim: Any = None,
        input_dtype: Any = None,
    ) -> None:
        if input_dim is not None:
            input_shape = (input_dim,)
        if input_shape is not None:
            batch_input_shape = (None, *((input_shape,) if isinstance(input_shape, int) else input_shape))
        if batch_input_shape is not None:
            # What Sequential makes its Input of.
            self._batch_shape_arg = tuple(batch_input_shape)
            self._input_shape_arg = self._batch_shape_arg[1:]

    # -- names, dtypes ---------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Names of the layers around this one and its own, joined by "/"; known once it is built."""
        return self._path or self._name

    @property
    def dtype_policy(self) -> Any:
        """The dtypes of weights and of computing. May be set, to a policy or its name; weights that are there
        stay as they are."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._dtype_policy = dtype_policies.get(policy)

    @property
    def dtype(self) -> str:
        """Dtype of the weights: the same as `variable_dtype`."""
        return self.variable_dtype

    @property
    def variable_dtype(self) -> str:
        """Dtype of the weights."""
        return self.dtype_policy.at(self.path).variable_dtype

    @property
    def compute_dtype(self) -> str:
        """Dtype in which `call` works."""
        return self.dtype_policy.at(self.path).compute_dtype

    @property
    def _autocast_dtype(self) -> str | None:
        """What floating-point inputs and weights are read as in `call`, or None for as they are."""
        return self.compute_dtype if self.autocast and is_float(self.compute_dtype) else None

    @property
    def input_dtype(self) -> str:
        """Dtype to which floating-point inputs are converted."""
        return self.compute_dtype

    def describe(self) -> str:
        """The layer's path and class, for messages."""
        return f"layer {self.path!r} ({type(self).__name__})"

    def __repr__(self) -> str:
        if "_name" not in self.__dict__:
            return f"<{type(self).__name__}, not initialized>"
        return f"<{type(self).__name__} name={self._name}, built={self.built}>"

    @contextmanager
    def _scope(self) -> Iterator[None]:
        outer = current_path()
        if self._path is None:
            path = f"{outer}/{self._name}" if outer else self._name
            self._path = Located(path, self._made_at) if self._made_at else path
        with path_scope(self._path), scope(self._path):
            yield

    # -- calling ---------------------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's function on tensors. Subclasses write it."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(self, inputs)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer: cast, build if need be, check, settle training and masks, `call`.

        On symbolic tensors the call is recorded and symbolic outputs are returned. `training` and `mask` are
        passed to `call` where it takes them.
        """
        if "_name" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}.__init__() must call super().__init__() before anything else"
            )
        call = LayerCall(self, args, kwargs)
        with call_context(self) as context, self._explained(call):
            if context.entry_layer is self and not call.symbolic:
                self._clear_losses()
            with self._scope():
                self._build_for(call)
                check_inputs(self.input_spec, call.first, self.describe())
                if not call.symbolic:
                    context.training = call.resolve_training(context.training)
                    mask = call.resolve_masks()
                    with autocast(self._autocast_dtype):
                        outputs = call.invoke()
                        self._regularize(outputs)
                        self._pass_mask_on(call, outputs, mask)
                    return outputs
        return self._record(call, args, kwargs)

    def _record(self, call: LayerCall, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Note a call on symbolic tensors."""
        with self._explained(call):
            # Who says what comes out of a layer knows better than a trial.
            if type(self).compute_output_spec is not Layer.compute_output_spec:
                made = self.compute_output_spec(*args, **kwargs)
                outputs = record_call(self, args, kwargs, made)[1]
            else:
                outputs = symbolic_call(self, args, kwargs, run=self.__call__)
            self._follow_masks(call, outputs)
        self._clear_losses()
        self._note_call(outputs)
        return outputs

    def _follow_masks(self, call: LayerCall, outputs: Any) -> None:
        """Record how the masks of symbolic outputs are made, and which masks this call was handed.

        In Keras these are operations of the model. Here values bring their masks along, and what is recorded
        only puts layers in the same order. A mask becomes an argument there, by an alias of a dict, where a
        layer was called as `layer(x)` and had nothing to cast.
        """
        alone = call.alone
        mask = call.resolve_masks()
        flat = [x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)]
        if (alone or not self._casts_inputs) and flat and flat[0].history is not None:
            given = tree.flatten(call.arguments.get("mask"))
            flat[0].history.masks = [m for m in given if isinstance(m, KerasTensor)]
        if self.supports_masking:
            inputs = tree.map_structure(self._cast_symbol, call.first)
            masked = any(m is not None for m in tree.flatten(mask))
            for x, made in zip(
                flat, tree.flatten(self.compute_mask(inputs, mask if masked else None)), strict=False
            ):
                if isinstance(made, KerasTensor):
                    x._keras_mask = made

    def _cast_symbol(self, x: Any) -> Any:
        wanted = self._autocast_dtype
        if not isinstance(x, KerasTensor) or wanted in (None, x.dtype) or not is_float(x.dtype):
            return x
        return cast(x, wanted)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call on symbolic tensors: the same as calling the layer on them."""
        return self(*args, **kwargs)

    @contextmanager
    def _explained(self, call: LayerCall) -> Iterator[None]:
        """Errors that pass through say, once, in which layer and on what inputs they came up."""
        try:
            yield
        except Exception as error:
            if not hasattr(error, "hornbeam_layer"):
                error.hornbeam_layer = self.path  # type: ignore[attr-defined]
                text = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
                where = f"  in {self.describe()}, called with {call.summary()}"
                error.args = (f"{text}\n{where}", *error.args[1:])
            raise

    def _regularize(self, outputs: Any) -> None:
        """The penalty on outputs, a sample: divided by the batch size, as Keras does."""
        if self.activity_regularizer is not None:
            for output in tree.flatten(outputs):
                penalty = self.activity_regularizer(output)
                self.add_loss(penalty / output.shape[0] if output.ndim else penalty)

    def _pass_mask_on(self, call: LayerCall, outputs: Any, mask: Any) -> None:
        masked = any(m is not None for m in tree.flatten(mask))
        if not self.supports_masking:
            if masked:
                warnings.warn(
                    f"{self.describe()} does not support masking: the mask of its input ends here",
                    stacklevel=4,
                )
            return
        made = self.compute_mask(call.first, mask if masked else None)
        if made is None:
            return
        tensors, masks = tree.flatten(outputs), tree.flatten(made)
        for output, output_mask in zip(tensors, masks, strict=False):
            if isinstance(output, Tensor) and output_mask is not None and output._keras_mask is None:
                output._keras_mask = output_mask

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output, given the input's; by default it is handed on."""
        return previous_mask

    # -- building --------------------------------------------------------------------------------------------

    @_guarded
    def build(self, input_shape: Any) -> None:
        """Make the weights for an input of `input_shape` (None for unknown sizes). Runs once.

        Layers without weights of their own need not write it; what they are composed of is built by a trial
        run.
        """
        if type(self).build is Layer.build:
            self._try_out(input_shape)

    def _try_out(self, *shapes: Any) -> None:
        """Build what this layer is composed of, by a trial run on symbols, one for each argument."""
        if self._sublayers():
            self.built = True
            infer_types(self.__call__, _symbols(shapes, self.compute_dtype), {})
            self._clear_losses()

    def _build_for(self, call: LayerCall) -> None:
        if self.built:
            return
        if type(self).build is Layer.build:
            self._mark_built(call.shapes)
            return
        parameters = list(inspect.signature(type(self).build).parameters.values())[1:]
        if not call.shapes and "_keras_module" in type(self).__dict__:
            raise TypeError(
                f"{self.describe()} takes tensors or arrays, got {call.first!r} ({type(call.first).__name__})"
            )
        if len(parameters) == 1:
            self.build(next(iter(call.shapes.values()), None))
            return
        needed = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        absent = [name for name in needed if name not in call.shapes]
        if absent:
            raise ValueError(
                f"{self.describe()}: build() wants {absent[0]!r}, but only {', '.join(call.shapes)} are "
                "known: name its "
                "arguments after those of call(), with _shape behind"
            )
        names = {p.name for p in parameters}
        self.build(**{name: shape for name, shape in call.shapes.items() if name in names})

    def _mark_built(self, shapes: Mapping[str, Any]) -> None:
        self._build_shapes = _Shapes(shapes)
        self.built = True
        self._locked = True

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the layer was built with, or None."""
        if not self.built or self._build_shapes is None:
            return None
        shapes = self._build_shapes.shapes
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": dict(shapes)} if shapes else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build with the shapes of `get_build_config`."""
        if "input_shape" in config:
            self.build(_as_shapes(config["input_shape"]))
        elif "shapes_dict" in config:
            self.build(**{name: _as_shapes(shape) for name, shape in config["shapes_dict"].items()})

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors of the shapes and dtypes that a call gives."""
        specs = infer_types(self.__call__, args, kwargs)
        self._clear_losses()
        made = [KerasTensor(*spec) if isinstance(spec, tuple) else spec for spec in specs.leaves]
        return tree.pack_sequence_as(specs.structure, made)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of the output for an input of the given shape, found by a trial run on shapes alone.

        A layer that is not built yet stays so: a copy of it is tried.
        """
        with shapes_only():
            layer = self if self.built else type(self).from_config(self.get_config())
            inputs, named = _symbols((args, kwargs), self.compute_dtype)
            return tree.map_structure(lambda x: x.shape, layer.compute_output_spec(*inputs, **named))

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, list[Tensor]]:
        """The layer as a pure function: outputs and new non-trainable values for given values of the
        variables.

        return_losses: add the list of losses.
        """
        mapping = [
            *self._paired("trainable", self.trainable_variables, trainable_variables),
            *self._paired("non-trainable", self.non_trainable_variables, non_trainable_variables),
        ]
        with StatelessScope(mapping) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else []
        new = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return (outputs, new, losses) if return_losses else (outputs, new)  # type: ignore[return-value]

    def _paired(self, kind: str, own: Sequence[Variable], given: Sequence[Any]) -> list[tuple[Variable, Any]]:
        """Variables with the values given for them."""
        if not self.built:
            raise ValueError(f"{self.describe()} is not built: call it on data, or build(input_shape), first")
        if len(own) != len(given):
            raise ValueError(f"{self.describe()} has {len(own)} {kind} variables, got {len(given)} values")
        return list(zip(own, given, strict=True))

    # -- losses ----------------------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a loss (or several) to what training minimises; called inside `call`. Of a tensor, its sum."""
        for part in tree.flatten(loss):
            value = as_tensor(part)
            if value.shape != ():
                value = ops.sum(value)
            self._losses = (*self._losses, value)
            scope = current_stateless_scope()
            if scope is not None and scope.collect_losses:
                scope.add_loss(value)

    @property
    def losses(self) -> list[Tensor]:
        """Losses added in the last call, here and in the layers inside, then the penalties on weights."""
        level = current_level()
        added = [
            loss for layer in self._flatten_layers() for loss in layer._losses if loss.node.level <= level
        ]
        return added + [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._losses = ()

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Not in Keras 3: raises NotImplementedError that says what to do."""
        raise NotImplementedError(
            "add_metric is Keras 2: pass metrics to compile(metrics=[...]), or keep a metric as an "
            "attribute and update it in call() with update_state()"
        )

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Not there: raises NotImplementedError."""
        raise NotImplementedError("quantized layers are not in this version of Hornbeam")

    # -- config ----------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same layer again, as plain values.

        A layer of this library is described by its constructor's arguments, read back from attributes of the
        same names. A subclass that does not write `get_config` is described by what it was made with.

        Raises TypeError for an argument that has no config.
        """
        config = self._base_config()
        owner = next(cls for cls in type(self).__mro__ if "_keras_module" in cls.__dict__)
        if owner is not Layer:
            for argument in _arguments(owner):
                if argument not in self._not_in_config and argument not in config:
                    config[argument] = serialize_argument(getattr(self, argument))
        elif type(self).get_config is Layer.get_config:
            config.update(self._constructor_config())
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = serialize_argument(self.activity_regularizer)
        return config

    def _base_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": dtype_policies.serialize(self.dtype_policy),
        }

    def _constructor_config(self) -> dict[str, Any]:
        args, kwargs = self._constructor  # type: ignore[attr-defined]
        if type(self) is Layer:
            return {"activity_regularizer": None, "autocast": self.autocast}
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs).arguments
        bound.pop(next(iter(bound)))  # self, whatever its author calls it
        rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        bound.update(bound.pop(rest[0], {}) if rest else {})
        return {
            key: serialize_argument(value)
            for key, value in bound.items()
            if key not in ("self", *_BASE_ARGUMENTS)
        }

    @classmethod
    def from_config(cls: type[L], config: dict[str, Any]) -> L:
        """The layer that a config describes. Raises TypeError if the class does not take an argument."""
        config = dict(config)
        later: dict[str, Any] = {}
        parameters = inspect.signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            later = {
                key: config.pop(key)
                for key in ("name", "trainable", "dtype")
                if key in config and key not in parameters
            }
        try:
            layer = cls(**config)
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}.from_config: {error}. Its config has {', '.join(config) or 'nothing'}; "
                "write get_config() "
                "so that it returns the arguments of __init__()"
            ) from error
        if "name" in later:
            layer._name = later["name"]
        if "dtype" in later:
            layer.dtype_policy = later["dtype"]
        if not later.get("trainable", True):
            layer.trainable = False
        return layer


class _Shapes:
    """The shapes a layer was built with; not a dict, so that tracking need not look into it."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self.shapes = dict(shapes)


def serialize_argument(value: Any) -> Any:
    """A constructor's argument as plain values; tuples stay tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(serialize_argument(x) for x in value)
    if isinstance(value, Mapping):
        return {key: serialize_argument(x) for key, x in value.items()}
    return serialize(value)


def _arguments(cls: type) -> tuple[str, ...]:
    """Names of a constructor's arguments."""
    return _arguments_of(cls.__init__)  # type: ignore[misc]


@functools.cache
def _arguments_of(constructor: Callable[..., None]) -> tuple[str, ...]:
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def is_shape(x: Any) -> bool:
    """True for a tuple or list of sizes, some of which may be None."""
    return isinstance(x, (list, tuple)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in x
    )


def _symbols(structure: Any, dtype: str) -> Any:
    """Symbolic tensors in place of the shapes in a structure."""
    if is_shape(structure) and len(structure):
        return KerasTensor(structure, dtype)
    if isinstance(structure, dict):
        return {key: _symbols(value, dtype) for key, value in structure.items()}
    return (
        type(structure)(_symbols(value, dtype) for value in structure)
        if isinstance(structure, (list, tuple))
        else structure
    )


def _as_shapes(structure: Any) -> Any:
    """Shapes out of JSON: lists of sizes become tuples."""
    if is_shape(structure):
        return tuple(structure)
    if isinstance(structure, dict):
        return {key: _as_shapes(value) for key, value in structure.items()}
    return [_as_shapes(value) for value in structure] if isinstance(structure, list) else structure
