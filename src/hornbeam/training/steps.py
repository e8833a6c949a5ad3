"""Steps of a model: what one batch does in training, testing and predicting, and its compiled form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hornbeam import tree
from hornbeam._internal.call_errors import takes
from hornbeam._internal.warn import warn_user
from hornbeam.core.grad import gradients
from hornbeam.core.scopes import StatelessScope
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import eager_scope
from hornbeam.engines import current_engine
from hornbeam.ir.scope import scope
from hornbeam.layers.stateless import pair_values
from hornbeam.layers.tracking import Tracked
from hornbeam.training.batches import global_signature
from hornbeam.training.check_inputs import check_inputs
from hornbeam.training.compile_config import describe
from hornbeam.training.compile_mixin import CompileMixin
from hornbeam.training.host_inputs import HostInputs
from hornbeam.training.loop import checked_logs
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.packing import Batch, Signature, unpack_x_y_sample_weight
from hornbeam.training.stateless_step import StatelessStep, is_stateless
from hornbeam.training.step import EagerStep, Predictor, Step
from hornbeam.training.trainable_at_compile import trainable_as_compiled

if TYPE_CHECKING:
    from hornbeam._internal.resume_point import ResumePoint
    from hornbeam._internal.typing import Tree
    from hornbeam.core.typing import TensorLike
    from hornbeam.core.variable import Variable
    from hornbeam.models import Model
    from hornbeam.training.run import TrainingRun


class Steps(CompileMixin):
    """Part of a model that computes with one batch: the methods that users override, and compiled steps."""

    # The present `fit`, for callbacks.
    _training_run: TrainingRun | None = None
    # Where the last training, or that of the file, ended.
    _resume_point: ResumePoint | None = None

    # -- of one batch ------------------------------------------------------------------------------

    def compute_loss(
        self,
        x: Tree = None,
        y: Tree = None,
        y_pred: Tree = None,
        sample_weight: Tree = None,
        training: bool = True,
    ) -> Tensor:
        """Compute the scalar that training minimises: the compiled loss plus the losses that layers add.

        Subclasses may override it.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch.
            y_pred: Outputs of the model for `x`.
            sample_weight: Weights of the samples, or None.
            training: True in training, False in evaluation.

        Returns:
            Scalar tensor.

        Raises:
            ValueError: If there is neither a compiled loss nor one that a layer adds.
        """
        total = None
        losses = self._training_state.losses
        with scope("loss"):
            if losses is not None and losses.spec is not None:
                total = losses(y, y_pred, sample_weight, cast("Model", self))
            for loss in self.losses:  # type: ignore[attr-defined]
                total = loss if total is None else total + loss
        if total is None:
            raise ValueError(
                f"{describe(self)} has no loss: give one to compile(loss=...), call add_loss() in a layer, "
                "or override compute_loss()"
            )
        return total

    def _loss_of_batch(self, x: Tree, y: Tree, y_pred: Tree, sample_weight: Tree, training: bool) -> Tensor:
        """Call `compute_loss`. That of a subclass may lack the argument `training`, as in early Keras 3."""
        arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        if takes(self.compute_loss, "training"):
            arguments["training"] = training
        return self.compute_loss(**arguments)

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[TensorLike],
        non_trainable_variables: Sequence[TensorLike],
        metrics_variables: Sequence[TensorLike],
        x: Tree = None,
        y: Tree = None,
        y_pred: Tree = None,
        sample_weight: Tree = None,
        training: bool = True,
    ) -> tuple[Tensor, tuple[Any, Any, Any]]:
        """Compute the loss as a pure function of the variables' values.

        Args:
            trainable_variables: Values of `model.trainable_variables`, in order.
            non_trainable_variables: Values of `model.non_trainable_variables`, in order.
            metrics_variables: Values of `model.metrics_variables`, in order.
            x: Inputs of the batch.
            y: Targets of the batch.
            y_pred: Outputs of the model for `x`.
            sample_weight: Weights of the samples, or None.
            training: True in training, False in evaluation.

        Returns:
            The loss, and the tuple (trainable, non-trainable, metrics) of the values afterwards.
        """
        model: Any = self
        groups = (model.non_trainable_variables, model.metrics_variables)
        mapping = [
            *pair_values(model, "trainable", model.trainable_variables, trainable_variables),
            *pair_values(model, "non-trainable", groups[0], non_trainable_variables),
            *pair_values(model, "metrics", groups[1], metrics_variables),
        ]
        with StatelessScope(mapping) as stateless:
            loss = self._loss_of_batch(x, y, y_pred, sample_weight, training)
        states, metrics = ([stateless.get_current_value(v) for v in group] for group in groups)
        return loss, (trainable_variables, states, metrics)

    def compute_metrics(self, x: Tree, y: Tree, y_pred: Tree, sample_weight: Tree = None) -> dict[str, Any]:
        """Update the compiled metrics with a batch.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch.
            y_pred: Outputs of the model for `x`.
            sample_weight: Weights of the samples, or None.

        Returns:
            Results of all metrics by name, see `get_metrics_result`.
        """
        with scope("metrics"):
            if self._training_state.metrics is not None:
                self._training_state.metrics.update_state(y, y_pred, sample_weight)
            return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the present values of all metrics by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        return results

    def train_step(self, data: Tree) -> dict[str, Any]:
        """Update the weights with one batch. Override it for a training procedure of your own.

        It is ordinary code, traced and compiled, with `hornbeam.gradients(loss, variables)` and
        `self.optimizer.apply(gradients, variables)`.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`; see `utils.unpack_x_y_sample_weight`.

        Returns:
            Logs: values by name, with the loss as "loss".
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self._loss_of_batch(x, y, y_pred, sample_weight, training=True)
        self._training_state.loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        variables: list[Variable] = self.trainable_variables  # type: ignore[attr-defined]
        if variables:
            self.optimizer.check_multipliers(self.weights)  # type: ignore[attr-defined]
            if not self.optimizer.built:
                with eager_scope():
                    self.optimizer.build(variables)
            self.optimizer.apply(gradients(self.optimizer.scale_loss(loss), variables), variables)
        else:
            warn_user(f"{describe(self)} has no trainable weights: fit() changes nothing")
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Tree) -> dict[str, Any]:
        """Compute loss and metrics of one batch, without an update.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            Logs: values by name, with the loss as "loss".
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self._loss_of_batch(x, y, y_pred, sample_weight, training=False)
        self._training_state.loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Tree) -> Tree:
        """Compute the outputs for one batch.

        Args:
            data: `x` or `(x,)`; targets and weights are ignored.

        Returns:
            Outputs of the model in their structure.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    # -- compiled ----------------------------------------------------------------------------------

    def _compiled_step(self, mode: str, signature: Signature) -> Any:
        """Return the step of `mode` ("train" or "test") for a signature, traced at its first use."""
        if mode == "train":
            self._training_state.release_weights()
            with trainable_as_compiled(self):
                return self._step_for(mode, signature)
        return self._step_for(mode, signature)

    def _step_for(self, mode: str, signature: Signature) -> Any:
        state = self._training_state
        fn = self.train_step if mode == "train" else self.test_step
        if is_stateless(fn):
            return self._stateless_step(mode, signature)
        if state.run_eagerly:
            return EagerStep(fn)
        trainable = tuple(v.trainable for v in self.weights) if mode == "train" else ()  # type: ignore[attr-defined]
        engine = current_engine()
        signature = global_signature(signature, engine)
        replacements = Tracked.replacements
        budget = state.memory_budget if mode == "train" else None
        key = (mode, engine, signature, trainable, replacements, budget)
        step = state.steps.get(key)
        if step is None:
            step = Step(fn, signature, engine, budget)
            checked_logs(step.traced.result, mode)
            if mode == "train":  # building created weights
                trainable = tuple(v.trainable for v in self.weights)  # type: ignore[attr-defined]
            state.steps[mode, engine, signature, trainable, replacements, budget] = step
        checked = mode == "train" and self._training_run is not None and self._training_run.debug_nans
        return CheckedStep(step) if checked else step

    def _stateless_step(self, mode: str, signature: Signature) -> StatelessStep:
        """Return the step of a subclass that takes the state, for the weights that are trained now."""
        trainable = tuple(v.trainable for v in self.weights)  # type: ignore[attr-defined]
        steps = self._training_state.steps
        key = (mode, current_engine(), "stateless", trainable)
        if key not in steps:
            fn = self.train_step if mode == "train" else self.test_step
            step = StatelessStep(cast("Model", self), fn, mode, current_engine())
            step.build(signature)
            trainable = tuple(v.trainable for v in self.weights)  # type: ignore[attr-defined]
            key = (mode, current_engine(), "stateless", trainable)
            steps[key] = step
        return steps[key]

    def _predict_batch(self, batch: Batch) -> Tree:
        """Return the outputs for one batch as NumPy arrays."""
        if self._training_state.run_eagerly:
            return tree.map_structure(np.asarray, EagerStep(self.predict_step).run(batch))
        arrays, engine = batch.leaves, current_engine()
        # `predict` looks a single array up by the same key.
        structure = None if batch.treedef.is_leaf else batch.signature()
        key = (arrays[0].shape, arrays[0].dtype, engine, structure, Tracked.replacements)
        predictors = self._training_state.predictors
        predictor = predictors.get(key)
        if predictor is None:
            with self._training_state.tracing:
                predictor = predictors.get(key)
                if predictor is None:
                    self._check_inputs(batch.x)
                    signature = global_signature(batch.signature(), engine)
                    cache = self._training_state.weight_cache
                    predictor = predictors[key] = Predictor(self.predict_step, signature, engine, cache)
        return predictor([np.ascontiguousarray(array) for array in arrays])

    def _run_host_layers(self, x: Tree) -> Tree:
        """Run the model's layers for strings on x, if it has any."""
        return x

    def _check_inputs(self, x: Tree, values: bool = False) -> None:
        """Compare data with the model's inputs, if they are known; with `values`, with what layers accept."""
        if isinstance(x, HostInputs):
            return
        inputs = getattr(self, "_symbolic_inputs", None)
        if inputs is not None:
            layers = self.layers if values else ()  # type: ignore[attr-defined]
            check_inputs(x, inputs, describe(self), layers)


def _batch_size(x: Tree) -> int:
    return next(part for part in tree.flatten(x) if part is not None).shape[0]
