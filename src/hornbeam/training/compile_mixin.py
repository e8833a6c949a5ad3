"""`compile`, and its results on a model: settings, optimizer, losses, metrics."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hornbeam import metrics as metrics_module
from hornbeam import optimizers as optimizers_module
from hornbeam._internal.call_errors import complete_message, explain_arguments, takes
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.engines import using
from hornbeam.training.compile_config import CompileMetrics, Losses, describe
from hornbeam.training.data_leakage import TrainingRowHashes, ValidationFingerprints
from hornbeam.training.inference_plan import WeightCache

if TYPE_CHECKING:
    from hornbeam._internal.typing import PerOutput
    from hornbeam.losses.loss import LossLike
    from hornbeam.metrics import Metric
    from hornbeam.metrics.metric import MetricLike
    from hornbeam.models import Model
    from hornbeam.optimizers import Optimizer
    from hornbeam.optimizers.optimizer import OptimizerLike


class Bounded(dict[Any, Any]):
    """A dict that drops its oldest entries, so that ever-changing shapes do not fill the memory."""

    limit = 64

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def __setitem__(self, key: object, value: object) -> None:
        with self._lock:
            super().__setitem__(key, value)
            while len(self) > self.limit:
                self.pop(next(iter(self)))


class TrainingState:
    """Results of `compile` and training on a model; in one object, so that the model does not track it."""

    def __init__(self) -> None:
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

    def release_weights(self) -> None:
        """Drop all copies of the weights, which are about to change."""
        self.weight_cache.clear()
        for predictor in list(self.predictors.values()):
            if predictor.plan is not None:
                predictor.plan.release()
        for cached in list(self.calls.values()):
            if cached.call is not None:
                cached.call.plan.release()


F = TypeVar("F", bound=Callable[..., Any])


def on_engine(method: F) -> F:
    """Decorate a method so that it runs on the engine that its keyword argument `engine` names."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, engine: str | None = None, **kwargs: Any) -> Any:
        try:
            if engine is None:
                return method(self, *args, **kwargs)
            with using(engine):
                return method(self, *args, **kwargs)
        except TypeError as error:
            complete_message(error, method)
            raise

    return call  # type: ignore[return-value]


class CompileMixin:
    """Part of a model that `compile` sets up."""

    stop_training = False
    stop_evaluating = False
    stop_predicting = False

    @functools.cached_property
    def _training_state(self) -> TrainingState:
        return TrainingState()

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
                "accuracy" becomes the accuracy for the shapes of targets and outputs.
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
        compiled_metrics = None
        if metrics is not None or weighted_metrics is not None:
            compiled_metrics = CompileMetrics(metrics, weighted_metrics, cast("Model", self))
        state = self._training_state
        state.optimizer = rule
        state.losses = losses
        state.metrics = compiled_metrics
        state.loss_tracker = metrics_module.Mean(name="loss")
        state.trainable = weakref.WeakKeyDictionary(
            {layer: layer._trainable for layer in self._flatten_layers()}  # type: ignore[attr-defined]
        )
        state.run_eagerly = bool(run_eagerly)
        state.steps_per_execution = check_int("steps_per_execution", steps_per_execution, 1)
        state.config = {
            "optimizer": optimizer if not isinstance(optimizer, str) else rule,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": None if compiled_metrics is None else compiled_metrics.spec,
            "weighted_metrics": None if compiled_metrics is None else compiled_metrics.weighted_spec,
            "run_eagerly": bool(run_eagerly),
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile if isinstance(jit_compile, bool) else False,
        }
        self.stop_training = False
        self._forget_steps()

    def _forget_steps(self) -> None:
        """Drop compiled steps: the model or its settings have changed."""
        self._training_state.steps.clear()
        self._training_state.predictors.clear()
        self._training_state.calls.clear()
        self._training_state.weight_cache.clear()

    @property
    def compiled(self) -> bool:
        """True after `compile`."""
        return self._training_state.config is not None

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer of `compile`."""
        return self._training_state.optimizer

    @optimizer.setter
    def optimizer(self, value: Optimizer | None) -> None:
        self._training_state.optimizer = value
        self._forget_steps()

    @property
    def loss(self) -> PerOutput[LossLike] | None:
        """Loss as it was passed to `compile`."""
        return self._training_state.config["loss"] if self._training_state.config else None

    @property
    def run_eagerly(self) -> bool:
        """True if steps run line by line."""
        return self._training_state.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._training_state.run_eagerly = bool(value)
        self._forget_steps()

    @property
    def steps_per_execution(self) -> int:
        """Steps between calls of batch callbacks."""
        return self._training_state.steps_per_execution

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        self._training_state.steps_per_execution = check_int("steps_per_execution", value, 1)

    @property
    def jit_compile(self) -> bool:
        """True: steps are always compiled, unless run_eagerly. Another value is accepted, without effect."""
        return not self._training_state.run_eagerly

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        """Accept a value, as `compile` does."""

    @property
    def metrics(self) -> list[Metric]:
        """Means of the loss and of each output's loss, compiled metrics as one, metrics of the layers."""
        state = self._training_state
        metrics: list[Any] = [state.loss_tracker] if state.loss_tracker is not None else []
        if state.losses is not None:
            metrics.extend(state.losses.trackers)
        if state.metrics is not None:
            metrics.append(state.metrics)
        return [*metrics, *super().metrics]  # type: ignore[misc]

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
        config = self._training_state.config
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
        if self.optimizer is not None and self.built and self.trainable_variables:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                f"{describe(self)} is not compiled: call model.compile(optimizer, loss) before "
                f"model.{method}()"
            )
