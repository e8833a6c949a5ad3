"""The list of callbacks that training calls as one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from hornbeam._internal.call_errors import check_accepts
from hornbeam.core.registry import exported
from hornbeam.training.callbacks.base import BATCH_HOOKS, Callback, History, Logs
from hornbeam.training.callbacks.progbar import ProgbarLogger

if TYPE_CHECKING:
    from hornbeam.models.model import Model


@exported("keras.callbacks")
class CallbackList:
    """Several callbacks that are called as one, in order.

    Args:
        callbacks: Callback, or a list of them.
        add_history: Append a `History` unless the list has one.
        add_progbar: Prepend a `ProgbarLogger` unless the list has one.
        model: The model, see `set_model`.
        **params: `verbose`, `epochs` and `steps`, which callbacks see as `self.params`.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Any] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Model | None = None,
        **params: Any,
    ) -> None:
        self.callbacks: list[Callback] = _as_list(callbacks)
        history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if add_history and history is None:
            history = History()
            self.callbacks.append(history)
        self.history = history
        self.callbacks.sort(key=lambda callback: callback.comes_last)
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.insert(0, ProgbarLogger())
        self.model = model
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        """Pass the parameters of `fit` to all callbacks.

        Args:
            params: Dict with "verbose", "epochs" and "steps".
        """
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Model) -> None:
        """Pass the model to all callbacks.

        Args:
            model: The model that is trained.
        """
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def wants_batches(self, mode: str) -> bool:
        """Return True if a callback must be called at every single step.

        Args:
            mode: "train", "test" or "predict".

        Returns:
            True or False.
        """
        return any(not c.chunked and c.overrides(BATCH_HOOKS[mode]) for c in self.callbacks)

    def call_chunked(self, mode: str, batch: int, logs: Logs) -> None:
        """Call the callbacks that only need the last step of a chunk.

        Args:
            mode: "train", "test" or "predict".
            batch: Number of the last step, from 0.
            logs: Logs of the last step.
        """
        for callback in self.callbacks:
            if callback.chunked:
                getattr(callback, f"on_{mode}_batch_end")(batch, logs)

    @property
    def has_chunked(self) -> bool:
        """True if a callback is to be called at the end of chunks."""
        return any(c.chunked for c in self.callbacks)

    @property
    def chunk_bounds(self) -> list[int]:
        """Numbers of steps at whose multiples, within an epoch, callbacks need a chunk to end."""
        return [c.chunk_bound for c in self.callbacks if c.chunk_bound is not None]

    def _call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_end", batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._call("on_epoch_end", epoch, {} if logs is None else logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, {} if logs is None else logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, {} if logs is None else logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, {} if logs is None else logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, {} if logs is None else logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, {} if logs is None else logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, {} if logs is None else logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", {} if logs is None else logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", {} if logs is None else logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", {} if logs is None else logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", {} if logs is None else logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", {} if logs is None else logs)


CallbacksLike: TypeAlias = Callback | Iterable[Callback] | CallbackList | None


def _as_list(callbacks: Any) -> list[Callback]:
    if callbacks is None:
        return []
    if not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    flat: list[Any] = []
    for callback in callbacks:
        flat.extend(_as_list(callback) if isinstance(callback, (list, tuple)) else [callback])
    for callback in flat:
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise TypeError(
                f"callbacks=[{callback.__name__}] is the class: write {callback.__name__}(...) to make one"
            )
        if not isinstance(callback, Callback):
            function = ": write LambdaCallback(on_epoch_end=...)" if callable(callback) else ""
            raise TypeError(
                f"a callback must be a hornbeam.callbacks.Callback, got {type(callback).__name__}{function}"
            )
        _check_hooks(callback)
    return flat


def _check_hooks(callback: Callback) -> None:
    """Raise TypeError for a hook of training that does not take what it is called with."""
    for name in vars(Callback):
        if not name.startswith(("on_epoch", "on_train", "on_batch")):
            continue
        hook = inspect.getattr_static(type(callback), name)
        if inspect.isfunction(hook) and hook is not vars(Callback)[name]:  # no static method
            arguments = ", ".join(inspect.signature(vars(Callback)[name]).parameters)
            check_accepts(hook, arguments, f"the hook {name}")
