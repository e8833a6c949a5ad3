"""Advice on data, with reasons: one rule a finding, each of which yields nothing unless it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hornbeam.data.inspection.statistics import Summary

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport


class Advice(NamedTuple):
    """Recommended action, and its reason."""

    action: str
    reason: str


def advice_for(report: DataReport, images: bool) -> list[Advice]:
    """Return all advice that applies, the most urgent first. images: x holds images."""
    return [advice for rule in RULES for advice in rule(report, images)]


def _missing_values(report: DataReport, images: bool) -> Iterator[Advice]:
    for summary in (*report.x, *report.y):
        if summary.missing and not summary.numeric:
            yield Advice(
                f"fill missing values in {summary.name} with fillna('?'), a category of their own",
                f"{summary.missing:,} values are missing: layers that encode text refuse them. Or drop those "
                "rows",
            )
        elif summary.missing or summary.infinite:
            kinds = [(summary.missing, "missing (NaN)"), (summary.infinite, "infinite")]
            counts = " and ".join(f"{number:,} {kind}" for number, kind in kinds if number)
            affected = int((summary.missing_by_feature > 0).sum())
            where = ""
            if summary.features > 1 and affected < summary.features:
                where = f", in {affected:,} of {summary.features:,} features"
            yield Advice(
                f"fill or drop missing values in {summary.name}",
                f"{counts} values{where}: a single one makes the loss, and then every weight, NaN. Fill them "
                "with statistics of the training part (its mean or median), or drop those rows",
            )


def _revealing_columns(report: DataReport, images: bool) -> Iterator[Advice]:
    for name in report.ids:
        yield Advice(
            f"drop {name}", "it never repeats, as an id does: a model can only learn its rows by heart"
        )
    for name, explained in report.answers.items():
        yield Advice(
            f"check {name}: drop it unless it is known before the answer",
            f"it alone tells y in {explained:,} of {report.samples:,} samples, as columns do that are filled "
            "in afterwards: a model would look perfect, and fail in use",
        )


def _text(report: DataReport, images: bool) -> Iterator[Advice]:
    for summary in report.x:
        if not summary.numeric and summary.name not in report.ids:
            yield Advice(
                f"encode {summary.name}, which holds text",
                f"models compute with numbers. For its {summary.distinct:,} distinct values: a StringLookup "
                "for categories, a TextVectorization for sentences, or utils.FeatureSpace for a table",
            )


def _pixel_range(report: DataReport, images: bool) -> Iterator[Advice]:
    summary = report.x[0]
    if not images or summary.high is None or summary.mean is None or summary.std is None:
        return
    if summary.high > 1:
        yield Advice(
            "divide x by 255: layers.Rescaling(1 / 255) as the first layer, or x.astype('float32') / 255",
            f"values range from {summary.low:g} to {summary.high:g} with mean {summary.mean:.1f} and "
            f"standard deviation {summary.std:.1f}; initial weights and step sizes suit inputs of "
            f"about 1. Mean 0 is not needed; it would be (x / 255 - {summary.mean / 255:.3f}) / "
            f"{summary.std / 255:.3f}",
        )
    if len(summary.shape) == 3:
        yield Advice(
            "add an axis of channels to images: x[..., None]",
            f"convolutions take (height, width, channels); these samples are {summary.shape[1:]}",
        )


def _feature_scales(report: DataReport, images: bool) -> Iterator[Advice]:
    if images:
        return
    unscaled = []
    for summary in report.x:
        if summary.name in report.ids or (summary.numeric and _may_be_codes(summary)):
            continue
        varying = summary.stds[summary.stds > 0]
        if not summary.numeric or not len(varying):
            continue
        offset = np.abs(summary.means[summary.stds > 0]) / varying
        if varying.max() > 10 or varying.min() < 0.02 or offset.max() > 5:
            unscaled.append((summary.name, float(varying.min()), float(varying.max())))
    if not unscaled:
        return
    low, high = min(low for _, low, _ in unscaled), max(high for _, _, high in unscaled)
    names = ", ".join(name for name, _, _ in unscaled[:4]) + (" ..." if len(unscaled) > 4 else "")
    yield Advice(
        f"standardize {names}: layer = layers.Normalization(), then layer.adapt(x_train)",
        f"standard deviations of features range from {low:.3g} to {high:.3g}: the loss is steep along some "
        "features and flat along others, so no learning rate suits all. Adapt the layer on the training part "
        "alone: statistics of the test part would leak into training",
    )


def _may_be_codes(summary: Summary) -> bool:
    """Return True for integers from 0 up in several columns: tokens or categories rather than quantities."""
    return (
        summary.dtype.startswith(("int", "uint"))
        and len(summary.shape) == 2
        and summary.shape[1] > 8
        and summary.low == 0
    )


def _constant_features(report: DataReport, images: bool) -> Iterator[Advice]:
    for summary in report.x:
        count = len(summary.constant)
        if count and not images and summary.numeric and report.samples > 1:
            features = ", ".join(map(str, summary.constant[:6].tolist())) + (" ..." if count > 6 else "")
            name = f"feature {features} of {summary.name}" if summary.features > 1 else summary.name
            yield Advice(f"drop {name}", "its value is the same in all samples, so it carries no information")


def _class_balance(report: DataReport, images: bool) -> Iterator[Advice]:
    classes = report.classes
    if classes is None or len(classes.counts) < 2:
        if classes is not None:
            yield Advice("check y", f"all samples have the label {classes.names[0]}: nothing can be learned")
        return
    most, least = int(classes.counts.argmax()), int(classes.counts.argmin())
    ratio = classes.counts[most] / classes.counts[least]
    if ratio >= 2:
        shown = ", ".join(f"{key}: {value:g}" for key, value in list(classes.weights.items())[:12])
        shown += ", ..." if len(classes.counts) > 12 else ""
        proportion = classes.counts[most] / classes.counts.sum()
        yield Advice(
            f"weight the classes: fit(..., class_weight={{{shown}}})",
            f"{classes.names[most]} has {ratio:.1f} times the samples of {classes.names[least]}, and always "
            f"predicting {classes.names[most]} is right for {proportion:.1%}: use metrics of each class, not "
            "accuracy. The weights are n / (classes * samples of the class)",
        )
    if classes.counts.min() < 10 <= report.samples:
        few = [name for name, count in zip(classes.names, classes.counts, strict=True) if count < 10]
        yield Advice(
            f"collect more samples of {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}, or merge classes",
            f"{len(few):,} class{'es have' if len(few) > 1 else ' has'} fewer than 10 samples: too few to "
            "learn from, and too few to measure the result",
        )


def _label_coding(report: DataReport, images: bool) -> Iterator[Advice]:
    classes = report.classes
    if classes is None:
        return
    if classes.coding == "text":
        yield Advice(
            "convert the labels to numbers: layers.StringLookup, or np.unique(y, return_inverse=True)",
            "losses compare class indices 0 ... k - 1",
        )
    elif classes.coding == "numbers" and classes.low is not None and classes.high is not None:
        count = len(classes.counts)
        if classes.low == 1 and classes.high == count:
            yield Advice(
                "number classes from 0: y - 1",
                f"labels range from 1 to {count}, but {count} units stand for 0 to {count - 1}",
            )
        elif (classes.low, classes.high) == (-1, 1) and count == 2:
            yield Advice(
                "convert -1 and 1 to 0 and 1: (y + 1) // 2", "cross-entropies take probabilities, 0 to 1"
            )
        elif classes.low < 0 or classes.high >= count:
            yield Advice(
                "number the classes without gaps: np.unique(y, return_inverse=True)[1]",
                f"{count} labels are between {classes.low} and {classes.high}: a unit for each number would "
                f"be {classes.high + 1} units, some of which never learn",
            )


def _duplicates(report: DataReport, images: bool) -> Iterator[Advice]:
    duplicates = report.duplicates
    if duplicates is None or not duplicates.redundant:
        return
    yield Advice(
        "drop duplicates before splitting, or split by groups= of equal samples",
        f"{duplicates.redundant:,} of {report.samples:,} samples repeat an earlier one: after a shuffle some "
        "are in training and test data at once, and the test rewards memorization",
    )
    if duplicates.contradictions:
        yield Advice(
            "check equal samples with different labels",
            f"{duplicates.contradictions:,} samples have a duplicate with another label: no model can be "
            "right about both",
        )


def _suspicious_labels(report: DataReport, images: bool) -> Iterator[Advice]:
    if report.suspicious:
        rows = ", ".join(str(suspicion.row) for suspicion in report.suspicious[:6])
        yield Advice(
            f"check the labels of rows {rows}{' ...' if len(report.suspicious) > 6 else ''}",
            f"{len(report.suspicious):,} samples are among neighbors of which nine tenths or more have one "
            "other label: some are labeled wrongly, some are only unusual (report.suspicious lists them)",
        )


def _target_scales(report: DataReport, images: bool) -> Iterator[Advice]:
    if report.classes is not None or not report.y:
        return
    for summary in report.y:
        if summary.numeric and summary.std and (summary.std > 100 or summary.std < 0.01):
            yield Advice(
                f"scale {summary.name}: (y - {summary.mean:.4g}) / {summary.std:.4g}, by statistics of "
                "the training part",
                f"targets have a standard deviation of {summary.std:.3g}, outputs of a new model of "
                "about 1: most of the training would bridge the difference, or squared errors would explode",
            )


Rule = Callable[["DataReport", bool], Iterator[Advice]]
RULES: tuple[Rule, ...] = (
    _missing_values, _revealing_columns, _text, _pixel_range, _feature_scales, _class_balance, _label_coding,
    _duplicates, _suspicious_labels, _constant_features, _target_scales,
)  # fmt: skip
