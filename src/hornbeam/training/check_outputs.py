"""Checks of each output before the first step: last activation, loss, metrics and targets together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from hornbeam import metrics as metrics_module
from hornbeam.data.splits.split import class_ids
from hornbeam.metrics.confusion import ConfusionMetric
from hornbeam.training.fit_facts import FitFacts, OutputFacts, some_samples

# Mean absolute target that a network reaches only after many updates.
_LARGE_TARGET = 1_000

# Samples from which equal labels are no coincidence of a small trial.
_MANY = 100

_BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softmax": (0.0, 1.0), "relu": (0.0, np.inf)}


def check_last_activation(facts: FitFacts) -> Iterator[str]:
    """A cross-entropy of outputs that are neither probabilities nor logits."""
    for output in facts.outputs:
        last, inner = output.activations
        name = output.loss.name
        if output.kind is None:
            continue
        final = "sigmoid" if output.kind == "binary" else "softmax"
        if last == "relu" and output.from_logits:
            yield (
                f"{output.where}: ends in a relu, which cuts off all negative logits, before {name}: remove "
                "the activation of the last layer"
            )
        elif last == "relu":
            yield (
                f"{output.where}: ends in a relu, whose outputs are not probabilities, but {name} expects "
                f"them: write activation='{final}' in the last layer"
            )
        elif last == "sigmoid" and output.kind != "binary" and not output.from_logits:
            yield (
                f"{output.where}: ends in a sigmoid, which decides on each class alone, but {name} expects "
                "one class in each sample: write activation='softmax', or for several classes at once "
                "loss='binary_crossentropy'"
            )
        elif last == inner == "softmax":
            yield (
                f"{output.where}: ends in two softmax, one after the other, which makes all classes nearly "
                "equal: remove one"
            )
        elif last == "softmax" and output.kind == "binary" and len(output.shape) == 2 and output.shape[1] > 2:
            yield (
                f"{output.where}: ends in a softmax over {output.shape[1]} classes, but {name} takes each "
                "for a question of its own: write loss='categorical_crossentropy', or for several classes at "
                "once activation='sigmoid'"
            )


def check_reachable(facts: FitFacts) -> Iterator[str]:
    """Targets of a regression outside of the range of the last activation."""
    for output in facts.outputs:
        last = output.activations[0]
        if not output.is_regression or last not in _BOUNDS or output.target.dtype.kind not in "iuf":
            continue
        values = some_samples(output.target)
        if not values.size:
            continue
        (low, high), least, most = _BOUNDS[last], values.min(), values.max()
        margin = 1e-3 * max(1.0, float(np.abs(values).max()))
        if least < low - margin or most > high + margin:
            reach = f"{low:g} to {high:g}" if np.isfinite(high) else f"values from {low:g} up"
            yield (
                f"{output.where}: ends in a {last}, which gives {reach}, but the targets go from {least:g} "
                f"to {most:g}: remove the activation of the last layer, or scale the targets"
            )


def check_large_targets(facts: FitFacts) -> Iterator[str]:
    """Targets of thousands for a linear output whose bias begins at zero."""
    for output in facts.outputs:
        if not output.is_regression or output.activations[0] != "linear":
            continue
        values = some_samples(output.target)
        if values.dtype.kind not in "iuf" or not values.size:
            continue
        size = float(np.abs(values.astype(np.float64)).mean())
        units = output.shape[-1] if output.shape else 1
        biases = [v for v in facts.model.trainable_weights if v.shape == (units,)]
        if _LARGE_TARGET < size < math.inf and biases and not np.any(biases[-1].numpy()):
            yield (
                f"{output.where}: the targets have the mean size {size:,.0f}, but outputs begin near 0 and "
                "take many updates to get there: train on (y - y.mean()) / y.std(), and undo it after "
                "predict()"
            )


def check_accuracy(outputs: Sequence[OutputFacts]) -> Iterator[str]:
    """Accuracy of outputs that are not classes."""
    for output in outputs:
        for name, metric in output.metrics:
            example = _no_class(output, metric)
            if example is not None:
                advice = "remove it" if output.kind else "use metrics=['mae'] for a regression"
                yield (
                    f"{output.where}: the metric {name!r} counts equal classes, but the targets are numbers "
                    f"such as {example:g}, so that it says nothing: {advice}"
                )


def check_accuracy_of_several(outputs: Sequence[OutputFacts]) -> Iterator[str]:
    """Accuracy of the largest output alone, where a sample has several classes at once."""
    for output in outputs:
        names = [
            name for name, metric in output.metrics if type(metric) is metrics_module.CategoricalAccuracy
        ]
        y = some_samples(output.target)
        if output.kind != "binary" or not names or y.ndim != 2 or y.dtype.kind not in "biuf":
            continue
        if ((y == 0) | (y == 1)).all() and (y.sum(axis=1) > 1).any():
            remedy = "[metrics.BinaryAccuracy(threshold=0)]" if output.from_logits else "['binary_accuracy']"
            yield (
                f"{output.where}: the metric {names[0]!r} compares the largest output alone, but samples "
                f"have several classes: write metrics={remedy}"
            )


def check_scores(outputs: Sequence[OutputFacts]) -> Iterator[str]:
    """Metrics of probabilities that are given logits."""
    for output in outputs:
        if output.kind is None or not output.from_logits:
            continue
        arguments = {name: _argument_for_logits(metric, output.kind) for name, metric in output.metrics}
        names = [name for name, argument in arguments.items() if argument is not None]
        written = [
            f"metrics.{type(metric).__name__}({arguments[name]})"
            for name, metric in output.metrics
            if arguments[name]
        ]
        if not names:
            continue
        final = "sigmoid" if output.kind == "binary" else "softmax"
        remedy = f"activation='{final}' in the last layer, and the loss without from_logits=True"
        several = len(names) > 1
        yield (
            f"{output.where}: the {'metrics' if several else 'metric'} {', '.join(map(repr, names))} "
            f"{'expect' if several else 'expects'} probabilities, but the output gives any numbers (logits): "
            f"write {', '.join(written) if len(written) == len(names) else remedy}"
        )


def check_decisions(outputs: Sequence[OutputFacts]) -> Iterator[str]:
    """Metrics that take one output for the largest of several, or a probability for a class."""
    for output in outputs:
        single = output.shape[-1:] == (1,)
        for name, metric in output.metrics:
            at = f"{output.where}: the metric {name!r}"
            if single and isinstance(metric, metrics_module.SparseCategoricalAccuracy):
                yield (
                    f"{at} looks for the largest of several outputs, but there is 1, so that it says "
                    "nothing: write metrics=['accuracy']"
                )
            elif single and isinstance(metric, metrics_module.FBetaScore) and metric.threshold is None:
                yield (
                    f"{at} takes the largest output for yes, and there is 1, so that all samples are: write "
                    f"metrics.{type(metric).__name__}(threshold=0.5)"
                )
            elif output.kind and type(metric) is metrics_module.Accuracy:
                yield (
                    f"{at} counts outputs that equal their targets exactly, as probabilities hardly do: "
                    "write metrics=['accuracy']"
                )


_ENTROPIES = (
    metrics_module.BinaryCrossentropy,
    metrics_module.CategoricalCrossentropy,
    metrics_module.SparseCategoricalCrossentropy,
)


def _argument_for_logits(metric: object, kind: str) -> str | None:
    """Return the argument by which a metric takes logits, "" if it has none, None if it takes them."""
    if isinstance(metric, _ENTROPIES):
        return None if metric.get_config()["from_logits"] else "from_logits=True"
    argument: str | None = None
    if isinstance(metric, metrics_module.AUC):
        argument = None if metric.from_logits else "from_logits=True"
    elif isinstance(metric, metrics_module.BinaryIoU):  # BinaryAccuracy gets logits in Keras's own guides
        argument = "threshold=0" if metric.threshold else None
    elif isinstance(metric, metrics_module.FBetaScore):
        argument = "" if metric.threshold else None
    elif isinstance(metric, ConfusionMetric) and any(limit > 0 for limit in metric.thresholds):
        argument = "thresholds=0" if len(metric.thresholds) == 1 else ""
    return argument if argument is None or kind == "binary" else ""


def _no_class(output: OutputFacts, metric: object) -> float | None:
    """Return a target that is no class for an accuracy, None if all are, and for other metrics."""
    values = some_samples(output.target)
    if values.dtype.kind not in "iuf" or not values.size:
        return None
    if type(metric) is metrics_module.BinaryAccuracy:
        others = values[(values != 0) & (values != 1)]
    elif type(metric) is metrics_module.SparseCategoricalAccuracy:
        others = values[values != np.round(values)]
    elif type(metric) is metrics_module.CategoricalAccuracy and output.is_regression:
        if np.allclose(values.sum(axis=-1), 1.0, atol=1e-2):
            return None
        others = values[(values != 0) & (values != 1)]
    else:
        return None
    return float(others.flat[0]) if others.size else None


def check_probabilities(facts: FitFacts) -> Iterator[str]:
    """Rows of targets for a categorical cross-entropy that do not sum to 1."""
    for output in facts.outputs:
        y = output.target
        if output.kind != "categorical" or y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
            continue
        row = _not_one_hot(y)
        if row is not None:
            total = float(y[row].sum(dtype=np.float64))
            cause = "has no class" if total == 0 else f"sums to {total:g}"
            yield (
                f"{output.where}: y does not hold one-hot rows: sample {row} {cause}, but "
                f"{output.loss.name} expects rows that sum to 1 (utils.to_categorical makes them)"
            )


def _not_one_hot(y: np.ndarray) -> int | None:
    """Return the first row that is neither a distribution over classes nor a deliberate variation of one.

    A factor for each sample (an advantage, a weight) and many rows of zeros (padding) are deliberate.
    """
    sums, used = y.sum(axis=1, dtype=np.float64), np.count_nonzero(y, axis=1)
    empty = used == 0
    factors = np.unique(sums[used == 1])
    wrong = (np.abs(sums - 1) > 0.01) & (used > 1)
    if 0 < empty.mean() < 0.1:
        wrong |= empty
    if len(factors) == 1 and abs(factors[0] - 1) > 0.01:
        wrong |= used == 1
    return int(wrong.argmax()) if wrong.any() else None


def check_one_class(facts: FitFacts) -> Iterator[str]:
    """Labels that are all the same."""
    for output in facts.outputs:
        if output.kind is None or len(output.target) < _MANY:
            continue
        classes = class_ids(output.target)
        if classes is not None and len(classes) and (classes == classes[0]).all():
            yield (
                f"{output.where}: all {len(classes):,} labels are {int(classes[0])}, so that nothing can be "
                "learned from them: check how y was made"
            )


METRIC_CHECKS = (check_accuracy, check_accuracy_of_several, check_scores, check_decisions)


def check_metrics(facts: FitFacts) -> Iterator[str]:
    """Metrics that do not fit the outputs."""
    for check in METRIC_CHECKS:
        yield from check(facts.outputs)


OUTPUT_CHECKS = (
    check_last_activation,
    check_reachable,
    check_large_targets,
    check_metrics,
    check_probabilities,
    check_one_class,
)
