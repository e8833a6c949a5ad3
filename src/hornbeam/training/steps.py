"""Steps of a model: what one batch does in training, testing and predicting. Subclasses override them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.grad import gradients
from hornbeam.core.scopes import StatelessScope
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import eager_scope
from hornbeam.ir.scope import scope
from hornbeam.layers.network import Network
from hornbeam.layers.stateless import pair_values
from hornbeam.training.check_inputs import check_inputs
from hornbeam.training.compile_config import describe, merged_results
from hornbeam.training.host_inputs import HostInputs, RunHostLayers
from hornbeam.training.packing import unpack_x_y_sample_weight

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.core.typing import TensorLike
    from hornbeam.training.state import TrainingState


class Steps(Network):
    """Network with the steps of a model, each on one batch."""

    if TYPE_CHECKING:

        @property
        def _hb_trainer(self) -> TrainingState: ...

    def _run_host_layers(self, x: Tree) -> Tree:
        """Run the model's layers for strings on x, if it has any."""
        return x

    def _check_inputs(self, x: Tree) -> None:
        """Compare data with the model's inputs, if they are known."""
        if isinstance(x, HostInputs):
            return
        inputs = getattr(self, "_symbolic_inputs", None)
        if inputs is not None:
            check_inputs(x, inputs, describe(self))

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
        losses = self._hb_trainer.losses
        with scope("loss"):
            if losses is not None and losses.spec is not None:
                total = losses(y, y_pred, sample_weight, self._hb_trainer.model)
            for loss in self.losses:
                total = loss if total is None else total + loss
        if total is None:
            raise ValueError(
                f"{describe(self)} has no loss: give one to compile(loss=...), call add_loss() in a layer, "
                "or override compute_loss()"
            )
        return total

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
        groups = (self.non_trainable_variables, self.metrics_variables)
        mapping = [
            *pair_values(self, "trainable", self.trainable_variables, trainable_variables),
            *pair_values(self, "non-trainable", groups[0], non_trainable_variables),
            *pair_values(self, "metrics", groups[1], metrics_variables),
        ]
        with StatelessScope(mapping) as stateless:
            loss = self._hb_trainer.loss_of_batch(x, y, y_pred, sample_weight, training)
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
            if self._hb_trainer.metrics is not None:
                self._hb_trainer.metrics.update_state(y, y_pred, sample_weight)
            return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the present values of all metrics by name."""
        return merged_results((metric.name, metric) for metric in self.metrics)

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
        y_pred = self(x, training=True)
        loss = self._hb_trainer.loss_of_batch(x, y, y_pred, sample_weight, training=True)
        self._hb_trainer.loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        variables = self.trainable_variables
        if variables and self.optimizer is None:
            raise ValueError(
                f"{describe(self)} is compiled without an optimizer, so fit() cannot update its weights: "
                "call compile() with one, such as model.compile('adam', loss)"
            )
        if variables:
            self.optimizer.check_multipliers(self.weights)
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
        y_pred = self(x, training=False)
        loss = self._hb_trainer.loss_of_batch(x, y, y_pred, sample_weight, training=False)
        self._hb_trainer.loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Tree) -> Tree:
        """Compute the outputs for one batch.

        Args:
            data: `x` or `(x,)`; targets and weights are ignored.

        Returns:
            Outputs of the model in their structure.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)


def training_state(model: Steps) -> TrainingState:
    """Return what `compile` set up for a model, and its compiled steps."""
    return model._hb_trainer


def _batch_size(x: Tree) -> int:
    return next(part for part in tree.flatten(x) if part is not None).shape[0]


def host_part(model: Steps) -> RunHostLayers:
    """Return the function that runs the layers of a model that work on the host, if it has any."""
    return model._run_host_layers


def check_model_inputs(model: Steps, x: Tree) -> None:
    """Compare data with a model's inputs, if they are known."""
    model._check_inputs(x)
