"""Update rules of optimizers and formulas of schedules, with the numbers of the run.

Each line of a rule is an assignment `name <- expression` in Python's notation, so that tests evaluate it and
compare with the optimizer. g is the gradient, w the weight, lr the learning rate, t the number of the update
from 1 on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hornbeam._internal.origin import module_of
from hornbeam.optimizers import Optimizer
from hornbeam.optimizers.schedules import LearningRateSchedule


@dataclass(frozen=True)
class UpdateRule:
    """Effect of a rule in words, its formulas, and initial values of letters that do not begin at 0."""

    effect: str
    formulas: tuple[str, ...]
    initial: tuple[tuple[str, float | str], ...] = ()


def update_rule(optimizer: Optimizer) -> UpdateRule | None:
    """Return the rule of an optimizer of Hornbeam, None for a custom one or one that wraps others."""
    make = _RULES.get(type(optimizer).__name__) if _is_ours(optimizer) else None
    return None if make is None else make(optimizer)


def _is_ours(optimizer: Optimizer) -> bool:
    return module_of(type(optimizer)).startswith("hornbeam.optimizers")


def _average(name: str, of: str, keep: float) -> str:
    """Return an exponential moving average: m <- 0.9 * m + 0.1 * g."""
    return f"{name} <- {keep:g} * {name} + {1 - keep:.10g} * {of}"


def _sgd(o: Any) -> UpdateRule:
    if not o.momentum:
        return UpdateRule(
            "each weight moves against its gradient, by the learning rate times the gradient",
            ("w <- w - lr * g",),
        )
    lines = [f"m <- {o.momentum:g} * m - lr * g"]
    lines.append(f"w <- w + {o.momentum:g} * m - lr * g" if o.nesterov else "w <- w + m")
    return UpdateRule(
        f"momentum: steps add up to {1 / (1 - o.momentum):.3g} times one step while gradients agree"
        if o.momentum < 1
        else "momentum without friction",
        tuple(lines),
    )


def _adagrad(o: Any) -> UpdateRule:
    return UpdateRule(
        "weights with large past gradients take smaller steps, which keep shrinking",
        ("a <- a + g**2", f"w <- w - lr * g / sqrt(a + {o.epsilon:g})"),
        (("a", o.initial_accumulator_value),),
    )


def _rmsprop(o: Any) -> UpdateRule:
    lines = [_average("v", "g**2", o.rho)]
    spread = "v"
    if o.centered:
        lines.append(_average("c", "g", o.rho))
        spread = "v - c**2"
    lines.append(f"s <- lr * g / sqrt({spread} + {o.epsilon:g})")
    if o.momentum:
        lines += [f"m <- {o.momentum:g} * m + s", "w <- w - m"]
    else:
        lines.append("w <- w - s")
    return UpdateRule(
        "gradients are divided by their recent size, so that all weights move at a similar rate", tuple(lines)
    )


def _adadelta(o: Any) -> UpdateRule:
    return UpdateRule(
        "the size of recent steps over that of recent gradients replaces the learning rate",
        (
            _average("a", "g**2", o.rho),
            f"d <- sqrt(b + {o.epsilon:g}) / sqrt(a + {o.epsilon:g}) * g",
            _average("b", "d**2", o.rho),
            "w <- w - lr * d",
        ),
    )


def _lion(o: Any) -> UpdateRule:
    return UpdateRule(
        "each weight moves by the learning rate, in the direction of the sign of the mean gradient",
        (
            f"w <- w - lr * sign({o.beta_1:g} * m + {1 - o.beta_1:.10g} * g)",
            _average("m", "g", o.beta_2),
        ),
    )


_ADAM_EFFECT = (
    "the mean gradient over the size of recent gradients: each weight moves by about the learning rate"
)


def _adam(o: Any) -> UpdateRule:
    lines = [_average("m", "g", o.beta_1), _average("v", "g**2", o.beta_2)]
    if o.amsgrad:
        lines.append("h <- max(h, v)")
    bottom = f"(sqrt({'h' if o.amsgrad else 'v'}) + {o.epsilon:g})"
    lines.append(f"w <- w - lr * sqrt(1 - {o.beta_2:g}**t) / (1 - {o.beta_1:g}**t) * m / {bottom}")
    return UpdateRule(_ADAM_EFFECT, tuple(lines))


def _adamax(o: Any) -> UpdateRule:
    return UpdateRule(
        "the mean gradient over the largest recent gradient",
        (
            _average("m", "g", o.beta_1),
            f"u <- max({o.beta_2:g} * u, abs(g))",
            f"w <- w - lr / (1 - {o.beta_1:g}**t) * m / (u + {o.epsilon:g})",
        ),
    )


def _nadam(o: Any) -> UpdateRule:
    return UpdateRule(
        "Adam with Nesterov momentum, one step ahead along its mean",
        (
            f"u <- {o.beta_1:g} * (1 - 0.96**t / 2)",
            f"n <- {o.beta_1:g} * (1 - 0.96**(t + 1) / 2)",
            "p <- p * u",
            _average("m", "g", o.beta_1),
            _average("v", "g**2", o.beta_2),
            "w <- w - lr * (n * m / (1 - p * n) + (1 - u) * g / (1 - p)) / (sqrt(v / (1 - "
            f"{o.beta_2:g}**t)) + {o.epsilon:g})",
        ),
        (("p", 1.0),),
    )


def _ftrl(o: Any) -> UpdateRule:
    p, l1 = -o.learning_rate_power, o.l1_regularization_strength
    shrink = 2 * o.l2_shrinkage_regularization_strength
    extra = "".join(
        [f" + {2 * o.l2_regularization_strength:g}" if o.l2_regularization_strength else "",
         f" + {o.beta:g} / lr" if o.beta else ""]
    )  # fmt: skip
    return UpdateRule(
        "the weight that minimizes the sum of all past losses, linearized"
        + (", exactly 0 where gradients are small" if l1 else ""),
        (
            "k <- n + g**2",
            f"z <- z + g{f' + {shrink:g} * w' if shrink else ''} - (k**{p:g} - n**{p:g}) / lr * w",
            "n <- k",
            f"w <- (clip(z, {-l1:g}, {l1:g}) - z) / (n**{p:g} / lr{extra})",
        ),
        (("n", o.initial_accumulator_value),),
    )


def _schedule_free(o: Any) -> UpdateRule:
    warm = f" * min(1, t / {o.warmup_steps})" if o.warmup_steps else ""
    return UpdateRule(
        "Adam with averaged iterates, which needs no schedule",
        (
            _average("v", "g**2", o.beta_2),
            f"z <- z - lr{warm} * g / (sqrt(v / (1 - {o.beta_2:g}**t)) + {o.epsilon:g})",
            "x <- (1 - 1 / t) * x + z / t",
            f"w <- {1 - o.beta_1:.10g} * z + {o.beta_1:g} * x",
        ),
        (("z", "w"), ("x", "w")),
    )


def _lamb(o: Any) -> UpdateRule:
    return UpdateRule(
        "Adam's direction with the norm of the layer's weights: layers change by equal proportions",
        (
            _average("m", "g", o.beta_1),
            _average("v", "g**2", o.beta_2),
            f"u <- m / (1 - {o.beta_1:g}**t) / (sqrt(v / (1 - {o.beta_2:g}**t)) + {o.epsilon:g})",
            "w <- w - lr * norm(w) / norm(u) * u",
        ),
    )


def _adafactor(o: Any) -> UpdateRule:
    return UpdateRule(
        "the size of recent gradients, stored for rows and columns of a matrix instead of each weight",
        (
            f"b <- 1 - t**{o.beta_2_decay:g}",
            f"r <- b * r + (1 - b) * rows(g**2 + {o.epsilon_1:g})",
            f"c <- b * c + (1 - b) * columns(g**2 + {o.epsilon_1:g})",
            "u <- g / sqrt(r * c / mean(r))",
            f"u <- u / max(1, rms(u) / {o.clip_threshold:g})",
            f"w <- w - max({o.epsilon_2:g}, rms(w)) * min(lr, 1 / sqrt(t)) * u",
        ),
    )


def _muon(o: Any) -> UpdateRule:
    ahead = f"g + {o.momentum:g} * m" if o.nesterov else "m"
    scale = "" if o.rms_rate is None else f" * {o.rms_rate:g} * sqrt(longer_side(w))"
    return UpdateRule(
        "for matrices: momentum orthogonalized, so that all directions have equal size; Adam for the rest",
        (f"m <- {o.momentum:g} * m + g", f"w <- w - lr{scale} * orthogonal({ahead})"),
    )


_RULES: dict[str, Callable[[Any], UpdateRule]] = {
    "SGD": _sgd, "Adagrad": _adagrad, "RMSprop": _rmsprop, "Adadelta": _adadelta, "Lion": _lion,
    "Adam": _adam, "AdamW": _adam, "Adamax": _adamax, "Nadam": _nadam, "Ftrl": _ftrl,
    "ScheduleFreeAdamW": _schedule_free, "Lamb": _lamb, "Adafactor": _adafactor, "Muon": _muon,
}  # fmt: skip


# -- schedules ----------------------------------------------------------------------------------------------


def schedule_formulas(schedule: LearningRateSchedule) -> tuple[tuple[str, str], ...]:
    """Return (condition on `step`, formula) pairs of a schedule of Hornbeam, () for a custom one.

    Step 0 is the first update.
    """
    make = _SCHEDULES.get(type(schedule).__name__)
    ours = module_of(type(schedule)).startswith("hornbeam.optimizers")
    return make(schedule) if make is not None and ours else ()


def _exponential(s: Any) -> tuple[tuple[str, str], ...]:
    passed = f"floor(step / {s.decay_steps:g})" if s.staircase else f"(step / {s.decay_steps:g})"
    return (("True", f"{s.initial_learning_rate:g} * {s.decay_rate:g}**{passed}"),)


def _inverse_time(s: Any) -> tuple[tuple[str, str], ...]:
    passed = f"floor(step / {s.decay_steps:g})" if s.staircase else f"step / {s.decay_steps:g}"
    return (("True", f"{s.initial_learning_rate:g} / (1 + {s.decay_rate:g} * {passed})"),)


def _piecewise(s: Any) -> tuple[tuple[str, str], ...]:
    bounds = [f"step <= {bound:g}" for bound in s.boundaries]
    return tuple(zip([*bounds, "True"], (f"{value:g}" for value in s.values), strict=True))


def _polynomial(s: Any) -> tuple[tuple[str, str], ...]:
    span = f"{s.decay_steps:g}"
    if s.cycle:
        span = f"({span} * max(1, ceil(step / {span})))"
    step = "step" if s.cycle else f"min(step, {span})"
    fall = s.initial_learning_rate - s.end_learning_rate
    return (("True", f"{fall:.10g} * (1 - {step} / {span})**{s.power:g} + {s.end_learning_rate:g}"),)


def _cosine(s: Any) -> tuple[tuple[str, str], ...]:
    def decay(step: str, peak: float) -> str:
        return (
            f"{peak:g} * ({1 - s.alpha:.10g} * (1 + cos(pi * min({step}, {s.decay_steps:g}) / "
            f"{s.decay_steps:g})) / 2 + {s.alpha:g})"
        )

    if s.warmup_target is None:
        return (("True", decay("step", s.initial_learning_rate)),)
    rise = s.warmup_target - s.initial_learning_rate
    return (
        (
            f"step < {s.warmup_steps:g}",
            f"{s.initial_learning_rate:g} + {rise:.10g} * step / {s.warmup_steps or 1:g}",
        ),
        ("True", decay(f"step - {s.warmup_steps:g}", s.warmup_target)),
    )


def _restarts(s: Any) -> tuple[tuple[str, str], ...]:
    return (
        (
            "True",
            f"{s.initial_learning_rate:g} * ({1 - s.alpha:.10g} * {s.m_mul:g}**i * (1 + cos(pi * f)) / 2 "
            f"+ {s.alpha:g})",
        ),
    )


_SCHEDULES: dict[str, Callable[[Any], tuple[tuple[str, str], ...]]] = {
    "ExponentialDecay": _exponential, "InverseTimeDecay": _inverse_time, "PiecewiseConstantDecay": _piecewise,
    "PolynomialDecay": _polynomial, "CosineDecay": _cosine, "CosineDecayRestarts": _restarts,
}  # fmt: skip
