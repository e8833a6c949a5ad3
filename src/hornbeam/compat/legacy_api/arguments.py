"""Arguments under their old names: tables (those of layers in `saving.keras1_names`), and what translates a
call by them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hornbeam.compat.messages import note, remark
from hornbeam.compat.policy import Patch
from hornbeam.saving.legacy.keras1_names import ARGUMENTS, DATA_FORMATS, GONE

_QUEUES = {
    "max_queue_size": GONE, "max_q_size": GONE, "workers": GONE, "use_multiprocessing": GONE,
    "pickle_safe": GONE,
}  # fmt: skip

METHODS: dict[str, Mapping[str, str]] = {
    "fit": {"nb_epoch": "epochs", "show_accuracy": GONE, **_QUEUES},
    "evaluate": {"show_accuracy": GONE, **_QUEUES},
    "predict": _QUEUES,
    "compile": {"class_mode": GONE, "sample_weight_mode": GONE, "experimental_run_tf_function": GONE},
}

CALLBACKS: dict[str, Mapping[str, str]] = {
    "ReduceLROnPlateau": {"epsilon": "min_delta"},
    "TensorBoard": {"write_grads": GONE, "batch_size": GONE},
}


def renamed(kwargs: dict[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    """`kwargs` under their new names, a line on stderr for each."""
    made = {}
    for name, value in kwargs.items():
        new = names.get(name)
        if new is None:
            made[name] = value
        elif new == GONE:
            remark(f"{where}({name}=) has no meaning any more and is left out")
        else:
            note(f"{where}({name}=)", f"{new}=")
            made[new] = DATA_FORMATS.get(value, value) if new == "data_format" else value
    return made


def accept(target: type, method: str, names: Mapping[str, str], where: str | None = None) -> Patch:
    """Return a patch by which `target.method` takes the old names too, except for those that are its own."""
    fn: Callable[..., Any] = getattr(target, method)
    own = set(inspect.signature(fn).parameters)
    table = {old: new for old, new in names.items() if old not in own}

    @functools.wraps(fn)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not table.keys().isdisjoint(kwargs):
            kwargs = renamed(kwargs, table, where or type(self).__name__)
        return fn(self, *args, **kwargs)

    return Patch(target, method, call)


def patches() -> Iterator[Patch]:
    """Yield patches that translate calls of layers, optimizers, callbacks and models."""
    from hornbeam import callbacks, layers, models

    for name, table in ARGUMENTS.items():
        yield accept(getattr(layers, name), "__init__", table)
    for name, table in CALLBACKS.items():
        if hasattr(callbacks, name):
            yield accept(getattr(callbacks, name), "__init__", table)
    for name, table in METHODS.items():
        yield accept(models.Model, name, table, f"Model.{name}")
    yield _note_input_shapes(layers.Layer)
    yield from _accept_rates()


def _note_input_shapes(layer: Any) -> Patch:
    take = layer._take_input_shape

    @functools.wraps(take)
    def call(self: Any, **kwargs: Any) -> None:
        for name in kwargs:
            note(f"{name}= on a first layer", "keras.Input(shape) in front of it")
        take(self, **kwargs)

    return Patch(layer, "_take_input_shape", call)


def _accept_rates() -> Iterator[Patch]:
    """Yield patches for `lr=` and `decay=` of optimizers."""
    from hornbeam import optimizers

    classes: set[Any] = {c for c in vars(optimizers).values() if isinstance(c, type)}
    for cls in classes:
        if issubclass(cls, optimizers.Optimizer) and cls is not optimizers.Optimizer:
            yield Patch(cls, "__init__", _with_rates(cls.__init__))
    yield Patch(optimizers.Optimizer, "lr", property(_rate, _set_rate))


def _with_rates(init: Callable[..., None]) -> Callable[..., None]:
    takes_decay = "schedule_decay"

    @functools.wraps(init)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        from hornbeam.optimizers.schedules import InverseTimeDecay

        if "lr" in kwargs:
            note("lr=", "learning_rate=")
            kwargs["learning_rate"] = kwargs.pop("lr")
        if kwargs.pop(takes_decay, None) is not None:
            remark(f"{type(self).__name__}({takes_decay}=) has no meaning any more and is left out")
        decay = kwargs.pop("decay", None)
        if decay:
            note("decay=", "learning_rate=keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)")
            default = inspect.signature(init).parameters["learning_rate"].default
            rate = args[0] if args else kwargs.pop("learning_rate", default)
            args = (InverseTimeDecay(rate, decay_steps=1, decay_rate=decay), *args[1:])
        if kwargs.get("epsilon", 0) is None:
            del kwargs["epsilon"]  # the default, in Keras 2
        init(self, *args, **kwargs)

    return call


def _rate(self: Any) -> Any:
    note("optimizer.lr", "optimizer.learning_rate")
    return self.learning_rate


def _set_rate(self: Any, value: Any) -> None:
    note("optimizer.lr", "optimizer.learning_rate")
    self.learning_rate = value
