"""`compile`, `fit`, `evaluate`, `predict` and their batch versions: the only ones there are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.validation import check_int
from hornbeam.core.grad import gradients
from hornbeam.core.jit import _structure as structure_key
from hornbeam.core.scopes import StatelessScope
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import eager_scope
from hornbeam.data.splits.sealed import refuse_sealed
from hornbeam.diagnostics.profile import Profile
from hornbeam.diagnostics.profiler import profile_model, profiled
from hornbeam.distribution.processes import say
from hornbeam.engines import current_engine
from hornbeam.ir.scope import scope
from hornbeam.training import checks
from hornbeam.training.batches import check_local_data, global_types
from hornbeam.training.callbacks.base import CallbackList, History
from hornbeam.training.callbacks.checkpoint import continue_from, with_checkpoint
from hornbeam.training.compile_config import describe
from hornbeam.training.compile_mixin import CompileMixin, on_engine
from hornbeam.training.data import (
    ArrayData,
    StreamData,
    apply_class_weight,
    as_arrays,
    check_lengths,
    leaves_of,
    pack_x_y_sample_weight,
    rows_of,
    types_of,
    unpack_x_y_sample_weight,
)
from hornbeam.training.data_leakage import count_evaluation, unsealed, warn_of_shared_samples
from hornbeam.training.host_inputs import HostInputs
from hornbeam.training.loop import Loop, as_floats, checked_logs
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.progress import resolve_verbose
from hornbeam.training.run import TrainingRun, running
from hornbeam.training.schedule import TrainingSchedule
from hornbeam.training.sources import check_end, check_labels_of, make_data, make_validation, split
from hornbeam.training.step import EagerStep, Predictor, Step


class Trainer(CompileMixin):
    """What a Model adds to a Layer for training."""

    history: Any = None
    # The `fit` that runs, for callbacks.
    _training_run: TrainingRun | None = None

    # -- steps -------------------------------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The scalar that training makes small: the compiled loss plus what layers added. Override it at
        will.

        Raises ValueError if there is neither.
        """
        total = None
        losses = self._training_state.losses
        with scope("loss"):
            if losses is not None and losses.spec is not None:
                total = losses(y, y_pred, sample_weight, self)
            for loss in self.losses:  # type: ignore[attr-defined]
                total = loss if total is None else total + loss
        if total is None:
            raise ValueError(
                f"{describe(self)} has no loss: give one to compile(loss=...), call add_loss() in a layer, "
                f"or override "
                "compute_loss()"
            )
        return total

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Tensor, tuple[Any, Any, Any]]:
        """`compute_loss` as a pure function of the variables' values.

        Returns the loss, and (trainable, non-trainable, metrics) values as they are afterwards.
        """
        mine: Any = self
        groups = (mine.non_trainable_variables, mine.metrics_variables)
        mapping = [
            *mine._paired("trainable", mine.trainable_variables, trainable_variables),
            *mine._paired("non-trainable", groups[0], non_trainable_variables),
            *mine._paired("metrics", groups[1], metrics_variables),
        ]
        with StatelessScope(mapping) as scope:
            loss = self.compute_loss(x, y, y_pred, sample_weight=sample_weight, training=training)
        states, totals = ([scope.get_current_value(v) for v in group] for group in groups)
        return loss, (trainable_variables, states, totals)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the compiled metrics with a batch and return all results."""
        with scope("metrics"):
            if self._training_state.metrics is not None:
                self._training_state.metrics.update_state(y, y_pred, sample_weight)
            return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Present values of all metrics by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            if isinstance(value, dict):
                found.update(value)
            else:
                found[metric.name] = value
        return found

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update of the weights on a batch. Override it for a training procedure of your own: it is
        ordinary code,
        traced and compiled, with `hornbeam.gradients(loss, variables)` and `self.optimizer.apply(gradients,
        variables)`.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        self._training_state.loss_tracker.update_state(loss, sample_weight=_batch(x))
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if variables:
            if not self.optimizer.built:
                with eager_scope():
                    self.optimizer.build(variables)
            self.optimizer.apply(gradients(self.optimizer.scale_loss(loss), variables), variables)
        else:
            warnings.warn(f"{describe(self)} has no trainable weights: fit() changes nothing", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Loss and metrics of a batch, without an update."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._training_state.loss_tracker.update_state(loss, sample_weight=_batch(x))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The outputs for a batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _step(self, mode: str, types: Any) -> Any:
        """The step of `mode` for batches of `types`, traced when it is first needed."""
        state = self._training_state
        if mode == "train":
            state.release_weights()
        fn = self.train_step if mode == "train" else self.test_step
        checks.check_step_signature(fn, f"{mode}_step")
        if state.run_eagerly:
            return EagerStep(fn)
        trained = tuple(v.trainable for v in self.weights) if mode == "train" else ()  # type: ignore[attr-defined]
        engine = current_engine()
        types = global_types(types, engine)
        key = (mode, engine, structure_key(types), tuple(tree.flatten(types)), trained)
        step = state.steps.get(key)
        if step is None:
            step = Step(fn, types, engine)
            checked_logs(step.traced.result, mode)
            if mode == "train":  # building made weights
                key = (*key[:-1], tuple(v.trainable for v in self.weights))  # type: ignore[attr-defined]
            state.steps[key] = step
        checked = mode == "train" and self._training_run is not None and self._training_run.debug_nans
        return CheckedStep(step) if checked else step

    # -- fit ---------------------------------------------------------------------------------------

    @on_engine
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        validation_split_mode: str = "auto",
        profile: Any = False,
        *,
        engine: str | None = None,
        resume: Any = None,
        debug_nans: bool = False,
    ) -> History:
        """Train for `epochs` passes over the data. Returns a History with the metrics of every epoch.

        x, y: arrays (lists or dicts of them for several inputs or outputs), or as x alone something that
        gives batches `(x, y)`: a hornbeam.data.Dataset, a PyDataset, a generator, a DataLoader. batch_size:
        samples per update, 32 by default. validation_data: `(x, y)` looked at after each epoch;
        validation_split: a fraction of the data held out for that,
        shuffled and with
        every class in proportion, or with validation_split_mode="tail" the last samples as Keras does.
        class_weight:
        {class: weight}. sample_weight: one weight a sample. shuffle: a new order each epoch, from the global
        seed.
        steps_per_epoch: updates an epoch, if not one pass. Callbacks: see `hornbeam.callbacks`.
        profile: True times every kernel and prints where the time went, a path writes a Chrome trace there;
        the `Profile` is then the history's `profile`.
        engine: what runs this call ("jax", "torch:cuda:0", ...), if not what runs everything; weights and
        states go along.
        resume: a folder for checkpoints of this training, made if it is not there: the training goes on from
        the newest one in it, to the same bits as if it had never stopped, and writes more (see
        `callbacks.Checkpoint`). Or one checkpoint's file, to go on from.
        debug_nans: stop with a FloatingPointError at the first step that leaves a loss, metric or weight that
        is not finite, which names the layer, the operation and the samples by which that began. Steps are
        slower, since each runs by itself.

        Ctrl-C leaves the weights of the last completed step; with checkpoints, it makes one first. Raises,
        before the first step, for what cannot be right in settings, data and model.

        >>> history = model.fit(x_train, y_train, epochs=5, validation_split=0.1)  # doctest: +SKIP
        """
        self._require_compiled("fit")
        epochs, initial_epoch = (
            check_int("epochs", epochs, 0),
            check_int("initial_epoch", initial_epoch, 0),
        )
        steps = checks.optional_steps(steps_per_epoch, "steps_per_epoch")
        validation_steps = checks.optional_steps(validation_steps, "validation_steps")
        fraction, frequency = (
            checks.split_fraction(validation_split),
            checks.validation_epochs(validation_freq),
        )
        class_weight, verbose = checks.class_weights(class_weight), resolve_verbose(verbose)
        run_host_layers = self._run_host_layers
        data = make_data(
            x, y, sample_weight, batch_size, "fit", shuffle, class_weight, run_host_layers=run_host_layers
        )
        check_end(data, steps, "steps_per_epoch")
        self._training_state.training_rows.remember(self, x)
        del x, y, sample_weight
        validation, sentence = None, ""
        if validation_data is not None:
            validation = make_validation(
                validation_data, validation_batch_size or batch_size, run_host_layers
            )
            check_end(validation, validation_steps, "validation_steps")
            if isinstance(validation, ArrayData) and validation.whole:
                self._training_state.validation_fingerprints.remember(validation.data)
                if isinstance(data, ArrayData):
                    warn_of_shared_samples(data.data, validation.data)
        elif fraction:
            data, validation, sentence = split(data, fraction, validation_split_mode, validation_batch_size)
        epochs, steps = checks.limited_epochs(epochs), checks.limited_steps(steps, data.steps)
        self._validate_and_trace("train", data, steps, class_weight)
        if validation is not None:
            validation_steps = checks.limited_steps(validation_steps, validation.steps)
            self._validate_and_trace("test", validation, validation_steps, None)
        number = steps if steps is not None else data.steps
        callbacks, found = with_checkpoint(callbacks, resume)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                model=self,
                verbose=verbose,
                epochs=epochs,
                steps=number,
            )
        plan = _plan(data, number, epochs - initial_epoch)
        if callbacks.history is not None:
            callbacks.history.schedule = plan
        if verbose == 1:
            _say(plan.sentence(), sentence)
        self.stop_training = False
        logs: dict[str, Any] = {}
        made: list[int] = []
        run = TrainingRun(self, data, validation, callbacks, initial_epoch)
        run.debug_nans = checks.debugging(debug_nans, self._training_state.run_eagerly)
        with running(run):
            callbacks.on_train_begin()
            going_on = continue_from(run, found)
            if verbose == 1:
                _say(going_on)
            with profiled(self, profile, made):
                while run.epoch < epochs and not self.stop_training:
                    before = run.updates
                    logs = self._epoch(run, steps, validation_steps, frequency, epochs)
                    made.append(run.updates - before)
            run.stop_if_requested()  # the signal may have come behind the last step
        if self.optimizer is not None and self.optimizer.built:
            self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
        callbacks.on_train_end(logs)
        return callbacks.history if callbacks.history is not None else self.history

    def _epoch(
        self, run: TrainingRun, steps: int | None, validation_steps: int | None, frequency: Any, epochs: int
    ) -> dict[str, Any]:
        """The present epoch of a run, or the rest of it; validation; callbacks. Returns its logs."""
        loop, callbacks, epoch = run.loop, run.callbacks, run.epoch
        if not run.continues:
            self.reset_metrics()
        run.continues = False
        callbacks.on_epoch_begin(epoch)
        logs = dict(sorted(loop.run(run.data, steps).items()))
        run.stop_if_requested()
        if loop.done == 0 or (steps is not None and loop.done < steps and not self.stop_training):
            self._ran_out(epoch, epochs, steps, loop.done)
        if loop.done:
            if run.validation is not None and _due(epoch, frequency):
                seen = self._evaluate(run.validation, callbacks, validation_steps, run)
                logs.update({f"val_{name}": value for name, value in sorted(seen.items())})
            callbacks.on_epoch_end(epoch, logs)
        run.finish_epoch()
        return logs

    def profile(self, x: Any, y: Any = None, batch_size: int = 32, steps: int = 10) -> Profile:
        """Where the time of a training step goes, or without `y` that of a prediction. Weights stay.

        x, y: arrays, as for `fit`. steps: how many are timed, after one that warms up. Returns a `Profile`
        (hornbeam.diagnostics.profile): print it, look at its `layers` and `kernels`, or write a Chrome trace.

        Raises ValueError for data that are not arrays, NotImplementedError on an engine without profiles.

        >>> print(model.profile(x, y, batch_size=128))  # doctest: +SKIP
        """
        return profile_model(self, x, y, batch_size, steps)

    def _ran_out(self, epoch: int, epochs: int, steps: int | None, done: int) -> None:
        wanted = f"{steps} steps in each of {epochs} epochs" if steps is not None else f"{epochs} epochs"
        warnings.warn(
            f"the data ran out in epoch {epoch + 1} after {done} steps; fit() was to make {wanted}. A "
            f"generator can be read "
            "once: let it run for ever and give steps_per_epoch, or use a PyDataset",
            stacklevel=4,
        )
        self.stop_training = True

    def _validate_and_trace(
        self, mode: str, data: ArrayData | StreamData, steps: int | None, class_weight: Any
    ) -> None:
        """Compare data and model, trace the step, then look at the labels: all before anything is run."""
        if isinstance(data, ArrayData):
            batch, count = data.data, data.samples or 0
            sizes = {
                min(data.batch_size, count),
                (steps is None and count % data.batch_size) or data.batch_size,
            }
            signatures = [data.types(size) for size in sorted(sizes, reverse=True) if size <= count]
        else:
            batch = data.first_batch()
            signatures = [types_of(batch)]
            checks.check_finite(unpack_x_y_sample_weight(batch)[0], "x")
        rows = data.batch_size if isinstance(data, ArrayData) else len(leaves_of(batch)[0])
        check_local_data(current_engine(), data.samples or 0, rows or 0, self._training_state.run_eagerly)
        x, y, _ = unpack_x_y_sample_weight(batch)
        method = {"train": self.train_step, "test": self.test_step}[mode]
        standard = getattr(method, "__func__", None) in (Trainer.train_step, Trainer.test_step)
        if standard:  # a step of the user's may take any data apart
            self._check_inputs(x, values=True)
        losses = self._training_state.losses
        if standard and y is None and losses is not None and losses.spec is not None:
            raise ValueError(
                f"the loss of {describe(self)} compares predictions with targets, but there is no y"
            )
        if not self._training_state.run_eagerly:
            for types in signatures:
                self._step(mode, types)
        if standard and losses is not None and losses.spec is not None:
            check_labels_of(self, losses, data, class_weight)

    def _run_host_layers(self, x: Any) -> Any:
        """What the model's layers for strings make of x, if it has any, else x."""
        return x

    def _check_inputs(self, x: Any, values: bool = False) -> None:
        """Compare data with the model's inputs where they are known, and values with what layers take."""
        if isinstance(x, HostInputs):
            return
        inputs = getattr(self, "_symbolic_inputs", None)
        if inputs is not None:
            given = checks.check_inputs(x, inputs, describe(self))
            if values:
                checks.check_input_values(self.layers, given, inputs)  # type: ignore[attr-defined]

    # -- evaluate ----------------------------------------------------------------------------------

    @on_engine
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        *,
        engine: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics over the data: the loss alone, a list of it and the metrics, or a dict with
        `return_dict`. `engine` runs this call, as in `fit`.

        x may be a sealed test set (`hornbeam.data.seal`): the look is counted, and said. The line that it
        prints states accuracies with their 95% interval (Wilson); `hornbeam.evaluation.evaluate` does so for
        every metric.

        Warns, once, if `fit` was given the same data as validation_data. Raises SealedError for sealed data
        in the middle of `fit`.
        """
        if kwargs:
            raise TypeError(f"evaluate() does not know {', '.join(map(repr, kwargs))}")
        self._require_compiled("evaluate")
        verbose = resolve_verbose(verbose)
        steps = checks.optional_steps(steps, "steps")
        x, y, sample_weight, sealed = unsealed(x, y, sample_weight, self._training_run is not None)
        data = make_data(x, y, sample_weight, batch_size, "evaluate", run_host_layers=self._run_host_layers)
        check_end(data, steps, "steps")
        steps = checks.limited_steps(steps, data.steps)
        if isinstance(data, ArrayData) and data.whole:
            self._training_state.validation_fingerprints.check(data.data)
            self._training_state.training_rows.check(self, x)
        self._validate_and_trace("test", data, steps, None)
        number = steps if steps is not None else data.steps
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1, steps=number
            )
        count_evaluation(sealed, f"evaluate of {describe(self)}", quiet=verbose == 0)
        logs = self._evaluate(data, callbacks, steps)
        if return_dict:
            return dict(sorted(logs.items()))
        return _listed(logs, self._training_state.metrics)

    def _evaluate(
        self,
        data: ArrayData | StreamData,
        callbacks: CallbackList,
        steps: int | None,
        run: TrainingRun | None = None,
    ) -> dict[str, Any]:
        """Loss and metrics over the data. run: the `fit` that they are the validation of."""
        self.reset_metrics()
        callbacks.on_test_begin()
        loop = Loop(self, "test", callbacks)
        if run is not None:
            loop.stop_requested = run.stop_requested
        logs = loop.run(data, steps)
        if run is not None:
            run.stop_if_requested()
        if loop.done == 0:
            raise ValueError("the data hold no batch to evaluate: a generator can be read only once")
        data.rewind()
        callbacks.on_test_end(logs)
        return logs

    # -- predict -----------------------------------------------------------------------------------

    @on_engine
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        engine: str | None = None,
    ) -> Any:
        """Outputs for all samples of x, as NumPy arrays in the structure of the model's outputs. `engine`
        runs this call, as in `fit`.

        Safe to call from several threads at once.
        """
        if (
            type(x) is np.ndarray
            and callbacks is None
            and steps is None
            and (verbose == "auto" or verbose == 0)
        ):
            # The short way for one batch: nothing but a dictionary look-up and the engine.
            known = self._training_state.predictors.get((x.shape, x.dtype, current_engine(), None))
            if known is not None and len(x) <= (batch_size or 32):
                return known([x])
        verbose = resolve_verbose(verbose)
        steps = checks.optional_steps(steps, "steps")
        data = make_data(x, None, None, batch_size, "predict", run_host_layers=self._run_host_layers)
        check_end(data, steps, "steps")
        steps = checks.limited_steps(steps, data.steps)
        number = steps if steps is not None else data.steps
        if not isinstance(callbacks, CallbackList):
            show = verbose != 0 and number != 1
            callbacks = CallbackList(
                callbacks, add_progbar=show, model=self, verbose=verbose, epochs=1, steps=number
            )
        callbacks.on_predict_begin()
        each, found = callbacks.wants_batches("predict"), []
        batches = _slices(data, steps) if isinstance(data, ArrayData) else data.epoch(steps)
        for index, batch in enumerate(batches):
            if each:
                callbacks.on_predict_batch_begin(index)
            found.append(self._predicted(batch))
            if each:
                callbacks.on_predict_batch_end(index, {"outputs": found[-1]})
            elif callbacks.watches:
                callbacks.call_chunked("predict", index, {})
        if not found:
            raise ValueError("the data hold no batch to predict: a generator can be read only once")
        callbacks.on_predict_end()
        if len(found) == 1:
            return found[0]
        return tree.map_structure(lambda *parts: np.concatenate(parts), *found)

    def _predicted(self, data: Any) -> Any:
        """The outputs for one batch of arrays."""
        if self._training_state.run_eagerly:
            return tree.map_structure(np.asarray, EagerStep(self.predict_step).run(data))
        arrays = leaves_of(data)
        single = len(arrays) == 1 and data is arrays[0]
        structure = None if single else (structure_key(data), tuple((a.shape, a.dtype) for a in arrays))
        key = (arrays[0].shape, arrays[0].dtype, current_engine(), structure)
        known = self._training_state.predictors
        predictor = known.get(key)
        if predictor is None:
            with self._training_state.tracing:
                predictor = known.get(key)
                if predictor is None:
                    self._check_inputs(unpack_x_y_sample_weight(data)[0])
                    predictor = known[key] = Predictor(
                        self.predict_step,
                        global_types(types_of(data), current_engine()),
                        current_engine(),
                        self._training_state.weight_cache,
                    )
        return predictor([np.ascontiguousarray(array) for array in arrays])

    # -- single batches ----------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch; returns loss and metrics of this batch alone."""
        self._require_compiled("train_on_batch")
        refuse_sealed(x, "train_on_batch() got it as x")
        self.reset_metrics()
        data = self._one_batch(x, y, sample_weight, checks.class_weights(class_weight))
        logs = as_floats(self._step("train", types_of(data)).run(data))
        return dict(sorted(logs.items())) if return_dict else _listed(logs, self._training_state.metrics)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch alone."""
        self._require_compiled("test_on_batch")
        self.reset_metrics()
        data = self._one_batch(x, y, sample_weight, None)
        logs = as_floats(self._step("test", types_of(data)).run(data))
        return dict(sorted(logs.items())) if return_dict else _listed(logs, self._training_state.metrics)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch as NumPy arrays."""
        x = as_arrays(self._run_host_layers(x), "x")
        check_lengths(x=x)
        return self._predicted(pack_x_y_sample_weight(x))

    def _one_batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Any:
        x, y = as_arrays(self._run_host_layers(x), "x"), as_arrays(y, "y")
        sample_weight = as_arrays(sample_weight, "sample_weight")
        count = check_lengths(x=x, y=y)
        if sample_weight is not None:
            checks.check_sample_weight(sample_weight, count)
        if class_weight is not None:
            sample_weight = apply_class_weight(class_weight, y, sample_weight)
        if type(self).train_step is Trainer.train_step:
            self._check_inputs(x)
        return pack_x_y_sample_weight(x, y, sample_weight)


def _batch(x: Any) -> int:
    """Number of samples in a batch."""
    return tree.flatten(x)[0].shape[0]


def _listed(logs: dict[str, Any], metrics: Any) -> Any:
    """Logs as a list in Keras's order: metrics that an output's name was put before come last, sorted."""
    late = {name for _, metric, _, name in (metrics.rows if metrics else ()) if metric.name != name}
    names = [*(name for name in logs if name not in late), *sorted(late & set(logs))]
    values = [logs[name] for name in names]
    return values[0] if len(values) == 1 else values


def _due(epoch: int, frequency: Any) -> bool:
    return epoch + 1 in frequency if isinstance(frequency, set) else (epoch + 1) % frequency == 0


def _slices(data: ArrayData, steps: int | None) -> Any:
    count = data.samples or 0
    starts: Sequence[int] = range(0, count, data.batch_size)
    for start in starts[:steps]:
        yield rows_of(data.data, slice(start, start + data.batch_size))


def _plan(data: ArrayData | StreamData, steps: int | None, epochs: int) -> TrainingSchedule:
    """What is going to be done, in numbers."""
    if isinstance(data, ArrayData):
        return TrainingSchedule(data.samples, data.batch_size, steps, epochs, whole=steps == data.steps)
    return TrainingSchedule(None, None, steps, epochs)


def _say(*sentences: str) -> None:
    for sentence in sentences:
        if sentence:
            say(sentence)
