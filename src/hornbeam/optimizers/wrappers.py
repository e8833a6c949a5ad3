"""Optimizers of optimizers: dynamic loss scaling, and one optimizer per group of variables."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from hornbeam import ops
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike
from hornbeam.core.variable import Variable
from hornbeam.optimizers.optimizer import Gradients, LearningRate, Optimizer
from hornbeam.optimizers.rules import MODULE
from hornbeam.optimizers.updates import Updates


@exported(MODULE)
class LossScaleOptimizer(Optimizer):
    """Dynamic loss scaling, which keeps float16 gradients from underflowing.

    The scale halves, and the update is skipped, if a gradient is not finite; it doubles after
    `dynamic_growth_steps` consecutive finite updates. `apply` expects gradients of the loss that `scale_loss`
    returned. Clipping, averages, weight decay and accumulation are set on `inner_optimizer`.

    Args:
        inner_optimizer: Optimizer that updates the variables.
        initial_scale: Number, the first scale.
        dynamic_growth_steps: Integer, consecutive finite updates after which the scale doubles.
        name: Name; None for one from the class name.
        **kwargs: `dynamic=True`, and arguments of `Optimizer` with their default values, which older configs
            have.

    Raises:
        ValueError: If `dynamic_growth_steps` is less than 1, and for an argument of `inner_optimizer`.
        TypeError: If `inner_optimizer` is not an optimizer.

    Example:
        >>> LossScaleOptimizer(hornbeam.optimizers.SGD(0.1))
        <LossScaleOptimizer name=loss_scale_optimizer, learning_rate=0.1>

    Source: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if dynamic_growth_steps < 1:
            raise ValueError(f"dynamic_growth_steps must be at least 1, got {dynamic_growth_steps!r}")
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "dynamic=False is not LossScaleOptimizer's: a fixed scale is loss_scale_factor of the inner "
                "optimizer itself"
            )
        super().__init__(learning_rate=0.0, name=name, **_without_defaults(kwargs))
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(f"LossScaleOptimizer takes an Optimizer, got {inner_optimizer!r}")
        self.inner_optimizer = inner_optimizer
        self.inner_optimizer.loss_scale_factor = None
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", "int64", name="step_counter")
        self.dynamic_scale = self.add_variable((), self.initial_scale, "float32", name="dynamic_scale")
        self.inner_optimizer.build(variables)
        super().build(variables)

    def check_multipliers(self, variables: Sequence[Variable]) -> None:
        self.inner_optimizer.check_multipliers(variables)

    def extend(self, variables: Sequence[Variable]) -> None:
        self.build(variables)
        self.inner_optimizer.extend(variables)
        self._trainable_variables = list(variables)

    @property
    def variables(self) -> list[Variable]:
        """Counter and scale, then the variables of the inner optimizer."""
        return [*self._variables, *self.inner_optimizer.variables]

    def apply(self, grads: Gradients, trainable_variables: Sequence[Variable] | None = None) -> None:
        """Divide the gradients by the scale and let the inner optimizer update, unless one is not finite.

        Args:
            grads: Sequence of tensors of the shapes of the variables; None leaves a variable unchanged.
            trainable_variables: Sequence of variables, in the order of the gradients.
        """
        variables = self._known(trainable_variables)
        finite = _all_finite([gradient for gradient in grads if gradient is not None])
        unscaled = [
            g if g is None or v.overwrite_with_gradient else ops.cast(g, "float32") / self.dynamic_scale.value
            for g, v in zip(grads, variables, strict=True)
        ]
        with Updates() as step:
            self.inner_optimizer.apply(unscaled, variables)
        with Updates() as update:
            step.commit(when=finite)
            grown = ops.equal(self.step_counter, self.dynamic_growth_steps - 1)
            counted = ops.where(ops.logical_and(finite, ops.logical_not(grown)), self.step_counter + 1, 0)
            factor = ops.where(finite, ops.where(grown, 2.0, 1.0), 0.5)
            self.step_counter.assign(counted)
            self.dynamic_scale.assign(self.dynamic_scale * factor)
        update.commit()

    @property
    def learning_rate(self) -> Variable:
        """Learning rate of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate | TensorLike) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Tensor:
        """Number of updates of the inner optimizer; skipped ones do not count."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Multiply a loss by the current scale.

        Args:
            loss: Scalar tensor.

        Returns:
            Scalar tensor to differentiate.
        """
        return loss * (self.dynamic_scale.value if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": registry.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        inner = registry.deserialize(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})


@exported(MODULE)
class OptimizerMap(MutableMapping[str, Optimizer]):
    """Mapping of variable paths to optimizers by regular expressions, with a default.

    Args:
        default_optimizer: Optimizer of variables whose path matches no pattern.
        optimizer_map: Optimizers by pattern, or None.

    Raises:
        ValueError: If two patterns match one path.
        TypeError: If `default_optimizer` is not an optimizer.

    Example:
        >>> slow, fast = hornbeam.optimizers.Adam(), hornbeam.optimizers.SGD(0.1)
        >>> OptimizerMap(slow, {".*embedding.*": fast})["embedding/embeddings"] is fast
        True
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None
    ) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"default_optimizer must be an Optimizer, got {default_optimizer!r}")
        self.default_optimizer = default_optimizer
        self._patterns: dict[str, Optimizer] = {}
        for pattern, optimizer in (optimizer_map or {}).items():
            self[pattern] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        """Return the optimizer of the path of a variable (or of a pattern)."""
        if key in self._patterns:
            return self._patterns[key]
        matching = [pattern for pattern in self._patterns if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(f"several patterns match the variable {key!r}: {matching}")
        return self._patterns[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._patterns:
            raise ValueError(f"the pattern {key!r} already has an optimizer")
        if not isinstance(optimizer, Optimizer) or isinstance(
            optimizer, (LossScaleOptimizer, MultiOptimizer)
        ):
            raise ValueError(f"an OptimizerMap must contain single optimizers, got {optimizer!r}")
        self._patterns[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._patterns[key]

    def __len__(self) -> int:
        return len(self._patterns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns)

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal map is built."""
        return {
            "default_optimizer": registry.serialize(self.default_optimizer),
            "optimizer_map": registry.serialize(self._patterns),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Build the map that `get_config` described.

        Args:
            config: Dict of arguments.
            custom_objects: Classes and functions by name, in addition to the registered ones.

        Returns:
            OptimizerMap.
        """
        read = {key: registry.deserialize(value, custom_objects) for key, value in config.items()}
        return cls(read["default_optimizer"], read["optimizer_map"])


@exported(MODULE)
class MultiOptimizer(Optimizer):
    """Optimizer that trains each variable with the optimizer that a map selects.

    Learning rate, decay and clipping are those of the single optimizers.

    Args:
        optimizer_map: `OptimizerMap`, or function of a variable that returns its optimizer.
        loss_scale_factor: Number by which the loss is multiplied before differentiation and the gradients are
            divided, or None. It replaces those of the single optimizers.
        name: Name; None for one from the class name.

    Example:
        >>> slow, fast = hornbeam.optimizers.Adam(), hornbeam.optimizers.SGD(0.1)
        >>> MultiOptimizer(OptimizerMap(slow, {".*embedding.*": fast}))
        <MultiOptimizer name=multi_optimizer>
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        if not callable(optimizer_map):
            raise TypeError(
                f"optimizer_map must be an OptimizerMap or a function of a variable, got {optimizer_map!r}"
            )
        self.optimizer_map = optimizer_map
        # Each optimizer with the variables that it trains.
        self._groups: list[tuple[Optimizer, list[Variable]]] = []
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._group_of(optimizer)

    def _group_of(self, optimizer: Optimizer) -> list[Variable]:
        """Return the variables of an optimizer, which loses a scale of its own: all share one loss."""
        members = next((members for known, members in self._groups if known is optimizer), None)
        if members is None:
            members = []
            optimizer.loss_scale_factor = None
            self._groups.append((optimizer, members))
        return members

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        for variable in variables:
            self._group_of(self.optimizer_map(variable)).append(variable)
        for optimizer, members in self._groups:
            if members:
                optimizer.build(members)

    def check_multipliers(self, variables: Sequence[Variable]) -> None:
        for optimizer in self.optimizers:
            optimizer.check_multipliers(variables)

    def extend(self, variables: Sequence[Variable]) -> None:
        self.build(variables)
        known, order = set(self._trainable_variables), {v: index for index, v in enumerate(variables)}
        for variable in variables:
            if variable not in known:
                self._group_of(self.optimizer_map(variable)).append(variable)
        for optimizer, members in self._groups:
            members.sort(key=order.__getitem__)
            if members:
                optimizer.extend(members)
        self._trainable_variables = list(variables)

    @property
    def optimizers(self) -> list[Optimizer]:
        """Single optimizers: those of the map, then its default. A function's are known after `build`."""
        return [optimizer for optimizer, _ in self._groups]

    @property
    def variables(self) -> list[Variable]:
        """Own variables, then those of each optimizer."""
        return [*self._variables, *(v for optimizer, _ in self._groups for v in optimizer.variables)]

    def _apply(self, grads: list[Tensor], variables: list[Variable]) -> None:
        if self.loss_scale_factor is not None:
            grads = [gradient / self.loss_scale_factor for gradient in grads]
        gradient_of = dict(zip(variables, grads, strict=True))
        for optimizer, members in self._groups:
            present = [variable for variable in members if variable in gradient_of]
            if present:
                optimizer.apply([gradient_of[variable] for variable in present], present)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        trained = set(var_list)
        for optimizer, members in self._groups:
            if members:
                optimizer.finalize_variable_values([v for v in members if v in trained])

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": registry.serialize(self.optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        return cls(
            **{**config, "optimizer_map": registry.deserialize(config["optimizer_map"], custom_objects)}
        )


# Arguments of older configs are not shown.
del LossScaleOptimizer.__signature__  # type: ignore[attr-defined]


def _without_defaults(arguments: dict[str, Any]) -> dict[str, Any]:
    """Drop arguments of `Optimizer` that have their default values. Raises ValueError for other values."""
    rest = {}
    for name, value in arguments.items():
        parameter = inspect.signature(Optimizer).parameters.get(name)
        if parameter is None or name == "learning_rate":
            rest[name] = value
        elif value != parameter.default:
            raise ValueError(f"{name} of a LossScaleOptimizer is set on its inner_optimizer, got {value!r}")
    return rest


def _all_finite(tensors: Sequence[Tensor]) -> Tensor:
    finite = ops.all(ops.isfinite(tensors[0]))
    for tensor in tensors[1:]:
        finite = ops.logical_and(finite, ops.all(ops.isfinite(tensor)))
    return finite
