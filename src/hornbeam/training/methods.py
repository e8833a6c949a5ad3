"""Methods of a model that train, evaluate and predict, over data or one batch: what users call.

The model's `Trainer` carries them out.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from hornbeam import metrics as metrics_module
from hornbeam import optimizers as optimizers_module
from hornbeam._internal.call_errors import complete_message, explain_arguments, takes
from hornbeam._internal.entry_points import entry_point
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.data.splits.sealed import check_not_sealed
from hornbeam.engines import using
from hornbeam.training.callbacks.base import History
from hornbeam.training.check_arguments import check_class_weight
from hornbeam.training.compile_config import CompileMetrics, Losses, describe
from hornbeam.training.engine_choice import AUTO
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.memory_budget import within_budget
from hornbeam.training.packing import make_batch
from hornbeam.training.profiler import profile_model
from hornbeam.training.steps import Steps
from hornbeam.training.trainable_at_compile import accept_trainable
from hornbeam.training.trainer import Trainer

if TYPE_CHECKING:
    from hornbeam._internal.typing import PerOutput, Tree
    from hornbeam.core.typing import DataLike
    from hornbeam.losses.loss import LossLike
    from hornbeam.metrics import Metric
    from hornbeam.metrics.metric import MetricLike
    from hornbeam.models.model import Model
    from hornbeam.optimizers import Optimizer
    from hornbeam.optimizers.optimizer import OptimizerLike
    from hornbeam.training.callbacks.callback_list import CallbacksLike
    from hornbeam.training.profile import Profile

F = TypeVar("F", bound=Callable[..., Any])


def on_engine(method: F) -> F:
    """Decorate a method so that it runs on the engine that its keyword argument `engine` names.

    `fit` alone gets the argument AUTO, and chooses.
    """

    @functools.wraps(method)
    def call(self: Any, *args: Any, engine: str | None = None, **kwargs: Any) -> Any:
        try:
            if engine is None:
                return method(self, *args, **kwargs)
            if engine == AUTO:
                if method.__name__ != "fit":
                    text = f"{method.__name__}() takes the name of an engine"
                    raise ValueError(f'engine="auto" measures training steps: {text}')
                return method(self, *args, engine=AUTO, **kwargs)
            with using(engine):
                return method(self, *args, **kwargs)
        except TypeError as error:
            complete_message(error, method)
            raise

    return call  # type: ignore[return-value]


class TrainingMethods(Steps):
    """Part of a model that users train, evaluate and predict by."""

    history: History = cast(History, None)  # before the first fit
    stop_training = False
    stop_evaluating = False
    stop_predicting = False

    @explain_arguments
    def compile(
        self,
        optimizer: OptimizerLike | None = "rmsprop",
        loss: LossLike | Sequence[LossLike | None] | Mapping[str, LossLike | None] | None = None,
        loss_weights: float | Sequence[float] | Mapping[str, float] | None = None,
        metrics: PerOutput[MetricLike] | None = None,
        weighted_metrics: PerOutput[MetricLike] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configure the training: optimizer, loss and metrics.

        Args:
            optimizer: Name or Optimizer.
            loss: Name, function `(y_true, y_pred)` or Loss; for several outputs a list, or a dict by output
                name.
            loss_weights: Factors of the outputs' losses: a list, or a dict by output name.
            metrics: List of names, functions or Metrics; for several outputs a list or dict of such lists.
                "accuracy" becomes the accuracy for the shapes of targets and outputs, with the threshold 0
                where a binary cross-entropy has from_logits=True.
            weighted_metrics: As `metrics`, with sample weights.
            run_eagerly: Run steps line by line, for debugging.
            steps_per_execution: Steps between calls of batch callbacks, which get the number of the first and
                the last of them. `steps_per_epoch` is rounded up to a multiple of it.
            jit_compile: Unused: steps are always compiled.
            auto_scale_loss: Scale the loss under the dtype policy mixed_float16.

        Raises:
            UnknownObjectError: For unknown names.
            ValueError: For values that cannot be right.

        Example:
            >>> model.compile("adam", "mse", metrics=["mae"])  # doctest: +SKIP
        """
        rule = optimizers_module.get(optimizer) if optimizer is not None else None
        policy = getattr(self, "dtype_policy", None)
        is_scaled = isinstance(rule, optimizers_module.LossScaleOptimizer)
        half_precision = policy is not None and policy.name == "mixed_float16"
        if auto_scale_loss and rule is not None and not is_scaled and half_precision:
            rule = optimizers_module.LossScaleOptimizer(rule, name="loss_scale_optimizer")
        losses = Losses(loss, loss_weights)
        trainer, compiled = self._hb_trainer, None
        if metrics is not None or weighted_metrics is not None:
            compiled = CompileMetrics(metrics, weighted_metrics, trainer.model, losses)
        trainer.optimizer, trainer.losses, trainer.metrics = rule, losses, compiled
        trainer.loss_tracker = metrics_module.Mean(name="loss")
        trainer.trainable.clear()
        accept_trainable(self)
        trainer.run_eagerly = bool(run_eagerly)
        trainer.steps_per_execution = check_int("steps_per_execution", steps_per_execution, 1)
        trainer.config = {
            "optimizer": optimizer if not isinstance(optimizer, str) else rule,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": None if compiled is None else compiled.spec,
            "weighted_metrics": None if compiled is None else compiled.weighted_spec,
            "run_eagerly": bool(run_eagerly),
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile if isinstance(jit_compile, bool) else False,
        }
        self.stop_training = False
        trainer.forget_steps()

    @functools.cached_property
    def _hb_trainer(self) -> Trainer:
        return Trainer(cast("Model", self))

    @property
    def compiled(self) -> bool:
        """True after `compile`."""
        return self._hb_trainer.config is not None

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer of `compile`."""
        return self._hb_trainer.optimizer

    @optimizer.setter
    def optimizer(self, value: Optimizer | None) -> None:
        self._hb_trainer.optimizer = value
        self._hb_trainer.forget_steps()

    @property
    def loss(self) -> PerOutput[LossLike] | None:
        """Loss as it was passed to `compile`."""
        config = self._hb_trainer.config
        return config["loss"] if config else None

    @property
    def run_eagerly(self) -> bool:
        """True if steps run line by line."""
        return self._hb_trainer.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._hb_trainer.run_eagerly = bool(value)
        self._hb_trainer.forget_steps()

    @property
    def steps_per_execution(self) -> int:
        """Steps between calls of batch callbacks."""
        return self._hb_trainer.steps_per_execution

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        self._hb_trainer.steps_per_execution = check_int("steps_per_execution", value, 1)

    @property
    def jit_compile(self) -> bool:
        """True: steps are always compiled, unless run_eagerly. Another value is accepted, without effect."""
        return not self._hb_trainer.run_eagerly

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        """Accept a value, as `compile` does."""

    @property
    def metrics(self) -> list[Metric]:
        """Means of the loss and of each output's loss, compiled metrics as one, metrics of the layers."""
        trainer = self._hb_trainer
        metrics: list[Any] = [trainer.loss_tracker] if trainer.loss_tracker is not None else []
        if trainer.losses is not None:
            metrics.extend(trainer.losses.trackers)
        if trainer.metrics is not None:
            metrics.append(trainer.metrics)
        return [*metrics, *super().metrics]

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Reset all metrics."""
        for metric in self.metrics:
            metric.reset_state()

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of `compile` as a config.

        Returns:
            Dict by argument; empty before `compile`, and with a warning for objects that have no config.
        """
        config = self._hb_trainer.config
        if config is None:
            return {}
        try:
            return {name: registry.serialize(value) for name, value in config.items()}
        except TypeError as error:
            warn_user(f"the settings of compile() are not part of the config: {error}")
            return {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile by a config, and build the optimizer's state if the model is built.

        Args:
            config: Result of `get_compile_config`.
        """
        if not config:
            return
        if not all(takes(self.compile, name) for name in config):
            warn_user(
                f"{describe(self)} is loaded without its settings: its compile() takes other arguments than "
                "the config has. Call it, or define get_compile_config() and compile_from_config() too"
            )
            return
        self.compile(**{key: registry.deserialize(value) for key, value in config.items()})
        if self.optimizer is not None and self.built and self.trainable_variables:
            self.optimizer.build(self.trainable_variables)

    # -- over data ---------------------------------------------------------------------------------

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
        certificate: str | os.PathLike[str] | None = None,
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
                states move along. "auto" measures two steps on each installed engine, takes the quickest and
                says so; weights, optimizer and random states are as if that one had been named.
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
            certificate: Path of a file by which this training can be made again and checked on another
                computer (`callbacks.Certificate`, docs/certificate.md).

        Returns:
            `History` with the metrics of every epoch.

        Raises:
            ValueError: Before the first step, for settings, data or a model that cannot be right, and for
                "auto" with one engine.
            CertificateError: Before the first step, if the training cannot be certified.
            MemoryError: Before the first step, if it does not fit into `memory_budget`. The message has the
                least budget that would do, and the layers that need it.

        Example:
            >>> history = model.fit(x_train, y_train, epochs=5, validation_split=0.1)  # doctest: +SKIP
        """
        self._hb_trainer.require_compiled("fit")
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
        if certificate is not None:
            callbacks = entry_point("with_certificate")(callbacks, certificate)
        return self._hb_trainer.fit(
            x, y, sample_weight, validation_data, settings, callbacks, resume, plot, profile, engine == AUTO
        )

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
        return profile_model(self._hb_trainer.model, x, y, batch_size, steps)

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
        logs = self._hb_trainer.evaluate(x, y, sample_weight, batch_size, verbose, steps, callbacks)
        return self._hb_trainer.results(logs, return_dict)

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
        return self._hb_trainer.predict(x, batch_size, verbose, steps, callbacks)

    # -- over one batch ----------------------------------------------------------------------------

    @overload
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        *,
        return_dict: Literal[True],
        memory_budget: int | str | None = None,
    ) -> dict[str, float]: ...

    @overload
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
        *,
        memory_budget: int | str | None = None,
    ) -> Tree: ...

    @within_budget
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
        *,
        memory_budget: int | str | None = None,
    ) -> Tree:
        """Update the weights once, with one batch.

        Args:
            x: Arrays of inputs, (samples, ...).
            y: Arrays of targets, (samples, ...).
            sample_weight: One weight for each sample.
            class_weight: Dict from class indices to weights.
            return_dict: Return the results by name.
            memory_budget: Most memory of the step, as for `fit`.

        Returns:
            Loss and metrics of this batch alone: a float, a list of them, or a dict with `return_dict`.

        Raises:
            ValueError: If the model is not compiled, or the data cannot be right.
            MemoryError: If the step does not fit into `memory_budget`.
        """
        self._hb_trainer.require_compiled("train_on_batch")
        check_not_sealed(x, "train_on_batch() got it as x")
        logs = self._hb_trainer.run_step("train", x, y, sample_weight, check_class_weight(class_weight))
        return self._hb_trainer.results(logs, return_dict)

    @overload
    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, *, return_dict: Literal[True]
    ) -> dict[str, float]: ...

    @overload
    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, return_dict: bool = False
    ) -> Tree: ...

    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, return_dict: bool = False
    ) -> Tree:
        """Compute loss and metrics of one batch alone.

        Args:
            x: Arrays of inputs, (samples, ...).
            y: Arrays of targets, (samples, ...).
            sample_weight: One weight for each sample.
            return_dict: Return the results by name.

        Returns:
            Loss and metrics: a float, a list of them, or a dict with `return_dict`.

        Raises:
            ValueError: If the model is not compiled, or the data cannot be right.
        """
        self._hb_trainer.require_compiled("test_on_batch")
        return self._hb_trainer.results(self._hb_trainer.run_step("test", x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Tree) -> Tree:
        """Compute the outputs for one batch.

        Args:
            x: Arrays of inputs, (samples, ...).

        Returns:
            NumPy arrays in the structure of the model's outputs.
        """
        return self._hb_trainer.predict_batch(make_batch(self._run_host_layers(x)))
