"""`report`: a run as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam._internal.formatting import long_time
from hornbeam._internal.html.markup import Html, join, tag
from hornbeam.insight.reporting import scores, sections
from hornbeam.insight.reporting.document import html_document
from hornbeam.insight.runs.listing import best_epoch, parameters, planned_epochs, test_score
from hornbeam.insight.runs.reading import Run, read_run

if TYPE_CHECKING:
    from hornbeam.insight.runs.recorder import RunRecorder

# Nothing is loaded from anywhere, and no script runs.
# Name in the page's address, word in the navigation, heading, and the function that returns the content.
_SECTIONS: tuple[tuple[str, str, str, Callable[[Run], Any]], ...] = (
    ("doctor", "Doctor", "Findings of the doctor", sections.findings),
    ("curves", "Curves", "Curves", sections.curves),
    ("evaluation", "Evaluation", "Evaluation", scores.evaluation),
    ("mistakes", "Mistakes", "Most confident errors", scores.mistakes),
    ("data", "Data", "Data", sections.data),
    ("model", "Model", "Model", sections.model),
    ("profile", "Time", "Time by layer and kernel", sections.profile),
    ("next", "Next", "Next steps", sections.next_steps),
    ("repeat", "Repeat", "Environment, and how to repeat it", sections.environment),
)


def report(
    run: str | os.PathLike[str] | Run | RunRecorder, path: str | os.PathLike[str] | None = None
) -> Path:
    """Write a page about a run: findings, curves, evaluation, mistakes, data, model, profile, environment.

    The file is self-contained: it loads nothing, runs no script, and is readable on a phone, by keyboard, by
    screen readers, in light and dark. Parts that were not recorded are named, with the line of code that
    records them.

    Args:
        run: Folder of a recorded run, a `Run`, or the `callbacks.RunRecorder` of a training.
        path: File that is written, `report.html` in the run's folder by default.

    Returns:
        The path of the file.

    Raises:
        RunError: If the folder does not hold a run.

    Example:
        >>> hornbeam.insight.report("runs/2026-11-26-072256-mnist", "report.html")  # doctest: +SKIP
    """
    from hornbeam.saving.files import staged_file

    recorded = _as_run(run)
    target = recorded.path / "report.html" if path is None else Path(path)
    with staged_file(target) as file:
        file.write(page(recorded).encode())
    return target


def _as_run(run: Any) -> Run:
    if isinstance(run, Run):
        return run
    if isinstance(run, (str, os.PathLike)):
        return read_run(run)
    folder = getattr(run, "path", None)
    if folder is None:
        raise ValueError(
            f"report() takes the folder of a run, a Run, or a RunRecorder that fit() was given; got {run!r}"
        )
    return read_run(folder)


def page(run: Run) -> str:
    """Return the page as text."""
    links = [tag("li", tag("a", word, href=f"#{key}")) for key, word, _, _ in _SECTIONS]
    return html_document(
        f"{run.name}: a training run with Hornbeam",
        tag("a", "Skip to the contents", href="#contents", class_="skip"),
        _header(run),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", [_section(run, key, head, make) for key, _, head, make in _SECTIONS], id="contents"),
        tag("footer", tag("p", "Written by ", tag("code", "hornbeam report"), f" from {run.path.name}.")),
    )


def _section(run: Run, key: str, heading: str, make: Callable[[Run], Any]) -> Html:
    """Return a section; one whose files hold unexpected values says so."""
    try:
        content = join([make(run)])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        text = f"This part of the run cannot be read ({type(error).__name__}: {error})."
        content = tag("p", text, class_="note")
    head = tag("h2", heading, id=f"{key}-head")
    return tag("section", head, content, id=key, aria_labelledby=f"{key}-head")


def _header(run: Run) -> Html:
    started = str(run.info.get("started", "")).strip()
    state = "" if run.finished else " It did not finish, or is still running."
    text = f"A training run with Hornbeam{f', started {started}' if started else ''}.{state}"
    return tag(
        "header",
        tag("h1", run.name),
        tag("p", text, class_="quiet"),
        tag("dl", _tiles(run), class_="tiles"),
    )


def _tiles(run: Run) -> list[Html]:
    name, value, bounds = test_score(run)
    best, _, epoch = best_epoch(run).rpartition(" (")
    metric, _, score = best.partition(" ")
    epochs, planned = len(run.epochs), planned_epochs(run)
    tiles = [
        (f"test {name}".strip(), value or "not known", bounds),
        (f"best {metric}".strip(), score or "not known", epoch.rstrip(")")),
        ("parameters", parameters(run), ""),
        ("epochs", f"{epochs}", f"of {planned}" if planned not in (None, epochs) else ""),
        ("time", long_time(run.seconds), ""),
    ]
    return [
        tag(
            "div",
            tag("dt", label),
            tag("dd", text, class_="value"),
            tag("dd", note, class_="beside"),
            class_="tile",
        )
        for label, text, note in tiles
    ]
