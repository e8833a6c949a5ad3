"""State of a model's training: what `compile` set up, and the compiled steps."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.call_errors import explain_arguments, takes
from hornbeam._internal.typing import Tree
from hornbeam.core.tensor import Tensor
from hornbeam.engines import current_engine
from hornbeam.errors import ShapeError
from hornbeam.layers.tracking import Tracked
from hornbeam.training.batches import global_signature
from hornbeam.training.bounded import Bounded
from hornbeam.training.check_inputs import ONE_SAMPLE
from hornbeam.training.compile_config import CompileMetrics, Losses, describe
from hornbeam.training.data_leakage import TrainingSamples, ValidationFingerprints
from hornbeam.training.inference_plan import WeightCache
from hornbeam.training.logs import checked_logs
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.packing import Batch, Signature
from hornbeam.training.stateless_step import StatelessStep, is_stateless
from hornbeam.training.step import EagerStep, Predictor, Step
from hornbeam.training.steps import Steps, check_model_inputs
from hornbeam.training.stored_calibration import StoredCalibration
from hornbeam.training.trainable_at_compile import trainable_as_compiled
from hornbeam.training.training_inputs import TrainingInputs


class TrainingState:
    """Optimizer, losses and metrics of `compile`, and the compiled steps of a model."""

    def __init__(self, model: Steps) -> None:
        self.model = model
        self.optimizer: Any = None
        self.losses: Losses | None = None
        self.metrics: CompileMetrics | None = None
        self.loss_tracker: Any = None
        # The present `fit`, for callbacks, and the data of the present `evaluate`, at its end.
        self.run: Any = None
        self.evaluated: Any = None
        self.config: dict[str, Any] | None = None
        self.run_eagerly = False
        # `trainable` of the layers when the model was compiled.
        self.trainable: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
        self.steps_per_execution = 1
        # Bytes of memory for a training step, set during a call that limits them.
        self.memory_budget: int | None = None
        # True during a `fit` that searches every step for values that are not finite.
        self.debug_nans = False
        self.steps: Bounded = Bounded()
        self.predictors: Bounded = Bounded()
        # Eager calls of the model as one node (see `hornbeam.training.model_call`).
        self.calls: Bounded = Bounded()
        self.weight_cache: WeightCache = {}
        self.validation_fingerprints = ValidationFingerprints()
        self.training_inputs = TrainingInputs()
        self.training_samples = TrainingSamples()
        self.conformal = StoredCalibration()
        # Held while a step is traced: tracing may build the layers, which only one thread can do.
        self.tracing = threading.RLock()

    def release_weights(self) -> None:
        """Drop all copies of the weights, which are about to change."""
        self.weight_cache.clear()
        self.conformal.release_weights()
        for predictor in list(self.predictors.values()):
            if predictor.plan is not None:
                predictor.plan.release()
        for cached in list(self.calls.values()):
            for call in (cached.call, *(cached.values or {}).values()):
                if call is not None:
                    call.plan.release()

    def forget_steps(self) -> None:
        """Drop compiled steps: the model or its settings have changed."""
        for cache in (self.steps, self.predictors, self.calls, self.weight_cache):
            cache.clear()

    def require_compiled(self, method: str) -> None:
        """Raise ValueError unless the model is compiled."""
        if self.config is None:
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
        return CheckedStep(step) if mode == "train" and self.debug_nans else step

    def _step_function(self, mode: str) -> Callable[..., Any]:
        return self.model.train_step if mode == "train" else self.model.test_step

    def is_standard(self, mode: str) -> bool:
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
                    check_model_inputs(self.model, batch.x)
                    self.training_inputs.compare(batch.x, "predict()")
                    signature = global_signature(batch.signature(), engine)
                    predict = self.model.predict_step
                    predictor = Predictor(predict, signature, engine, self.weight_cache)
                    self.predictors[key] = predictor
        return predictor([np.ascontiguousarray(array) for array in arrays])

    @explain_arguments
    def check_x_and_y(self, x: Tree, y: Tree) -> None:
        """Compare the inputs with the model's, and say so if the targets would fit in their place."""
        try:
            check_model_inputs(self.model, x)
        except ShapeError as error:
            if y is not None and ONE_SAMPLE in str(error):
                hint = "The Input has the number of samples, too: write Input(x.shape[1:])"
                raise ShapeError(str(error).replace(ONE_SAMPLE, hint)) from None
            try:
                if not isinstance(y, np.ndarray):
                    raise error
                check_model_inputs(self.model, y)
            except ValueError:
                raise error from None
            raise ShapeError(f"{error}. y has this shape: are x and y swapped?") from None
