"""What optimizers and schedules do, as formulas with the numbers of the run.

Each line of a rule is an assignment `name <- expression` in Python's notation, so that tests compute it
beside the optimizer. g is the gradient, w the weight, lr the learning rate, t the number of the update from 1
on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """says: in words. lines: the formulas. starts: letters that do not begin at 0, and where
    they do."""

    says: str
    lines: tuple[str, ...]
    starts: tuple[tuple[str, float | str], ...] = ()


def rule_of(optimizer: Any) -> Rule | None:
    """The rule of an optimizer of ours, None for one of somebody's own (or one made of others)."""
    make = _RULES.get(type(optimizer).__name__) if _is_ours(optimizer) else None
    return None if make is None else make(optimizer)


def _is_ours(optimizer: Any) -> bool:
    return type(optimizer).__module__.startswith("hornbeam.optimizers")


def _mean(name: str, of: str, keep: float) -> str:
    """m <- 0.9 * m + 0.1 * g."""
    return f"{name} <- {keep:g} * {name} + {1 - keep:.10g} * {of}"


def _sgd(o: Any) -> Rule:
    if not o.momentum:
        return Rule(
            "every weight moves against its gradient, by the rate times the gradient", ("w <- w - lr * g",)
        )
    lines = [f"m <- {o.momentum:g} * m - lr * g"]
    lines.append(f"w <- w + {o.momentum:g} * m - lr * g" if o.nesterov else "w <- w + m")
    return Rule(
        f"a heavy ball: steps add up to {1 / (1 - o.momentum):.3g} times one step while gradients agree"
        if o.momentum < 1
        else "a ball without friction",
        tuple(lines),
    )


def _adagrad(o: Any) -> Rule:
    return Rule(
        "weights whose gradients were large so far take smaller steps, for ever smaller",
        ("a <- a + g**2", f"w <- w - lr * g / sqrt(a + {o.epsilon:g})"),
        (("a", o.initial_accumulator_value),),
    )


def _rmsprop(o: Any) -> Rule:
    lines = [_mean("v", "g**2", o.rho)]
    spread = "v"
    if o.centered:
        lines.append(_mean("c", "g", o.rho))
        spread = "v - c**2"
    lines.append(f"s <- lr * g / sqrt({spread} + {o.epsilon:g})")
    if o.momentum:
        lines += [f"m <- {o.momentum:g} * m + s", "w <- w - m"]
    else:
        lines.append("w <- w - s")
    return Rule(
        "steps are measured in the recent size of each gradient, so that all weights move alike", tuple(lines)
    )


def _adadelta(o: Any) -> Rule:
    return Rule(
        "the size of recent steps over the size of recent gradients takes the place of a rate",
        (
            _mean("a", "g**2", o.rho),
            f"d <- sqrt(b + {o.epsilon:g}) / sqrt(a + {o.epsilon:g}) * g",
            _mean("b", "d**2", o.rho),
            "w <- w - lr * d",
        ),
    )


def _lion(o: Any) -> Rule:
    return Rule(
        "every weight moves by the rate, up or down: only the sign of the mean gradient counts",
        (
            f"w <- w - lr * sign({o.beta_1:g} * m + {1 - o.beta_1:.10g} * g)",
            _mean("m", "g", o.beta_2),
        ),
    )


_ADAM_SAYS = "the mean gradient over the size of recent gradients: each weight moves by about the rate"


def _adam(o: Any) -> Rule:
    lines = [_mean("m", "g", o.beta_1), _mean("v", "g**2", o.beta_2)]
    if o.amsgrad:
        lines.append("h <- max(h, v)")
    bottom = f"(sqrt({'h' if o.amsgrad else 'v'}) + {o.epsilon:g})"
    lines.append(f"w <- w - lr * sqrt(1 - {o.beta_2:g}**t) / (1 - {o.beta_1:g}**t) * m / {bottom}")
    return Rule(_ADAM_SAYS, tuple(lines))


def _adamax(o: Any) -> Rule:
    return Rule(
        "the mean gradient over the largest recent gradient",
        (
            _mean("m", "g", o.beta_1),
            f"u <- max({o.beta_2:g} * u, abs(g))",
            f"w <- w - lr / (1 - {o.beta_1:g}**t) * m / (u + {o.epsilon:g})",
        ),
    )


def _nadam(o: Any) -> Rule:
    return Rule(
        "Adam that looks one step ahead along its mean",
        (
            f"u <- {o.beta_1:g} * (1 - 0.96**t / 2)",
            f"n <- {o.beta_1:g} * (1 - 0.96**(t + 1) / 2)",
            "p <- p * u",
            _mean("m", "g", o.beta_1),
            _mean("v", "g**2", o.beta_2),
            "w <- w - lr * (n * m / (1 - p * n) + (1 - u) * g / (1 - p)) / (sqrt(v / (1 - "
            f"{o.beta_2:g}**t)) + "
            f"{o.epsilon:g})",
        ),
        (("p", 1.0),),
    )


def _ftrl(o: Any) -> Rule:
    p, l1 = -o.learning_rate_power, o.l1_regularization_strength
    shrink = 2 * o.l2_shrinkage_regularization_strength
    extra = "".join(
        [f" + {2 * o.l2_regularization_strength:g}" if o.l2_regularization_strength else "",
         f" + {o.beta:g} / lr" if o.beta else ""]
    )  # fmt: skip
    return Rule(
        "the weight that would have been best against all gradients so far"
        + (", exactly 0 where they are weak" if l1 else ""),
        (
            "k <- n + g**2",
            f"z <- z + g{f' + {shrink:g} * w' if shrink else ''} - (k**{p:g} - n**{p:g}) / lr * w",
            "n <- k",
            f"w <- (clip(z, {-l1:g}, {l1:g}) - z) / (n**{p:g} / lr{extra})",
        ),
        (("n", o.initial_accumulator_value),),
    )


def _schedule_free(o: Any) -> Rule:
    warm = f" * min(1, t / {o.warmup_steps})" if o.warmup_steps else ""
    return Rule(
        "Adam whose steps are averaged all along, so that no schedule has to end them",
        (
            _mean("v", "g**2", o.beta_2),
            f"z <- z - lr{warm} * g / (sqrt(v / (1 - {o.beta_2:g}**t)) + {o.epsilon:g})",
            "x <- (1 - 1 / t) * x + z / t",
            f"w <- {1 - o.beta_1:.10g} * z + {o.beta_1:g} * x",
        ),
        (("z", "w"), ("x", "w")),
    )


def _lamb(o: Any) -> Rule:
    return Rule(
        "Adam's direction, as long as the weights of the layer are: layers move by equal shares",
        (
            _mean("m", "g", o.beta_1),
            _mean("v", "g**2", o.beta_2),
            f"u <- m / (1 - {o.beta_1:g}**t) / (sqrt(v / (1 - {o.beta_2:g}**t)) + {o.epsilon:g})",
            "w <- w - lr * norm(w) / norm(u) * u",
        ),
    )


def _adafactor(o: Any) -> Rule:
    return Rule(
        "the size of recent gradients, kept for rows and columns of a matrix instead of each weight",
        (
            f"b <- 1 - t**{o.beta_2_decay:g}",
            f"r <- b * r + (1 - b) * rows(g**2 + {o.epsilon_1:g})",
            f"c <- b * c + (1 - b) * columns(g**2 + {o.epsilon_1:g})",
            "u <- g / sqrt(r * c / mean(r))",
            f"u <- u / max(1, rms(u) / {o.clip_threshold:g})",
            f"w <- w - max({o.epsilon_2:g}, rms(w)) * min(lr, 1 / sqrt(t)) * u",
        ),
    )


def _muon(o: Any) -> Rule:
    ahead = f"g + {o.momentum:g} * m" if o.nesterov else "m"
    scale = "" if o.rms_rate is None else f" * {o.rms_rate:g} * sqrt(longer_side(w))"
    return Rule(
        "for matrices: momentum turned into a matrix that stretches no direction; Adam for the rest",
        (f"m <- {o.momentum:g} * m + g", f"w <- w - lr{scale} * orthogonal({ahead})"),
    )


_RULES: dict[str, Callable[[Any], Rule]] = {
    "SGD": _sgd, "Adagrad": _adagrad, "RMSprop": _rmsprop, "Adadelta": _adadelta, "Lion": _lion,
    "Adam": _adam, "AdamW": _adam, "Adamax": _adamax, "Nadam": _nadam, "Ftrl": _ftrl,
    "ScheduleFreeAdamW": _schedule_free, "Lamb": _lamb, "Adafactor": _adafactor, "Muon": _muon,
}  # fmt: skip


# -- schedules ----------------------------------------------------------------------------------------------


def schedule_of(schedule: Any) -> tuple[tuple[str, str], ...]:
    """(condition on `step`, formula of the rate) for a schedule of ours; () for one of somebody's own. Step 0
    is the first update."""
    make = _SCHEDULES.get(type(schedule).__name__)
    ours = type(schedule).__module__.startswith("hornbeam.optimizers")
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
            f"{s.decay_steps:g})) / 2"
            f" + {s.alpha:g})"
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
