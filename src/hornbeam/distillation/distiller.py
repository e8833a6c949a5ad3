"""`Distiller`: the model that trains a student with its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import losses, ops, tree
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.distillation.losses import DistillationLoss
from hornbeam.metrics import Mean
from hornbeam.models import Model

if TYPE_CHECKING:
    from typing_extensions import Self

    from hornbeam._internal.typing import Config, PerOutput, Tree
    from hornbeam.losses.loss import LossLike
    from hornbeam.metrics.metric import MetricLike
    from hornbeam.optimizers.optimizer import OptimizerLike

_FINAL = "final_output"


@exported("keras.distillation")
class Distiller(Model):
    """Train `student` on the targets and on the outputs of `teacher`, which stays as it is.

    loss = w * student_loss(y, student(x)) + (1 - w) * sum of distillation losses, w = student_loss_weight.

    Calling a Distiller calls the student. Logs hold student_loss, distillation_loss and total_loss. Losses
    that layers of the student add are not counted, as in Keras.

    Args:
        teacher: The trained model.
        student: The model to train, with the same inputs and outputs.
        distillation_losses: One or several `DistillationLoss`.
        distillation_loss_weights: Factor of each distillation loss, 1 by default.
        student_loss_weight: w, from 0 to 1.
        name: Name of the model.
        **kwargs: Options of `Layer`.

    Raises:
        ValueError: For models whose inputs or outputs differ, and for weights out of range.

    Example:
        >>> loss = LogitsDistillation()  # doctest: +SKIP
        >>> distiller = hornbeam.distillation.Distiller(teacher, student, loss)  # doctest: +SKIP
        >>> distiller.compile("adam", loss="sparse_categorical_crossentropy")  # doctest: +SKIP
    """

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_models(teacher, student)
        weight = student_loss_weight
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
            raise ValueError(f"student_loss_weight must be a number from 0 to 1, got {weight!r}")
        several = isinstance(distillation_losses, (list, tuple))
        terms: list[Any] = list(distillation_losses) if several else [distillation_losses]  # type: ignore[arg-type]
        weights = [1.0] * len(terms) if distillation_loss_weights is None else list(distillation_loss_weights)
        if not terms or not all(isinstance(loss, DistillationLoss) for loss in terms):
            raise ValueError(
                "distillation_losses must be a DistillationLoss such as LogitsDistillation(), or a list of "
                f"them, got {distillation_losses!r}"
            )
        if len(weights) != len(terms):
            raise ValueError(f"got {len(weights)} distillation_loss_weights for {len(terms)} losses")
        for loss in terms:
            loss.validate_model_compatibility(teacher, student)
        self.teacher = teacher
        self.student = student
        self.student_loss_weight = weight
        self.distillation_losses = terms
        self.distillation_loss_weights = weights
        self.teacher.trainable = False
        # In one object, so that tracking need not look into it: the layers belong to teacher and student.
        self._extractors = _Extractors(
            _extractor(teacher, [loss.teacher_layer_name for loss in terms]),
            _extractor(student, [loss.student_layer_name for loss in terms]),
        )
        self.student_loss_tracker = Mean(name="student_loss")
        self.distillation_loss_tracker = Mean(name="distillation_loss")
        self.total_loss_tracker = Mean(name="total_loss")

    def compile(  # type: ignore[override]
        self,
        optimizer: OptimizerLike = "adam",
        loss: PerOutput[LossLike] | None = None,
        metrics: Sequence[MetricLike] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configure the training, as `Model.compile`.

        Args:
            optimizer: Name or Optimizer.
            loss: Loss of the student, in the structure of its outputs.
            metrics: List of names, functions or Metrics.
            **kwargs: Further arguments of `Model.compile`.

        Raises:
            ValueError: Without a loss.
        """
        if loss is None:
            raise ValueError("compile() of a Distiller needs the student's loss")
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise ValueError(f"metrics must be a list, got {type(metrics).__name__}")
        self._student_loss = _Losses(loss)
        super().compile(optimizer=optimizer, loss=None, metrics=metrics, **kwargs)

    def call(self, inputs: Tree, training: bool | None = None, **kwargs: Any) -> Tree:
        """Call the student.

        Args:
            inputs: Inputs of the student.
            training: True for the behaviour in training.
            **kwargs: Further arguments of the student's call.

        Returns:
            Outputs of the student.
        """
        return self.student(inputs, training=training, **kwargs)

    def compute_loss(
        self,
        x: Tree = None,
        y: Tree = None,
        y_pred: Tree = None,
        sample_weight: Tree = None,
        training: bool = True,
    ) -> Tensor:
        """Compute the weighted sum of the student's loss and the distillation losses.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch.
            y_pred: Outputs of the student for `x`; computed if None.
            sample_weight: Unused, as in Keras.
            training: True in training, False in evaluation.

        Returns:
            Scalar tensor.
        """
        y_pred = self(x, training=training) if y_pred is None else y_pred
        weight = self.student_loss_weight
        student: Any = ops.zeros(())
        if weight > 0 and y is not None:
            student = self._student_loss.total(y, y_pred)
        distilled: Any = ops.zeros(())
        if weight < 1:
            distilled = self._distillation_loss(x, y_pred)
        total = weight * student + (1.0 - weight) * distilled
        self.student_loss_tracker.update_state(student)
        self.distillation_loss_tracker.update_state(distilled)
        self.total_loss_tracker.update_state(total)
        return total

    def _distillation_loss(self, x: Tree, y_pred: Tree) -> Any:
        extractors = self._extractors
        if extractors.teacher is None:
            teacher = {_FINAL: self.teacher(x, training=False)}
        else:
            teacher = extractors.teacher(x, training=False)
        student = {} if extractors.student is None else extractors.student(x, training=True)
        total: Any = ops.zeros(())
        for loss, weight in zip(self.distillation_losses, self.distillation_loss_weights, strict=True):
            theirs = teacher[loss.teacher_layer_name or _FINAL]
            ours = y_pred if loss.teacher_layer_name is None else student.get(loss.student_layer_name, y_pred)
            loss.validate_outputs(theirs, ours)
            value = loss.compute_loss(theirs, ours)
            if len(value.shape):
                raise ValueError(
                    f"{type(loss).__name__}.compute_loss must return a scalar, got shape {value.shape}"
                )
            total = total + weight * value
        return total

    def get_config(self) -> Config:
        """Return the constructor's arguments, models included."""
        return {
            "name": self.name,
            "teacher": registry.serialize(self.teacher),
            "student": registry.serialize(self.student),
            "distillation_losses": [registry.serialize(loss) for loss in self.distillation_losses],
            "distillation_loss_weights": self.distillation_loss_weights,
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Build the distiller that a config describes.

        Args:
            config: Result of `get_config`.
            custom_objects: Classes and functions of the user's by name.

        Returns:
            A Distiller.
        """
        keys = ("teacher", "student", "distillation_losses")
        objects = {key: registry.deserialize(config[key], custom_objects) for key in keys}
        return cls(**{**config, **objects})


class _Extractors:
    """Models that share layers with teacher and student."""

    def __init__(self, teacher: Model | None, student: Model | None) -> None:
        self.teacher = teacher
        self.student = student


class _Losses:
    """The student's losses, in the structure of its outputs."""

    def __init__(self, loss: Any) -> None:
        self.functions = tree.map_structure(lambda x: losses.get(x) if isinstance(x, str) else x, loss)

    def total(self, y: Tree, y_pred: Tree) -> Any:
        """Compute the sum of the means over all outputs."""
        triples = zip(tree.flatten(self.functions), tree.flatten(y), tree.flatten(y_pred), strict=True)
        return ops.sum(
            ops.stack([ops.mean(function(target, output)) for function, target, output in triples])
        )


def _extractor(model: Model, names: Sequence[str | None]) -> Model | None:
    """Build a model with the outputs of the named layers besides the final one."""
    selected = list(dict.fromkeys(name for name in names if name is not None))
    if not selected:
        return None
    final = model.outputs[0] if len(model.outputs) == 1 else model.outputs
    outputs = {_FINAL: final, **{name: model.get_layer(name).output for name in selected}}
    return Model(model.inputs, outputs, name=f"{model.name}_multi_feature_extractor")


def _check_models(teacher: Any, student: Any) -> None:
    for role, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, Model):
            raise ValueError(f"the {role} must be a Model, got {type(model).__name__}")
    for attribute in ("inputs", "outputs"):
        ours, theirs = getattr(student, attribute, None), getattr(teacher, attribute, None)
        if ours is None or theirs is None:
            continue
        same = len(ours) == len(theirs) and all(_compatible(a, b) for a, b in zip(ours, theirs, strict=True))
        if not same:
            raise ValueError(
                f"teacher and student must have the same {attribute}; the teacher has {_types(theirs)}, the "
                f"student {_types(ours)}"
            )


def _compatible(a: Any, b: Any) -> bool:
    sizes = list(zip(a.shape, b.shape, strict=False))
    same = all(x is None or y is None or x == y for x, y in sizes)
    return len(a.shape) == len(b.shape) and same and a.dtype == b.dtype


def _types(tensors: Sequence[Any]) -> str:
    return ", ".join(f"{x.dtype}{x.shape}" for x in tensors)
