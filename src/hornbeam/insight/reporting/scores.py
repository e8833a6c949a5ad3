"""Sections about the evaluation: scores, confusion matrix, most confident errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.html.markup import Html, scrolling, table, tag
from hornbeam.insight.reporting.elements import as_float, image_element, not_recorded, pair
from hornbeam.insight.runs.listing import metric_text
from hornbeam.insight.runs.reading import Run
from hornbeam.visualization.findings import as_sentence

_MOST_CLASSES = 25


def evaluation(run: Run) -> Html | list[Html]:
    """Return scores with intervals, classes and confusions."""
    scores, confusion = run.parts.get("evaluation"), run.parts.get("confusion")
    if scores is None and confusion is None:
        return not_recorded(
            "Not evaluated. Evaluate once on test data with", "recorder.evaluate(x_test, y_test)"
        )
    content = [] if scores is None else _scores(scores)
    if confusion is None:
        return content
    matrix = [tag("h3", "Confusion matrix"), *_confusion(confusion)]
    return [pair(content, matrix)] if content else matrix


def _scores(part: Mapping[str, Any]) -> list[Any]:
    level = f"{as_float(part.get('level')):.0%}"
    rows = []
    for name, metric in part["metrics"].items():
        low, high = as_float(metric.get("low")), as_float(metric.get("high"))
        bounds = f"{metric_text(name, low)} to {metric_text(name, high)}"
        interval = bounds if math.isfinite(low + high) else "not known"
        value = metric_text(name, as_float(metric["value"]))
        rows.append([name, value, interval, str(metric.get("method") or "")])
    heads = ["metric", "value", f"{level} interval", "method"]
    content = [tag("p", f"{int(part['n']):,} samples."), table("Metrics with intervals", heads, rows, (0, 3))]
    classes = part.get("classes") or []
    if classes:
        content.append(_class_table(classes, part.get("names"), level))
    return content + [tag("p", as_sentence(note), class_="note") for note in part.get("notes") or []]


def _class_table(classes: Sequence[Mapping[str, Any]], names: Any, level: str) -> Html:
    shown = sorted(classes, key=lambda score: as_float(score["f1"]))[:_MOST_CLASSES]
    rows = [_class_row(score, names) for score in sorted(shown, key=lambda score: int(score["label"]))]
    hidden = f" (the {len(shown)} with the lowest F1)" if len(shown) < len(classes) else ""
    heads = ["class", "samples", "precision", "recall", "F1", f"{level} interval of F1"]
    return table(f"Scores of each class{hidden}", heads, rows)


def _class_row(score: Mapping[str, Any], names: Any) -> list[str]:
    label = int(score["label"])
    low, high = (as_float(bound) for bound in score.get("f1_interval") or (None, None))
    return [
        str(names[label]) if names else str(label),
        f"{int(score['n']):,}",
        *(_score(score[key]) for key in ("precision", "recall", "f1")),
        f"{_score(low)} to {_score(high)}",
    ]


def _score(value: Any) -> str:
    number = as_float(value)
    return f"{number:.3f}" if math.isfinite(number) else "-"


def _confusion(part: Mapping[str, Any]) -> list[Any]:
    names, matrix = [str(name) for name in part["names"]], [[int(c) for c in row] for row in part["matrix"]]
    errors = sorted(
        ((count, t, p) for t, row in enumerate(matrix) for p, count in enumerate(row) if t != p and count),
        reverse=True,
    )
    if not errors:
        return [tag("p", "No class was taken for another one.", class_="fine")]
    listed = ", ".join(
        f"{names[t]} taken for {names[p]} ({count:,} of {sum(matrix[t]):,})" for count, t, p in errors[:5]
    )
    content: list[Any] = [tag("p", f"Most frequent: {listed}.")]
    if len(names) <= _MOST_CLASSES:
        content.append(_matrix(names, matrix, errors[0][0]))
    return content


def _matrix(names: Sequence[str], matrix: Sequence[Sequence[int]], most: int) -> Html:
    """Return counts; errors are shaded by their number, correct predictions are bold."""

    def cell(true: int, predicted: int, count: int) -> Html:
        if true == predicted:
            return tag("td", tag("strong", f"{count:,}"))
        depth = round(38 * count / most)
        style = f"background: color-mix(in srgb, var(--second) {depth}%, transparent)" if count else None
        return tag("td", f"{count:,}" if count else tag("span", "0", class_="quiet"), style=style)

    head = tag("tr", tag("th", "true", scope="col"), [tag("th", name, scope="col") for name in names])
    rows = [
        tag("tr", tag("th", name, scope="row"), [cell(t, p, count) for p, count in enumerate(matrix[t])])
        for t, name in enumerate(names)
    ]
    caption = "True classes are rows, predicted classes are columns"
    parts = tag("caption", caption), tag("thead", head), tag("tbody", rows)
    return scrolling(tag("table", *parts, class_="confusion"), caption)


def mistakes(run: Run) -> Html | list[Html]:
    """Return the most confident errors, as images where the samples are images."""
    part = run.parts.get("mistakes")
    if part is None:
        return not_recorded("Not recorded. Record them and the scores with", "recorder.evaluate(x, y)")
    examples = part["examples"]
    if not examples:
        return tag("p", "No sample is misclassified.", class_="fine")
    intro = tag(
        "p",
        f"{int(part['wrong']):,} of {int(part['n']):,} samples are misclassified. These {len(examples)} are "
        "the most confident errors; wrong labels, if any, are likely among them.",
    )
    images = part.get("images") or []
    if not images:
        heads = ["sample", "true", "predicted", "confidence"]
        rows = [[e["row"], e["true"], e["predicted"], f"{as_float(e['confidence']):.1%}"] for e in examples]
        return [intro, table("The most confident errors", heads, rows, (0, 1, 2))]
    items = []
    for example, encoded in zip(examples, images, strict=True):
        text = f"{example['true']} taken for {example['predicted']}"
        confidence = f"{as_float(example['confidence']):.1%} confident"
        image = image_element(encoded, f"sample {example['row']}: {text}, {confidence}")
        items.append(
            tag("li", image, tag("strong", text), tag("br"), tag("span", confidence, class_="quiet"))
        )
    return [intro, tag("ul", items, class_="images")]
