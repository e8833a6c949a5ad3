"""`Distiller`: the model that trains a student by its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import losses, ops, tree
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.distillation.losses import DistillationLoss
from hornbeam.metrics import Mean
from hornbeam.models import Model

_FINAL = "final_output"


@exported("keras.distillation")
class Distiller(Model):
    """Trains `student` to be right and to answer like `teacher`, which stays as it is.

    loss = w * student_loss(y, student(x)) + (1 - w) * sum of distillation losses, w = student_loss_weight.

    distillation_losses: one or several `DistillationLoss`, with `distillation_loss_weights` (1 each by
    default). `compile(loss=...)` takes the student's loss. Called, it is the student. Logs hold student_loss,
    distillation_loss and total_loss. Losses that layers of the student add are not counted, as in Keras.

    Raises ValueError for models whose inputs or outputs differ, and for weights that make no sense.

    >>> distiller = hornbeam.distillation.Distiller(teacher, student, LogitsDistillation())  # doctest: +SKIP
    >>> distiller.compile("adam", loss="sparse_categorical_crossentropy")  # doctest: +SKIP
    """

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: Any,
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
        found = list(distillation_losses) if several else [distillation_losses]
        weights = [1.0] * len(found) if distillation_loss_weights is None else list(distillation_loss_weights)
        if not found or not all(isinstance(loss, DistillationLoss) for loss in found):
            raise ValueError(
                "distillation_losses must be a DistillationLoss such as LogitsDistillation(), or a list of "
                f"them, got {distillation_losses!r}"
            )
        if len(weights) != len(found):
            raise ValueError(f"got {len(weights)} distillation_loss_weights for {len(found)} losses")
        for loss in found:
            loss.validate_model_compatibility(teacher, student)
        self.teacher = teacher
        self.student = student
        self.student_loss_weight = weight
        self.distillation_losses = found
        self.distillation_loss_weights = weights
        self.teacher.trainable = False
        # Looked at, not owned: their layers are those of teacher and student.
        self._extractors = _Extractors(
            _extractor(teacher, [loss.teacher_layer_name for loss in found]),
            _extractor(student, [loss.student_layer_name for loss in found]),
        )
        self.student_loss_tracker = Mean(name="student_loss")
        self.distillation_loss_tracker = Mean(name="distillation_loss")
        self.total_loss_tracker = Mean(name="total_loss")

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """As `Model.compile`; `loss` is the student's, in the structure of its outputs. ValueError
        without."""
        if loss is None:
            raise ValueError("compile() of a Distiller needs the student's loss")
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise ValueError(f"metrics must be a list, got {type(metrics).__name__}")
        self._student_loss = _Losses(loss)
        super().compile(optimizer=optimizer, loss=None, metrics=metrics, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the student answers."""
        return self.student(inputs, training=training, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The weighted sum of the student's loss and the distillation losses."""
        y_pred = self(x, training=training) if y_pred is None else y_pred
        weight = self.student_loss_weight
        student: Any = ops.zeros(())
        if weight > 0 and y is not None:
            student = self._student_loss.total(y, y_pred)
        distilled: Any = ops.zeros(())
        if weight < 1:
            distilled = self._distilled(x, y_pred)
        total = weight * student + (1.0 - weight) * distilled
        self.student_loss_tracker.update_state(student)
        self.distillation_loss_tracker.update_state(distilled)
        self.total_loss_tracker.update_state(total)
        return total

    def _distilled(self, x: Any, y_pred: Any) -> Any:
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
                raise ValueError(f"{type(loss).__name__}.compute_loss must give a scalar, got {value.shape}")
            total = total + weight * value
        return total

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, models included."""
        return {
            "name": self.name,
            "teacher": registry.serialize(self.teacher),
            "student": registry.serialize(self.student),
            "distillation_losses": [registry.serialize(loss) for loss in self.distillation_losses],
            "distillation_loss_weights": self.distillation_loss_weights,
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The distiller that a config describes."""
        parts = ("teacher", "student", "distillation_losses")
        made = {key: registry.deserialize(config[key], custom_objects) for key in parts}
        return cls(**{**config, **made})


class _Extractors:
    """Models that share layers with teacher and student; one object, so that tracking need not look into
    it."""

    def __init__(self, teacher: Model | None, student: Model | None) -> None:
        self.teacher = teacher
        self.student = student


class _Losses:
    """The student's losses, in the structure of its outputs."""

    def __init__(self, loss: Any) -> None:
        self.functions = tree.map_structure(lambda x: losses.get(x) if isinstance(x, str) else x, loss)

    def total(self, y: Any, y_pred: Any) -> Any:
        """The sum of the means over all outputs."""
        pairs = zip(tree.flatten(self.functions), tree.flatten(y), tree.flatten(y_pred), strict=True)
        return ops.sum(ops.stack([ops.mean(function(true, guess)) for function, true, guess in pairs]))


def _extractor(model: Any, names: Sequence[str | None]) -> Model | None:
    """A model that gives the outputs of layers beside the final one."""
    wanted = list(dict.fromkeys(name for name in names if name is not None))
    if not wanted:
        return None
    final = model.outputs[0] if len(model.outputs) == 1 else model.outputs
    outputs = {_FINAL: final, **{name: model.get_layer(name).output for name in wanted}}
    return Model(model.inputs, outputs, name=f"{model.name}_multi_feature_extractor")


def _check_models(teacher: Any, student: Any) -> None:
    for who, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, Model):
            raise ValueError(f"the {who} must be a Model, got {type(model).__name__}")
    for what in ("inputs", "outputs"):
        ours, theirs = getattr(student, what, None), getattr(teacher, what, None)
        if ours is None or theirs is None:
            continue
        alike = len(ours) == len(theirs) and all(_alike(a, b) for a, b in zip(ours, theirs, strict=True))
        if not alike:
            raise ValueError(
                f"teacher and student must have the same {what}; the teacher has {_shown(theirs)}, the "
                f"student {_shown(ours)}"
            )


def _alike(a: Any, b: Any) -> bool:
    sizes = list(zip(a.shape, b.shape, strict=False))
    same = all(x is None or y is None or x == y for x, y in sizes)
    return len(a.shape) == len(b.shape) and same and a.dtype == b.dtype


def _shown(tensors: Sequence[Any]) -> str:
    return ", ".join(f"{x.dtype}{x.shape}" for x in tensors)
