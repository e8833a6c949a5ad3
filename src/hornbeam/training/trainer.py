"""The trainer of a model: what `compile` set up, the compiled steps, and `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.kernel import in_kernel
from hornbeam.data import Dataset
from hornbeam.distribution.processes import print_once
from hornbeam.engines import current_engine, using
from hornbeam.layers.tracking import Tracked
from hornbeam.metrics import AUC
from hornbeam.training import check_arguments
from hornbeam.training.array_data import ArrayData
from hornbeam.training.batches import check_local_data
from hornbeam.training.callbacks.added import current_added_callbacks
from hornbeam.training.callbacks.base import History
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.callbacks.checkpoint import resume_from, with_checkpoint
from hornbeam.training.callbacks.simple import stops_at_nan
from hornbeam.training.check_fit import warn_of_likely_mistakes, warn_of_metrics
from hornbeam.training.check_inputs import explained_samples, nan_stops
from hornbeam.training.check_samples import check_count
from hornbeam.training.compile_config import describe
from hornbeam.training.data_leakage import (
    TrainingRowHashes,
    count_evaluation,
    unsealed,
    warn_of_neighboring_copies,
    warn_of_reshuffled_parts,
    warn_of_shared_samples,
    warn_of_unknown_order,
)
from hornbeam.training.engine_choice import quickest_engine
from hornbeam.training.fit_facts import FitFacts
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.interruption import end_progress, print_interruption
from hornbeam.training.logs import as_floats
from hornbeam.training.loop import Loop
from hornbeam.training.memory_budget import plan_memory
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.packing import Batch, make_batch
from hornbeam.training.progress import resolve_verbose
from hornbeam.training.resuming import global_words, set_global_words
from hornbeam.training.run import TrainingRun, profiled, running
from hornbeam.training.schedule import TrainingSchedule
from hornbeam.training.signals import check_interrupts, handled_interrupts
from hornbeam.training.sources import Data, make_data, make_validation, split
from hornbeam.training.state import TrainingState
from hornbeam.training.step import Step
from hornbeam.training.steps import Steps, check_model_inputs, host_part
from hornbeam.training.stream_data import EMPTY, StreamData
from hornbeam.training.training_inputs import column_names

if TYPE_CHECKING:
    from pathlib import Path

    from hornbeam._internal.resume_point import ResumePoint
    from hornbeam._internal.typing import Tree
    from hornbeam.core.typing import DataLike
    from hornbeam.models.model import Model
    from hornbeam.training.callbacks.callback_list import CallbacksLike


class Trainer(TrainingState):
    """Training of a model, in one object, so that the model does not track what it holds."""

    model: Model
    run: TrainingRun | None

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.training_rows = TrainingRowHashes()
        # Where the last training, or that of the file, ended.
        self.resume_point: ResumePoint | None = None

    # -- one batch ---------------------------------------------------------------------------------

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
        batch = make_batch(host_part(self.model)(x), y, sample_weight, class_weight)
        if type(self.model).train_step is Steps.train_step:
            check_model_inputs(self.model, batch.x)
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
        chooses_engine: bool,
    ) -> History:
        """Do as `Model.fit`, with checked settings."""
        before = start = global_words()
        point, first = self.resume_point, settings.initial_epoch
        if point is not None and first and point.epoch == first:
            set_global_words(point.start)  # draws the same validation samples
        else:
            point = None
        columns = column_names(x)
        with nan_stops(stops_at_nan(callbacks)):
            data, validation, sentence = self._fit_data(settings, x, y, sample_weight, validation_data)
        del x, y, sample_weight
        engine = None
        if chooses_engine:
            engine, line = quickest_engine(self.model, data, settings.steps)
            if settings.verbose:
                _print_sentences(line)
        has_validation = validation_data is not None
        facts = FitFacts(self.model, data, validation, settings, bool(callbacks), has_validation)
        warn_of_likely_mistakes(facts)
        self.training_inputs.remember(facts.batch.x)
        self.training_inputs.columns = columns
        if has_validation and validation is not None:
            self.training_inputs.compare(validation.known.x, "validation_data")
        callbacks, checkpoints = with_checkpoint(callbacks, resume)
        if plot:
            from hornbeam.training.callbacks.live_plot import with_live_plot

            callbacks = with_live_plot(callbacks)
        with using(engine):
            run = self._new_run(settings, data, validation, callbacks, sentence)
            run.start = start
            if point is not None and not run.continue_from(point):
                set_global_words(before)
            return self._train(run, checkpoints, profile)

    def present_point(self) -> ResumePoint | None:
        """Return the end of the last training, or of an epoch of the present one; None in the middle."""
        if self.run is None:
            return self.resume_point
        return self.run.resume_point() if self.run.epoch_is_over else None

    def _fit_data(
        self, settings: FitSettings, x: Tree, y: Tree, sample_weight: Tree, validation_data: DataLike
    ) -> tuple[Data, Data | None, str]:
        """Convert and check the data, and trace the steps for them. Also returns a sentence about a split."""
        run_host_layers = host_part(self.model)
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
            warn_of_reshuffled_parts(x, validation_data)
        elif settings.validation_split:
            mode = settings.validation_split_mode
            if mode == "auto":
                warn_of_neighboring_copies(data.known)
            data, validation, sentence = split(data, settings.validation_split, mode, validation_size)
        self.training_samples.add(data)
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
        """Build the run with its callbacks, and print its schedule."""
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
        if settings.verbose == 2:
            _print_sentences(sentence)
        elif settings.verbose == 1:
            planned = plan.sentence() if plan is not None else ""
            _print_sentences(schedule.sentence(), sentence, planned, self._earlier_updates(settings))
        return TrainingRun(self, data, validation, callbacks, settings)

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
                _print_sentences(sentence)
            try:
                with profiled(run, profile):
                    logs = run.train()
                run.stop_if_requested()  # the signal may have come after the last step
            except KeyboardInterrupt as error:
                print_interruption(run, error)
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
        batch = data.known
        check_local_data(current_engine(), data.samples or 0, data.batch_size or len(batch), self.run_eagerly)
        x, y, _ = batch.unpacked()
        standard, losses = self.is_standard(mode), self.losses
        compares = standard and losses is not None and losses.spec is not None
        if standard:  # a step of the user's may unpack any data
            self.check_x_and_y(x, y)
        if compares and y is None:
            raise ValueError(
                f"the loss of {describe(self.model)} compares predictions with targets, but y is missing"
            )
        if not self.run_eagerly:
            for signature in data.signatures(steps):
                step = self.compiled_step(mode, signature)
            if isinstance(step, (Step, CheckedStep)):
                step.check_values(batch.leaves)  # the steps of all signatures read the same arguments
        if compares:
            assert losses is not None
            losses.check_values(y, self.model, class_weight)

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
        run_host_layers = host_part(self.model)
        data = make_data(
            x, y, sample_weight, batch_size, "evaluate", run_host_layers=run_host_layers, steps=steps
        )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        self.validation_fingerprints.check(data)
        if isinstance(data, ArrayData) and data.uses_all_rows:
            self.training_rows.check(self.model, x)
        self._validate_and_trace("test", data, steps, None)
        self.training_inputs.compare_columns(x, "evaluate()")
        self.training_inputs.compare(data.known.x, "evaluate()")
        warn_of_metrics(self.model, data.known)
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
        loop = Loop(self, "test", callbacks)
        if run is not None:
            loop.stop_requested = run.stop_requested
        logs = loop.run(data, steps)
        if run is not None:
            run.stop_if_requested()
        if loop.done == 0:
            raise ValueError("the data hold no batch to evaluate: a generator can be read only once")
        data.rewind()
        for metric in self.metrics.metrics if self.metrics is not None else ():
            if isinstance(metric, AUC):
                metric.warn_of_one_class()
        self.evaluated = data
        callbacks.on_test_end(logs)
        self.evaluated = None
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
        with explained_samples(self.model):
            data = make_data(
                x, None, None, batch_size, "predict", run_host_layers=host_part(self.model), steps=steps
            )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        self.training_inputs.compare_columns(x, "predict()")
        if isinstance(x, Dataset):
            warn_of_unknown_order(x, data)
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
        joined = _joined(outputs)
        if isinstance(data, ArrayData) and steps is None and data.samples is not None:
            check_count(self.model, data.samples, joined)
        return joined

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


def _print_sentences(*sentences: str) -> None:
    for sentence in sentences:
        if sentence:
            print_once(sentence)
