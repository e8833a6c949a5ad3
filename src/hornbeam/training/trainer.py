"""The trainer of a model: what `compile` set up, the compiled steps, and `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.call_errors import explain_arguments, takes
from hornbeam._internal.kernel import in_kernel
from hornbeam.distribution.processes import say
from hornbeam.engines import current_engine
from hornbeam.errors import ShapeError
from hornbeam.layers.tracking import Tracked
from hornbeam.training import check_arguments
from hornbeam.training.array_data import ArrayData
from hornbeam.training.batches import check_local_data, global_signature
from hornbeam.training.bounded import Bounded
from hornbeam.training.callbacks.added import current_added_callbacks
from hornbeam.training.callbacks.base import History
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.callbacks.checkpoint import resume_from, with_checkpoint
from hornbeam.training.check_fit import warn_of_likely_mistakes
from hornbeam.training.check_inputs import nan_stops
from hornbeam.training.compile_config import CompileMetrics, Losses, describe
from hornbeam.training.data_leakage import (
    TrainingRowHashes,
    ValidationFingerprints,
    count_evaluation,
    unsealed,
    warn_of_shared_samples,
)
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.inference_plan import WeightCache
from hornbeam.training.interruption import announce, end_progress
from hornbeam.training.loop import Loop, as_floats, checked_logs
from hornbeam.training.memory_budget import plan_memory
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.packing import Batch, Signature, make_batch
from hornbeam.training.profiler import profiled
from hornbeam.training.progress import resolve_verbose
from hornbeam.training.resuming import continue_from, global_words, point_after, set_global_words
from hornbeam.training.run import TrainingRun, running
from hornbeam.training.schedule import TrainingSchedule
from hornbeam.training.signals import check_interrupts, handled_interrupts
from hornbeam.training.sources import Data, make_data, make_validation, split
from hornbeam.training.stateless_step import StatelessStep, is_stateless
from hornbeam.training.step import EagerStep, Predictor, Step
from hornbeam.training.steps import Steps
from hornbeam.training.stream_data import EMPTY, StreamData
from hornbeam.training.trainable_at_compile import trainable_as_compiled

if TYPE_CHECKING:
    from pathlib import Path

    from hornbeam._internal.resume_point import ResumePoint
    from hornbeam._internal.typing import Tree
    from hornbeam.core.tensor import Tensor
    from hornbeam.core.typing import DataLike
    from hornbeam.models import Model
    from hornbeam.training.callbacks.callback_list import CallbacksLike


class Trainer:
    """Training of a model, in one object, so that the model does not track what it holds."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.optimizer: Any = None
        self.losses: Losses | None = None
        self.metrics: CompileMetrics | None = None
        self.loss_tracker: Any = None
        self.config: dict[str, Any] | None = None
        self.run_eagerly = False
        # `trainable` of the layers when the model was compiled.
        self.trainable: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
        self.steps_per_execution = 1
        # Bytes of memory for a training step, set during a call that limits them.
        self.memory_budget: int | None = None
        self.steps: Bounded = Bounded()
        # Steps of a chunk by compiled step, as the loop measured them.
        self.chunk_sizes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.predictors: Bounded = Bounded()
        # Eager calls of the model as one node (see `hornbeam.training.model_call`).
        self.calls: Bounded = Bounded()
        self.weight_cache: WeightCache = {}
        self.validation_fingerprints = ValidationFingerprints()
        self.training_rows = TrainingRowHashes()
        # Held while a step is traced: tracing may build the layers, which only one thread can do.
        self.tracing = threading.RLock()
        # The present `fit`, for callbacks.
        self.run: TrainingRun | None = None
        # Where the last training, or that of the file, ended.
        self.resume_point: ResumePoint | None = None

    def release_weights(self) -> None:
        """Drop all copies of the weights, which are about to change."""
        self.weight_cache.clear()
        for predictor in list(self.predictors.values()):
            if predictor.plan is not None:
                predictor.plan.release()
        for cached in list(self.calls.values()):
            if cached.call is not None:
                cached.call.plan.release()

    def forget_steps(self) -> None:
        """Drop compiled steps: the model or its settings have changed."""
        for cache in (self.steps, self.predictors, self.calls, self.weight_cache):
            cache.clear()

    def require_compiled(self, method: str) -> None:
        """Raise ValueError unless the model is compiled."""
        if not self.model.compiled:
            raise ValueError(
                f"{describe(self.model)} is not compiled: call model.compile(optimizer, loss) before "
                f"model.{method}()"
            )

    # -- steps -------------------------------------------------------------------------------------

    def loss_of_batch(self, x: Tree, y: Tree, y_pred: Tree, sample_weight: Tree, training: bool) -> Tensor:
        """Call `compute_loss`. That of a subclass may lack the argument `training`, as in early Keras 3."""
        arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        if takes(self.model.compute_loss, "training"):
            arguments["training"] = training
        return self.model.compute_loss(**arguments)

    def compiled_step(self, mode: str, signature: Signature) -> Any:
        """Return the step of `mode` ("train" or "test") for a signature, traced at its first use."""
        if mode == "train":
            self.release_weights()
            with trainable_as_compiled(self.model):
                return self._step_for(mode, signature)
        return self._step_for(mode, signature)

    def _step_for(self, mode: str, signature: Signature) -> Any:
        fn = self._step_function(mode)
        if is_stateless(fn):
            return self._stateless_step(mode, signature)
        if self.run_eagerly:
            return EagerStep(fn)
        trainable = tuple(v.trainable for v in self.model.weights) if mode == "train" else ()
        engine = current_engine()
        signature = global_signature(signature, engine)
        replacements = Tracked.replacements
        budget = self.memory_budget if mode == "train" else None
        key = (mode, engine, signature, trainable, replacements, budget)
        step = self.steps.get(key)
        if step is None:
            step = Step(fn, signature, engine, budget)
            checked_logs(step.traced.result, mode)
            if mode == "train":  # building created weights
                trainable = tuple(v.trainable for v in self.model.weights)
            self.steps[mode, engine, signature, trainable, replacements, budget] = step
        checked = mode == "train" and self.run is not None and self.run.debug_nans
        return CheckedStep(step) if checked else step

    def _step_function(self, mode: str) -> Callable[..., Any]:
        return self.model.train_step if mode == "train" else self.model.test_step

    def _is_standard(self, mode: str) -> bool:
        """Return whether the step is not one of the user's."""
        own = {"train": Steps.train_step, "test": Steps.test_step}
        return getattr(self._step_function(mode), "__func__", None) is own[mode]

    def _stateless_step(self, mode: str, signature: Signature) -> StatelessStep:
        """Return the step of a subclass that takes the state, for the weights that are trained now."""
        trainable = tuple(v.trainable for v in self.model.weights)
        key = (mode, current_engine(), "stateless", trainable)
        if key not in self.steps:
            step = StatelessStep(self.model, self._step_function(mode), mode, current_engine())
            step.build(signature)
            trainable = tuple(v.trainable for v in self.model.weights)
            key = (mode, current_engine(), "stateless", trainable)
            self.steps[key] = step
        return self.steps[key]

    def predict_batch(self, batch: Batch) -> Tree:
        """Return the outputs for one batch as NumPy arrays."""
        if self.run_eagerly:
            return tree.map_structure(np.asarray, EagerStep(self.model.predict_step).run(batch))
        arrays, engine = batch.leaves, current_engine()
        # `predict` looks a single array up by the same key.
        structure = None if batch.treedef.is_leaf else batch.signature()
        key = (arrays[0].shape, arrays[0].dtype, engine, structure, Tracked.replacements)
        predictor = self.predictors.get(key)
        if predictor is None:
            with self.tracing:
                predictor = self.predictors.get(key)
                if predictor is None:
                    self.model._check_inputs(batch.x)
                    signature = global_signature(batch.signature(), engine)
                    predict = self.model.predict_step
                    predictor = Predictor(predict, signature, engine, self.weight_cache)
                    self.predictors[key] = predictor
        return predictor([np.ascontiguousarray(array) for array in arrays])

    def run_step(
        self,
        mode: str,
        x: Tree,
        y: Tree,
        sample_weight: Tree,
        class_weight: Mapping[int, float] | None = None,
    ) -> dict[str, Any]:
        """Run one step on arrays. Returns its logs."""
        self.model.reset_metrics()
        batch = make_batch(self.model._run_host_layers(x), y, sample_weight, class_weight)
        if type(self.model).train_step is Steps.train_step:
            self.model._check_inputs(batch.x)
        return as_floats(self.compiled_step(mode, batch.signature()).run(batch))

    def results(self, logs: dict[str, Any], return_dict: bool) -> Tree:
        """Return logs by name, or as a list in Keras's order, of one value the value.

        Metrics whose name got a prefix of the output come last, sorted.
        """
        if return_dict:
            return dict(sorted(logs.items()))
        rows = self.metrics.rows if self.metrics else ()
        late = {name for _, metric, _, name in rows if metric.name != name}
        names = [*(name for name in logs if name not in late), *sorted(late & set(logs))]
        values = [logs[name] for name in names]
        return values[0] if len(values) == 1 else values

    # -- fit ---------------------------------------------------------------------------------------

    def fit(
        self,
        x: DataLike,
        y: Tree,
        sample_weight: Tree,
        validation_data: DataLike,
        settings: FitSettings,
        callbacks: CallbacksLike,
        resume: str | os.PathLike[str] | None,
        plot: bool,
        profile: bool | str | os.PathLike[str],
    ) -> History:
        """Do as `Model.fit`, with checked settings."""
        before = start = global_words()
        point, first = self.resume_point, settings.initial_epoch
        if point is not None and first and point.epoch == first:
            set_global_words(point.start)  # draws the same validation samples
        else:
            point = None
        with nan_stops(callbacks):
            data, validation, sentence = self._fit_data(settings, x, y, sample_weight, validation_data)
        del x, y, sample_weight
        has_validation = validation_data is not None
        warn_of_likely_mistakes(self.model, data, validation, settings, bool(callbacks), has_validation)
        callbacks, checkpoints = with_checkpoint(callbacks, resume)
        if plot:
            from hornbeam.training.callbacks.live_plot import with_live_plot

            callbacks = with_live_plot(callbacks)
        run = self._new_run(settings, data, validation, callbacks, sentence)
        run.start = start
        if point is not None and not continue_from(run, point):
            set_global_words(before)
        return self._train(run, checkpoints, profile)

    def present_point(self) -> ResumePoint | None:
        """Return the end of the last training, or of an epoch of the present one; None in the middle."""
        if self.run is None:
            return self.resume_point
        return point_after(self.run) if self.run.epoch_is_over else None

    def _fit_data(
        self, settings: FitSettings, x: Tree, y: Tree, sample_weight: Tree, validation_data: DataLike
    ) -> tuple[Data, Data | None, str]:
        """Convert and check the data, and trace the steps for them. Also returns a sentence about a split."""
        run_host_layers = self.model._run_host_layers
        size, class_weight = settings.batch_size, settings.class_weight
        data = make_data(
            x,
            y,
            sample_weight,
            size,
            "fit",
            settings.shuffle,
            class_weight,
            run_host_layers=run_host_layers,
            steps=settings.steps,
            steps_name="steps_per_epoch",
        )
        if isinstance(data, StreamData):  # another step may take several sources, each with its batch size
            data.equal_lengths = type(self.model).train_step is Steps.train_step
        self.training_rows.add(self.model, x)
        validation, sentence = None, ""
        validation_size = settings.validation_batch_size
        if validation_data is not None and not check_arguments.lacks_samples(validation_data):
            validation = make_validation(
                validation_data, validation_size or size, settings.validation_steps, run_host_layers
            )
            if isinstance(validation, StreamData) and validation.is_empty():
                warning_policy.on_warning(f"validation_data: {EMPTY}, so that nothing is validated")
                validation = None
        if validation is not None:
            self.validation_fingerprints.add(validation)
            if isinstance(data, ArrayData) and isinstance(validation, ArrayData) and validation.uses_all_rows:
                warn_of_shared_samples(data.table, validation.table)
        elif settings.validation_split:
            mode = settings.validation_split_mode
            data, validation, sentence = split(data, settings.validation_split, mode, validation_size)
        execution = self.steps_per_execution
        settings.steps = check_arguments.limit_steps("steps_per_epoch", settings.steps, data, execution)
        self._validate_and_trace("train", data, settings.steps, class_weight)
        if validation is not None:
            settings.validation_steps = check_arguments.limit_steps(
                "validation_steps", settings.validation_steps, validation, execution
            )
            self._validate_and_trace("test", validation, settings.validation_steps, None)
        return data, validation, sentence

    def _new_run(
        self,
        settings: FitSettings,
        data: Data,
        validation: Data | None,
        callbacks: CallbacksLike,
        sentence: str,
    ) -> TrainingRun:
        """Build the run with its callbacks, and announce its schedule."""
        steps = settings.steps if settings.steps is not None else data.steps
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                [callbacks or [], *current_added_callbacks()],
                add_history=True,
                add_progbar=settings.verbose != 0,
                model=self.model,
                verbose=settings.verbose,
                epochs=settings.epochs,
                steps=steps,
            )
        schedule = _schedule(data, steps, settings.epochs - settings.initial_epoch)
        plan = plan_memory(self.model, data, settings.steps, settings.debug_nans)
        if callbacks.history is not None:
            callbacks.history.schedule, callbacks.history.memory_plan = schedule, plan
        if settings.verbose == 1:
            planned = plan.sentence() if plan is not None else ""
            _say(schedule.sentence(), sentence, planned, self._earlier_updates(settings))
        return TrainingRun(self.model, data, validation, callbacks, settings)

    def _earlier_updates(self, settings: FitSettings) -> str:
        """Say in a notebook, where cells are run again, that the training goes on."""
        optimizer = self.model.optimizer
        if not in_kernel() or settings.initial_epoch or optimizer is None or not optimizer.built:
            return ""
        count = int(optimizer.iterations)
        again = "build the model again to begin anew"
        return f"the training goes on: the model has had {count:,} updates; {again}" if count else ""

    def _train(
        self, run: TrainingRun, checkpoints: list[Path] | None, profile: bool | str | os.PathLike[str]
    ) -> History:
        """Run the epochs, from a checkpoint if one is found, between the callbacks' begin and end."""
        self.model.stop_training = False
        callbacks = run.callbacks
        with running(run):
            callbacks.on_train_begin()
            sentence = resume_from(run, checkpoints)
            if run.settings.verbose == 1:
                _say(sentence)
            try:
                with profiled(run, profile):
                    logs = run.train()
                run.stop_if_requested()  # the signal may have come after the last step
            except KeyboardInterrupt as error:
                announce(run, error)
                raise
            except Exception:
                end_progress(run)
                raise
        optimizer = self.model.optimizer
        if optimizer is not None and optimizer.built:
            optimizer.finalize_variable_values(self.model.trainable_variables)
        callbacks.on_train_end(logs)
        return callbacks.history if callbacks.history is not None else self.model.history

    def _validate_and_trace(
        self, mode: str, data: Data, steps: int | None, class_weight: Mapping[int, float] | None
    ) -> None:
        """Compare data and model, trace the step, then check the labels: all before anything runs."""
        batch = data.table if isinstance(data, ArrayData) else data.first_batch()
        check_local_data(current_engine(), data.samples or 0, data.batch_size or len(batch), self.run_eagerly)
        x, y, _ = batch.unpacked()
        standard, losses = self._is_standard(mode), self.losses
        compares = standard and losses is not None and losses.spec is not None
        if standard:  # a step of the user's may unpack any data
            self.check_x_and_y(x, y)
        if compares and y is None:
            raise ValueError(
                f"the loss of {describe(self.model)} compares predictions with targets, but y is missing"
            )
        if not self.run_eagerly:
            for signature in data.signatures(steps):
                self.compiled_step(mode, signature)
        if compares:
            assert losses is not None
            losses.check_values(y, self.model, class_weight)

    @explain_arguments
    def check_x_and_y(self, x: Tree, y: Tree) -> None:
        """Compare the inputs with the model's, and say so if the targets would fit in their place."""
        try:
            self.model._check_inputs(x, values=True)
        except ShapeError as error:
            try:
                if not isinstance(y, np.ndarray):
                    raise error
                self.model._check_inputs(y)
            except ValueError:
                raise error from None
            raise ShapeError(f"{error}. y has this shape: are x and y swapped?") from None

    # -- evaluate ----------------------------------------------------------------------------------

    def evaluate(
        self,
        x: DataLike,
        y: Tree,
        sample_weight: Tree,
        batch_size: int | None,
        verbose: str | int,
        steps: int | None,
        callbacks: CallbacksLike,
    ) -> dict[str, Any]:
        """Do as `Model.evaluate`. Returns the logs."""
        self.require_compiled("evaluate")
        verbose = resolve_verbose(verbose)
        steps = check_arguments.check_steps("steps", steps)
        x, y, sample_weight, sealed = unsealed(x, y, sample_weight, self.run is not None)
        run_host_layers = self.model._run_host_layers
        data = make_data(
            x, y, sample_weight, batch_size, "evaluate", run_host_layers=run_host_layers, steps=steps
        )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        self.validation_fingerprints.check(data)
        if isinstance(data, ArrayData) and data.uses_all_rows:
            self.training_rows.check(self.model, x)
        self._validate_and_trace("test", data, steps, None)
        callbacks = self._callback_list(callbacks, verbose, verbose != 0, data, steps)
        count_evaluation(sealed, f"evaluate of {describe(self.model)}", quiet=verbose == 0)
        return self.run_evaluation(data, callbacks, steps)

    def run_evaluation(
        self, data: Data, callbacks: CallbackList, steps: int | None, run: TrainingRun | None = None
    ) -> dict[str, Any]:
        """Compute loss and metrics over data. run: the `fit` that validates with them."""
        self.model.reset_metrics()
        self.model.stop_evaluating = False
        callbacks.on_test_begin()
        loop = Loop(self.model, "test", callbacks)
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

    def predict(
        self,
        x: DataLike,
        batch_size: int | None,
        verbose: str | int,
        steps: int | None,
        callbacks: CallbacksLike,
    ) -> Tree:
        """Do as `Model.predict`."""
        if type(x) is np.ndarray and callbacks is None and steps is None and verbose in ("auto", 0):
            # The short path for one batch: nothing but a dictionary look-up and the engine.
            predictor = self.predictors.get((x.shape, x.dtype, current_engine(), None, Tracked.replacements))
            if predictor is not None and len(x) <= (batch_size or 32):
                return predictor([x])
        verbose = resolve_verbose(verbose)
        steps = check_arguments.check_steps("steps", steps)
        data = make_data(
            x, None, None, batch_size, "predict", run_host_layers=self.model._run_host_layers, steps=steps
        )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        count = steps if steps is not None else data.steps
        callbacks = self._callback_list(callbacks, verbose, verbose != 0 and count != 1, data, steps)
        callbacks.on_predict_begin()
        self.model.stop_predicting = False
        batches = data.slices(steps) if isinstance(data, ArrayData) else data.epoch(steps)
        outputs: list[Any] = []
        with handled_interrupts():
            self._predict_batches(batches, callbacks, outputs)
        if not outputs:
            raise ValueError("the data hold no batch to predict: a generator can be read only once")
        callbacks.on_predict_end()
        return _joined(outputs)

    def _predict_batches(self, batches: Iterable[Batch], callbacks: CallbackList, outputs: list[Any]) -> None:
        """Append the outputs of all batches, with the hooks of callbacks, if any, around each execution."""
        hooked = callbacks.wants_batches("predict")
        size, iterator = self.steps_per_execution if hooked else 1, iter(batches)
        for first in itertools.count(0, size):
            batch = next(iterator, None)
            if batch is None:
                return
            if hooked:
                callbacks.on_predict_batch_begin(first)
            parts = [self.predict_batch(batch)]
            parts.extend(self.predict_batch(batch) for batch in itertools.islice(iterator, size - 1))
            outputs.extend(parts)
            check_interrupts()
            if hooked:
                callbacks.on_predict_batch_end(first + size - 1, {"outputs": _joined(parts)})
            elif callbacks.has_chunked:
                callbacks.call_chunked("predict", first, {})
            if self.model.stop_predicting:
                return

    def _callback_list(
        self, callbacks: CallbacksLike, verbose: int, show: bool, data: Data, steps: int | None
    ) -> CallbackList:
        """Build the callbacks of `evaluate` and `predict`, with a progress bar if `show` is set."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        count = steps if steps is not None else data.steps
        return CallbackList(
            callbacks, add_progbar=show, model=self.model, verbose=verbose, epochs=1, steps=count
        )


def _schedule(data: Data, steps: int | None, epochs: int) -> TrainingSchedule:
    samples, size = data.samples, data.batch_size
    if isinstance(data, StreamData):
        samples, size = data.declared_samples()
    bound = None if data.endless else data.steps
    return TrainingSchedule(samples, size, steps, epochs, one_pass=steps == data.steps, pass_steps=bound)


def _joined(outputs: list[Any]) -> Tree:
    """Return the outputs of several batches as those of one."""
    if len(outputs) == 1:
        return outputs[0]
    return tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)


def _say(*sentences: str) -> None:
    for sentence in sentences:
        if sentence:
            say(sentence)
