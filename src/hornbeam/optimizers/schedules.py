"""Learning-rate schedules: pure functions from the number of updates to a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.validation import check_number, check_positive
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.configurable import Configurable
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.optimizers.arguments import shortest_float

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip

MODULE = "keras.optimizers.schedules"


@exported(MODULE)
class LearningRateSchedule(Configurable):
    """Base class of schedules: `schedule(step)` maps the number of updates so far to a learning rate.

    A subclass defines `__call__` with tensor operations, and `get_config`.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __call__(self, step): return 0.1 * 0.5 ** ops.cast(step, "float32")
    """

    _must_define_config = True

    def __call__(self, step: TensorLike) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")


def _float(x: TensorLike) -> Tensor:
    return ops.cast(x, floatx())


class _StepDecay(LearningRateSchedule):
    """A decay by `step / decay_steps`, rounded down with `staircase`."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool, name: str
    ) -> None:
        self.initial_learning_rate = _initial_rate(initial_learning_rate)
        self.decay_steps = check_positive("decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def _progress(self, step: TensorLike) -> Tensor:
        progress = _float(step) / float(self.decay_steps)
        return ops.floor(progress) if self.staircase else progress


@exported(MODULE)
class ExponentialDecay(_StepDecay):
    """Exponential decay: rate = initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: Number, the rate at step 0.
        decay_steps: Positive number of updates.
        decay_rate: Number, the rate of the decay.
        staircase: Round step / decay_steps down.
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.

    Example:
        >>> round(float(ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.9)(1000)), 4)
        0.09
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: TensorLike) -> Tensor:
        return self.initial_learning_rate * ops.power(_float(self.decay_rate), self._progress(step))


@exported(MODULE)
class PiecewiseConstantDecay(LearningRateSchedule):
    """Piecewise constant rate: values[i] while step <= boundaries[i], values[-1] after the last boundary.

    Args:
        boundaries: Increasing sequence of steps.
        values: Sequence of rates, one more than `boundaries`.
        name: Name of the schedule.

    Raises:
        ValueError: If the numbers of boundaries and values do not fit.

    Example:
        >>> round(float(PiecewiseConstantDecay([1000, 2000], [0.1, 0.01, 0.001])(1500)), 4)
        0.01
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"values must have one more item than boundaries, got {len(values)} values and "
                f"{len(boundaries)} boundaries"
            )
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"boundaries must increase, got {list(boundaries)}")
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        rate = _float(self.values[-1])
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            rate = ops.where(ops.less_equal(step, boundary), _float(value), rate)
        return rate


@exported(MODULE)
class PolynomialDecay(LearningRateSchedule):
    """Polynomial decay from `initial_learning_rate` to `end_learning_rate` over `decay_steps` updates.

    rate = (initial - end) * (1 - min(step, decay_steps) / decay_steps) ** power + end.

    Args:
        initial_learning_rate: Number, the rate at step 0.
        decay_steps: Positive number of updates.
        end_learning_rate: Number, the rate after `decay_steps`.
        power: Number, the exponent.
        cycle: Start again after the end, over longer and longer spans (the next multiple of `decay_steps`).
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.

    Example:
        >>> round(float(PolynomialDecay(0.1, decay_steps=1000, power=2.0)(500)), 4)
        0.0251
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = _initial_rate(initial_learning_rate)
        self.decay_steps = check_positive("decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        step, span = _float(step), _float(self.decay_steps)
        if self.cycle:
            span = span * ops.maximum(ops.ceil(step / span), 1.0)
        else:
            step = ops.minimum(step, span)
        drop = float(self.initial_learning_rate) - self.end_learning_rate
        return drop * ops.power(1.0 - step / span, float(self.power)) + self.end_learning_rate


@exported(MODULE)
class InverseTimeDecay(_StepDecay):
    """Inverse time decay: rate = initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: Number, the rate at step 0.
        decay_steps: Positive number of updates.
        decay_rate: Number, the rate of the decay.
        staircase: Round step / decay_steps down.
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.

    Example:
        >>> round(float(InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.5)(2)), 4)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: TensorLike) -> Tensor:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._progress(step))


@exported(MODULE)
class CosineDecay(LearningRateSchedule):
    """Half a cosine down to `alpha` times the peak, after an optional linear warmup.

    Warmup (with `warmup_target`): from `initial_learning_rate` to `warmup_target` over `warmup_steps`
    updates. Then rate = peak * ((1 - alpha) * (1 + cos(pi * t)) / 2 + alpha), t = min(step, decay_steps) /
    decay_steps, counted from the end of the warmup.

    Args:
        initial_learning_rate: Number, the rate at step 0.
        decay_steps: Positive number of updates.
        alpha: Number, the final rate as a fraction of the peak.
        name: Name of the schedule.
        warmup_target: Number, the peak after the warmup, or None for no warmup.
        warmup_steps: Integer, updates of the warmup.

    Raises:
        ValueError: If `decay_steps` is not positive.

    Example:
        >>> round(float(CosineDecay(0.0, decay_steps=1000, warmup_target=0.1, warmup_steps=100)(100)), 4)
        0.1

    Source: Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = _initial_rate(initial_learning_rate)
        self.decay_steps = check_positive("decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: TensorLike) -> Tensor:
        step = _float(step)
        if self.warmup_target is None:
            return self._decay(step, self.initial_learning_rate)
        decayed = self._decay(step - float(self.warmup_steps), self.warmup_target)
        if not self.warmup_steps:
            return decayed
        gain = (self.warmup_target - self.initial_learning_rate) / self.warmup_steps
        return ops.where(step < float(self.warmup_steps), gain * step + self.initial_learning_rate, decayed)

    def _decay(self, step: Tensor, peak: float) -> Tensor:
        passed = ops.minimum(step, float(self.decay_steps)) / float(self.decay_steps)
        return peak * ((1.0 - self.alpha) * _half_cosine(passed) + self.alpha)


@exported(MODULE)
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay with restarts: span i is t_mul**i as long and starts at m_mul**i times the rate.

    rate = initial * ((1 - alpha) * m_mul**i * (1 + cos(pi * t)) / 2 + alpha), t from 0 to 1 within the span.

    Args:
        initial_learning_rate: Number, the rate at step 0.
        first_decay_steps: Positive number of updates in the first span.
        t_mul: Number, the ratio of the lengths of consecutive spans.
        m_mul: Number, the ratio of the first rates of consecutive spans.
        alpha: Number, the final rate as a fraction of the initial rate.
        name: Name of the schedule.

    Raises:
        ValueError: If `first_decay_steps` is not positive.

    Example:
        >>> round(float(CosineDecayRestarts(0.1, first_decay_steps=1000)(1500)), 4)
        0.0854

    Source: Loshchilov & Hutter 2017 (SGDR), https://arxiv.org/abs/1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = _initial_rate(initial_learning_rate)
        self.first_decay_steps = check_positive("first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        passed = _float(step) / float(self.first_decay_steps)
        if self.t_mul == 1.0:
            restarts = ops.floor(passed)
            fraction = passed - restarts
        else:
            # The spans before restart i have a total of (t_mul**i - 1) / (t_mul - 1) first spans.
            restarts = ops.floor(ops.log(1.0 - passed * (1.0 - self.t_mul)) / math.log(self.t_mul))
            length = ops.power(_float(self.t_mul), restarts)
            fraction = (passed - (1.0 - length) / (1.0 - self.t_mul)) / length
        height = ops.power(_float(self.m_mul), restarts)
        return self.initial_learning_rate * (
            (1.0 - self.alpha) * height * _half_cosine(fraction) + self.alpha
        )


def _initial_rate(value: float | TensorLike) -> float:
    """Return the rate that a schedule begins with: a number, or the present value of a scalar tensor."""
    if isinstance(value, Tensor) and value.shape == ():
        return shortest_float(value.numpy())
    return check_number("initial_learning_rate", value)


def _half_cosine(fraction: Tensor) -> Tensor:
    """Return half a cosine: 1 at 0, 0 at 1."""
    return 0.5 * (1.0 + ops.cos(np.pi * fraction))


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Convert a schedule to a config.

    Args:
        learning_rate_schedule: Schedule.

    Returns:
        Dict.
    """
    return registry.serialize(learning_rate_schedule)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> LearningRateSchedule:
    """Build the schedule that a config describes.

    Args:
        config: Dict of arguments.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Schedule.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.deserialize(config, custom_objects)


explain_missing(__name__)
