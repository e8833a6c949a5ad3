"""Trials as lines over parallel axes: which settings lead where, in one drawing that needs no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hornbeam._internal.formatting import shortened
from hornbeam._internal.html.markup import Html, scrolling, tag
from hornbeam.tuning.hyperparameters import described, value_text

if TYPE_CHECKING:
    from hornbeam.tuning.result import Trial

_GAP, _HEIGHT, _TOP, _BOTTOM, _SIDE = 120.0, 350.0, 48.0, 284.0, 70.0
# Height of trials that do not have a hyperparameter.
_WITHOUT = _BOTTOM + 24
# The best trials can be reached by the Tab key; so many that a reader passes them quickly.
_REACHED = 10
# Numbers whose ratio is at least this have a logarithmic axis, and at most so many choices are written.
_LOG, _MOST_CHOICES, _CHARACTERS, _CHARACTER_WIDTH = 100, 12, 13, 7.0


@dataclass(frozen=True)
class _Axis:
    """A vertical axis: its name, its ticks, and the height of each trial that has a value."""

    name: str
    ticks: Sequence[tuple[float, str]]
    heights: Sequence[float]


def parallel_coordinates(trials: Sequence[Trial], objective: str, sign: int) -> Html | None:
    """Draw complete trials as lines over axes: a hyperparameter each, and the objective last.

    Better trials are stronger; the best one has another color. A trial says its settings when it is pointed
    at, tapped, or reached by the Tab key, as the best ten are.

    Args:
        trials: The trials.
        objective: Name of the objective.
        sign: 1 if larger values are better, -1 if smaller ones are.

    Returns:
        A figure; None for fewer than two complete trials.
    """
    complete = [trial for trial in trials if trial.value is not None]
    if len(complete) < 2:
        return None
    complete.sort(key=lambda trial: (sign * (trial.value or 0.0), -trial.number))
    names = dict.fromkeys(name for trial in complete for name in trial.values)
    columns = {name: [trial.values.get(name) for trial in complete] for name in names}
    varied = {name: values for name, values in columns.items() if len(set(map(str, values))) > 1}
    axes = [_axis(name, values) for name, values in varied.items()]
    axes.append(_axis(objective, [trial.value for trial in complete]))
    xs = [_SIDE + _GAP * index for index in range(len(axes))]
    width = max(xs[-1] + _SIDE, 420.0)
    lines = [_line(complete, index, axes, xs, objective) for index in range(len(complete))]
    drawing = tag(
        "svg",
        lines,
        [_drawn_axis(axis, x) for axis, x in zip(axes, xs, strict=True)],
        viewBox=f"0 0 {width:g} {_HEIGHT:g}",
        width=f"{width:g}",
        height=f"{_HEIGHT:g}",
        role="group",
        aria_label=f"{len(complete)} trials over {', '.join(axis.name for axis in axes)}",
        class_="trials",
    )
    caption = tag("figcaption", "Trials: each line is one, the stronger the better")
    return tag("figure", caption, scrolling(drawing, "Trials over parallel axes"))


def _axis(name: str, values: Sequence[Any]) -> _Axis:
    present = [value for value in values if value is not None]
    without = [(_WITHOUT, "not set")] if len(present) < len(values) else []
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present):
        low, high = min(present), max(present)
        is_log = low > 0 and high / low >= _LOG
        scaled = [None if v is None else math.log10(v) if is_log else float(v) for v in values]
        ends = [math.log10(v) if is_log else float(v) for v in (low, high)]
        middle = 10 ** (sum(ends) / 2) if is_log else (low + high) / 2
        labels = dict(zip((ends[0], sum(ends) / 2, ends[1]), (low, middle, high), strict=True))
        ticks = [(_height(at, *ends), f"{value:.4g}") for at, value in labels.items()]
        heights = [_WITHOUT if v is None else _height(v, *ends) for v in scaled]
        return _Axis(name, [*ticks, *without], heights)
    choices = sorted({value_text(value) for value in present})
    of_choice = {choice: _height(index, 0, len(choices) - 1) for index, choice in enumerate(choices)}
    written = choices if len(choices) <= _MOST_CHOICES else [choices[0], choices[-1]]
    ticks = [(of_choice[choice], choice) for choice in written]
    heights = [_WITHOUT if v is None else of_choice[value_text(v)] for v in values]
    return _Axis(name, [*ticks, *without], heights)


def _height(value: float, low: float, high: float) -> float:
    fraction = (value - low) / (high - low) if high > low else 0.5
    return _BOTTOM + fraction * (_TOP - _BOTTOM)


def _drawn_axis(axis: _Axis, x: float) -> list[Html]:
    return [
        tag("line", x1=x, x2=x, y1=_TOP - 6, y2=_BOTTOM + 6, class_="guide"),
        tag("text", shortened(axis.name, _CHARACTERS), x=x, y=_TOP - 28, class_="strong middle"),
        *(
            tag("text", shortened(label, _CHARACTERS), x=x - 6, y=f"{y:.1f}", class_="tick end")
            for y, label in axis.ticks
        ),
    ]


def _line(
    trials: Sequence[Trial], index: int, axes: Sequence[_Axis], xs: Sequence[float], objective: str
) -> Html:
    """Draw one of the trials, which are in order from the worst to the best."""
    trial = trials[index]
    rank = len(trials) - index
    text = f"trial {trial.number}: {objective} {trial.value:.4f}, {described(trial.values)}"
    opacity = f"{0.12 + 0.88 * (index + 1) / len(trials):.2f}"
    points = " ".join(f"{x:g},{axis.heights[index]:.1f}" for axis, x in zip(axes, xs, strict=True))
    shown = shortened(text, int((xs[-1] + _SIDE) / _CHARACTER_WIDTH))
    return tag(
        "a",
        tag("title", text),
        tag("polyline", points=points, class_="hit"),
        tag("polyline", points=points, opacity=opacity, class_="line"),
        tag("text", shown, x=8, y=_HEIGHT - 14, class_="about"),
        id=f"trial-{trial.number}",
        href=f"#trial-{trial.number}",
        tabindex=None if rank <= _REACHED else "-1",
        aria_label=text,
        class_="best" if rank == 1 else None,
    )
