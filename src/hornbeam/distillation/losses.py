"""What a student is held to: the teacher's answers, or what lies inside it."""

from __future__ import annotations

from typing import Any

from hornbeam import losses, ops, tree
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor


@exported("keras.distillation")
class DistillationLoss:
    """Base class: how far the student's outputs are from the teacher's. Subclasses write `compute_loss`.

    >>> class Gap(hornbeam.distillation.DistillationLoss):
    ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
    ...         return hornbeam.ops.mean(hornbeam.ops.abs(teacher_outputs - student_outputs))
    """

    # Layers whose outputs are compared; None for the models' outputs.
    teacher_layer_name: str | None = None
    student_layer_name: str | None = None

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Tensor:
        """A scalar."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_loss()")

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise ValueError unless the outputs have the same structure."""
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raise ValueError for models that this loss cannot compare."""


@exported("keras.distillation")
class FeatureDistillation(DistillationLoss):
    """The mean of `loss(teacher, student)` between the outputs of two layers, or of the models themselves.

    loss: name, function or Loss, in the structure of the outputs; None leaves one out. teacher_layer_name,
    student_layer_name: the layers; None for the final outputs. See Romero et al. 2014,
    https://arxiv.org/abs/1412.6550.

    Raises ValueError if no loss is left.

    >>> loss = hornbeam.distillation.FeatureDistillation("mse")
    >>> float(loss.compute_loss(hornbeam.ops.zeros((2, 3)), hornbeam.ops.ones((2, 3))))
    1.0
    """

    def __init__(
        self, loss: Any = "mse", teacher_layer_name: str | None = None, student_layer_name: str | None = None
    ) -> None:
        self.loss = _functions(loss)
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raise ValueError for layers that are not there, or models whose layers have no symbolic outputs."""
        for who, model, name in (
            ("teacher", teacher, self.teacher_layer_name),
            ("student", student, self.student_layer_name),
        ):
            if name is None:
                continue
            if getattr(model, "inputs", None) is None:
                raise ValueError(
                    f"FeatureDistillation: the {who} must be a functional or Sequential model for its layer "
                    f"{name!r} to be looked at; leave the name away to compare final outputs"
                )
            try:
                model.get_layer(name)
            except ValueError as error:
                raise ValueError(f"FeatureDistillation: the {who}: {error}") from None

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise ValueError unless outputs and losses have the same structure."""
        super().validate_outputs(teacher_outputs, student_outputs)
        _check_structure(self.loss, teacher_outputs)

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Tensor:
        """The sum of the means over all outputs."""
        return _total(self.loss, teacher_outputs, student_outputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "loss": registry.serialize(self.loss),
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that a config describes."""
        return cls(**{**config, "loss": registry.deserialize(config["loss"])})


@exported("keras.distillation")
class LogitsDistillation(DistillationLoss):
    """The mean of `loss(teacher, student)` between the models' logits, divided by a temperature.

    temperature: above 1, the teacher's small probabilities tell more. loss: in the structure of the outputs;
    None leaves one out. The Kullback-Leibler divergence compares softmax(logits / temperature) and is
    multiplied by temperature^2, so that its slope does not depend on it; that is so for "kl_divergence" too,
    where Keras 3.15 takes probabilities for a `KLDivergence` object only.

    Raises ValueError for a temperature that is no number above 0, or if no loss is left.

    >>> loss = hornbeam.distillation.LogitsDistillation(temperature=2.0)
    >>> float(loss.compute_loss(hornbeam.ops.ones((2, 3)), hornbeam.ops.ones((2, 3))))
    0.0
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence") -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or temperature <= 0:
            raise ValueError(f"temperature must be a number above 0, got {temperature!r}")
        self.temperature = temperature
        self.loss = _functions(loss)

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise ValueError unless outputs and losses have the same structure."""
        super().validate_outputs(teacher_outputs, student_outputs)
        _check_structure(self.loss, teacher_outputs)

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Tensor:
        """The sum of the means over all outputs."""

        def one(loss: Any) -> Any:
            return self._divergence(loss) if _is_divergence(loss) else loss

        scaled = [
            tree.map_structure(lambda x: x / self.temperature, outputs)
            for outputs in (teacher_outputs, student_outputs)
        ]
        return _total(tree.map_structure(one, self.loss), *scaled)

    def _divergence(self, loss: Any) -> Any:
        def between(teacher: Any, student: Any) -> Any:
            return loss(ops.softmax(teacher), ops.softmax(student)) * self.temperature**2

        return between

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"temperature": self.temperature, "loss": registry.serialize(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that a config describes."""
        return cls(**{**config, "loss": registry.deserialize(config["loss"])})


def _functions(loss: Any) -> Any:
    """Losses in a structure, strings looked up."""
    made = tree.map_structure(lambda x: losses.get(x) if isinstance(x, str) else x, loss)
    if all(x is None for x in tree.flatten(made)):
        raise ValueError(f"at least one loss must not be None, got {loss!r}")
    return made


def _is_divergence(loss: Any) -> bool:
    return isinstance(loss, losses.KLDivergence) or loss is losses.kl_divergence


def _check_structure(loss: Any, outputs: Any) -> None:
    try:
        tree.assert_same_structure(loss, outputs)
    except ValueError as error:
        raise ValueError(f"the losses must have the structure of the outputs: {error}") from None


def _total(loss: Any, teacher: Any, student: Any) -> Tensor:
    parts = [
        ops.mean(function(ours, theirs))
        for function, ours, theirs in zip(
            tree.flatten(loss), tree.flatten(teacher), tree.flatten(student), strict=True
        )
        if function is not None
    ]
    return ops.sum(ops.stack(parts))
