"""`model.explain_training()`: the loop, the optimizer and the loss of a run, with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.validation import check_int
from hornbeam.insight.ablation import untouched
from hornbeam.insight.arithmetic import number
from hornbeam.insight.explanations.explanation import Explanation, Section
from hornbeam.insight.explanations.losses import guessed, kind_of
from hornbeam.insight.explanations.optimizers import Rule, rule_of, schedule_of
from hornbeam.insight.summary import _size
from hornbeam.optimizers.schedules import LearningRateSchedule
from hornbeam.training.schedule import TrainingSchedule

Entries = list[tuple[str, str]]


def explain_training(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    samples: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    history: Any = None,
) -> Explanation:
    """The loop, the optimizer and the loss of a model's training: the function behind
    `Model.explain_training`, which says what the arguments are, what it returns and raises.

    >>> print(hornbeam.insight.explain_training(model, x, y))  # doctest: +SKIP
    """
    model._require_compiled("explain_training")
    history = history or getattr(model, "history", None)
    plan = _plan(getattr(history, "schedule", None), x, samples, batch_size, epochs)
    logs = getattr(history, "history", None) or {}
    notes = [Section("The loop", tuple(_loop(plan, model)))]
    notes += list(_optimizers(model.optimizer, plan, model))
    losses = list(_losses(model, y))
    notes += [note for note, _ in losses]
    if x is not None and y is not None:
        notes.append(Section("One update, measured", tuple(_measured(model, x, y, plan.batch_size or 32))))
    if logs:
        single = losses[0][1] if len(losses) == 1 else None
        notes.append(Section("This run", tuple(_run(logs, single))))
    return Explanation(f'How "{model.name}" is trained', notes)


def _plan(
    made: TrainingSchedule | None, x: Any, samples: int | None, batch_size: int | None, epochs: int | None
) -> TrainingSchedule:
    """The plan of the last `fit`, with what is given put in its place."""
    if x is not None and samples is None:
        samples = len(tree.flatten(x)[0])
    if made is not None and samples in (None, made.samples) and batch_size is None and epochs is None:
        return made
    if samples is None and made is not None:
        samples = made.samples
    if samples is None:
        raise ValueError(
            "explain_training() counts updates: call it after fit(), or give samples= (and batch_size=, "
            "epochs=)"
        )
    size = batch_size or (made.batch_size if made is not None else None) or 32
    size, samples = check_int("batch_size", size, 1), check_int("samples", samples, 1)
    times = epochs if epochs is not None else made.epochs if made is not None else 1
    return TrainingSchedule(samples, size, math.ceil(samples / size), check_int("epochs", times, 0))


def _loop(plan: TrainingSchedule, model: Any) -> Entries:
    made = model.optimizer.iterations if model.optimizer is not None else 0
    entries = [
        ("batch", _batch(plan)),
        ("epoch", plan.epoch()),
        ("all", plan.all()),
        (
            "update",
            "forward, loss, the gradient of the loss for each of "
            f"{number(sum(v.type.size for v in model.trainable_weights))} trained weights, and one step "
            "of all of them",
        ),
    ]
    if int(made):
        entries.append(("so far", f"{number(int(made))} updates were made"))
    return entries


def _batch(plan: TrainingSchedule) -> str:
    if plan.batch_size is None:
        return "as many samples as the stream puts together"
    size = min(plan.batch_size, plan.samples or plan.batch_size)
    noise = f"1/√{size} = {1 / math.sqrt(size):.2g}"
    return (
        f"{number(size)} samples: the mean of their gradients stands for that of all data; its error is "
        f"about {noise} "
        "of the spread between samples"
    )


# -- the optimizer ------------------------------------------------------------------------------------------


def _optimizers(optimizer: Any, plan: TrainingSchedule, model: Any) -> Iterator[Section]:
    """A note for the optimizer, and one for each that it is made of."""
    if optimizer is None:
        return
    inner = getattr(optimizer, "inner_optimizer", None)
    several = getattr(optimizer, "optimizers", None)
    kind = type(optimizer).__name__
    if inner is not None:
        scale = float(np.asarray(optimizer.dynamic_scale)) if optimizer.built else optimizer.initial_scale
        yield Section(
            f"The optimizer: {kind}",
            (
                (
                    "does",
                    f"multiplies the loss by {scale:,.6g} so that small gradients do not vanish in float16, "
                    "divides the "
                    "gradients by it, and skips an update with gradients that are not finite",
                ),
            ),
        )
        yield from _optimizers(inner, plan, model)
        return
    if several is not None:
        yield Section(f"The optimizer: {kind}", (("does", "gives each weight to one of the following"),))
        for part in several:
            yield from _optimizers(part, plan, model)
        return
    yield Section(f"The optimizer: {kind}", tuple(_optimizer(optimizer, plan, model)))


def _optimizer(optimizer: Any, plan: TrainingSchedule, model: Any) -> Entries:
    rule = rule_of(optimizer)
    if rule is None:
        entries = [
            ("does", f"{type(optimizer).__name__} has a rule of its own; there is no description of it here")
        ]
    else:
        entries = [("does", rule.says), ("formula", "; ".join([*_decay(optimizer), *rule.lines]))]
        entries.append(("letters", _letters(rule)))
    entries.append(("rate", _rate(optimizer, plan)))
    entries += _memory_of_means(optimizer)
    entries += _state(optimizer, model)
    return entries + list(_extras(optimizer))


def _decay(optimizer: Any) -> list[str]:
    decay = optimizer.weight_decay
    return [f"w <- w - lr * {decay:g} * w"] if decay else []


def _letters(rule: Rule) -> str:
    starts = dict(rule.starts)
    own = dict.fromkeys(line.split(" <- ")[0] for line in rule.lines)
    kept = [letter for letter in own if letter != "w" and _is_state(letter, rule.lines)]
    text = "w a weight, g its gradient, lr the rate, t the number of the update"
    if kept:
        text += "; " + ", ".join(f"{letter} begins at {starts.get(letter, 0)}" for letter in kept)
    return text


def _is_state(letter: str, lines: Sequence[str]) -> bool:
    """True for a letter that is read before it is written."""
    for line in lines:
        name, _, value = line.partition(" <- ")
        if letter in _words(value):
            return True
        if name == letter:
            return False
    return False


def _words(expression: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in expression).split())


def _rate(optimizer: Any, plan: TrainingSchedule) -> str:
    schedule = optimizer._learning_rate
    if not isinstance(schedule, LearningRateSchedule):
        now = float(np.asarray(optimizer.learning_rate))
        callable_ = not hasattr(schedule, "assign")
        return f"{now:.6g}" + (
            ", asked of a function before each update" if callable_ else " at every update"
        )
    parts = [
        formula if condition == "True" else f"{formula} while {condition}"
        for condition, formula in schedule_of(schedule)
    ]
    text = f"{type(schedule).__name__}: " + ("; then ".join(parts) if parts else "a schedule of its own")
    if "**i" in text:
        text += ", i restarts behind it, f the part of the span that is over"
    updates = plan.updates
    if updates:
        marks = sorted({0, (updates - 1) // 2, updates - 1})
        values = [f"{float(np.asarray(schedule(step))):.4g} at update {number(step + 1)}" for step in marks]
        text += f". In this run: {', '.join(values)}"
    return text


_MEANS = {
    "beta_1": "gradients",
    "beta_2": "squared gradients",
    "rho": "squared gradients",
    "momentum": "steps",
}


def _memory_of_means(optimizer: Any) -> Entries:
    """How many updates a running mean looks back."""
    parts = []
    for name, what in _MEANS.items():
        keep = getattr(optimizer, name, None)
        if isinstance(keep, (int, float)) and 0 < keep < 1:
            parts.append(
                f"{name} {keep:g}: {what} of about 1 / (1 - {keep:g}) = {1 / (1 - keep):.4g} updates count"
            )
    return [("looks back", "; ".join(parts))] if parts else []


def _state(optimizer: Any, model: Any) -> Entries:
    if not optimizer.built:
        count = sum(len(group) for group in optimizer.slots())
        weights = sum(v.type.size for v in model.trainable_weights)
        kept = f"{count} × {number(weights)} = {number(count * weights)} numbers beside the weights"
        return [("keeps", kept)] if count else []
    state = [variable for variable in optimizer.variables if variable.type.size > 1 or variable.shape]
    if not state:
        return []
    total, nbytes = sum(v.type.size for v in state), sum(v.type.nbytes for v in state)
    weights = sum(v.type.size for v in optimizer._trainable_variables)
    return [("keeps", f"{number(total)} numbers beside {number(weights)} weights, {_size(nbytes)}")]


def _extras(optimizer: Any) -> Iterator[tuple[str, str]]:
    """What is done besides the rule."""
    if optimizer.clipnorm:
        yield "clips", f"the gradients of each weight array to a norm of at most {optimizer.clipnorm:g}"
    if optimizer.global_clipnorm:
        yield "clips", f"all gradients together to a norm of at most {optimizer.global_clipnorm:g}"
    if optimizer.clipvalue:
        yield "clips", f"each gradient to {-optimizer.clipvalue:g} ... {optimizer.clipvalue:g}"
    if optimizer.gradient_accumulation_steps:
        steps = optimizer.gradient_accumulation_steps
        yield (
            "gathers",
            f"the mean gradient of {steps} batches for a step: batches {steps} times as large, in effect",
        )
    if optimizer.use_ema:
        keep = optimizer.ema_momentum
        yield (
            "averages",
            f"weights of about 1 / (1 - {keep:g}) = {1 / (1 - keep):.4g} updates, taken at the end",
        )


# -- the loss -----------------------------------------------------------------------------------------------


def _losses(model: Any, y: Any) -> Iterator[tuple[Section, float | None]]:
    """A note for the loss of each output, with the value of a guess."""
    fit = model._training_state.losses
    if fit is None or fit.spec is None:
        return
    outputs = (
        list(getattr(model, "outputs", None) or [])
        if getattr(model, "_graph", None) or hasattr(model, "_tensors")
        else []
    )
    spec = fit.spec
    single = not isinstance(spec, (list, dict))
    names = list(getattr(model, "output_names", None) or [])
    parts: list[tuple[str, Any]]
    if isinstance(spec, dict):
        parts = list(spec.items())
    else:
        losses = [spec] * max(len(outputs), 1) if single else list(spec)
        parts = [(names[i] if i < len(names) else str(i), loss) for i, loss in enumerate(losses)]
    for index, (name, loss) in enumerate(parts):
        if loss is None:
            continue
        place = names.index(name) if name in names else index
        width = outputs[place].shape[-1] if place < len(outputs) else None
        title = f"The loss: {loss.name}" + (f" of {name}" if len(parts) > 1 else "")
        target = _target(y, name, place, len(parts))
        entries, value = _loss(loss, width, target)
        yield Section(title, tuple(entries)), value


def _target(y: Any, name: str, place: int, count: int) -> np.ndarray | None:
    if y is None:
        return None
    if isinstance(y, dict):
        return None if name not in y else np.asarray(y[name])
    if count > 1 and isinstance(y, (list, tuple)):
        return np.asarray(y[place])
    return np.asarray(y)


def _loss(loss: Any, width: int | None, target: np.ndarray | None) -> tuple[Entries, float | None]:
    kind = kind_of(loss)
    if kind is None:
        return [
            ("measures", f"{loss.name} is a function of its own; there is no description of it here")
        ], None
    options = {k: v for k, v in getattr(loss, "options", {}).items() if v and k not in ("axis",)}
    given = f" ({', '.join(f'{k}={v}' for k, v in options.items())})" if options else ""
    entries = [("measures", f"{kind.formula}{given}, for target t and prediction p; {_reduction(loss)}")]
    guess = guessed(loss, kind, width, target) if width is not None else None
    if guess is None:
        if kind.constant:
            entries.append(
                ("guessing", f"{kind.guess}: with y, explain_training(x, y) computes what that gives")
            )
        return entries, None
    value, words = guess
    entries.append(
        (
            "guessing",
            f"{words} gives {value:.4g}: above it nothing was learned yet"
            if "=" not in words
            else f"{words}: above it nothing was learned yet",
        )
    )
    prior = _prior(kind.likelihood, target, width)
    if prior:
        entries.append(("frequencies", prior))
    return entries, value


def _reduction(loss: Any) -> str:
    return {
        "sum": "the sum over the batch",
        "mean_with_sample_weight": "the mean over the batch by sample weights",
    }.get(loss.reduction, "the mean over the batch")


def _prior(likelihood: bool, target: np.ndarray | None, width: int | None) -> str:
    """Guessing by how frequent each class is: the entropy of the frequencies."""
    if not likelihood or target is None or not width or width < 2:
        return ""
    if target.ndim > 1 and target.shape[-1] == width:
        target = target.argmax(-1)
    if target.dtype.kind not in "iu":
        return ""
    counts = np.bincount(target.ravel(), minlength=width)
    shares = counts[counts > 0] / counts.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    return f"guessing by how frequent each class is gives {entropy:.4g}, and is right in {shares.max():.1%}"


# -- measured -----------------------------------------------------------------------------------------------


def _measured(model: Any, x: Any, y: Any, batch_size: int) -> Entries:
    """One update on the first batch, and everything back as it was."""
    rows = slice(0, batch_size)
    x, y = (tree.map_structure(lambda part: np.asarray(part)[rows], data) for data in (x, y))
    changes, loss = one_update(model, x, y)
    entries = [("loss", f"{loss:.4g} on {number(len(tree.flatten(x)[0]))} samples, before the update")]
    for path, (size, moved) in changes.items():
        share = f", {moved / size:.2g} of {size:.3g}" if size else ", which was 0"
        entries.append(
            (path.rsplit("/", 2)[-2] if path.count("/") else path, f"{path} moves by {moved:.3g}{share}")
        )
    ratios = [moved / size for size, moved in changes.values() if size]
    if ratios:
        entries.append(
            (
                "ratios",
                f"steps are {min(ratios):.2g} to {max(ratios):.2g} of the weights (norms); about "
                "0.001 is usual",
            )
        )
    return entries


def one_update(model: Any, x: Any, y: Any) -> tuple[dict[str, tuple[float, float]], float]:
    """(norm of the weights, norm of their change) by path for one update on a batch, and the loss before it.
    Weights, optimizer, metrics and random states are afterwards as they were; an optimizer without state has
    got its zeros."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    kept = [
        (variable, np.array(variable))
        for variable in (*model.variables, *model.optimizer.variables, *model.metrics_variables)
    ]
    before = {id(v): np.array(v) for v in model.trainable_variables}
    with untouched():
        try:
            results = model.train_on_batch(x, y, return_dict=True)
            after = {v.path: (before[id(v)], np.array(v)) for v in model.trainable_variables}
        finally:
            for variable, value in kept:
                variable.assign(value)
    norms = {
        path: (float(np.linalg.norm(old.astype(float))), float(np.linalg.norm((new - old).astype(float))))
        for path, (old, new) in after.items()
    }
    return norms, float(results["loss"])


def _run(logs: dict[str, list[float]], guess: float | None) -> Entries:
    entries: Entries = []
    if logs.get("loss"):
        first, last = logs["loss"][0], logs["loss"][-1]
        text = f"{first:.4g} in the first epoch, {last:.4g} in the last"
        if guess:
            text += f"; guessing gives {guess:.4g}"
        entries.append(("loss", text))
    if logs.get("val_loss"):
        values = logs["val_loss"]
        best = int(np.argmin(values))
        text = f"lowest in epoch {best + 1} of {len(values)}: {values[best]:.4g}"
        if best < len(values) - 1:
            text += f"; {values[-1]:.4g} at the end"
        entries.append(("validation", text))
    for name in logs:
        if "acc" in name and not name.startswith("val_"):
            text = f"{logs[name][0]:.1%} in the first epoch, {logs[name][-1]:.1%} in the last"
            if logs.get(f"val_{name}"):
                text += f"; on validation data {logs[f'val_{name}'][-1]:.1%}"
            entries.append((name, text))
    return entries
