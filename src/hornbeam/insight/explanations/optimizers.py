"""Sections about optimizers: update rule, learning rate, state, and options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.formatting import byte_size
from hornbeam.insight.arithmetic import integer
from hornbeam.insight.explanations.update_rules import UpdateRule, schedule_formulas, update_rule
from hornbeam.models import Model
from hornbeam.optimizers import Optimizer
from hornbeam.optimizers.schedules import LearningRateSchedule
from hornbeam.visualization.explanation import Section

Entries = list[tuple[str, str]]

# Attribute with a decay factor -> the quantity that it averages.
_AVERAGES = {
    "beta_1": "gradients",
    "beta_2": "squared gradients",
    "rho": "squared gradients",
    "momentum": "steps",
}


def optimizer_sections(optimizer: Any, updates: int | None, model: Model) -> Iterator[Section]:
    """Yield a section for an optimizer, and one for each optimizer that it wraps.

    Args:
        optimizer: Optimizer; None has no section.
        updates: Number of updates of the run, None if it is unknown.
        model: Model whose weights are updated.
    """
    if optimizer is None:
        return
    title = f"The optimizer: {type(optimizer).__name__}"
    inner = getattr(optimizer, "inner_optimizer", None)
    members = getattr(optimizer, "optimizers", None)
    if inner is not None:
        scale = float(np.asarray(optimizer.dynamic_scale)) if optimizer.built else optimizer.initial_scale
        text = (
            f"multiplies the loss by {scale:,.6g} so that small gradients do not underflow in float16, "
            "divides the gradients by it, and skips updates whose gradients are not finite"
        )
        yield Section(title, (("does", text),))
        yield from optimizer_sections(inner, updates, model)
    elif members is not None:
        yield Section(title, (("does", "assigns each weight to one of the following optimizers"),))
        for member in members:
            yield from optimizer_sections(member, updates, model)
    else:
        yield Section(title, tuple(_entries(optimizer, updates, model)))


def _entries(optimizer: Optimizer, updates: int | None, model: Model) -> Entries:
    rule = update_rule(optimizer)
    if rule is None:
        name = type(optimizer).__name__
        entries = [("does", f"{name} has a custom update rule; no description is available")]
    else:
        decay = optimizer.weight_decay
        formulas = [f"w <- w - lr * {decay:g} * w"] if decay else []
        entries = [
            ("does", rule.effect),
            ("formula", "; ".join([*formulas, *rule.formulas])),
            ("letters", _symbols(rule)),
        ]
    return [
        *entries,
        ("rate", _learning_rate(optimizer, updates)),
        *_averaging_windows(optimizer),
        *_state(optimizer, model),
        *_options(optimizer),
    ]


def _symbols(rule: UpdateRule) -> str:
    """Explain the symbols of a rule, and the initial values of its state."""
    initial = dict(rule.initial)
    assigned = dict.fromkeys(line.split(" <- ")[0] for line in rule.formulas)
    state = [name for name in assigned if name != "w" and _is_state(name, rule.formulas)]
    text = "w a weight, g its gradient, lr the learning rate, t the number of the update"
    if state:
        text += "; " + ", ".join(f"{name} begins at {initial.get(name, 0)}" for name in state)
    return text


def _is_state(symbol: str, formulas: Sequence[str]) -> bool:
    """Return True for a symbol that is read before it is assigned, and so keeps its value between updates."""
    for line in formulas:
        target, _, value = line.partition(" <- ")
        if symbol in _identifiers(value):
            return True
        if target == symbol:
            return False
    return False


def _identifiers(expression: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in expression).split())


def _learning_rate(optimizer: Optimizer, updates: int | None) -> str:
    """Describe a constant rate, a function or a schedule, with its values at the begin, middle and end."""
    schedule = optimizer._learning_rate
    if not isinstance(schedule, LearningRateSchedule):
        rate = f"{float(np.asarray(optimizer.learning_rate)):.6g}"
        is_function = not hasattr(schedule, "assign")
        return f"{rate}, from a function before each update" if is_function else f"{rate} at every update"
    parts = [
        formula if condition == "True" else f"{formula} while {condition}"
        for condition, formula in schedule_formulas(schedule)
    ]
    text = f"{type(schedule).__name__}: " + ("; then ".join(parts) if parts else "a custom schedule")
    if "**i" in text:
        text += ", i the number of past restarts, f the elapsed fraction of the period"
    if updates:
        steps = sorted({0, (updates - 1) // 2, updates - 1})
        values = [f"{float(np.asarray(schedule(step))):.4g} at update {integer(step + 1)}" for step in steps]
        text += f". In this run: {', '.join(values)}"
    return text


def _averaging_windows(optimizer: Optimizer) -> Entries:
    """Return how many updates the moving averages span: the sum of their weights, 1 / (1 - decay)."""
    windows = []
    for name, quantity in _AVERAGES.items():
        decay = getattr(optimizer, name, None)
        if isinstance(decay, (int, float)) and 0 < decay < 1:
            windows.append(f"{name} {decay:g}: {quantity} of about {_window(decay)}")
    return [("averages", "; ".join(windows))] if windows else []


def _window(decay: float) -> str:
    return f"1 / (1 - {decay:g}) = {1 / (1 - decay):.4g} updates"


def _state(optimizer: Optimizer, model: Model) -> Entries:
    """Return the size of the state; before the optimizer is built, as it will be, without its bytes."""
    if not optimizer.built:
        count = sum(len(group) for group in optimizer.slots())
        weights = sum(v.type.size for v in model.trainable_weights)
        text = f"{count} × {integer(weights)} = {integer(count * weights)} numbers besides the weights"
        return [("state", text)] if count else []
    # Scalars are the number of updates, the learning rate and the like.
    state = [variable for variable in optimizer.variables if variable.type.size > 1 or variable.shape]
    if not state:
        return []
    total, nbytes = sum(v.type.size for v in state), sum(v.type.nbytes for v in state)
    weights = sum(v.type.size for v in optimizer._trainable_variables)
    return [("state", f"{integer(total)} numbers besides {integer(weights)} weights, {byte_size(nbytes)}")]


def _options(optimizer: Optimizer) -> Iterator[tuple[str, str]]:
    """Yield learning rates by layer, clipping, accumulation and averaging of weights."""
    if optimizer.learning_rate_multipliers:
        factors = optimizer.learning_rate_multipliers.items()
        yield "rates", f"by layer: {', '.join(f'{name} {factor:g} times' for name, factor in factors)}"
    if optimizer.clipnorm:
        yield "clips", f"the gradient of each weight array to a norm of at most {optimizer.clipnorm:g}"
    if optimizer.global_clipnorm:
        yield "clips", f"all gradients together to a norm of at most {optimizer.global_clipnorm:g}"
    if optimizer.clipvalue:
        yield "clips", f"each gradient to {-optimizer.clipvalue:g} ... {optimizer.clipvalue:g}"
    if optimizer.gradient_accumulation_steps:
        steps = optimizer.gradient_accumulation_steps
        yield (
            "accumulates",
            f"the mean gradient of {steps} batches for a step: batches are effectively {steps} times as "
            "large",
        )
    if optimizer.use_ema:
        window = _window(optimizer.ema_momentum)
        yield "EMA", f"the average of the weights over about {window} is used at the end"
