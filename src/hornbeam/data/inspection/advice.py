"""What to do about data, and why: one function a finding, each of which speaks only if it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hornbeam.data.inspection.statistics import Summary

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport


class Advice(NamedTuple):
    """What to do, and the reason."""

    what: str
    why: str


def advice_for(found: DataReport, pictures: bool) -> list[Advice]:
    """All advice that applies, the most urgent first."""
    return [advice for rule in RULES for advice in rule(found, pictures)]


def _missing(found: DataReport, pictures: bool) -> Iterator[Advice]:
    for what in (*found.x, *found.y):
        if what.missing or what.infinite:
            kinds = [(what.missing, "missing (NaN)"), (what.infinite, "infinite")]
            numbers = " and ".join(f"{number:,} {kind}" for number, kind in kinds if number)
            worst = ""
            if what.features > 1 and (what.gaps > 0).sum() < what.features:
                worst = f", in {int((what.gaps > 0).sum()):,} of {what.features:,} features"
            yield Advice(
                f"fill or drop what is missing in {what.name}",
                f"{numbers} values{worst}: one of them makes the loss, and then every weight, NaN. Fill with "
                "numbers of the training part (its mean or median), or drop those rows",
            )


def _texts(found: DataReport, pictures: bool) -> Iterator[Advice]:
    for what in found.x:
        if not what.numeric:
            yield Advice(
                f"encode {what.name}, which holds text",
                f"models compute with numbers. Its {what.distinct:,} different values: a StringLookup for "
                "categories, a TextVectorization for sentences, or utils.FeatureSpace for a whole table",
            )


def _pixels(found: DataReport, pictures: bool) -> Iterator[Advice]:
    what = found.x[0]
    if not pictures or what.high is None or what.mean is None or what.deviation is None:
        return
    if what.high > 1:
        yield Advice(
            "divide x by 255: layers.Rescaling(1 / 255) as the first layer, or x.astype('float32') / 255",
            f"values go from {what.low:g} to {what.high:g} with mean {what.mean:.1f} and deviation "
            f"{what.deviation:.1f}; weights are drawn and steps are sized for inputs of about 1. Mean 0 is "
            f"not needed; it would be (x / 255 - {what.mean / 255:.3f}) / {what.deviation / 255:.3f}",
        )
    if len(what.shape) == 3:
        yield Advice(
            "give pictures an axis of channels: x[..., None]",
            f"convolutions take (height, width, channels); these samples are {what.shape[1:]}",
        )


def _scales(found: DataReport, pictures: bool) -> Iterator[Advice]:
    if pictures:
        return
    wide = []
    for what in found.x:
        if what.numeric and _looks_like_codes(what):
            continue
        changing = what.deviations[what.deviations > 0]
        if not what.numeric or not len(changing):
            continue
        middle = np.abs(what.means[what.deviations > 0]) / changing
        if changing.max() > 10 or changing.min() < 0.02 or middle.max() > 5:
            wide.append((what, float(changing.min()), float(changing.max())))
    if not wide:
        return
    low, high = min(one[1] for one in wide), max(one[2] for one in wide)
    names = ", ".join(one[0].name for one in wide[:4]) + (" ..." if len(wide) > 4 else "")
    yield Advice(
        f"standardize {names}: layer = layers.Normalization(), then layer.adapt(x_train)",
        f"deviations of features go from {low:.3g} to {high:.3g}: the loss is steep along one and flat along "
        "another, so no learning rate suits both. Adapt it on the training part alone: numbers of the test "
        "part would leak into training",
    )


def _looks_like_codes(what: Summary) -> bool:
    """Whole numbers from 0 up in more than one axis: words or categories rather than quantities."""
    return (
        what.dtype.startswith(("int", "uint"))
        and len(what.shape) == 2
        and what.shape[1] > 8
        and what.low == 0
    )


def _constant(found: DataReport, pictures: bool) -> Iterator[Advice]:
    for what in found.x:
        number = len(what.constant)
        if number and not pictures and what.numeric and found.samples > 1:
            listed = ", ".join(map(str, what.constant[:6].tolist())) + (" ..." if number > 6 else "")
            named = f"feature {listed} of {what.name}" if what.features > 1 else what.name
            yield Advice(
                f"leave out {named}",
                "the value is the same in all samples: there is nothing to learn from it",
            )


def _balance(found: DataReport, pictures: bool) -> Iterator[Advice]:
    classes = found.classes
    if classes is None or len(classes.counts) < 2:
        if classes is not None:
            yield Advice(
                "look at y", f"all samples have the label {classes.names[0]}: there is nothing to tell apart"
            )
        return
    most, least = int(classes.counts.argmax()), int(classes.counts.argmin())
    ratio = classes.counts[most] / classes.counts[least]
    if ratio >= 2:
        shown = ", ".join(f"{key}: {value:g}" for key, value in list(classes.weights.items())[:12])
        shown += ", ..." if len(classes.counts) > 12 else ""
        share = classes.counts[most] / classes.counts.sum()
        yield Advice(
            f"weigh the classes: fit(..., class_weight={{{shown}}})",
            f"{classes.names[most]} has {ratio:.1f} times the samples of {classes.names[least]}, and always "
            f"saying {classes.names[most]} is right for {share:.1%}: judge by figures of each class, not by "
            "accuracy. The weights are n / (classes * samples of the class)",
        )
    if classes.counts.min() < 10 <= found.samples:
        few = [name for name, count in zip(classes.names, classes.counts, strict=True) if count < 10]
        yield Advice(
            f"find more samples of {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}, or join classes",
            f"{len(few):,} class{'es have' if len(few) > 1 else ' has'} fewer than 10 samples: too few to "
            "learn, and too few to know whether it was learned",
        )


def _labels(found: DataReport, pictures: bool) -> Iterator[Advice]:
    classes = found.classes
    if classes is None:
        return
    if classes.coding == "text":
        yield Advice(
            "turn the labels into numbers: layers.StringLookup, or np.unique(y, return_inverse=True)",
            "losses compare class numbers 0 ... k - 1",
        )
    elif classes.coding == "numbers" and classes.low is not None and classes.high is not None:
        number = len(classes.counts)
        if classes.low == 1 and classes.high == number:
            yield Advice(
                "count classes from 0: y - 1",
                f"labels go from 1 to {number}; {number} units mean 0 to {number - 1}",
            )
        elif (classes.low, classes.high) == (-1, 1) and number == 2:
            yield Advice(
                "turn -1 and 1 into 0 and 1: (y + 1) // 2", "cross-entropies take probabilities, 0 to 1"
            )
        elif classes.low < 0 or classes.high >= number:
            yield Advice(
                "number the classes without gaps: np.unique(y, return_inverse=True)[1]",
                f"{number} labels lie between {classes.low} and {classes.high}: a unit for each number is "
                f"{classes.high + 1} units, some of which never learn",
            )


def _repeats(found: DataReport, pictures: bool) -> Iterator[Advice]:
    repeated = found.repeated
    if repeated is None or not repeated.again:
        return
    yield Advice(
        "drop what is there twice before splitting, or split by groups= of equal samples",
        f"{repeated.again:,} of {found.samples:,} samples repeat an earlier one: after a shuffle some are in "
        "training and test at once, and the test asks what was learned by heart",
    )
    if repeated.contradictions:
        yield Advice(
            "look at equal samples with different labels",
            f"{repeated.contradictions:,} samples have a twin with another label: no model can be right "
            "about both",
        )


def _doubts(found: DataReport, pictures: bool) -> Iterator[Advice]:
    if found.suspicious:
        rows = ", ".join(str(one.row) for one in found.suspicious[:6])
        yield Advice(
            f"look at the labels of rows {rows}{' ...' if len(found.suspicious) > 6 else ''}",
            f"{len(found.suspicious):,} samples lie among neighbours of which nine tenths or more have one "
            "other label: some are labelled wrongly, some are just unusual (report.suspicious lists them)",
        )


def _targets(found: DataReport, pictures: bool) -> Iterator[Advice]:
    if found.classes is not None or not found.y:
        return
    for what in found.y:
        if what.numeric and what.deviation and (what.deviation > 100 or what.deviation < 0.01):
            yield Advice(
                f"scale {what.name}: (y - {what.mean:.4g}) / {what.deviation:.4g}, by numbers of the "
                "training part",
                f"targets deviate by {what.deviation:.3g}, outputs of a fresh model by about 1: the way "
                "there takes most of the training, or squared errors explode",
            )


Rule = Callable[["DataReport", bool], Iterator[Advice]]
RULES: tuple[Rule, ...] = (
    _missing, _texts, _pixels, _scales, _balance, _labels, _repeats, _doubts, _constant, _targets,
)  # fmt: skip
