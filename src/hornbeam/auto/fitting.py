"""`fit`: from a table to a model with an honest account of it."""

from __future__ import annotations

import dataclasses
import os
import time as clock
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import evaluation
from hornbeam._internal.validation import check_int, check_number
from hornbeam.auto.columns import Column, guess_columns
from hornbeam.auto.encoding import Encoder, encoder
from hornbeam.auto.leaks import without_leaks
from hornbeam.auto.parts import Parts, split
from hornbeam.auto.program import program
from hornbeam.auto.search import Member, Trial, assemble, has_trees, mix, search, try_candidate
from hornbeam.auto.table import Table, TableLike, read_table
from hornbeam.auto.table_model import Importance, TableModel
from hornbeam.auto.task import Problem, Task, find_task
from hornbeam.distribution.processes import print_once
from hornbeam.errors import CalibrationError, IntervalWarning
from hornbeam.evaluation import Baselines, Evaluation
from hornbeam.models import Model
from hornbeam.visualization.display import Report

PROGRAM, REPORT = "program.py", "report.txt"


@dataclasses.dataclass(frozen=True, repr=False)
class AutoFit(TableModel):
    """Result of `fit`: a `TableModel`, its scores, and all that was decided.

    Args:
        model: The model. Its inputs are named as `encoder.features`.
        encoder: Makes the inputs out of tables.
        task: The prediction task.
        columns: All columns but the target, and what was done with each.
        parts: Rows of the parts.
        trials: Candidates in the order of the trials.
        members: Candidates of the mixture, with their weights.
        evaluation: Scores of the sealed rows, with their intervals.
        baselines: Scores of trivial models on the same rows, each compared with the model.
        coverage: How many of the sealed rows are in their sets or intervals; None if the rows for calibration
            were too few.
        importances: How much the model uses each column, by the sealed rows, at most 1,000 of them.
        notes: What was decided, in sentences.
        source: Path of the file, if the table was one.
        options: Arguments of `fit` that `train` needs too.
    """

    columns: list[Column]
    parts: Parts
    trials: list[Trial]
    members: list[Member]
    evaluation: Evaluation
    baselines: Baselines
    coverage: Report | None
    importances: list[Importance]
    notes: list[str]
    source: str | None
    options: dict[str, Any]

    def __repr__(self) -> str:
        return f"<AutoFit: {' '.join(self.headline.splitlines())}>"

    @property
    def headline(self) -> str:
        """The score of the model, and whether a trivial model has it too, in two lines."""
        name = "accuracy" if self.task.classes else "root_mean_squared_error"
        score = self.evaluation[name]
        bounds = f"{score.low:.4g} to {score.high:.4g}" if score.interval else "interval unknown"
        return (
            f"{self.task.target.name}: {name.replace('_', ' ')} {score.value:.4g} ({bounds}) of {score.n:,} "
            f"sealed rows\n{self.baselines.headline()}"
        )

    @property
    def report(self) -> str:
        """The account: worth, baselines, coverage, columns, trials, decisions."""
        parts = [self.headline, str(self.evaluation), str(self.baselines)]
        if self.coverage is not None:
            parts.append(str(self.coverage))
        parts.append("Columns\n" + "\n".join(f"  {c.name}: {c.kind} ({c.reason})" for c in self.columns))
        uses = [f"  {each.column}: {each.increase:+.4g} ({each.interval})" for each in self.importances]
        title = "Increase of the loss where a column has the values of other rows (95% intervals)"
        parts.append("\n".join([title, *uses]))
        shown = [f"  {t.number + 1}. {t.name}: {self.task.shown_loss(t.loss)}" for t in self.trials]
        parts.append("Candidates, by held-out rows of the training part\n" + "\n".join(shown))
        parts.append("Decisions\n" + "\n".join(f"  {note}" for note in self.notes))
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"

    @property
    def program(self) -> str:
        """A program that makes the same model again."""
        return program(self.source, self.columns, self.task, self.members, self.options)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the files of `TableModel.save`, the report, and the program.

        Args:
            folder: Created if it does not exist.
        """
        path = super().save(folder)
        (path / REPORT).write_text(self.report, encoding="utf-8")
        (path / PROGRAM).write_text(self.program, encoding="utf-8")
        return path


def fit(
    table: TableLike,
    target: str,
    *,
    time: float = 60.0,
    trials: int | None = None,
    kind: str | None = None,
    kinds: Mapping[str, str] | None = None,
    groups: str | None = None,
    time_column: str | None = None,
    coverage: float = 0.9,
    seed: int = 0,
    verbose: bool = True,
) -> AutoFit:
    """Make a model for a table, and say what it is worth.

    Columns are typed; those that number the rows, that tell the target or that say nothing are left out. A
    fifth of the rows is sealed, and used once at the end; another part tells how far predictions are off.
    Linear models, boosted trees (extra `auto`) and nets are trained on folds of the rest until the time is
    over, and mixed by their held-out predictions into one model. Each step is said in a line.

    It seeds all random numbers, as `hornbeam.utils.set_random_seed` does. The same `seed` and `trials` give
    the same bits; within `time`, the speed of the machine decides which candidates are tried.

    Args:
        table: A CSV or Parquet file, a frame or a dict of columns: see `read_table`.
        target: Name of the column to predict.
        time: Seconds for all, about.
        trials: Number of candidates, in place of the time.
        kind: "number" or "category", if the guess for the target is wrong.
        kinds: Kinds of columns by name, if guesses are wrong: "number", "category", "date", "left out". A
            column that tells the target stays if it is named here.
        groups: Column whose values are never separated: a patient, a customer.
        time_column: Column of dates or numbers: the latest rows are sealed.
        coverage: How often prediction sets or intervals contain the truth.
        seed: Seed.
        verbose: Whether to print the lines.

    Raises:
        ValueError: If there is nothing to learn, or a name or value is wrong.

    Example:
        >>> houses = hornbeam.auto.fit("houses.csv", "price")  # doctest: +SKIP
        >>> houses.predict("new_houses.csv")  # doctest: +SKIP
    """
    check_number("time", time, 1)
    start = clock.monotonic()
    notes: list[str] = []

    def tell(line: str) -> None:
        notes.append(line)
        if verbose:
            print_once(line)

    source = str(table) if isinstance(table, (str, os.PathLike)) else None
    content = read_table(table)
    tell(f"{len(content):,} rows, {len(content.columns)} columns")
    task, rows, remarks = find_task(content, target, kind)
    for note in (*content.notes, *remarks):
        tell(note)
    options: dict[str, Any] = {
        "kind": kind,
        "kinds": dict(kinds or {}),
        "groups": groups,
        "time_column": time_column,
    }
    options |= {"coverage": coverage, "seed": seed}
    usable = content.rows(rows)
    columns = _columns(usable, task, options, tell)
    parts = split(usable, task, groups=groups, time_column=time_column, seed=seed)
    tell(parts.summary)
    if not has_trees():
        from hornbeam._internal.extras import install_command

        tell(f"boosted trees are not tried: {install_command('auto')}")
    encoding, problem, x, y = _training_data(usable, columns, task, parts)
    left = time - (clock.monotonic() - start)
    if trials is not None:
        check_int("trials", trials, 1)
    done = search(problem, x, y, parts.folds, seconds=left, trials=trials, seed=seed, tell=tell)
    held_out = np.concatenate([y[held] for _, held in parts.folds])
    weights = mix(done, task, held_out)
    chosen = [(weight, trial) for weight, trial in zip(weights, done, strict=True) if weight]
    members = [Member(trial.candidate, trial.number, weight, trial.lengths) for weight, trial in chosen]
    tell("mixture: " + ", ".join(f"{weight:.0%} {t.name} (candidate {t.number + 1})" for weight, t in chosen))
    model = assemble(encoding, task, [(weight, [f.model for f in t.fitted]) for weight, t in chosen])
    covered = _calibrate(model, encoding, task, usable, parts, coverage, tell)
    table_model = TableModel(model, encoding, task)
    scores, compared = _evaluate(table_model, usable, parts)
    uses = table_model.importance(usable.rows(parts.test), seed=seed)
    fitted = AutoFit(
        model, encoding, task, columns, parts, done, members, scores, compared, covered, uses, notes, source,
        options,
    )  # fmt: skip
    tell(fitted.headline)
    return fitted


def train(
    table: TableLike,
    columns: Sequence[Column],
    task: Task,
    members: Sequence[Member],
    *,
    groups: str | None = None,
    time_column: str | None = None,
    coverage: float = 0.9,
    seed: int = 0,
) -> TableModel:
    """Make the model that `fit` found again, or one of other columns or members.

    Args:
        table: The table: see `read_table`.
        columns: Kinds of the columns.
        task: The prediction task.
        members: Candidates with their weights.
        groups: As of `fit`.
        time_column: As of `fit`.
        coverage: As of `fit`.
        seed: As of `fit`.

    Raises:
        ValueError: If a column does not exist, or the rows are too few.
    """
    content = read_table(table)
    usable = content.rows(np.flatnonzero(_has_target(content, task)))
    parts = split(usable, task, groups=groups, time_column=time_column, seed=seed)
    encoding, problem, x, y = _training_data(usable, columns, task, parts)
    trained = []
    for member in members:
        trial = try_candidate(
            member.candidate, member.number, problem, x, y, parts.folds, seed=seed, lengths=member.lengths
        )
        trained.append((member.weight, [fitted.model for fitted in trial.fitted]))
    model = assemble(encoding, task, trained)
    _calibrate(model, encoding, task, usable, parts, coverage, print_once)
    return TableModel(model, encoding, task)


def _has_target(table: Table, task: Task) -> np.ndarray:
    y = task.targets(table)
    return y >= 0 if task.classes else np.isfinite(y)


def _columns(usable: Table, task: Task, options: dict[str, Any], tell: Callable[[str], None]) -> list[Column]:
    """Type the columns, leave out what a model must not get, and say so."""
    kinds = options["kinds"]
    columns = guess_columns(usable, task.target.name, kinds)
    if (groups := options["groups"]) is not None and groups not in kinds:
        group = Column(groups, "left out", reason="says which rows belong together")
        columns = [group if column.name == groups else column for column in columns]
    columns = without_leaks(columns, usable, task, kinds)
    for kind in ("number", "category", "date"):
        if names := [column.name for column in columns if column.kind == kind]:
            plural = {"number": "numbers", "category": "categories", "date": "dates"}[kind]
            tell(f"{plural}: {', '.join(names)}")
    for column in columns:
        if column.kind == "left out":
            tell(f"left out: {column.name!r} ({column.reason})")
    if any(column.kind == "date" for column in columns) and options["time_column"] is None:
        tell("rows have dates: if the model is to predict later rows than it learned from, pass time_column")
    return columns


def _training_data(
    usable: Table, columns: Sequence[Column], task: Task, parts: Parts
) -> tuple[Encoder, Problem, np.ndarray, np.ndarray]:
    learned = usable.rows(parts.train)
    encoding = encoder(learned, columns)
    words = tuple(len(feature.words) + 1 for feature in encoding.categories)
    problem = Problem(task, len(encoding.numbers), words)
    return encoding, problem, encoding.matrix(learned), task.targets(learned)


def _calibrate(
    model: Model,
    encoding: Encoder,
    task: Task,
    usable: Table,
    parts: Parts,
    coverage: float,
    tell: Callable[[str], None],
) -> Report | None:
    """Calibrate the model, and return how many sealed rows are covered."""
    rows = usable.rows(parts.calibration)
    try:
        calibration = model.calibrate(encoding.inputs(rows), task.targets(rows), coverage=coverage)
    except CalibrationError as error:
        tell(f"no prediction sets or intervals: {error}")
        return None
    sealed = usable.rows(parts.test)
    outputs = model.predict(encoding.inputs(sealed), batch_size=1_024, verbose=0)
    return calibration.evaluate(outputs, task.targets(sealed))


def _evaluate(fitted: TableModel, usable: Table, parts: Parts) -> tuple[Evaluation, Baselines]:
    """Score the model on the sealed rows, beside trivial models that learn from the same rows."""
    rows = usable.rows(parts.test)
    y = fitted.task.targets(rows)
    inputs: Any = fitted.encoder.inputs(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntervalWarning)  # the notes of the scores have them
        scores = evaluation.evaluate(fitted.model, inputs, y)
    outputs = fitted.model.predict(inputs, batch_size=1_024, verbose=0)
    learned = usable.rows(parts.train)
    compared = evaluation.baselines(
        _one_hot(fitted.encoder, learned), fitted.task.targets(learned), _one_hot(fitted.encoder, rows), y,
        y_pred=outputs,
    )  # fmt: skip
    return scores, compared


def _one_hot(encoding: Encoder, table: Table) -> np.ndarray:
    """Return numbers, and a column for each frequent word, for baselines."""
    matrix = encoding.matrix(table)
    numbers = len(encoding.numbers)
    columns = [matrix[:, :numbers]]
    for number, feature in enumerate(encoding.categories, numbers):
        codes = np.arange(min(len(feature.words) + 1, 30))
        columns.append((matrix[:, number, None] == codes).astype("float32"))
    return np.concatenate(columns, 1)
