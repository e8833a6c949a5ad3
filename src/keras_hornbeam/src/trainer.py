"""`fit`, `evaluate` and `predict` of official Keras, with steps that Hornbeam traces and compiles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keras.src import tree, utils
from keras.src.backend import config
from keras.src.callbacks import CallbackList, History, ProgbarLogger
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.trainers import trainer as base_trainer
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.data_adapter_utils import (
    class_weight_to_sample_weights,
    unpack_x_y_sample_weight,
)
from keras.src.trainers.epoch_iterator import EpochIterator
from keras.src.utils import traceback_utils
from keras.src.utils.python_utils import pythonify_logs

from hornbeam import Tensor, gradients
from hornbeam.extensions.packages import warn_user
from keras_hornbeam.src.ops.core import Tree, convert_to_tensor
from keras_hornbeam.src.steps import CompiledPredict, CompiledSteps, arrays_of, concatenated

if TYPE_CHECKING:
    from hornbeam.extensions.training import ArrayData

Logs = dict[str, Any]


class HornbeamTrainer(base_trainer.Trainer):
    """Part of a model that trains. Steps are ordinary code on tensors, and variables are updated in place."""

    def __init__(self) -> None:
        super().__init__()
        self.train_function: CompiledSteps | None = None
        self.test_function: CompiledSteps | None = None
        self.predict_function: CompiledPredict | None = None
        self._trained_variables: tuple[bool, ...] = ()

    # -- steps -----------------------------------------------------------------------------------------------

    def train_step(self, data: object) -> Logs:
        """Update the weights with one batch; returns the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._call_model(x, training=True)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
        weights = self.trainable_weights
        if not weights:
            warn_user("The model does not have any trainable weights.")
        elif self.optimizer is not None:
            loss = self.optimizer.scale_loss(loss)
            values = gradients(loss, [weight._value for weight in weights])
            self.optimizer.apply_gradients(zip(values, weights, strict=True))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: object) -> Logs:
        """Compute loss and metrics of one batch; returns the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._call_model(x, training=False)
        self._loss_of(x, y, y_pred, sample_weight, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: object) -> Tree:
        """Return the outputs for one batch."""
        return self._call_model(unpack_x_y_sample_weight(data)[0], training=False)

    def _call_model(self, x: Tree, training: bool) -> Tree:
        return self(x, training=training) if self._call_has_training_arg else self(x)

    def _loss_of(self, x: Tree, y: Tree, y_pred: Tree, sample_weight: Tree, training: bool) -> Tensor:
        loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        first = next(part for part in tree.flatten(x) if part is not None)
        self._loss_tracker.update_state(loss, sample_weight=first.shape[0])
        return loss

    # -- compiled steps --------------------------------------------------------------------------------------

    def make_train_function(self, force: bool = False) -> CompiledSteps:
        """Make `train_function`, anew if other variables are trained than before."""
        trained = tuple(variable.trainable for variable in self.variables)
        if self.train_function is None or force or self._trained_variables != trained:
            self.train_function = self._compiled(self.train_step)
            self._trained_variables = trained
        return self.train_function

    def make_test_function(self, force: bool = False) -> CompiledSteps:
        """Make `test_function`."""
        if self.test_function is None or force:
            self.test_function = self._compiled(self.test_step)
        return self.test_function

    def _compiled(self, step: Callable[..., Any]) -> CompiledSteps:
        return CompiledSteps(step, self.run_eagerly)

    def make_predict_function(self, force: bool = False) -> CompiledPredict:
        """Make `predict_function`."""
        if self.predict_function is None or force:
            self.predict_function = CompiledPredict(self.predict_step, self.run_eagerly)
        return self.predict_function

    # -- loops -----------------------------------------------------------------------------------------------

    @traceback_utils.filter_traceback
    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: object = None,
        validation_split: float = 0.0,
        validation_data: object = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train the model; see `keras.Model.fit`."""
        self._assert_compile_called("fit")
        most = config.max_epochs()
        if most and most < epochs:
            warn_user(f"Limiting epochs to {most}")
            epochs = most
        self._eval_epoch_iterator = None
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = array_slicing.train_validation_split(
                (x, y, sample_weight), validation_split=validation_split
            )
        batches = self._batches(x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight)
        self._symbolic_build(iterator=batches)
        batches.reset()
        callback_list = self._callbacks(callbacks, verbose, epochs, batches.num_batches, add_history=True)
        self.make_train_function()
        self.stop_training = False
        callback_list.on_train_begin()
        logs: Logs = {}
        finished = False
        try:
            for epoch in range(self._initial_epoch or initial_epoch, epochs):
                self.reset_metrics()
                callback_list.on_epoch_begin(epoch)
                with batches.catch_stop_iteration():
                    for step_logs in self._executions("train", batches, callback_list):
                        logs = step_logs
                        if self.stop_training:
                            break
                logs = dict(pythonify_logs(self._get_metrics_result_or_logs(logs)))
                if validation_data is not None and self._should_eval(epoch, validation_freq):
                    size = validation_batch_size or batch_size
                    logs.update(self._validate(validation_data, size, validation_steps, callback_list))
                callback_list.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            finished = True
        finally:
            if isinstance(self.optimizer, BaseOptimizer) and epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            self._eval_epoch_iterator = None
            if finished:
                callback_list.on_train_end(logs=logs)
        return self.history

    def _validate(
        self, data: object, batch_size: int | None, steps: int | None, callbacks: CallbackList
    ) -> Logs:
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        if self._eval_epoch_iterator is None:
            self._eval_epoch_iterator = self._batches(x, y, sample_weight, batch_size, steps)
        logs = self.evaluate(
            x=x,
            y=y,
            sample_weight=sample_weight,
            batch_size=batch_size,
            steps=steps,
            callbacks=callbacks,
            return_dict=True,
            _use_cached_eval_dataset=True,
        )
        return {f"val_{name}": value for name, value in logs.items()}

    @traceback_utils.filter_traceback
    def evaluate(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: object = None,
        return_dict: bool = False,
        **kwargs: object,
    ) -> Tree:
        """Compute loss and metrics; see `keras.Model.evaluate`."""
        self._assert_compile_called("evaluate")
        use_cached = kwargs.pop("_use_cached_eval_dataset", False)
        if kwargs:
            raise ValueError(f"Arguments not recognized: {kwargs}")
        batches = self._eval_epoch_iterator if use_cached else None
        batches = batches or self._batches(x, y, sample_weight, batch_size, steps)
        self._symbolic_build(iterator=batches)
        batches.reset()
        callback_list = self._callbacks(callbacks, verbose, 1, batches.num_batches)
        self.make_test_function()
        self.stop_evaluating = False
        callback_list.on_test_begin()
        self.reset_metrics()
        logs: Logs = {}
        with batches.catch_stop_iteration():
            for step_logs in self._executions("test", batches, callback_list):
                logs = step_logs
                if self.stop_evaluating:
                    break
        logs = pythonify_logs(self._get_metrics_result_or_logs(logs))
        callback_list.on_test_end(logs)
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    @traceback_utils.filter_traceback
    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: object = None,
    ) -> Tree:
        """Return the outputs as NumPy arrays; see `keras.Model.predict`."""
        batches = self._batches(x, None, None, batch_size, steps)
        if not all(layer.built for layer in self._flatten_layers()):
            for _, _, data in batches:
                first = tree.map_structure(convert_to_tensor, data[0], none_is_leaf=False)
                self(unpack_x_y_sample_weight(first)[0])
                break
            batches.reset()
        callback_list = self._callbacks(callbacks, verbose, 1, batches.num_batches)
        predict = self.make_predict_function()
        self.stop_predicting = False
        callback_list.on_predict_begin()
        outputs = []
        with batches.catch_stop_iteration():
            for first, last, data in batches:
                callback_list.on_predict_batch_begin(first)
                outputs.append(predict(data))
                callback_list.on_predict_batch_end(last, {"outputs": outputs[-1]})
                if self.stop_predicting:
                    break
        callback_list.on_predict_end()
        return concatenated(outputs)

    def _executions(
        self, mode: str, batches: EpochIterator, callbacks: CallbackList
    ) -> Iterator[dict[str, Any]]:
        """Run the steps of an epoch, call the callbacks, and yield the logs each time."""
        function = getattr(self, f"{mode}_function")
        begin, end = (getattr(callbacks, f"on_{mode}_batch_{when}") for when in ("begin", "end"))
        arrays = self._arrays(function, batches)
        if arrays is None:
            for first, last, data in batches:
                begin(first)
                logs = pythonify_logs(function(data))
                end(last, logs)
                yield logs
            return
        if not wants_batches(callbacks, mode):
            done = 0
            for count, values in function.run_epoch(arrays):
                done += count
                logs = pythonify_logs(values)
                end(done - 1, logs)
                yield logs
            return
        size = self.steps_per_execution
        steps = function.run_epoch(arrays, size)
        total = arrays.steps or 0
        for first in range(0, total, size):
            begin(first)
            left = min(size, total - first)
            while left:
                count, values = next(steps)
                left -= count
            logs = pythonify_logs(values)
            end(first + size - 1, logs)
            yield logs

    def _arrays(self, function: CompiledSteps, batches: EpochIterator) -> ArrayData | None:
        """Return the data as arrays in memory, if many steps can be made in one call of the engine."""
        if not isinstance(function, CompiledSteps) or function.eager or batches.steps_per_epoch:
            return None
        if not hasattr(batches, "arrays"):
            batches.arrays = arrays_of(batches.data_adapter)
        arrays = batches.arrays
        if arrays is None or not function.compiles(arrays.signatures(None)[0]):
            return None
        return arrays

    def _batches(
        self,
        x: object,
        y: object,
        sample_weight: object,
        batch_size: int | None,
        steps: int | None,
        shuffle: bool = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> EpochIterator:
        return EpochIterator(
            x, y, sample_weight, batch_size, steps, shuffle, class_weight, self.steps_per_execution
        )

    def _callbacks(
        self, callbacks: object, verbose: int | str, epochs: int, steps: int | None, add_history: bool = False
    ) -> Any:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks, add_history, verbose != 0, self, verbose=verbose, epochs=epochs, steps=steps
        )

    # -- single batches --------------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Tree:
        """Run one step of training; see `keras.Model.train_on_batch`."""
        self._assert_compile_called("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    "Arguments `sample_weight` and `class_weight` cannot be specified at the same time. "
                    f"Received: sample_weight={sample_weight}, class_weight={class_weight}"
                )
            sample_weight = class_weight_to_sample_weights(y, class_weight)
        return self._on_batch("train", (x, y, sample_weight), return_dict)

    def test_on_batch(
        self, x: object, y: object = None, sample_weight: object = None, return_dict: bool = False
    ) -> Tree:
        """Compute loss and metrics of one batch; see `keras.Model.test_on_batch`."""
        self._assert_compile_called("test_on_batch")
        return self._on_batch("test", (x, y, sample_weight), return_dict)

    def _on_batch(self, mode: str, batch: Tree, return_dict: bool) -> Tree:
        data = tree.map_structure(convert_to_tensor, batch, none_is_leaf=False)
        self._symbolic_build(data_batch=data)
        getattr(self, f"make_{mode}_function")()
        self.reset_metrics()
        logs = pythonify_logs(getattr(self, f"{mode}_function")([data]))
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def predict_on_batch(self, x: object) -> Tree:
        """Return the outputs for one batch; see `keras.Model.predict_on_batch`."""
        return self.make_predict_function()([(x,)])


def wants_batches(callbacks: CallbackList, mode: str) -> bool:
    """Return True if a callback overrides a hook of batches, other than the progress bar's."""
    names = [f"on_{mode}_batch_{when}" for when in ("begin", "end")]
    if mode == "train":
        names += ["on_batch_begin", "on_batch_end"]
    for callback in callbacks.callbacks:
        # Those that save once an epoch override the hooks, and do nothing there.
        idle = isinstance(callback, ProgbarLogger) or getattr(callback, "save_freq", 0) == "epoch"
        if not idle and any(not utils.is_default(getattr(callback, name)) for name in names):
            return True
    return False


NumpyTrainer = HornbeamTrainer
