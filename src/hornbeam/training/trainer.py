"""`fit`, `evaluate` and `predict`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.call_errors import explain_arguments
from hornbeam._internal.kernel import in_kernel
from hornbeam.distribution.processes import say
from hornbeam.engines import current_engine
from hornbeam.errors import ShapeError
from hornbeam.layers.tracking import Tracked
from hornbeam.training import check_arguments
from hornbeam.training.array_data import ArrayData
from hornbeam.training.batch_api import BatchMethods
from hornbeam.training.batches import check_local_data
from hornbeam.training.callbacks.added import current_added_callbacks
from hornbeam.training.callbacks.base import History
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.callbacks.checkpoint import resume_from, with_checkpoint
from hornbeam.training.check_fit import warn_of_likely_mistakes
from hornbeam.training.check_inputs import nan_stops
from hornbeam.training.compile_config import describe
from hornbeam.training.compile_mixin import on_engine
from hornbeam.training.data_leakage import count_evaluation, unsealed, warn_of_shared_samples
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.interruption import announce, end_progress
from hornbeam.training.loop import Loop
from hornbeam.training.memory_budget import plan_memory, within_budget
from hornbeam.training.profiler import profile_model, profiled
from hornbeam.training.progress import resolve_verbose
from hornbeam.training.resuming import continue_from, global_words, point_after, set_global_words
from hornbeam.training.run import TrainingRun, running
from hornbeam.training.schedule import TrainingSchedule
from hornbeam.training.signals import check_interrupts, handled_interrupts
from hornbeam.training.sources import Data, make_data, make_validation, split
from hornbeam.training.stream_data import EMPTY, StreamData

if TYPE_CHECKING:
    from pathlib import Path

    from hornbeam._internal.resume_point import ResumePoint
    from hornbeam._internal.typing import Tree
    from hornbeam.core.typing import DataLike
    from hornbeam.models import Model
    from hornbeam.training.callbacks.callback_list import CallbacksLike
    from hornbeam.training.packing import Batch
    from hornbeam.training.profile import Profile


class Trainer(BatchMethods):
    """Part of a model that trains, evaluates and predicts over data."""

    history: History = cast(History, None)  # before the first fit

    # -- fit ---------------------------------------------------------------------------------------

    @on_engine
    @within_budget
    def fit(
        self,
        x: DataLike = None,
        y: Tree = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: CallbacksLike = None,
        validation_split: float = 0.0,
        validation_data: DataLike = None,
        shuffle: bool | str | None = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Tree = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
        validation_split_mode: str = "auto",
        profile: bool | str | os.PathLike[str] = False,
        *,
        engine: str | None = None,
        resume: str | os.PathLike[str] | None = None,
        debug_nans: bool = False,
        plot: bool = False,
        memory_budget: int | str | None = None,
    ) -> History:
        """Train for `epochs` passes over the data.

        Ctrl-C leaves the weights of the last completed step; with checkpoints, one is written first.

        Args:
            x: Arrays of inputs, (samples, ...), as a list or dict for several inputs. Or an iterable of
                batches `(x, y)` or `(x, y, sample_weight)`: a `hornbeam.data.Dataset`, a PyDataset, a
                generator, a DataLoader.
            y: Arrays of targets, (samples, ...), as a list or dict for several outputs. None if `x` gives
                batches.
            batch_size: Samples per update, 32 by default.
            epochs: Number of the last epoch, counted from 1.
            verbose: 0 for no output, 1 for progress, 2 for one line per epoch, "auto" for 1.
            callbacks: Callbacks, see `hornbeam.callbacks`.
            validation_split: Fraction of the data that is held out for validation.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or batches, evaluated after each epoch.
            shuffle: Draw a new order each epoch, from the global seed. "batch" shuffles batches only.
            class_weight: Dict from class indices to weights.
            sample_weight: One weight for each sample, in the structure of the targets.
            initial_epoch: Epoch to begin with, counted from 0. A model that was trained, or saved and loaded,
                after this many epochs continues the order of the same data (see docs/saving.md).
            steps_per_epoch: Updates of an epoch, by default one pass over the data. The next epoch goes on
                where the last one stopped, and ends with the pass: fewer batches than steps may be left.
            validation_steps: Batches of a validation, by default all.
            validation_batch_size: Samples of a validation batch, by default `batch_size`.
            validation_freq: Validate every so many epochs, or after the epochs of a collection, counted from
                1.
            validation_split_mode: "auto" draws the held-out samples, with every class in proportion. "tail"
                takes the last ones, as Keras does.
            profile: True times every kernel and prints a table. A path writes a Chrome trace there. The
                `Profile` is then the history's `profile`.
            engine: Engine of this call ("jax", "torch:cuda:0", ...), by default the global one. Weights and
                states move along.
            resume: Folder of checkpoints of this training, created if it does not exist. The training
                continues from the newest one, to the same bits as if it had never stopped, and writes more
                (see `callbacks.Checkpoint`). Or the file of one checkpoint to continue from.
            debug_nans: Stop with a FloatingPointError at the first step after which a loss, metric or weight
                is not finite, which names the layer, the operation and the samples where that began. Slower,
                since each step runs by itself.
            plot: Draw the curves while they grow: in one output of a notebook, elsewhere as text when
                training ends (`callbacks.LivePlot`).
            memory_budget: Most memory of a training step, as "2GB", "1.5GiB" or a number of bytes: weights,
                states, the batch and all values in between. Values that are cheap to compute again are not
                kept for the backward pass, as many as necessary; the results are the same to the bit. The
                history's `memory_plan` has the figures (see docs/howto/machine.md).

        Returns:
            `History` with the metrics of every epoch.

        Raises:
            ValueError: Before the first step, for settings, data or a model that cannot be right.
            MemoryError: Before the first step, if it does not fit into `memory_budget`. The message has the
                least budget that would do, and the layers that need it.

        Example:
            >>> history = model.fit(x_train, y_train, epochs=5, validation_split=0.1)  # doctest: +SKIP
        """
        self._require_compiled("fit")
        settings = FitSettings.checked(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=verbose,
            shuffle=shuffle,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_split=validation_split,
            validation_split_mode=validation_split_mode,
            validation_freq=validation_freq,
            debug_nans=debug_nans,
            run_eagerly=self.run_eagerly,
        )
        before = start = global_words()
        point = self._resume_point
        if point is not None and initial_epoch and point.epoch == initial_epoch:
            set_global_words(point.start)  # draws the same validation samples
        else:
            point = None
        with nan_stops(callbacks):
            data, validation, sentence = self._fit_data(settings, x, y, sample_weight, validation_data)
        del x, y, sample_weight
        warn_of_likely_mistakes(
            cast("Model", self), data, validation, settings, bool(callbacks), validation_data is not None
        )
        callbacks, checkpoints = with_checkpoint(callbacks, resume)
        if plot:
            from hornbeam.training.callbacks.live_plot import with_live_plot

            callbacks = with_live_plot(callbacks)
        run = self._new_run(settings, data, validation, callbacks, sentence)
        run.start = start
        if point is not None and not continue_from(run, point):
            set_global_words(before)
        return self._hb_train(run, checkpoints, profile)

    def _present_point(self) -> ResumePoint | None:
        """Return the end of the last training, or of an epoch of the present one; None in the middle."""
        run = self._training_run
        if run is None:
            return self._resume_point
        return point_after(run) if run.epoch_is_over else None

    def _fit_data(
        self, settings: FitSettings, x: Tree, y: Tree, sample_weight: Tree, validation_data: DataLike
    ) -> tuple[Data, Data | None, str]:
        """Convert and check the data, and trace the steps for them. Also returns a sentence about a split."""
        run_host_layers = self._run_host_layers
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
        own_step = type(self).train_step is not Trainer.train_step
        if isinstance(data, StreamData):  # such a step may take several sources, each with its batch size
            data.equal_lengths = not own_step
        self._training_state.training_rows.add(cast("Model", self), x)
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
            self._training_state.validation_fingerprints.add(validation)
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
                model=cast("Model", self),
                verbose=settings.verbose,
                epochs=settings.epochs,
                steps=steps,
            )
        schedule = _schedule(data, steps, settings.epochs - settings.initial_epoch)
        plan = plan_memory(cast("Model", self), data, settings.steps, settings.debug_nans)
        if callbacks.history is not None:
            callbacks.history.schedule, callbacks.history.memory_plan = schedule, plan
        if settings.verbose == 1:
            planned = plan.sentence() if plan is not None else ""
            _say(schedule.sentence(), sentence, planned, self._earlier_updates(settings))
        return TrainingRun(cast("Model", self), data, validation, callbacks, settings)

    def _earlier_updates(self, settings: FitSettings) -> str:
        """Say in a notebook, where cells are run again, that the training goes on."""
        optimizer = self.optimizer
        if not in_kernel() or settings.initial_epoch or optimizer is None or not optimizer.built:
            return ""
        count = int(optimizer.iterations)
        again = "build the model again to begin anew"
        return f"the training goes on: the model has had {count:,} updates; {again}" if count else ""

    def _hb_train(
        self, run: TrainingRun, checkpoints: list[Path] | None, profile: bool | str | os.PathLike[str]
    ) -> History:
        """Run the epochs, from a checkpoint if one is found, between the callbacks' begin and end."""
        self.stop_training = False
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
        if self.optimizer is not None and self.optimizer.built:
            self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
        callbacks.on_train_end(logs)
        return callbacks.history if callbacks.history is not None else self.history

    def _validate_and_trace(
        self, mode: str, data: Data, steps: int | None, class_weight: Mapping[int, float] | None
    ) -> None:
        """Compare data and model, trace the step, then check the labels: all before anything runs."""
        batch = data.table if isinstance(data, ArrayData) else data.first_batch()
        check_local_data(current_engine(), data.samples or 0, data.batch_size or len(batch), self.run_eagerly)
        x, y, _ = batch.unpacked()
        method = {"train": self.train_step, "test": self.test_step}[mode]
        standard = getattr(method, "__func__", None) in (Trainer.train_step, Trainer.test_step)
        losses = self._training_state.losses
        compares = standard and losses is not None and losses.spec is not None
        if standard:  # a step of the user's may unpack any data
            self._check_x_and_y(x, y)
        if compares and y is None:
            raise ValueError(
                f"the loss of {describe(self)} compares predictions with targets, but y is missing"
            )
        if not self.run_eagerly:
            for signature in data.signatures(steps):
                self._compiled_step(mode, signature)
        if compares:
            assert losses is not None
            losses.check_values(y, cast("Model", self), class_weight)

    @explain_arguments
    def _check_x_and_y(self, x: Tree, y: Tree) -> None:
        """Compare the inputs with the model's, and say so if the targets would fit in their place."""
        try:
            self._check_inputs(x, values=True)
        except ShapeError as error:
            try:
                if not isinstance(y, np.ndarray):
                    raise error
                self._check_inputs(y)
            except ValueError:
                raise error from None
            raise ShapeError(f"{error}. y has this shape: are x and y swapped?") from None

    def profile(self, x: Tree, y: Tree = None, batch_size: int = 32, steps: int = 10) -> Profile:
        """Measure the time of a training step, or without `y` of a prediction, by layer and kernel.

        Weights, optimizer and random states stay as they are.

        Args:
            x: Arrays of inputs, as for `fit`.
            y: Arrays of targets, as for `fit`, or None.
            batch_size: Samples of a step.
            steps: Number of steps that are timed, after one that warms up.

        Returns:
            `Profile`: print it, read its `layers` and `kernels`, or write a Chrome trace.

        Raises:
            ValueError: For data that are not arrays.
            NotImplementedError: On an engine without profiles.

        Example:
            >>> print(model.profile(x, y, batch_size=128))  # doctest: +SKIP
        """
        return profile_model(cast("Model", self), x, y, batch_size, steps)

    # -- evaluate ----------------------------------------------------------------------------------

    @overload
    def evaluate(
        self,
        x: DataLike = None,
        y: Tree = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Tree = None,
        steps: int | None = None,
        callbacks: CallbacksLike = None,
        *,
        return_dict: Literal[True],
        engine: str | None = None,
    ) -> dict[str, float]: ...

    @overload
    def evaluate(
        self,
        x: DataLike = None,
        y: Tree = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Tree = None,
        steps: int | None = None,
        callbacks: CallbacksLike = None,
        return_dict: bool = False,
        *,
        engine: str | None = None,
    ) -> Tree: ...

    @on_engine
    def evaluate(
        self,
        x: DataLike = None,
        y: Tree = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Tree = None,
        steps: int | None = None,
        callbacks: CallbacksLike = None,
        return_dict: bool = False,
        *,
        engine: str | None = None,
        **kwargs: Any,
    ) -> Tree:
        """Compute loss and metrics over data.

        The printed line states accuracies with their 95% confidence interval (Wilson);
        `hornbeam.evaluation.evaluate` does so for every metric.

        Args:
            x: Inputs or batches, as for `fit`. Or a sealed test set (`hornbeam.data.seal`): the evaluation is
                counted and announced.
            y: Targets, as for `fit`.
            batch_size: Samples of a step, 32 by default.
            verbose: 0 for no output, 1 for progress, 2 for one line, "auto" for 1.
            sample_weight: One weight for each sample.
            steps: Batches to evaluate, by default all.
            callbacks: Callbacks, see `hornbeam.callbacks`.
            return_dict: Return the results by name.
            engine: Engine of this call, as for `fit`.
            **kwargs: None are accepted.

        Returns:
            The loss alone, a list of the loss and the metrics, or a dict with `return_dict`.

        Raises:
            ValueError: If the model is not compiled, or the data cannot be right.
            SealedError: For sealed data during `fit`.

        Warns:
            TestSetWarning: Once, if `fit` was given the same data as validation_data.
        """
        if kwargs:
            raise TypeError(f"evaluate() does not accept {', '.join(map(repr, kwargs))}")
        self._require_compiled("evaluate")
        verbose = resolve_verbose(verbose)
        steps = check_arguments.check_steps("steps", steps)
        x, y, sample_weight, sealed = unsealed(x, y, sample_weight, self._training_run is not None)
        run_host_layers = self._run_host_layers
        data = make_data(
            x, y, sample_weight, batch_size, "evaluate", run_host_layers=run_host_layers, steps=steps
        )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        self._training_state.validation_fingerprints.check(data)
        if isinstance(data, ArrayData) and data.uses_all_rows:
            self._training_state.training_rows.check(cast("Model", self), x)
        self._validate_and_trace("test", data, steps, None)
        callbacks = self._callback_list(callbacks, verbose, verbose != 0, data, steps)
        count_evaluation(sealed, f"evaluate of {describe(self)}", quiet=verbose == 0)
        logs = self._hb_evaluate(data, callbacks, steps)
        return dict(sorted(logs.items())) if return_dict else self._listed_logs(logs)

    def _hb_evaluate(
        self, data: Data, callbacks: CallbackList, steps: int | None, run: TrainingRun | None = None
    ) -> dict[str, Any]:
        """Compute loss and metrics over data. run: the `fit` that validates with them."""
        self.reset_metrics()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        loop = Loop(cast("Model", self), "test", callbacks)
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
        x: DataLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: CallbacksLike = None,
        *,
        engine: str | None = None,
    ) -> Tree:
        """Compute the outputs for all samples. Safe to call from several threads at once.

        Args:
            x: Arrays of inputs, (samples, ...), or an iterable of batches, as for `fit`.
            batch_size: Samples of a step, 32 by default.
            verbose: 0 for no output, 1 for progress, 2 for one line, "auto" for 1.
            steps: Batches to predict, by default all.
            callbacks: Callbacks, see `hornbeam.callbacks`.
            engine: Engine of this call, as for `fit`.

        Returns:
            NumPy arrays in the structure of the model's outputs, (samples, ...).

        Raises:
            ValueError: If the data hold no batch, or do not fit the model.
        """
        if type(x) is np.ndarray and callbacks is None and steps is None and verbose in ("auto", 0):
            # The short path for one batch: nothing but a dictionary look-up and the engine.
            predictor = self._training_state.predictors.get(
                (x.shape, x.dtype, current_engine(), None, Tracked.replacements)
            )
            if predictor is not None and len(x) <= (batch_size or 32):
                return predictor([x])
        verbose = resolve_verbose(verbose)
        steps = check_arguments.check_steps("steps", steps)
        data = make_data(
            x, None, None, batch_size, "predict", run_host_layers=self._run_host_layers, steps=steps
        )
        steps = check_arguments.limit_steps("steps", steps, data, self.steps_per_execution)
        count = steps if steps is not None else data.steps
        callbacks = self._callback_list(callbacks, verbose, verbose != 0 and count != 1, data, steps)
        callbacks.on_predict_begin()
        self.stop_predicting = False
        batches = data.slices(steps) if isinstance(data, ArrayData) else data.epoch(steps)
        outputs: list[Any] = []
        with handled_interrupts():
            if callbacks.wants_batches("predict"):
                self._predict_with_hooks(batches, callbacks, outputs)
            else:
                self._predict_batches(batches, callbacks, outputs)
        if not outputs:
            raise ValueError("the data hold no batch to predict: a generator can be read only once")
        callbacks.on_predict_end()
        return _joined(outputs)

    def _predict_batches(self, batches: Iterable[Batch], callbacks: CallbackList, outputs: list[Any]) -> None:
        """Append the outputs of all batches."""
        for index, batch in enumerate(batches):
            outputs.append(self._predict_batch(batch))
            check_interrupts()
            if callbacks.has_chunked:
                callbacks.call_chunked("predict", index, {})
            if self.stop_predicting:
                return

    def _predict_with_hooks(
        self, batches: Iterable[Batch], callbacks: CallbackList, outputs: list[Any]
    ) -> None:
        """Append the outputs of all batches, with the hooks of callbacks around each execution."""
        size, iterator = self.steps_per_execution, iter(batches)
        for first in itertools.count(0, size):
            batch = next(iterator, None)
            if batch is None:
                return
            callbacks.on_predict_batch_begin(first)
            parts = [self._predict_batch(batch)]
            parts.extend(self._predict_batch(batch) for batch in itertools.islice(iterator, size - 1))
            outputs.extend(parts)
            check_interrupts()
            callbacks.on_predict_batch_end(first + size - 1, {"outputs": _joined(parts)})
            if self.stop_predicting:
                return

    def _callback_list(
        self, callbacks: CallbacksLike, verbose: int, show: bool, data: Data, steps: int | None
    ) -> CallbackList:
        """Build the callbacks of `evaluate` and `predict`, with a progress bar if `show` is set."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        count = steps if steps is not None else data.steps
        model = cast("Model", self)
        return CallbackList(callbacks, add_progbar=show, model=model, verbose=verbose, epochs=1, steps=count)


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
