"""What `compile` leaves on a model: settings, optimizer, losses, metrics."""

from __future__ import annotations

import functools
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from hornbeam import metrics as metrics_module
from hornbeam import optimizers as optimizers_module
from hornbeam._internal.validation import check_int
from hornbeam.core import registry
from hornbeam.engines import using
from hornbeam.training.compile_config import CompileMetrics, Losses, describe
from hornbeam.training.data_leakage import TrainingRowHashes, ValidationFingerprints
from hornbeam.training.inference_plan import WeightCache


class Bounded(dict[Any, Any]):
    """A dict that forgets its oldest entries: shapes that keep changing must not fill the memory."""

    limit = 64

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            super().__setitem__(key, value)
            while len(self) > self.limit:
                self.pop(next(iter(self)))


class TrainingState:
    """What `compile` and training leave on a model; one plain object, so that the model does not track it as
    layers."""

    def __init__(self) -> None:
        self.optimizer: Any = None
        self.losses: Losses | None = None
        self.metrics: CompileMetrics | None = None
        self.loss_tracker: Any = None
        self.config: dict[str, Any] | None = None
        self.run_eagerly = False
        self.steps_per_execution = 1
        self.steps: Bounded = Bounded()
        # Steps of a chunk by compiled step, as the loop measured them.
        self.chunk_sizes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.predictors: Bounded = Bounded()
        # What eager calls of the whole model go through (see `hornbeam.training.model_call`).
        self.calls: Bounded = Bounded()
        # Weights as their plans want them.
        self.weight_cache: WeightCache = {}
        self.validation_fingerprints = ValidationFingerprints()
        self.training_rows = TrainingRowHashes()
        # Held while a step is traced: tracing may build the layers, which only one thread can do.
        self.tracing = threading.RLock()

    def release_weights(self) -> None:
        """Weights are about to change: nobody keeps a copy of the old ones."""
        self.weight_cache.clear()
        for predictor in list(self.predictors.values()):
            if predictor.plan is not None:
                predictor.plan.release()
        for known in list(self.calls.values()):
            if known.call is not None:
                known.call.plan.release()


F = TypeVar("F", bound=Callable[..., Any])


def on_engine(method: F) -> F:
    """The method, on the engine that its keyword argument `engine` names, if it does."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, engine: str | None = None, **kwargs: Any) -> Any:
        if engine is None:
            return method(self, *args, **kwargs)
        with using(engine):
            return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


class CompileMixin:
    """The part of a model that `compile` sets up."""

    stop_training = False

    @functools.cached_property
    def _training_state(self) -> TrainingState:
        return TrainingState()

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        optimizer: a name or an Optimizer. loss: a name, function `(y_true, y_pred)` or Loss; for several
        outputs a list,
        or a dict by output name. loss_weights: factors of the outputs' losses. metrics: a list of names,
        functions or
        Metrics; for several outputs a list or dict of such lists; "accuracy" becomes the one that fits the
        shapes.
        weighted_metrics: the same, with sample weights. run_eagerly: run steps line by line, for debugging.
        steps_per_execution: steps between batch callbacks. jit_compile: kept for Keras's signature; steps
        are always
        compiled. auto_scale_loss: scale the loss where the policy is mixed_float16.

        Raises UnknownObjectError for unknown names, ValueError for settings that cannot be.

        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])  # doctest: +SKIP
        """
        made = optimizers_module.get(optimizer) if optimizer is not None else None
        policy = getattr(self, "dtype_policy", None)
        scaled = isinstance(made, optimizers_module.LossScaleOptimizer)
        if (
            auto_scale_loss
            and made is not None
            and not scaled
            and policy is not None
            and policy.name == "mixed_float16"
        ):
            made = optimizers_module.LossScaleOptimizer(made, name="loss_scale_optimizer")
        losses = Losses(loss, loss_weights)
        compiled_metrics = None
        if metrics is not None or weighted_metrics is not None:
            compiled_metrics = CompileMetrics(metrics, weighted_metrics, self)
        state = self._training_state
        state.optimizer = made
        state.losses = losses
        state.metrics = compiled_metrics
        state.loss_tracker = metrics_module.Mean(name="loss")
        state.run_eagerly = bool(run_eagerly)
        state.steps_per_execution = check_int("steps_per_execution", steps_per_execution, 1)
        state.config = {
            "optimizer": optimizer if not isinstance(optimizer, str) else made,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
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
        """True once `compile` has been called."""
        return self._training_state.config is not None

    @property
    def optimizer(self) -> Any:
        """The optimizer given to `compile`."""
        return self._training_state.optimizer

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        self._training_state.optimizer = value
        self._forget_steps()

    @property
    def loss(self) -> Any:
        """The loss as it was given to `compile`."""
        return self._training_state.config["loss"] if self._training_state.config else None

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run line by line."""
        return self._training_state.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._training_state.run_eagerly = bool(value)
        self._forget_steps()

    @property
    def steps_per_execution(self) -> int:
        """Steps between calls of batch callbacks."""
        return self._training_state.steps_per_execution

    @property
    def jit_compile(self) -> bool:
        """True: steps are always compiled, unless run_eagerly."""
        return not self._training_state.run_eagerly

    @property
    def metrics(self) -> list[Any]:
        """The loss's mean, those of several outputs' losses, the compiled metrics as one, then metrics of
        the layers."""
        state = self._training_state
        found: list[Any] = [state.loss_tracker] if state.loss_tracker is not None else []
        if state.losses is not None:
            found.extend(state.losses.trackers)
        if state.metrics is not None:
            found.append(state.metrics)
        return [*found, *super().metrics]  # type: ignore[misc]

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Start all metrics over."""
        for metric in self.metrics:
            metric.reset_state()

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile` as a config, {} if it was not called or holds what has no config (with
        a warning)."""
        config = self._training_state.config
        if config is None:
            return {}
        try:
            return {name: registry.serialize(value) for name, value in config.items()}
        except TypeError as error:
            warnings.warn(f"the settings of compile() are not part of the config: {error}", stacklevel=3)
            return {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """`compile` with what `get_compile_config` gave, and build the optimizer's state if the model is
        built."""
        if not config:
            return
        known = {key: registry.deserialize(value) for key, value in config.items()}
        self.compile(**known)
        if self.optimizer is not None and self.built and self.trainable_variables:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                f"{describe(self)} is not compiled: call model.compile(optimizer, loss) before "
                f"model.{method}()"
            )
