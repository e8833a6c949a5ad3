"""`report`: one HTML file about one run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hornbeam.insight.reporting import sections
from hornbeam.insight.reporting.markup import Html, join, tag
from hornbeam.insight.reporting.style import style_sheet
from hornbeam.insight.runs.listing import best, duration, params, test_of
from hornbeam.insight.runs.reading import Run, read_run

# Nothing is loaded from anywhere, and nothing runs.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

# Name in the page's address, word in the list of sections, heading, and what makes it.
_SECTIONS: tuple[tuple[str, str, str, Callable[[Run], Any]], ...] = (
    ("doctor", "Doctor", "What the doctor found", sections.findings),
    ("curves", "Curves", "Curves", sections.curves),
    ("evaluation", "Evaluation", "Evaluation", sections.evaluation),
    ("mistakes", "Mistakes", "Surest mistakes", sections.mistakes),
    ("data", "Data", "Data", sections.data),
    ("model", "Model", "Model", sections.model),
    ("profile", "Time", "Where the time goes", sections.profile),
    ("repeat", "Repeat", "Environment, and how to repeat it", sections.environment),
)


def report(run: Any, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a page about a run: findings, curves, evaluation, mistakes, data, model, profile, environment.

    The file stands for itself: it loads nothing, runs no script, is readable on a phone, by keyboard, by
    screen readers, in light and dark. What was not recorded is said, with the line that would record it.

    run: a folder of a recorded run, a `Run`, or the `callbacks.RunRecorder` of a training. path: where the
    page goes, `report.html` in the run's folder by default. Returns the path.

    Raises RunError for what is no run.

    >>> hornbeam.insight.report("runs/2026-11-26-072256-mnist", "report.html")  # doctest: +SKIP
    """
    from hornbeam.saving.files import staged

    found = _run_of(run)
    target = found.path / "report.html" if path is None else Path(path)
    with staged(target) as file:
        file.write(page(found).encode())
    return target


def _run_of(run: Any) -> Run:
    if isinstance(run, Run):
        return run
    if isinstance(run, (str, os.PathLike)):
        return read_run(run)
    recorded = getattr(run, "path", None)
    if recorded is None:
        raise ValueError(
            f"report() takes the folder of a run, a Run, or a RunRecorder that fit() was given; got {run!r}"
        )
    return read_run(recorded)


def page(run: Run) -> str:
    """The page as text."""
    title = f"{run.name}: a training with Hornbeam"
    shown = [(key, head, _guarded(make, run)) for key, _, head, make in _SECTIONS]
    links = [tag("li", tag("a", word, href=f"#{key}")) for key, word, _, _ in _SECTIONS]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style_sheet())),
    )
    body = tag(
        "body",
        tag("a", "Skip to the contents", href="#contents", class_="skip"),
        _header(run),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag(
            "main",
            [
                tag(
                    "section",
                    tag("h2", head, id=f"{key}-head"),
                    content,
                    id=key,
                    aria_labelledby=f"{key}-head",
                )
                for key, head, content in shown
            ],
            id="contents",
        ),
        tag("footer", tag("p", "Written by ", tag("code", "hornbeam report"), f" from {run.path.name}.")),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _guarded(make: Callable[[Run], Any], run: Run) -> Html:
    """A section; one whose files hold something else than was recorded says so."""
    try:
        return join([make(run)])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        text = f"This part of the run cannot be read ({type(error).__name__}: {error})."
        return tag("p", text, class_="note")


def _header(run: Run) -> Html:
    started = str(run.info.get("started", "")).strip()
    state = "" if run.finished else " It did not come to its end, or still runs."
    return tag(
        "header",
        tag("h1", run.name),
        tag(
            "p", f"A training with Hornbeam{f', begun {started}' if started else ''}.{state}", class_="quiet"
        ),
        tag("dl", _tiles(run), class_="tiles"),
    )


def _tiles(run: Run) -> list[Html]:
    name, value, bounds = test_of(run)
    kept = best(run).rpartition(" (")
    validation = kept[0].partition(" ")
    epochs, planned = len(run.epochs), _planned(run)
    tiles = [
        (f"test {name}".strip(), value or "not known", bounds),
        (f"best {validation[0]}".strip(), validation[2] or "not known", kept[2].rstrip(")")),
        ("parameters", params(run), ""),
        ("epochs", f"{epochs}", f"of {planned}" if isinstance(planned, int) and planned != epochs else ""),
        ("time", duration(run.seconds), ""),
    ]
    return [
        tag(
            "div",
            tag("dt", label),
            tag("dd", text, class_="value"),
            tag("dd", beside, class_="beside"),
            class_="tile",
        )
        for label, text, beside in tiles
    ]


def _planned(run: Run) -> Any:
    fit = run.info.get("fit")
    return fit.get("epochs") if isinstance(fit, dict) else None
