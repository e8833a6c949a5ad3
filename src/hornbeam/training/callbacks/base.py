"""Base class of callbacks, and the history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from hornbeam._internal.call_errors import ArgumentChecks
from hornbeam._internal.kernel import cell_number
from hornbeam._internal.naming import NamedValues
from hornbeam.core.registry import exported
from hornbeam.training.checkpoint_schema import dict_of, list_of, natural, number

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.models.model import Model
    from hornbeam.optimizers import Optimizer
    from hornbeam.training.memory_budget import MemoryPlan
    from hornbeam.training.profile import Profile
    from hornbeam.training.run import TrainingRun
    from hornbeam.training.schedule import TrainingSchedule
    from hornbeam.visualization.explanation import Explanation

Logs = dict[str, Any]


BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


@exported("keras.callbacks")
class Callback(ArgumentChecks):
    """Base class of objects that observe and steer training: override the hooks that you need.

    `self.model` is the model, `self.params` has "epochs", "steps" and "verbose". `logs` holds floats by
    metric name. Set `self.model.stop_training = True` to end training after this epoch (from a batch hook:
    after this batch).

    A callback that overrides a batch hook makes training take one call of the engine per step. With the class
    attribute `chunked = True` the hooks `on_*_batch_end` are called about eight times a second instead, with
    the number and logs of the last step, and steps stay free of Python.

    Example:
        >>> class Echo(hornbeam.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None): print(epoch, logs)
    """

    chunked = False
    # Number of steps at whose multiples, within an epoch, a chunk ends; None where times decide alone.
    chunk_bound: int | None = None
    # Called after all others, whose state it saves.
    comes_last = False
    # Names of attributes that checkpoints save and restore.
    checkpointed: tuple[str, ...] = ()
    # Schemas of those that are None now, see `hornbeam.training.checkpoint_schema`.
    schemas: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None
        self.validation_data = None

    @property
    def model(self) -> Model:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Set `self.params`; called by `fit`.

        Args:
            params: Dict with "verbose", "epochs" and "steps".
        """
        self.params = params

    def set_model(self, model: Model) -> None:
        """Set `self.model`; called by `fit`.

        Args:
            model: The model that is trained.
        """
        self._model = model

    def get_state(self) -> dict[str, Any]:
        """Return the state that a checkpoint saves, by default the attributes named in `checkpointed`.

        Returns:
            Dict of numbers, strings, arrays, and lists and dicts of them.
        """
        return {name: getattr(self, name) for name in self.checkpointed}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint; called after `on_train_begin`.

        Args:
            state: Result of `get_state`.
        """
        for name in self.checkpointed:
            if name in state:
                setattr(self, name, state[name])

    def on_batch_begin(self, batch: int, logs: Logs | Any = None) -> None:
        """Older name of `on_train_batch_begin`.

        Args:
            batch: Number of the step, from 0.
            logs: Empty.
        """

    def on_batch_end(self, batch: int, logs: Logs | Any = None) -> None:
        """Older name of `on_train_batch_end`.

        Args:
            batch: Number of the step, from 0.
            logs: Means over the epoch so far, by name.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs | Any = None) -> None:
        """Called before an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            logs: Empty.
        """

    def on_epoch_end(self, epoch: int, logs: Logs | Any = None) -> None:
        """Called after an epoch and its validation.

        Args:
            epoch: Number of the epoch, from 0.
            logs: Metrics by name, those of validation with the prefix `val_`.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | Any = None) -> None:
        """Called before a training step.

        Args:
            batch: Number of the step, from 0.
            logs: Empty.
        """
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | Any = None) -> None:
        """Called after a training step.

        Args:
            batch: Number of the step, from 0.
            logs: Means over the epoch so far, by name.
        """
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | Any = None) -> None:
        """Called before a step of `evaluate` and of validation.

        Args:
            batch: Number of the step, from 0.
            logs: Empty.
        """

    def on_test_batch_end(self, batch: int, logs: Logs | Any = None) -> None:
        """Called after a step of `evaluate` and of validation.

        Args:
            batch: Number of the step, from 0.
            logs: Means over the data so far, by name.
        """

    def on_predict_batch_begin(self, batch: int, logs: Logs | Any = None) -> None:
        """Called before a step of `predict`.

        Args:
            batch: Number of the step, from 0.
            logs: Empty.
        """

    def on_predict_batch_end(self, batch: int, logs: Logs | Any = None) -> None:
        """Called after a step of `predict`.

        Args:
            batch: Number of the step, from 0.
            logs: Dict with the predictions of the batch as "outputs".
        """

    def on_train_begin(self, logs: Logs | Any = None) -> None:
        """Called once when training begins.

        Args:
            logs: Empty.
        """

    def on_train_end(self, logs: Logs | Any = None) -> None:
        """Called once when training ends.

        Args:
            logs: Those of the last epoch.
        """

    def on_test_begin(self, logs: Logs | Any = None) -> None:
        """Called when `evaluate` or validation begins.

        Args:
            logs: Empty.
        """

    def on_test_end(self, logs: Logs | Any = None) -> None:
        """Called when `evaluate` or validation ends.

        Args:
            logs: Loss and metrics by name.
        """

    def on_predict_begin(self, logs: Logs | Any = None) -> None:
        """Called when `predict` begins.

        Args:
            logs: Empty.
        """

    def on_predict_end(self, logs: Logs | Any = None) -> None:
        """Called when `predict` ends.

        Args:
            logs: Empty.
        """

    def _when_interrupted(self) -> tuple[str, str]:
        """Return what Ctrl-C during `fit` leaves on the disk, and how to continue; "" for nothing."""
        return "", ""

    def __repr__(self) -> str:
        monitored = getattr(self, "monitor", None)
        return f"<{type(self).__name__}{f' of {monitored}' if isinstance(monitored, str) else ''}>"

    def overrides(self, hooks: Iterable[str]) -> bool:
        """Return True if the callback defines one of the hooks itself.

        Args:
            hooks: Names of methods.

        Returns:
            True or False.
        """
        return any(
            hook in self.__dict__ or getattr(type(self), hook) is not getattr(Callback, hook)
            for hook in hooks
        )


@exported("keras.callbacks")
class History(Callback):
    """Record of the logs of every epoch, which `fit` returns.

    Its attributes are `history` (dict from names to lists with one float per epoch), `epoch` (list of epoch
    numbers), `schedule` (samples, batches and updates as a `hornbeam.insight.TrainingSchedule`, None
    before `fit`) and `memory_plan` (figures of `fit(memory_budget=...)`, None without).
    """

    checkpointed = ("history", "epoch")
    schemas: ClassVar[dict[str, Any]] = {"history": dict_of(list_of(number)), "epoch": list_of(natural)}
    schedule: TrainingSchedule | None = None
    memory_plan: MemoryPlan | None = None
    profile: Profile  # of `fit(profile=True)`
    # Number of the notebook's cell in which `LivePlot` drew the curves.
    drawn_in_cell: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = NamedValues("history")
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | Any = None) -> None:
        self.epoch = []
        self.history = NamedValues("history")

    def on_epoch_end(self, epoch: int, logs: Logs | Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self

    def __repr__(self) -> str:
        if not self.history:
            return "<History, no epochs>"
        last = [f"{name} {values[-1]:.4g}" for name, values in self.history.items() if _is_number(values[-1])]
        more = f", and {len(last) - 6} more" if len(last) > 6 else ""
        epochs = f"{len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}"
        return f"<History of {epochs}: {', '.join(last[:6])}{more}>"

    def __getitem__(self, name: str) -> NoReturn:
        raise TypeError(f"a History is no dict: history.history[{name!r}] has the values of the epochs")

    if not TYPE_CHECKING:  # there, it would let misspelled names pass

        def __getattr__(self, name: str) -> NoReturn:
            values = self.__dict__.get("history", {})
            if name in ("plot", "show"):
                hint = ": hornbeam.insight.plot_history(history) draws it, and a notebook shows it by itself"
            else:
                hint = f": history.history[{name!r}] has its values" if name in values else ""
            raise AttributeError(f"a History has no {name!r}{hint}")

    def _repr_html_(self) -> str | None:
        from hornbeam._internal.html.markup import tag
        from hornbeam._internal.html.notebook import notebook_output
        from hornbeam.training.history_html import history_html

        if self.drawn_in_cell is not None and self.drawn_in_cell == cell_number():
            return notebook_output(tag("p", repr(self).strip("<>"), class_="quiet"))
        return history_html(self.epoch, self.history)

    def explain(self, x: Tree = None, y: Tree = None) -> Explanation:
        """Explain the loop, the optimizer and the loss of this training with their numbers.

        Args:
            x: Arrays of inputs, as for `Model.explain_training`.
            y: Arrays of targets.

        Returns:
            `hornbeam.insight.Explanation`, see `Model.explain_training`.
        """
        return self.model.explain_training(x, y, history=self)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def current_run(model: Model) -> TrainingRun | None:
    """Return the `fit` of a model that is in progress, None between two."""
    return model._hb_trainer.run


def run_of(model: Model) -> TrainingRun:
    """Return the `fit` of a model that is in progress; callbacks are called in one."""
    run = current_run(model)
    assert run is not None
    return run


def rated_optimizers(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizers that have a learning rate, by the name under which logs show it."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers"):
        return {f"learning_rate_{part.name}": part for part in optimizer.optimizers}
    return {"learning_rate": optimizer} if hasattr(optimizer, "learning_rate") else {}


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the present learning rates, as logs show them."""
    return {name: float(part.learning_rate) for name, part in rated_optimizers(optimizer).items()}
