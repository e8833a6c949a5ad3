"""Methods of models, metrics and optimizers that Keras 3 removed, and earlier keys of histories."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import numpy as np

from hornbeam import Metric, Model, Optimizer, Tensor, callbacks, tree
from hornbeam.errors import MissingNameError
from hornbeam.utils import PyDataset
from hornbeam_compat.legacy_api.arguments import METHODS, rename_arguments
from hornbeam_compat.legacy_api.trainable import asks_for_keras2
from hornbeam_compat.messages import log_deprecated, log_once
from hornbeam_compat.patch import Patch

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.tape import GradientTape
    from hornbeam_compat.tensorflow.typing import Tree

R = TypeVar("R")
Monitor = callbacks.Checkpoint | callbacks.EarlyStopping | callbacks.ReduceLROnPlateau


class LegacyHistory(dict[str, Any]):
    """A history that also accepts the names that metrics had before Keras 2.3, and the one of the rate."""

    def setdefault(self, key: str, default: Tree = None) -> Tree:
        values = super().setdefault(key, default)
        if key == "learning_rate":
            super().setdefault("lr", values)  # one list: tables of a history have both columns
        return values

    NAMES: ClassVar[dict[str, str]] = {"acc": "accuracy", "val_acc": "val_accuracy", "lr": "learning_rate"}

    def __missing__(self, key: str) -> object:
        new = self.NAMES.get(key)
        if new is None or new not in self:
            raise KeyError(key)
        log_deprecated(f"history[{key!r}]", f"history[{new!r}]")
        return self[new]


def fit_generator(
    self: Model, generator: Iterable[object], steps_per_epoch: int | None = None, epochs: int = 1,
    **kwargs: Any,
) -> callbacks.History:  # fmt: skip
    """Call `fit` on batches of a generator."""
    log_deprecated("Model.fit_generator()", "Model.fit()")
    if _KERAS1_ARGUMENTS & kwargs.keys():  # the second argument counted samples then
        samples = kwargs.pop("samples_per_epoch", steps_per_epoch)
        generator, steps_per_epoch = steps_of(generator, samples, "Model.fit_generator(samples_per_epoch=)")
    samples = kwargs.pop("nb_val_samples", kwargs.pop("val_samples", None))
    if samples is not None:
        data, steps = steps_of(kwargs["validation_data"], samples, "Model.fit_generator(nb_val_samples=)")
        kwargs.update(validation_data=data, validation_steps=steps)
    options = {"epochs": epochs, **rename_arguments(kwargs, METHODS["fit"], "Model.fit_generator")}
    if isinstance(generator, PyDataset) and steps_per_epoch is not None:
        generator = without_end(generator)
    return self.fit(generator, steps_per_epoch=steps_per_epoch, **options)


def without_end(batches: Tree) -> Iterator[object]:
    """Yield the batches of pass after pass: an epoch goes on where the last one stopped."""
    while True:
        yield from (batches[index] for index in range(len(batches)))
        batches.on_epoch_end()


_KERAS1_ARGUMENTS = {"samples_per_epoch", "nb_epoch", "nb_val_samples", "nb_worker"}


def steps_of(
    batches: Iterable[object], samples: int | None, argument: str
) -> tuple[Iterable[object], int | None]:
    """Convert Keras 1's number of samples to a number of batches.

    Args:
        batches: Iterator or sequence of batches. The first one tells the size of all.
        samples: Number of samples, or None.
        argument: Name of the argument.

    Returns:
        The same batches, from the first one on, and their number.
    """
    if samples is None:
        return batches, None
    if isinstance(batches, Sequence) or hasattr(batches, "__getitem__"):
        first = batches[0]
    else:
        iterator = iter(batches)
        first = next(iterator)
        batches = itertools.chain([first], iterator)
    size = len(tree.flatten(first)[0])
    log_deprecated(argument, f"the number of batches ({samples} samples in batches of {size})")
    return batches, -(-int(samples) // size)


def _batches_method(name: str, method: Callable[..., R]) -> Callable[..., R]:
    """Return the method `evaluate_generator` or `predict_generator`, which calls `method` on batches."""

    def call(self: Model, generator: Iterable[object], steps: int | None = None, **kwargs: object) -> R:
        log_deprecated(f"Model.{name}_generator()", f"Model.{name}()")
        options = rename_arguments(kwargs, METHODS[name], f"Model.{name}_generator")
        if "val_samples" in options:
            argument = f"Model.{name}_generator(val_samples=)"
            generator, steps = steps_of(generator, options.pop("val_samples"), argument)
        return method(self, generator, **{"steps": steps, "verbose": 0, **options})

    return call


def predict_classes(
    self: Model, x: Tree, batch_size: int | None = None, verbose: int | str = 0
) -> np.ndarray:
    """Return the most probable class of each sample."""
    log_deprecated("Model.predict_classes(x)", "np.argmax(model.predict(x), axis=-1)")
    outputs = self.predict(x, batch_size=batch_size, verbose=verbose)
    return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype("int32")


def predict_proba(self: Model, x: Tree, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
    """Call `predict`."""
    log_deprecated("Model.predict_proba()", "Model.predict()")
    return self.predict(x, batch_size=batch_size, verbose=verbose)


class CompiledLoss:
    """`model.compiled_loss` of Keras 2: the compiled loss, which updates the model's mean loss.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: Model) -> None:
        self._state = model._hb_trainer
        self._model = model

    def __call__(
        self, y_true: Tree, y_pred: Tree, sample_weight: Tree = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """Compute the loss of a batch.

        Args:
            y_true: Targets.
            y_pred: Outputs of the model.
            sample_weight: Weights of the samples, or None.
            regularization_losses: List of scalars to add, or None.

        Returns:
            Scalar tensor.
        """
        log_deprecated("Model.compiled_loss(y, y_pred)", "Model.compute_loss(y=y, y_pred=y_pred)")
        assert self._state.losses is not None
        loss = self._state.losses(y_true, y_pred, sample_weight, self._model)
        assert loss is not None
        loss = functools.reduce(operator.add, regularization_losses or (), loss)
        self._state.loss_tracker.update_state(loss)
        return loss


class CompiledMetrics:
    """`model.compiled_metrics` of Keras 2: the metrics of `compile`.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: Model) -> None:
        self._metrics = model._hb_trainer.metrics

    def update_state(self, y_true: Tree, y_pred: Tree, sample_weight: Tree = None) -> None:
        """Update the metrics by a batch.

        Args:
            y_true: Targets.
            y_pred: Outputs of the model.
            sample_weight: Weights of the samples, or None.
        """
        log_deprecated(
            "Model.compiled_metrics.update_state(y, y_pred)", "Model.compute_metrics(x, y, y_pred)"
        )
        if self._metrics is not None:
            self._metrics.update_state(y_true, y_pred, sample_weight)


def _torch_only(name: str) -> property:
    """Return a property that refuses a method which models have in Keras on PyTorch."""

    def refuse(self: Model) -> NoReturn:
        raise MissingNameError(
            f"{type(self).__name__}.{name}: a model is a torch.nn.Module in Keras on PyTorch only. "
            "hornbeam.interop.torch_module(model) converts it to one. "
            "hornbeam.value_and_grad and optimizer.apply train on every engine."
        )

    return property(refuse)


def reset_states(self: Metric) -> None:
    """Call `reset_state`."""
    log_deprecated("Metric.reset_states()", "Metric.reset_state()")
    self.reset_state()


def reset_model_states(self: Model) -> None:
    """Set the states of all stateful layers to zero."""
    log_deprecated("Model.reset_states()", "layer.reset_state() of each stateful layer")
    for layer in self._flatten_layers(include_self=False):
        if getattr(layer, "stateful", False):
            layer.reset_state()


def minimize(
    self: Optimizer, loss: Tree, var_list: Tree, grad_loss: object = None, name: str | None = None,
    tape: GradientTape | None = None,
) -> None:  # fmt: skip
    """Update variables by the gradients of a loss: a function, or a tensor that `tape` watched."""
    from hornbeam_compat.tensorflow.tape import GradientTape as Tape

    log_deprecated("optimizer.minimize()", "optimizer.apply(gradients, variables)")
    if callable(loss):
        with Tape() as tape:
            loss = loss()
    if tape is None:
        raise ValueError(
            "minimize(loss): a loss that is a tensor needs tape=, the GradientTape that watched it"
        )
    variables = var_list() if callable(var_list) else var_list
    self.apply(tape.gradient(loss, variables, grad_loss), variables)


def patches() -> Iterator[Patch]:
    """Yield patches for methods of models, metrics and optimizers, and for keys of histories."""
    yield Patch(Optimizer, "minimize", minimize)
    for method in (fit_generator, predict_classes, predict_proba):
        yield Patch(Model, method.__name__, method)
    yield Patch(Model, "evaluate_generator", _batches_method("evaluate", Model.evaluate))
    yield Patch(Model, "predict_generator", _batches_method("predict", Model.predict))
    for name in ("parameters", "named_parameters", "zero_grad", "state_dict", "load_state_dict"):
        yield Patch(Model, name, _torch_only(name))
    yield Patch(Model, "compiled_loss", property(CompiledLoss))
    yield Patch(Model, "compiled_metrics", property(CompiledMetrics))
    yield Patch(Model, "_loss_tracker", property(lambda model: model._hb_trainer.loss_tracker))
    yield Patch(Model, "reset_states", reset_model_states)
    yield Patch(Metric, "reset_states", reset_states)
    for monitor in (
        callbacks.Checkpoint,
        callbacks.EarlyStopping,
        callbacks.OrbaxCheckpoint,
        callbacks.ReduceLROnPlateau,
    ):
        yield Patch(monitor, "_value", _accept_earlier_names(monitor._value))
    yield Patch(Model, "fit", _go_on_with_flows(_log_stratified_split(Model.fit)))
    yield Patch(Model, "compile", _spread_metrics(Model.compile))
    yield Patch(Model, "loss", property(_own_loss, _set_own_loss))
    yield Patch(Model, "__init__", _accept_input_and_output(Model.__init__))
    yield Patch(callbacks.History, "on_train_begin", _use_legacy_history(callbacks.History.on_train_begin))


def _log_stratified_split(fit: Callable[..., R]) -> Callable[..., R]:
    @functools.wraps(fit)
    def wrapper(self: Model, *args: object, **kwargs: object) -> R:
        if kwargs.get("validation_split") and "validation_split_mode" not in kwargs:
            log_once(
                "validation_split= draws a stratified sample here, Keras takes the last rows. "
                'fit(validation_split_mode="tail") does the same as Keras'
            )
        return fit(self, *args, **kwargs)

    return wrapper


def _go_on_with_flows(fit: Callable[..., R]) -> Callable[..., R]:
    """Read the flows of an ImageDataGenerator without end, if epochs have a number of steps."""

    @functools.wraps(fit)
    def wrapper(self: Model, x: Tree = None, *args: object, **kwargs: object) -> R:
        if kwargs.get("steps_per_epoch") is not None and isinstance(x, PyDataset) and hasattr(x, "next"):
            x = without_end(x)
        return fit(self, x, *args, **kwargs)

    return wrapper


def _spread_metrics(compile: Callable[..., None]) -> Callable[..., None]:
    """Give each of several outputs all metrics of a flat list; in Keras 3 it may have one for each output."""

    @functools.wraps(compile)
    def wrapper(self: Model, *args: object, **kwargs: Tree) -> None:
        outputs = getattr(self, "outputs", None) or ()
        for argument in {"metrics", "weighted_metrics"} & kwargs.keys():
            metrics = kwargs[argument]
            flat = isinstance(metrics, list) and not any(isinstance(m, (list, tuple, dict)) for m in metrics)
            if flat and metrics and len(outputs) > 1 and (len(metrics) != len(outputs) or asks_for_keras2()):
                log_once(
                    f"compile({argument}=) names {len(metrics)} metrics for each of {len(outputs)} outputs"
                )
                kwargs[argument] = [[_copied(metric) for metric in metrics] for _ in outputs]
        compile(self, *args, **kwargs)

    return wrapper


def _copied(metric: Tree) -> Tree:
    return type(metric).from_config(metric.get_config()) if isinstance(metric, Metric) else metric


def _own_loss(self: Model) -> Tree:
    """Return the loss of `compile()`, before it the `self.loss` of a subclass."""
    compiled = super(Model, self).loss
    return vars(self).get("_hb_own_loss") if compiled is None else compiled


def _set_own_loss(self: Model, value: object) -> None:
    vars(self)["_hb_own_loss"] = value


def _accept_earlier_names(value: Callable[..., R]) -> Callable[..., R]:
    """Let callbacks find the metric that has another name since Keras 2.3."""

    @functools.wraps(value)
    def wrapper(self: Monitor, logs: Mapping[str, object] | None) -> R:
        new = LegacyHistory.NAMES.get(self.monitor)
        if new is not None and logs and new in logs and self.monitor not in logs:
            log_deprecated(f"monitor={self.monitor!r}", f"monitor={new!r}")
            self.monitor = new
        return value(self, logs)

    return wrapper


def _accept_input_and_output(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapper(self: Model, *args: object, **kwargs: object) -> None:
        init(self, *args, **rename_arguments(kwargs, {"input": "inputs", "output": "outputs"}, "Model"))

    return wrapper


def _use_legacy_history(on_train_begin: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(on_train_begin)
    def wrapper(self: callbacks.History, logs: Mapping[str, object] | None = None) -> None:
        on_train_begin(self, logs)
        self.history = LegacyHistory(self.history)

    return wrapper
