"""Methods that models once had, and old keys of histories."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam.compat.legacy_api.arguments import METHODS, renamed
from hornbeam.compat.messages import MissingNameError, note, remark
from hornbeam.compat.policy import Patch


class OldKeys(dict):
    """A history that is also read by the names that metrics had before Keras 2.3."""

    def __missing__(self, key: str) -> Any:
        new = key.replace("acc", "accuracy") if key in ("acc", "val_acc") else None
        if new is None or new not in self:
            raise KeyError(key)
        note(f"history[{key!r}]", f"history[{new!r}]")
        return self[new]


def fit_generator(
    self: Any, generator: Any, steps_per_epoch: int | None = None, epochs: int = 1, **kwargs: Any
) -> Any:
    """fit() on batches from a generator."""
    note("Model.fit_generator()", "Model.fit()")
    steps = kwargs.pop("samples_per_epoch", None)
    if steps is not None:
        remark("samples_per_epoch= counted samples or batches; it is taken for batches: steps_per_epoch=")
        steps_per_epoch = steps
    names = {**METHODS["fit"], "nb_val_samples": "validation_steps", "val_samples": "validation_steps"}
    given = {"epochs": epochs, **renamed(kwargs, names, "Model.fit_generator")}
    return self.fit(generator, steps_per_epoch=steps_per_epoch, **given)


def evaluate_generator(self: Any, generator: Any, steps: int | None = None, **kwargs: Any) -> Any:
    """evaluate() on batches from a generator."""
    note("Model.evaluate_generator()", "Model.evaluate()")
    given = renamed(kwargs, {**METHODS["evaluate"], "val_samples": "steps"}, "Model.evaluate_generator")
    return self.evaluate(generator, **{"steps": steps, "verbose": 0, **given})


def predict_generator(self: Any, generator: Any, steps: int | None = None, **kwargs: Any) -> Any:
    """predict() on batches from a generator."""
    note("Model.predict_generator()", "Model.predict()")
    given = renamed(kwargs, {**METHODS["predict"], "val_samples": "steps"}, "Model.predict_generator")
    return self.predict(generator, **{"steps": steps, "verbose": 0, **given})


def predict_classes(self: Any, x: Any, batch_size: int | None = None, verbose: Any = 0) -> np.ndarray:
    """The most probable class of each sample."""
    note("Model.predict_classes(x)", "np.argmax(model.predict(x), axis=-1)")
    found = self.predict(x, batch_size=batch_size, verbose=verbose)
    return found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")


def predict_proba(self: Any, x: Any, batch_size: int | None = None, verbose: Any = 0) -> np.ndarray:
    """predict()."""
    note("Model.predict_proba()", "Model.predict()")
    return self.predict(x, batch_size=batch_size, verbose=verbose)


class CompiledLoss:
    """`model.compiled_loss` of Keras 2: the compiled loss of a batch, which the model's mean loss counts."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> Any:
        """A scalar, with `regularization_losses` in it."""
        note("Model.compiled_loss(y, y_pred)", "Model.compute_loss(y=y, y_pred=y_pred)")
        state = self._model._training_state
        loss = sum(regularization_losses or (), state.losses(y_true, y_pred, sample_weight, self._model))
        state.loss_tracker.update_state(loss)
        return loss


class CompiledMetrics:
    """`model.compiled_metrics` of Keras 2: all that compile() got as metrics."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        note("Model.compiled_metrics.update_state(y, y_pred)", "Model.compute_metrics(x, y, y_pred)")
        metrics = self._model._training_state.metrics
        if metrics is not None:
            metrics.update_state(y_true, y_pred, sample_weight)


def _of_torch(name: str) -> Any:
    """A name that models have where Keras runs on PyTorch."""

    def missing(self: Any) -> Any:
        raise MissingNameError(
            f"{type(self).__name__}.{name}: with Keras on PyTorch a model is a torch.nn.Module, and here it "
            "is none. hornbeam.interop.torch_module(model) makes one of it; without PyTorch, "
            "hornbeam.value_and_grad and optimizer.apply train on every engine"
        )

    return property(missing)


def reset_states(self: Any) -> None:
    """reset_state()."""
    note("Metric.reset_states()", "Metric.reset_state()")
    self.reset_state()


def patches() -> Iterator[Patch]:
    """Yield patches for methods of models and metrics, and for keys of histories."""
    from hornbeam.callbacks import History
    from hornbeam.metrics import Metric
    from hornbeam.models import Model

    for method in (fit_generator, evaluate_generator, predict_generator, predict_classes, predict_proba):
        yield Patch(Model, method.__name__, method)
    for name in ("parameters", "named_parameters", "zero_grad", "state_dict", "load_state_dict"):
        yield Patch(Model, name, _of_torch(name))
    yield Patch(Model, "compiled_loss", property(CompiledLoss))
    yield Patch(Model, "compiled_metrics", property(CompiledMetrics))
    yield Patch(Metric, "reset_states", reset_states)
    yield Patch(Model, "fit", _explaining_splits(Model.fit))
    yield Patch(Model, "__init__", _accepting_old_names(Model.__init__))
    yield Patch(History, "on_train_begin", _with_old_keys(History.on_train_begin))


def _explaining_splits(fit: Any) -> Any:
    @functools.wraps(fit)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("validation_split") and "validation_split_mode" not in kwargs:
            remark(
                "validation_split= draws a stratified sample here, Keras takes the last rows: "
                'fit(validation_split_mode="tail") does that'
            )
        return fit(self, *args, **kwargs)

    return wrapped


def _accepting_old_names(init: Any) -> Any:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **renamed(kwargs, {"input": "inputs", "output": "outputs"}, "Model"))

    return wrapped


def _with_old_keys(begin: Any) -> Any:
    @functools.wraps(begin)
    def wrapped(self: Any, logs: Any = None) -> None:
        begin(self, logs)
        self.history = OldKeys(self.history)

    return wrapped
