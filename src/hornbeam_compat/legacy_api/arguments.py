"""Arguments under their earlier names: tables and patches.

The tables of layers are in `saving.legacy.keras1_names`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hornbeam import Layer, Optimizer, Tensor, Variable, ops, optimizers
from hornbeam.extensions.files import KERAS1_ARGUMENTS
from hornbeam_compat.messages import log_deprecated, log_once
from hornbeam_compat.patch import Patch

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import Tree

R = TypeVar("R")

# Marks an argument that was removed, here as in the tables of layers.
REMOVED = ""

DATA_FORMATS = {"tf": "channels_last", "th": "channels_first"}

_QUEUES = {
    "max_queue_size": REMOVED, "max_q_size": REMOVED, "workers": REMOVED, "use_multiprocessing": REMOVED,
    "pickle_safe": REMOVED,
}  # fmt: skip

METHODS: dict[str, Mapping[str, str]] = {
    "fit": {"nb_epoch": "epochs", "show_accuracy": REMOVED, **_QUEUES},
    "evaluate": {"show_accuracy": REMOVED, **_QUEUES},
    "predict": _QUEUES,
    "train_on_batch": {"reset_metrics": REMOVED},
    "test_on_batch": {"reset_metrics": REMOVED},
    "save": {"signatures": REMOVED, "options": REMOVED, "save_traces": REMOVED},
    "save_weights": {"save_format": REMOVED, "options": REMOVED},
    "load_weights": {"options": REMOVED},
    "compile": {
        "class_mode": REMOVED, "sample_weight_mode": REMOVED, "experimental_run_tf_function": REMOVED,
    },
}  # fmt: skip

# Arguments of a base class that had no effect: these layers have `depthwise_` and `pointwise_` ones.
_KERNEL = {f"kernel_{kind}": REMOVED for kind in ("initializer", "regularizer", "constraint")}
_IGNORED = {f"{kind}Conv{n}D": _KERNEL for kind in ("Depthwise", "Separable") for n in (1, 2)}

CALLBACKS: dict[str, Mapping[str, str]] = {
    "ModelCheckpoint": {"period": REMOVED, "options": REMOVED},
    "ReduceLROnPlateau": {"epsilon": "min_delta"},
    "TensorBoard": {"write_grads": REMOVED, "batch_size": REMOVED},
}


def rename_arguments(kwargs: Mapping[str, Any], names: Mapping[str, str], function: str) -> dict[str, Any]:
    """Return `kwargs` under their present names, with a line on stderr for each renamed one."""
    renamed = {}
    for name, value in kwargs.items():
        new = names.get(name)
        if new is None:
            renamed[name] = value
        elif new == REMOVED:
            log_once(f"{function}({name}=) is obsolete and ignored")
        else:
            log_deprecated(f"{function}({name}=)", f"{new}=")
            renamed[new] = DATA_FORMATS.get(value, value) if new == "data_format" else value
    return renamed


def with_earlier_names(function: Callable[..., R], **names: str) -> Callable[..., R]:
    """Return a function that also takes arguments by their earlier names, as in `rep="repeats"`."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> R:
        return function(*args, **{names.get(name, name): value for name, value in kwargs.items()})

    return call


def accept_names(target: type, method: str, names: Mapping[str, str], function: str | None = None) -> Patch:
    """Return a patch by which `target.method` accepts earlier names, except for those that it still has."""
    fn: Callable[..., Any] = getattr(target, method)
    parameters = set(inspect.signature(fn).parameters)
    table = {old: new for old, new in names.items() if old not in parameters}

    @functools.wraps(fn)
    def wrapper(self: object, *args: object, **kwargs: object) -> object:
        if not table.keys().isdisjoint(kwargs):
            kwargs = rename_arguments(kwargs, table, function or type(self).__name__)
        return fn(self, *args, **kwargs)

    return Patch(target, method, wrapper)


def patches() -> Iterator[Patch]:
    """Yield patches that translate calls of layers, optimizers, callbacks and models."""
    from hornbeam import callbacks, layers, models

    for name, table in {**KERAS1_ARGUMENTS, **_IGNORED}.items():
        names = {**KERAS1_ARGUMENTS.get(name, {}), **table}
        names.pop("input_length", None)  # the size of an input, which files have in another place as well
        yield accept_names(getattr(layers, name), "__init__", names)
    for name, table in CALLBACKS.items():
        if hasattr(callbacks, name):
            yield accept_names(getattr(callbacks, name), "__init__", table)
    for name, table in METHODS.items():
        yield accept_names(models.Model, name, table, f"Model.{name}")
    for target in (layers.Layer, models.Functional):
        yield accept_names(target, "add_loss", {"inputs": REMOVED}, "add_loss")
    for name in ("AveragePooling1D", "AveragePooling2D", "AveragePooling3D"):
        yield _with_default(getattr(layers, name), "pool_size", 2)
    yield _accept_size(layers.InputLayer)
    yield _accept_slash(layers.Layer)
    shapes = (*layers.Layer._shape_arguments, "batch_size", "input_length", "weights")
    yield Patch(layers.Layer, "_shape_arguments", shapes)
    yield _log_input_shapes(layers.Layer)
    yield _set_first_weights(layers.Layer)
    yield from _rate_patches()


def _with_default(layer: type[Layer], name: str, value: object) -> Patch:
    """Return a patch by which the first argument of a layer has a default."""
    init: Callable[..., None] = layer.__init__

    @functools.wraps(init)
    def wrapper(self: Layer, *args: object, **kwargs: object) -> None:
        init(self, *args, **(kwargs if args else {name: value, **kwargs}))

    return Patch(layer, "__init__", wrapper)


def _accept_size(layer: type[Layer]) -> Patch:
    """Return a patch by which `Input(shape=200)` is `Input(shape=(200,))`."""
    init: Callable[..., None] = layer.__init__

    @functools.wraps(init)
    def wrapper(self: Layer, shape: object = None, *args: object, **kwargs: object) -> None:
        if isinstance(shape, int):
            log_deprecated(f"Input(shape={shape})", f"shape=({shape},)")
            shape = (shape,)
        init(self, shape, *args, **kwargs)

    return Patch(layer, "__init__", wrapper)


def _accept_slash(layer: type[Layer]) -> Patch:
    """Return a patch by which names of layers may contain slashes."""
    init: Callable[..., None] = layer.__init__

    @functools.wraps(init)
    def wrapper(self: Layer, *, name: str | None = None, **kwargs: object) -> None:
        slashed = isinstance(name, str) and "/" in name
        init(self, name=name.replace("/", "_") if name and slashed else name, **kwargs)
        if slashed:
            object.__setattr__(self, "_name", name)

    return Patch(layer, "__init__", wrapper)


def _log_input_shapes(layer: type[Layer]) -> Patch:
    """Return a patch that logs `input_shape=` and the like, which layers still accept."""
    take_input_shape: Callable[..., None] = layer._take_input_shape

    @functools.wraps(take_input_shape)
    def wrapper(self: Layer, **kwargs: Any) -> None:
        weights = kwargs.pop("weights", None)
        if weights is not None:
            log_deprecated("weights= of a layer", "set_weights() once it is built")
            object.__setattr__(self, "_hb_first_weights", weights)
        for name in kwargs:
            log_deprecated(f"{name}= on a first layer", "keras.Input(shape) before it")
        length, batch_size = kwargs.pop("input_length", None), kwargs.pop("batch_size", None)
        if length is not None:  # of an Embedding without input_dim, which is an argument of its own
            sizes = tuple(length) if isinstance(length, (list, tuple)) else (length,)
            kwargs["input_shape"] = (*sizes, *([kwargs.pop("input_dim")] if "input_dim" in kwargs else ()))
        if batch_size is not None and "input_shape" in kwargs:
            kwargs["batch_input_shape"] = (batch_size, *kwargs.pop("input_shape"))
        take_input_shape(self, **kwargs)

    return Patch(layer, "_take_input_shape", wrapper)


def _set_first_weights(layer: type[Layer]) -> Patch:
    """Return a patch by which a layer begins with the `weights=` of its constructor."""
    mark_built: Callable[..., None] = layer._mark_built

    @functools.wraps(mark_built)
    def wrapper(self: Layer, *args: object) -> None:
        mark_built(self, *args)
        weights = vars(self).pop("_hb_first_weights", None)
        if weights is not None:
            self.set_weights(weights)

    return Patch(layer, "_mark_built", wrapper)


def _rate_patches() -> Iterator[Patch]:
    """Yield patches for `lr=` and `decay=` of optimizers."""
    classes: set[Any] = {c for c in vars(optimizers).values() if isinstance(c, type)}
    for cls in classes:
        if issubclass(cls, Optimizer) and cls is not Optimizer:
            yield Patch(cls, "__init__", _accept_rates(cls.__init__))
    yield Patch(Optimizer, "lr", property(_get_lr, _set_lr))
    yield Patch(Optimizer, "decay", 0.0)
    yield Patch(Optimizer, "_rates", _with_decay(Optimizer._rates))
    yield Patch(Optimizer, "get_config", _with_schedule(Optimizer.get_config))


def _accept_rates(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        if "lr" in kwargs:
            log_deprecated("lr=", "learning_rate=")
            kwargs["learning_rate"] = kwargs.pop("lr")
        if kwargs.pop("schedule_decay", None) is not None:
            log_once(f"{type(self).__name__}(schedule_decay=) is obsolete and ignored")
        decay = kwargs.pop("decay", None)
        if kwargs.get("epsilon", 0) is None:
            del kwargs["epsilon"]  # None meant the default in Keras 2.
        init(self, *args, **kwargs)
        if decay:
            log_deprecated(
                "decay=", "learning_rate=keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)"
            )
            vars(self)["decay"] = decay
            # Files contain the schedule of `get_config`, which has no variable.
            self._variables = [v for v in self._variables if v is not self._learning_rate]

    return wrapper


def _with_decay(rates: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    """Divide learning rates by 1 + decay * updates. Callbacks change the rate before this division."""

    @functools.wraps(rates)
    def wrapper(self: Optimizer, variables: Sequence[Variable]) -> list[Tensor]:
        values, decay = rates(self, variables), vars(self).get("decay")
        if decay is None:
            return values
        return [rate / (1 + decay * ops.cast(self.iterations, rate.dtype)) for rate in values]

    return wrapper


def _with_schedule(get_config: Callable[..., Tree]) -> Callable[..., Tree]:
    """Describe `decay=` by the schedule that Keras 3 has for it."""

    @functools.wraps(get_config)
    def wrapper(self: Optimizer) -> Tree:
        config, decay = get_config(self), vars(self).get("decay")
        if decay is not None:
            schedule = optimizers.schedules.InverseTimeDecay(config["learning_rate"], 1, decay)
            config["learning_rate"] = optimizers.schedules.serialize(schedule)
        return config

    return wrapper


def _get_lr(self: Optimizer) -> Variable | float:
    log_deprecated("optimizer.lr", "optimizer.learning_rate")
    return self.learning_rate


def _set_lr(self: Optimizer, value: float) -> None:
    log_deprecated("optimizer.lr", "optimizer.learning_rate")
    self.learning_rate = value
