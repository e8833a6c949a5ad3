"""`model.explain_training()`: the loop, the optimizer and the loss of a training run, with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.insight.ablation import preserved_state
from hornbeam.insight.arithmetic import integer
from hornbeam.insight.explanations.conclusions import conclusions
from hornbeam.insight.explanations.losses import LossDescription, baseline_loss, loss_description
from hornbeam.insight.explanations.optimizers import optimizer_sections
from hornbeam.layers import Normalization, Rescaling
from hornbeam.models import Model
from hornbeam.training.callbacks.base import History
from hornbeam.training.schedule import TrainingSchedule
from hornbeam.training.steps import training_state
from hornbeam.visualization.explanation import Explanation, Section

Entries = list[tuple[str, str]]


def explain_training(
    model: Model,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    samples: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    history: History | None = None,
) -> Explanation:
    """Explain the loop, the optimizer and the loss of a model's training, as `Model.explain_training`.

    Args:
        model: Compiled model.
        x: Inputs; with `y`, one update on the first batch is measured and undone.
        y: Targets.
        samples: Number of training samples, that of `x` or of the last `fit` by default.
        batch_size: Samples in a batch, that of the last `fit` or 32 by default.
        epochs: Number of epochs, that of the last `fit` or 1 by default.
        history: Result of a `fit`, the last one by default.

    Returns:
        The explanation.

    Raises:
        ValueError: If the model is not compiled, or the number of samples is not known.

    Example:
        >>> print(hornbeam.insight.explain_training(model, x, y))  # doctest: +SKIP
    """
    training_state(model).require_compiled("explain_training")
    history = history or getattr(model, "history", None)
    schedule = _schedule(getattr(history, "schedule", None), x, samples, batch_size, epochs)
    logs = getattr(history, "history", None) or {}
    sections = [Section("The loop", tuple(_loop(schedule, model)))]
    sections += optimizer_sections(model.optimizer, schedule.updates, model)
    losses = list(_losses(model, y))
    sections += [section for section, _ in losses]
    if x is not None and y is not None:
        measured = _measured_update(model, x, y, schedule.batch_size or 32)
        sections.append(Section("One update, measured", tuple(measured)))
    if logs:
        baseline = losses[0][1] if len(losses) == 1 else None
        scaled = any(isinstance(layer, (Rescaling, Normalization)) for layer in model.layers)
        sentences = conclusions(logs, baseline, None if scaled else x)
        entries = [*_run(logs, baseline), *([("conclusion", " ".join(sentences))] if sentences else [])]
        sections.append(Section("This run", tuple(entries)))
    return Explanation(f'How "{model.name}" is trained', sections)


# -- the loop -----------------------------------------------------------------------------------------------


def _schedule(
    last: TrainingSchedule | None, x: Tree, samples: int | None, batch_size: int | None, epochs: int | None
) -> TrainingSchedule:
    """Return the schedule of the last `fit`, with given values in its place."""
    if x is not None and samples is None:
        samples = len(tree.flatten(x)[0])
    if last is not None and samples in (None, last.samples) and batch_size is None and epochs is None:
        return last
    if samples is None and last is not None:
        samples = last.samples
    if samples is None:
        raise ValueError(
            "explain_training() counts updates: call it after fit(), or pass samples= (and batch_size=, "
            "epochs=)"
        )
    size = batch_size or (last.batch_size if last is not None else None) or 32
    size, samples = check_int("batch_size", size, 1), check_int("samples", samples, 1)
    if epochs is None:
        epochs = last.epochs if last is not None else 1
    return TrainingSchedule(samples, size, math.ceil(samples / size), check_int("epochs", epochs, 0))


def _loop(schedule: TrainingSchedule, model: Model) -> Entries:
    weights = integer(sum(v.type.size for v in model.trainable_weights))
    entries = [
        ("batch", _batch(schedule)),
        ("epoch", schedule.epoch()),
        ("all", schedule.all()),
        (
            "update",
            f"forward pass, loss, backward pass for the gradients of {weights} trainable weights, and one "
            "step of the optimizer",
        ),
    ]
    done = int(model.optimizer.iterations) if model.optimizer is not None else 0
    if done:
        entries.append(("so far", f"{integer(done)} updates"))
    return entries


def _batch(schedule: TrainingSchedule) -> str:
    if schedule.batch_size is None:
        return "as many samples as the batches of the stream hold"
    size = min(schedule.batch_size, schedule.samples or schedule.batch_size)
    noise = f"1/√{size} = {1 / math.sqrt(size):.2g}"
    return (
        f"{integer(size)} samples: the mean of their gradients estimates that of all data; its error is "
        f"about {noise} of the standard deviation between samples"
    )


# -- the loss -----------------------------------------------------------------------------------------------


def _losses(model: Model, y: Tree) -> Iterator[tuple[Section, float | None]]:
    """Yield a section for the loss of each output, with the loss of a trivial prediction."""
    fit = training_state(model).losses
    if fit is None or fit.spec is None:
        return
    has_graph = getattr(model, "_hb_graph", None) or hasattr(model, "_hb_tensors")
    outputs = list(getattr(model, "outputs", None) or []) if has_graph else []
    names = list(getattr(model, "output_names", None) or [])
    losses = _named_losses(fit.spec, names, len(outputs))
    for index, (name, loss) in enumerate(losses):
        if loss is None:
            continue
        position = names.index(name) if name in names else index
        width = outputs[position].shape[-1] if position < len(outputs) else None
        title = f"The loss: {loss.name}" + (f" of {name}" if len(losses) > 1 else "")
        entries, value = _loss(loss, width, _target(y, name, position, len(losses)))
        yield Section(title, tuple(entries)), value


def _named_losses(spec: Tree, names: list[str], count: int) -> list[tuple[str, Any]]:
    """Return the name of the output and its loss, from the argument of compile()."""
    if isinstance(spec, dict):
        return list(spec.items())
    losses = list(spec) if isinstance(spec, list) else [spec] * max(count, 1)
    return [(names[i] if i < len(names) else str(i), loss) for i, loss in enumerate(losses)]


def _target(y: Tree, name: str, position: int, count: int) -> np.ndarray | None:
    if y is None:
        return None
    if isinstance(y, dict):
        return None if name not in y else np.asarray(y[name])
    if count > 1 and isinstance(y, (list, tuple)):
        return np.asarray(y[position])
    return np.asarray(y)


def _loss(loss: Any, width: int | None, target: np.ndarray | None) -> tuple[Entries, float | None]:
    description = loss_description(loss)
    if description is None:
        return [("measures", f"{loss.name} is a custom function; no description is available")], None
    options = {k: v for k, v in getattr(loss, "options", {}).items() if v and k != "axis"}
    arguments = f" ({', '.join(f'{k}={v}' for k, v in options.items())})" if options else ""
    formula = f"{description.formula}{arguments}, for target t and prediction p; {_reduction(loss)}"
    entries = [("measures", formula)]
    baseline = baseline_loss(loss, description, width, target) if width is not None else None
    if baseline is None:
        if description.constant:
            text = f"{description.baseline}: explain_training(x, y) computes its loss from y"
            entries.append(("baseline", text))
        return entries, None
    value, text = baseline
    gives = text if "=" in text else f"{text} gives {value:.4g}"
    entries.append(("baseline", f"{gives}; a higher loss means that nothing was learned yet"))
    prior = _prior(description, target, width)
    return [*entries, *([("frequencies", prior)] if prior else [])], value


def _reduction(loss: Any) -> str:
    return {
        "sum": "the sum over the batch",
        "mean_with_sample_weight": "the mean over the batch by sample weights",
    }.get(loss.reduction, "the mean over the batch")


def _prior(description: LossDescription, target: np.ndarray | None, width: int | None) -> str:
    """Return the loss of predicting class frequencies, which is their entropy, and the accuracy."""
    if not description.likelihood or target is None or not width or width < 2:
        return ""
    if target.ndim > 1 and target.shape[-1] == width:
        target = target.argmax(-1)
    if target.dtype.kind not in "iu":
        return ""
    counts = np.bincount(target.ravel(), minlength=width)
    frequencies = counts[counts > 0] / counts.sum()
    entropy = float(-(frequencies * np.log(frequencies)).sum())
    return f"predicting class frequencies gives {entropy:.4g}, with an accuracy of {frequencies.max():.1%}"


# -- measurements -------------------------------------------------------------------------------------------


def _measured_update(model: Model, x: Tree, y: Tree, batch_size: int) -> Entries:
    """Measure one update on the first batch, and undo it."""
    rows = slice(0, batch_size)
    x, y = (tree.map_structure(lambda part: np.asarray(part)[rows], data) for data in (x, y))
    changes, loss = one_update(model, x, y)
    entries = [("loss", f"{loss:.4g} on {integer(len(tree.flatten(x)[0]))} samples, before the update")]
    for path, (norm, change) in changes.items():
        relative = f", {change / norm:.2g} of {norm:.3g}" if norm else ", from 0"
        label = path.rsplit("/", 2)[-2] if path.count("/") else path
        entries.append((label, f"{path} changes by {change:.3g}{relative}"))
    ratios = [change / norm for norm, change in changes.values() if norm]
    if ratios:
        text = f"update-to-weight ratios are {min(ratios):.2g} to {max(ratios):.2g}; about 0.001 is usual"
        entries.append(("ratios", text))
    return entries


def one_update(model: Model, x: Tree, y: Tree) -> tuple[dict[str, tuple[float, float]], float]:
    """Return the norm of each weight and of its change in one update, by path, and the loss before it.

    Weights, optimizer, metrics and random states are restored; an optimizer without state is built.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = (*model.variables, *model.optimizer.variables, *model.metrics_variables)
    saved = [(variable, np.array(variable)) for variable in variables]
    before = {id(v): np.array(v) for v in model.trainable_variables}
    with preserved_state():
        try:
            results = model.train_on_batch(x, y, return_dict=True)
            after = {v.path: (before[id(v)], np.array(v)) for v in model.trainable_variables}
        finally:
            for variable, value in saved:
                variable.assign(value)
    norms = {
        path: (float(np.linalg.norm(old.astype(float))), float(np.linalg.norm((new - old).astype(float))))
        for path, (old, new) in after.items()
    }
    return norms, float(results["loss"])


def _run(logs: dict[str, list[float]], baseline: float | None) -> Entries:
    entries: Entries = []
    if logs.get("loss"):
        text = f"{logs['loss'][0]:.4g} in the first epoch, {logs['loss'][-1]:.4g} in the last"
        if baseline:
            text += f"; the baseline is {baseline:.4g}"
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
