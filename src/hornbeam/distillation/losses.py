"""Distillation losses: differences between outputs, or inner features, of teacher and student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam import losses, ops, tree
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

    from hornbeam._internal.typing import Config, PerOutput, Tree
    from hornbeam.losses.loss import LossLike
    from hornbeam.models import Model


@exported("keras.distillation")
class DistillationLoss:
    """Base class of differences between teacher and student. Subclasses define `compute_loss`.

    Example:
        >>> class Gap(hornbeam.distillation.DistillationLoss):
        ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        ...         return hornbeam.ops.mean(hornbeam.ops.abs(teacher_outputs - student_outputs))
    """

    # Layers whose outputs are compared; None for the models' outputs.
    teacher_layer_name: str | None = None
    student_layer_name: str | None = None

    def compute_loss(self, teacher_outputs: Tree, student_outputs: Tree, **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            teacher_outputs: Outputs of the teacher.
            student_outputs: Outputs of the student, in the same structure.
            **kwargs: For subclasses.

        Returns:
            Scalar tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_loss()")

    def validate_outputs(self, teacher_outputs: Tree, student_outputs: Tree) -> None:
        """Check that the outputs have the same structure.

        Args:
            teacher_outputs: Outputs of the teacher.
            student_outputs: Outputs of the student.

        Raises:
            ValueError: If the structures differ.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Check that this loss can compare two models.

        Args:
            teacher: The teacher.
            student: The student.

        Raises:
            ValueError: If it cannot.
        """


@exported("keras.distillation")
class FeatureDistillation(DistillationLoss):
    """Mean of `loss(teacher, student)` between the outputs of two layers, or of the models themselves.

    Args:
        loss: Name, function or Loss, in the structure of the outputs; None omits an output.
        teacher_layer_name: Layer of the teacher, None for its outputs.
        student_layer_name: Layer of the student, None for its outputs.

    Raises:
        ValueError: If all losses are None.

    Example:
        >>> loss = hornbeam.distillation.FeatureDistillation("mse")
        >>> float(loss.compute_loss(hornbeam.ops.zeros((2, 3)), hornbeam.ops.ones((2, 3))))
        1.0

    Source: Romero et al. 2014, https://arxiv.org/abs/1412.6550.
    """

    def __init__(
        self,
        loss: PerOutput[LossLike | None] = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ) -> None:
        self.loss = _functions(loss)
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Check that the named layers exist, in models with symbolic outputs.

        Args:
            teacher: The teacher.
            student: The student.

        Raises:
            ValueError: For missing layers, and for models whose layers have no symbolic outputs.
        """
        for role, model, name in (
            ("teacher", teacher, self.teacher_layer_name),
            ("student", student, self.student_layer_name),
        ):
            if name is None:
                continue
            if getattr(model, "inputs", None) is None:
                raise ValueError(
                    f"FeatureDistillation: the {role} must be a functional or Sequential model for its layer "
                    f"{name!r} to be read; omit the name to compare final outputs"
                )
            try:
                model.get_layer(name)
            except ValueError as error:
                raise ValueError(f"FeatureDistillation: the {role}: {error}") from None

    def validate_outputs(self, teacher_outputs: Tree, student_outputs: Tree) -> None:
        """Check that outputs and losses have the same structure.

        Args:
            teacher_outputs: Outputs of the teacher.
            student_outputs: Outputs of the student.

        Raises:
            ValueError: If the structures differ.
        """
        super().validate_outputs(teacher_outputs, student_outputs)
        _check_structure(self.loss, teacher_outputs)

    def compute_loss(self, teacher_outputs: Tree, student_outputs: Tree, **kwargs: Any) -> Tensor:
        """Compute the sum of the means over all outputs.

        Args:
            teacher_outputs: Outputs of the teacher.
            student_outputs: Outputs of the student.
            **kwargs: Unused.

        Returns:
            Scalar tensor.
        """
        return _total(self.loss, teacher_outputs, student_outputs)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {
            "loss": registry.serialize(self.loss),
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build the loss that a config describes.

        Args:
            config: Result of `get_config`.

        Returns:
            A FeatureDistillation.
        """
        return cls(**{**config, "loss": registry.deserialize(config["loss"])})


@exported("keras.distillation")
class LogitsDistillation(DistillationLoss):
    """Mean of `loss(teacher, student)` between the models' logits, divided by a temperature.

    The Kullback-Leibler divergence compares softmax(logits / temperature) and is multiplied by
    temperature^2, so that its gradient does not depend on it. That holds for "kl_divergence" too, where
    Keras 3.15 computes probabilities for a `KLDivergence` object only.

    Args:
        temperature: Positive number. Above 1, small probabilities of the teacher contribute more.
        loss: Name, function or Loss, in the structure of the outputs; None omits an output.

    Raises:
        ValueError: For a temperature that is not a positive number, or if all losses are None.

    Example:
        >>> loss = hornbeam.distillation.LogitsDistillation(temperature=2.0)
        >>> float(loss.compute_loss(hornbeam.ops.ones((2, 3)), hornbeam.ops.ones((2, 3))))
        0.0
    """

    def __init__(self, temperature: float = 3.0, loss: PerOutput[LossLike | None] = "kl_divergence") -> None:
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or temperature <= 0:
            raise ValueError(f"temperature must be a number above 0, got {temperature!r}")
        self.temperature = temperature
        self.loss = _functions(loss)

    def validate_outputs(self, teacher_outputs: Tree, student_outputs: Tree) -> None:
        """Check that outputs and losses have the same structure.

        Args:
            teacher_outputs: Outputs of the teacher.
            student_outputs: Outputs of the student.

        Raises:
            ValueError: If the structures differ.
        """
        super().validate_outputs(teacher_outputs, student_outputs)
        _check_structure(self.loss, teacher_outputs)

    def compute_loss(self, teacher_outputs: Tree, student_outputs: Tree, **kwargs: Any) -> Tensor:
        """Compute the sum of the means over all outputs.

        Args:
            teacher_outputs: Logits of the teacher.
            student_outputs: Logits of the student.
            **kwargs: Unused.

        Returns:
            Scalar tensor.
        """

        def on_probabilities(loss: Any) -> Any:
            return self._scaled_divergence(loss) if _is_divergence(loss) else loss

        scaled = [
            tree.map_structure(lambda x: x / self.temperature, outputs)
            for outputs in (teacher_outputs, student_outputs)
        ]
        return _total(tree.map_structure(on_probabilities, self.loss), *scaled)

    def _scaled_divergence(self, loss: Any) -> Any:
        def divergence(teacher: Any, student: Any) -> Any:
            return loss(ops.softmax(teacher), ops.softmax(student)) * self.temperature**2

        return divergence

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {"temperature": self.temperature, "loss": registry.serialize(self.loss)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build the loss that a config describes.

        Args:
            config: Result of `get_config`.

        Returns:
            A LogitsDistillation.
        """
        return cls(**{**config, "loss": registry.deserialize(config["loss"])})


def _functions(loss: Any) -> Any:
    """Resolve names of losses in a structure."""
    functions = tree.map_structure(lambda x: losses.get(x) if isinstance(x, str) else x, loss)
    if all(x is None for x in tree.flatten(functions)):
        raise ValueError(f"at least one loss must not be None, got {loss!r}")
    return functions


def _is_divergence(loss: Any) -> bool:
    return isinstance(loss, losses.KLDivergence) or loss is losses.kl_divergence


def _check_structure(loss: Any, outputs: Tree) -> None:
    try:
        tree.assert_same_structure(loss, outputs)
    except ValueError as error:
        raise ValueError(f"the losses must have the structure of the outputs: {error}") from None


def _total(loss: Any, teacher: Any, student: Any) -> Tensor:
    means = [
        ops.mean(function(theirs, ours))
        for function, theirs, ours in zip(
            tree.flatten(loss), tree.flatten(teacher), tree.flatten(student), strict=True
        )
        if function is not None
    ]
    return ops.sum(ops.stack(means))
