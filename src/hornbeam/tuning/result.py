"""The result of a search: its trials, its winner, and what the winner is worth."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.insight.arithmetic import count_of
from hornbeam.models import Model
from hornbeam.tuning.confirmation import Confirmation
from hornbeam.tuning.hyperparameters import Value, described, value_text
from hornbeam.visualization.figure import Figure, square_columns
from hornbeam.visualization.panels import LinePanel, PointPanel

_SHOWN = 10


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Args:
        number: Its number, from 1; the first has the default settings.
        values: The settings.
        value: The objective, None if the trial was pruned or failed.
        state: "complete", "pruned" or "failed".
        epochs: Epochs that were trained.
        seconds: Its duration.
        error: Why it failed.
    """

    number: int
    values: Mapping[str, Value]
    value: float | None
    state: str
    epochs: int
    seconds: float
    error: str = ""


@dataclass(frozen=True, repr=False)
class TuningResult(EvaluationReport):
    """Trials, the winner, and its confirmation.

    Args:
        objective: Name of the objective.
        sign: 1 if larger values are better, -1 if smaller ones are.
        trials: The trials.
        confirmation: The winner beside the default settings, on samples that chose nothing; None if it was
            not requested.
        importances: Part of the objective's variance that each hyperparameter explains.
        model: The winner, trained anew with the first seed of the confirmation; None without one.
    """

    objective: str
    sign: int
    trials: Sequence[Trial]
    confirmation: Confirmation | None
    importances: Mapping[str, float]
    model: Model | None = None
    _omitted = ("sign", "model")
    _properties = ("best",)

    @property
    def winner(self) -> Trial:
        """The complete trial with the best objective."""
        return best_of(self.trials, self.sign)

    @property
    def best(self) -> dict[str, Value]:
        """Settings of the winner, for `HyperParameters(result.best)`."""
        return dict(self.winner.values)

    def headline(self) -> str:
        """Return the settings of the winner, and the verdict."""
        text = f"best of {count_of(len(self.trials), 'trial')}: {described(self.best)}"
        return f"{text}. {self.confirmation.verdict_sentence()}" if self.confirmation else text

    def tables(self) -> list[Table]:
        """Return tables of the best trials and of importances."""
        complete = [trial for trial in self.trials if trial.value is not None]
        complete.sort(key=lambda trial: -self.sign * (trial.value or 0.0))
        names = list(dict.fromkeys(name for trial in complete for name in trial.values))
        rows = [
            (
                str(trial.number),
                f"{trial.value:.4f}",
                *(value_text(trial.values.get(name, "")) for name in names),
                f"{trial.seconds:.1f}",
            )
            for trial in complete[:_SHOWN]
        ]
        tables = [Table("Best trials", ("trial", self.objective, *names, "seconds"), rows)]
        if self.importances:
            shares = [(name, f"{value:.2f}") for name, value in self.importances.items()]
            tables.append(Table("Importance", ("hyperparameter", "part of the variance"), shares))
        return tables

    def remarks(self) -> list[str]:
        """Return the optimism of the search, and what became of trials that are not complete."""
        lines = self.confirmation.remarks() if self.confirmation else [self._unconfirmed()]
        pruned = [trial for trial in self.trials if trial.state == "pruned"]
        if pruned:
            epochs = sum(trial.epochs for trial in pruned)
            lines.append(f"{count_of(len(pruned), 'trial')} pruned, after {count_of(epochs, 'epoch')} in all")
        failed = [trial for trial in self.trials if trial.state == "failed"]
        lines += [f"trial {t.number} failed ({described(t.values)}): {t.error}" for t in failed[:3]]
        if len(failed) > 3:
            lines.append(f"{len(failed) - 3} more trials failed")
        return lines

    def _unconfirmed(self) -> str:
        count = count_of(len(self.trials), "trial")
        return (
            f"{self.objective} {self.winner.value:.4f} is the best of {count} on the samples that chose it: "
            "expect less on others (seeds=3 measures how much)"
        )

    @property
    def figure(self) -> Figure | None:
        """The best objective so far, and the objective over each hyperparameter."""
        complete = [trial for trial in self.trials if trial.value is not None]
        if len(complete) < 2:
            return None
        panels: list[Any] = [_progress(complete, self.objective, self.sign)]
        for name in dict.fromkeys(name for trial in complete for name in trial.values):
            panel = _slice(complete, name, self.objective)
            if panel is not None:
                panels.append(panel)
        count, best = len(complete), self.winner.value
        alt = f"{self.objective} of {count} trials, and over each hyperparameter; best {best:.4f}"
        return Figure("Search", alt, panels, columns=square_columns(len(panels)))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result as a page, which loads nothing.

        Args:
            path: The HTML file.

        Returns:
            The file.
        """
        from hornbeam.saving.files import replace_file

        target = Path(path)
        with replace_file(target) as file:
            file.write(self._page().encode())
        return target

    def _page(self) -> str:
        from hornbeam._internal.html.markup import tag
        from hornbeam.insight.reporting.document import html_document
        from hornbeam.tuning.parallel_coordinates import parallel_coordinates

        title = f"A search for the best {self.objective}"
        head = tag("header", tag("h1", title), tag("p", "Written by Hornbeam.", class_="quiet"))
        lines = parallel_coordinates(self.trials, self.objective, self.sign)
        parts = [tag("section", part) for part in (self.html(), lines) if part is not None]
        return html_document(title, head, tag("main", parts))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, texts, lists and dicts, without the model."""
        return {**super().as_dict(), "value": self.winner.value}


def best_of(trials: Sequence[Trial], sign: int) -> Trial:
    """Return the complete trial with the best value; of equal ones the first.

    Raises:
        RuntimeError: If no trial is complete.
    """
    complete = [trial for trial in trials if trial.value is not None]
    if not complete:
        errors = "; ".join(dict.fromkeys(trial.error for trial in trials if trial.error))
        raise RuntimeError(f"no trial of {len(trials)} is complete: {errors or 'all were pruned'}")
    return max(complete, key=lambda trial: (sign * (trial.value or 0.0), -trial.number))


def _progress(trials: Sequence[Trial], objective: str, sign: int) -> LinePanel:
    best, values = -math.inf, []
    for trial in trials:
        best = max(best, sign * (trial.value or 0.0))
        values.append(sign * best)
    numbers = [float(trial.number) for trial in trials]
    every = [float(trial.value or 0.0) for trial in trials]
    lines = {"best so far": (numbers, values), "trial": (numbers, every)}
    return LinePanel(lines, title=objective, axis_labels=("trial", objective), text_rows=8)


def _slice(trials: Sequence[Trial], name: str, objective: str) -> PointPanel | None:
    """Return the objective over one hyperparameter, None if it takes only one value."""
    import numpy as np

    pairs = [(trial.values[name], trial.value) for trial in trials if name in trial.values]
    values = [value for value, _ in pairs]
    if len(set(values)) < 2:
        return None
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    label = name
    if numbers:
        xs = [float(value) for value in values]
        if min(xs) > 0 and max(xs) / min(xs) >= 100:
            xs, label = [math.log10(x) for x in xs], f"log10 of {name}"
    else:
        every = list(dict.fromkeys(map(str, values)))
        xs = [float(every.index(str(value))) for value in values]
        label = f"{name}: {', '.join(f'{i} {text}' for i, text in enumerate(every))}"
    points = np.array([(x, value) for x, (_, value) in zip(xs, pairs, strict=True)])
    groups = np.zeros(len(points), int)
    return PointPanel(points, groups, title=name, axis_labels=(label, objective))


__all__ = ["Trial", "TuningResult", "best_of"]
