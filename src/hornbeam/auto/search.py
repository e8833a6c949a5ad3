"""Candidates one after another, as far as the time reaches, and the mixture of the best."""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hornbeam import layers
from hornbeam.auto.encoding import Encoder
from hornbeam.auto.nets import Net
from hornbeam.auto.task import Fitted, Problem, Task
from hornbeam.auto.trees import Trees
from hornbeam.models import Model

Candidate = Net | Trees
# Turns of the mixture: in each the candidate is added that helps most.
_TURNS = 40
# Share of the time for candidates; the rest is for the calibration and the evaluation.
_SEARCHING = 0.85


@dataclass(frozen=True)
class Trial:
    """A candidate, trained on each fold.

    Args:
        number: Place in the order of candidates, which with the seed determines the random numbers.
        candidate: Its settings.
        loss: Mean loss of the held-out rows.
        seconds: Duration.
        lengths: Epochs or rounds that each fold took, which matters if time ended it.
        fitted: Model and held-out predictions of each fold.
    """

    number: int
    candidate: Candidate
    loss: float
    seconds: float
    lengths: tuple[int, ...]
    fitted: list[Fitted] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the kind of candidate."""
        return kind_of(self.candidate)


class Member(NamedTuple):
    """A part of the mixture.

    Args:
        candidate: Its settings.
        number: Place in the order of candidates, which with the seed determines the random numbers.
        weight: Share of the prediction.
        lengths: `Trial.lengths`, or None to train until nothing improves.
    """

    candidate: Candidate
    number: int
    weight: float
    lengths: tuple[int, ...] | None = None


def kind_of(candidate: Candidate) -> str:
    """Return the name of a kind of candidate."""
    if isinstance(candidate, Trees):
        return "boosted trees"
    return "linear model" if not candidate.hidden else "net" if candidate.members == 1 else "ensemble of nets"


def has_trees() -> bool:
    """Return whether LightGBM is installed."""
    return importlib.util.find_spec("lightgbm") is not None


def candidates(rows: int, seed: int, trees: bool) -> Iterator[Candidate]:
    """Yield settings without end: good ones first, then random ones.

    Args:
        rows: Number of training rows.
        seed: Seed of the random ones.
        trees: Whether boosted trees are among them.
    """
    batch = 64 if rows < 2_000 else 128 if rows < 10_000 else 256
    yield Net((), learning_rate=2e-2, weight_decay=1e-3, batch=batch, epochs=200, patience=20)
    if trees:
        yield Trees()
    yield Net(batch=batch)
    if trees:
        yield Trees(leaves=8, learning_rate=0.05, min_samples=5, features=0.7, samples=0.8)
    yield Net((96, 96), members=8, batch=batch)
    random = np.random.default_rng(seed)

    def choose(*options: float) -> float:
        return options[int(random.integers(len(options)))]

    for _ in itertools.count():
        if trees:
            yield Trees(
                leaves=int(choose(6, 12, 24, 48, 96)),
                learning_rate=choose(0.02, 0.03, 0.06),
                min_samples=int(choose(3, 10, 30, 60)),
                features=choose(0.5, 0.7, 0.9),
                samples=choose(0.6, 0.8, 1.0),
                l2=choose(0.0, 1.0, 10.0),
            )
        width, depth = int(choose(64, 128, 256)), int(choose(1, 2, 3))
        yield Net(
            (width,) * depth,
            members=int(choose(1, 4)),
            bins=int(choose(8, 16, 32)),
            dropout=choose(0.0, 0.1, 0.3),
            learning_rate=choose(1e-3, 2e-3, 4e-3),
            weight_decay=choose(1e-3, 1e-2, 1e-1),
            batch=batch,
        )


def try_candidate(
    candidate: Candidate,
    number: int,
    problem: Problem,
    x: np.ndarray,
    y: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    seed: int,
    deadline: float | None = None,
    lengths: Sequence[int] | None = None,
) -> Trial:
    """Train a candidate on each fold.

    Args:
        candidate: The settings.
        number: Place in the order of candidates.
        problem: The task, and the columns of the matrix.
        x: Matrix of the training part.
        y: Targets of the training part.
        folds: Rows to learn from, and held-out rows.
        seed: Seed of all random numbers, with the numbers of the candidate and the fold.
        deadline: Time of `time.monotonic` by which all folds should be done, or None.
        lengths: Epochs or rounds after which each fold ends, or None: what an earlier training reached.
    """
    start = time.monotonic()
    fitted = []
    for fold, (rows, held_out) in enumerate(folds):
        now = time.monotonic()
        share = None if deadline is None else now + (deadline - now) / (len(folds) - fold)
        fitted.append(
            candidate.fit(
                problem,
                (x[rows], y[rows]),
                (x[held_out], y[held_out]),
                seed=seed * 1_000_003 % 2**31 + 101 * number + fold,
                deadline=share,
                stop_after=None if lengths is None else lengths[fold],
            )
        )
    held_out_rows = np.concatenate([held_out for _, held_out in folds])
    predictions = np.concatenate([each.predictions for each in fitted])
    loss = problem.task.loss_of(y[held_out_rows], predictions)
    lengths = tuple(each.length for each in fitted)
    return Trial(number, candidate, loss, time.monotonic() - start, lengths, fitted)


def search(
    problem: Problem,
    x: np.ndarray,
    y: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    seconds: float | None,
    trials: int | None,
    seed: int,
    tell: Callable[[str], None],
) -> list[Trial]:
    """Try candidates until the time is over, or a number of them is done.

    The next candidate begins if the time is enough for one of its kind. The first of each kind is ended where
    the time is.

    Args:
        problem: The task, and the columns of the matrix.
        x: Matrix of the training part.
        y: Targets of the training part.
        folds: Rows to learn from, and held-out rows.
        seconds: Time for all candidates, or None.
        trials: Number of candidates, or None.
        seed: Seed of all random numbers.
        tell: Gets a line about each trial.
    """
    start = time.monotonic()
    end = None if seconds is None or trials is not None else start + seconds * _SEARCHING
    done: list[Trial] = []
    durations: dict[str, float] = {}
    too_long = 0
    for number, candidate in enumerate(candidates(len(x), seed, has_trees())):
        if too_long > 8 or len(done) == trials:
            break
        left = None if end is None else end - time.monotonic()
        if left is not None and done and left < durations.get(kind_of(candidate), 0.15 * (seconds or 0)):
            too_long += 1
            continue
        # One kind must not take the time of the others.
        deadline = None if left is None else time.monotonic() + max(left / 2, 1.0)
        trial = try_candidate(candidate, number, problem, x, y, folds, seed=seed, deadline=deadline)
        durations[trial.name] = trial.seconds
        done.append(trial)
        tell(f"{trial.name}: {problem.task.shown_loss(trial.loss)} in {trial.seconds:.1f} s")
    return done


def mix(trials: Sequence[Trial], task: Task, y: np.ndarray) -> list[float]:
    """Return the weights of the trials in the best mixture of their held-out predictions.

    It grows by one trial a turn, the one with which the loss is smallest; a trial may be taken again, and its
    weight is the share of the turns (Caruana et al. 2004, "Ensemble selection from libraries of models").

    Args:
        trials: The trials.
        task: The prediction task.
        y: Targets of the held-out rows, fold after fold.
    """
    predictions = [
        np.concatenate([f.predictions for f in trial.fitted]).astype("float64") for trial in trials
    ]
    total = np.zeros_like(predictions[0])
    counts = np.zeros(len(trials), int)
    best, kept = np.inf, counts.copy()
    for turn in range(1, _TURNS + 1):
        losses = [task.loss_of(y, (total + each) / turn) for each in predictions]
        chosen = int(np.argmin(losses))
        total += predictions[chosen]
        counts[chosen] += 1
        if losses[chosen] < best:
            best, kept = losses[chosen], counts.copy()
    return [float(count / kept.sum()) for count in kept]


def assemble(encoder: Encoder, task: Task, parts: Sequence[tuple[float, Sequence[Model]]]) -> Model:
    """Return one model of named inputs: the weighted mean of members, each the mean of its folds' models.

    Args:
        encoder: Makes the matrix out of the inputs.
        task: The prediction task.
        parts: Weight and models of each member.
    """
    symbols = encoder.symbols()
    matrix = encoder.matrix_of(symbols)
    outputs = []
    for weight, models in parts:
        answers = [model(matrix) for model in models]
        mean = layers.Average()(answers) if len(answers) > 1 else answers[0]
        outputs.append(layers.Rescaling(weight)(mean) if len(parts) > 1 else mean)
    model = Model(symbols, layers.Add()(outputs) if len(outputs) > 1 else outputs[0])
    model.compile(loss=task.loss, metrics=task.metrics)
    return model
