"""Arguments under their earlier names: tables and patches.

The tables of layers are in `saving.legacy.keras1_names`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from hornbeam import Layer, Optimizer, Variable
from hornbeam.extensions.files import KERAS1_ARGUMENTS
from hornbeam_compat.messages import log_deprecated, log_once
from hornbeam_compat.patch import Patch

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
    "save": {"signatures": REMOVED, "options": REMOVED, "save_traces": REMOVED},
    "save_weights": {"save_format": REMOVED, "options": REMOVED},
    "load_weights": {"options": REMOVED},
    "compile": {
        "class_mode": REMOVED, "sample_weight_mode": REMOVED, "experimental_run_tf_function": REMOVED,
    },
}  # fmt: skip

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

    for name, table in KERAS1_ARGUMENTS.items():
        yield accept_names(getattr(layers, name), "__init__", table)
    for name, table in CALLBACKS.items():
        if hasattr(callbacks, name):
            yield accept_names(getattr(callbacks, name), "__init__", table)
    for name, table in METHODS.items():
        yield accept_names(models.Model, name, table, f"Model.{name}")
    for target in (layers.Layer, models.Functional):
        yield accept_names(target, "add_loss", {"inputs": REMOVED}, "add_loss")
    names = (*layers.Layer._shape_arguments, "batch_size", "input_length", "weights")
    yield Patch(layers.Layer, "_shape_arguments", names)
    yield _log_input_shapes(layers.Layer)
    yield _set_first_weights(layers.Layer)
    yield from _rate_patches()


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
        if "input_dim" in kwargs and length is not None:
            kwargs["input_shape"] = (length, kwargs.pop("input_dim"))
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
    from hornbeam import optimizers

    classes: set[Any] = {c for c in vars(optimizers).values() if isinstance(c, type)}
    for cls in classes:
        if issubclass(cls, Optimizer) and cls is not Optimizer:
            yield Patch(cls, "__init__", _accept_rates(cls.__init__))
    yield Patch(Optimizer, "lr", property(_get_lr, _set_lr))


def _accept_rates(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        from hornbeam.optimizers.schedules import InverseTimeDecay

        if "lr" in kwargs:
            log_deprecated("lr=", "learning_rate=")
            kwargs["learning_rate"] = kwargs.pop("lr")
        if kwargs.pop("schedule_decay", None) is not None:
            log_once(f"{type(self).__name__}(schedule_decay=) is obsolete and ignored")
        decay = kwargs.pop("decay", None)
        if decay:
            log_deprecated(
                "decay=", "learning_rate=keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)"
            )
            default = inspect.signature(init).parameters["learning_rate"].default
            rate = args[0] if args else kwargs.pop("learning_rate", default)
            args = (InverseTimeDecay(rate, decay_steps=1, decay_rate=decay), *args[1:])
        if kwargs.get("epsilon", 0) is None:
            del kwargs["epsilon"]  # None meant the default in Keras 2.
        init(self, *args, **kwargs)

    return wrapper


def _get_lr(self: Optimizer) -> Variable | float:
    log_deprecated("optimizer.lr", "optimizer.learning_rate")
    return self.learning_rate


def _set_lr(self: Optimizer, value: float) -> None:
    log_deprecated("optimizer.lr", "optimizer.learning_rate")
    self.learning_rate = value
