"""`tune`: search for hyperparameters, and confirm what was found."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hornbeam._internal.formatting import brief
from hornbeam._internal.intervals import check_level
from hornbeam._internal.validation import check_callable, check_choice, check_int
from hornbeam.data.splits.split import split
from hornbeam.distribution.processes import print_once
from hornbeam.evaluation.comparison import compare
from hornbeam.evaluation.compiled_metrics import direction
from hornbeam.models import Model
from hornbeam.training.callbacks.added import added_callbacks
from hornbeam.training.callbacks.base import Callback
from hornbeam.training.callbacks.monitor import EarlyStopping
from hornbeam.training.steps import training_state
from hornbeam.tuning.confirmation import Confirmation, PairedRuns, standard_error
from hornbeam.tuning.hyperparameters import HyperParameters, Parameter, Value, grid
from hornbeam.tuning.loop import Trials
from hornbeam.tuning.result import TuningResult, best_of
from hornbeam.tuning.running import PrunedError, Running
from hornbeam.utils import set_random_seed

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.tuning.search import Search

_CONFIRMATION_SEED = 2_000_000_000


def tune(
    build: Callable[[HyperParameters], Any] | Any,
    x: Tree = None,
    y: Tree = None,
    *,
    objective: str | tuple[str, str] = "val_loss",
    trials: int | None = None,
    seconds: float | None = None,
    epochs: int = 10,
    batch_size: int | None = None,
    callbacks: Sequence[Callback] = (),
    validation_data: tuple[Any, Any] | None = None,
    validation_split: float = 0.2,
    sampler: str = "tpe",
    pruner: str = "median",
    storage: str | os.PathLike[str] | None = None,
    seeds: int = 3,
    seed: int = 0,
    level: float = 0.95,
    verbose: bool = True,
) -> TuningResult:
    """Search for the hyperparameters of a model, and say what the search has gained.

    The samples are split in three: some train, on some the objective chooses the winner, and as many choose
    nothing. The first trial has the default of each hyperparameter. In the end the winner and these defaults
    are trained again with `seeds` other seeds, and compared on the samples that chose nothing: the verdict is
    "better", "worse" or "cannot tell", and the optimism of the search is measured. Test data have no part in
    it.

    Trials are seeded by their number. A search with a `storage` continues when the program is started again,
    also after a kill, with the trials that an undisturbed one would have made. Several processes of the
    program share its trials.

    Args:
        build: Function of `HyperParameters` that returns a compiled model; or an object with such a method
            `build`, as KerasTuner's HyperModel, and perhaps `fit(hp, model, x, y, **kwargs)`. Without `x`: a
            function that trains by itself and returns the objective.
        x: Samples: an array, or a structure of arrays.
        y: Targets.
        objective: Metric of `fit`'s logs that chooses, such as "val_accuracy"; or a pair of its name and
            "min" or "max", if the better direction of the metric is unknown.
        trials: Number of trials, 20 by default, or all combinations of a grid.
        seconds: Time after which no further trial begins.
        epochs: Epochs of a trial.
        batch_size: Samples in a batch.
        callbacks: Callbacks of each training, which gets copies.
        validation_data: Inputs and targets to validate on: one half chooses, the other half confirms.
        validation_split: Fraction of the samples to validate on, unless there are `validation_data`.
        sampler: "tpe" (Bergstra et al. 2011), "random", "grid", "cma" (CMA-ES, needs cmaes) or "gp" (Gaussian
            process, needs scipy and torch).
        pruner: "median" ends trials that are below the median of others at the same epoch; "asha" (Li et al.
            2018), "hyperband" (Li et al. 2016), or "none".
        storage: File of the search, or URL of a database such as "sqlite:///search.db"; None keeps it in
            memory.
        seeds: Trainings of the winner and of the defaults that confirm, at least 2; 0 for none.
        seed: Seed of the search.
        level: Confidence level of the interval.
        verbose: Whether to print a line for each trial, and before the trainings that confirm.

    Returns:
        The result. `.best` are the settings, `.model` is the winner, trained with the first seed of the
        confirmation.

    Raises:
        ImportError: If Optuna is not installed (extra `tune`).
        TypeError: If `build` does not return a model, or a number without `x`.
        ValueError: For an objective that is not in the logs, or whose direction is unknown, and for a storage
            with another search.
        RuntimeError: If no trial is complete.

    Example:
        >>> def build(hp):
        ...     units = hp.Int("units", 16, 256, step=16)
        ...     rate = hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-3)
        ...     model = hornbeam.Sequential([layers.Dense(units, "relu"), layers.Dense(10, "softmax")])
        ...     model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", ["accuracy"])
        ...     return model
        >>> hornbeam.tuning.tune(build, x, y, objective="val_accuracy", trials=30)  # doctest: +SKIP
    """
    from hornbeam.tuning.search import Search  # it imports Optuna

    check_level(level)
    check_int("epochs", epochs, 1)
    check_seeds(seeds)
    name, sign = checked_objective(objective)
    trainer: _ModelTrainer | _FunctionTrainer
    if x is None:
        trainer = _FunctionTrainer(build, name)
    else:
        parts = _Parts.of(x, y, validation_data, validation_split, confirms=seeds > 0, seed=seed)
        if verbose:
            print_once(parts.summary)
        options = {"epochs": epochs, "batch_size": batch_size}
        trainer = _ModelTrainer(build, parts, name, options, callbacks)
    search = Search(name, sign, sampler, pruner, epochs, storage, seed)
    if sampler == "grid":
        search.grid = grid(trainer.space(seed))
        trials = min(trials or len(search.grid), len(search.grid))
    limit = check_int("trials", 20 if trials is None else trials, 1)
    Trials(search, trainer.run, limit, seconds, verbose).run()
    return result_of(search, trainer, seeds, level, verbose)


class Trainer(Protocol):
    """Trains with the settings of a trial, and again with those of the winner and the defaults."""

    # Number of samples that chose nothing, None if there are none.
    confirming: int | None

    def run(self, running: Running) -> float | None:
        """Train for a trial; return its objective, None if it was pruned."""

    def train_again(
        self, settings: Sequence[Mapping[str, Value]], seeds: Iterable[int], level: float
    ) -> tuple[Model | None, list[PairedRuns]]:
        """Train with each seed. Return the winner of the first seed, if there is a model, and the scores.

        Args:
            settings: Those of the winner, and the defaults unless the winner has them.
            seeds: The seeds.
            level: Confidence level of intervals.
        """


def result_of(search: Search, trainer: Trainer, seeds: int, level: float, verbose: bool) -> TuningResult:
    """Return the result of a search, after as many trainings that confirm it.

    Raises:
        RuntimeError: If no trial is complete.
    """
    trials = search.results()
    winner = best_of(trials, search.sign)
    model, confirmation = None, None
    if seeds:
        defaults = [trial.values for trial in trials if trial.number == 1 and search.grid is None]
        is_default = winner.values in defaults
        settings = [winner.values] if is_default else [winner.values, {}]
        if verbose:
            names = "the winner, which has the defaults," if is_default else "the winner and the defaults"
            print_once(f"confirming {names} with {seeds} seeds: {len(settings) * seeds} trainings")
        again = range(_CONFIRMATION_SEED, _CONFIRMATION_SEED + seeds)
        model, pairs = trainer.train_again(settings, again, level)
        metric, value = search.objective.removeprefix("val_"), winner.value or 0.0
        confirmation = Confirmation(
            metric, search.sign, pairs, trainer.confirming, value, len(trials), level, is_default
        )
    return TuningResult(search.objective, search.sign, trials, confirmation, search.importances(), model)


def checked_objective(objective: str | tuple[str, str]) -> tuple[str, int]:
    """Return the name of an objective, and 1 if larger values are better, -1 if smaller ones are."""
    if not isinstance(objective, str):
        name, word = objective
        return name, 1 if check_choice("objective", word, ("max", "min")) == "max" else -1
    sign = direction(objective)
    if sign == 0:
        raise ValueError(
            f"whether larger values of {objective!r} are better is unknown: pass "
            f"objective=({objective!r}, 'max'), or 'min'"
        )
    return objective, sign


def check_seeds(seeds: int) -> None:
    """Raise a ValueError for a number of seeds that tells nothing of their variance."""
    if seeds != 0:
        check_int("seeds", seeds, 2)


@dataclass(frozen=True)
class _Parts:
    """Samples that train, that choose, and that confirm."""

    train: tuple[Any, Any]
    choose: tuple[Any, Any]
    confirm: tuple[Any, Any] | None
    summary: str

    @classmethod
    def of(cls, x: Any, y: Any, validation_data: Any, fraction: float, confirms: bool, seed: int) -> _Parts:
        """Split the samples."""
        train, held_out = (x, y), validation_data
        if held_out is None:
            parts = split(x, y, validation=fraction, test=None, seed=seed, verbose=False)
            train, held_out = parts.train, parts.validation
        if not confirms:
            return cls(train, held_out, None, f"{_count(train):,} samples train, {_count(held_out):,} choose")
        halves = split(*held_out, validation=0.5, test=None, seed=seed, verbose=False)
        choose, confirm = halves.train, halves.validation
        summary = (
            f"{_count(train):,} samples train, {_count(choose):,} choose the settings, "
            f"{_count(confirm):,} choose nothing and confirm them"
        )
        return cls(train, choose, confirm, summary)


def _count(part: tuple[Any, Any]) -> int:
    return len(part[1])


class _Reporter(Callback):
    """Reports the objective after each epoch, and ends a training that the search prunes."""

    def __init__(self, running: Running, objective: str) -> None:
        super().__init__()
        self._running, self._objective = running, objective
        self.values: list[float] = []
        self.pruned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values.append(objective_of(logs or {}, self._objective))
        if not math.isfinite(self.values[-1]):
            return
        try:
            self._running.report(len(self.values), self.values[-1])
        except PrunedError:
            self.pruned = self.model.stop_training = True


def objective_of(logs: Mapping[str, Any], objective: str) -> float:
    """Return the objective of an epoch. Raises ValueError if it is not among the logs."""
    if objective not in logs:
        raise ValueError(
            f"the objective {objective!r} is not among the logs of fit: {', '.join(logs)}. Compile the model "
            "with it as a metric"
        )
    return float(logs[objective])


class _FunctionTrainer:
    """Calls a function that trains by itself and returns the objective."""

    # Number of samples that chose nothing.
    confirming: int | None = None

    def __init__(self, function: Any, objective: str) -> None:
        self._function = check_callable("build", function, where="tune")
        self._objective = objective

    def space(self, seed: int) -> dict[str, Parameter]:
        """Raise: what a function asks for shows when it trains."""
        raise ValueError("a grid needs a function that builds a model, and its data: pass x and y")

    def run(self, running: Running) -> float | None:
        """Train for a trial."""
        set_random_seed(running.seed)
        reporter = _Reporter(running, self._objective)
        with added_callbacks(reporter):
            value = float(self._function(running.hp))
        return None if reporter.pruned else value

    def train_again(
        self, settings: Sequence[Mapping[str, Value]], seeds: Iterable[int], level: float
    ) -> tuple[None, list[PairedRuns]]:
        """Train the winner and the defaults with each seed."""
        pairs = []
        for seed in seeds:
            values = []
            for chosen in settings:
                set_random_seed(seed)
                values.append(float(self._function(HyperParameters(chosen))))
            pairs.append(PairedRuns(values[0], values[-1], None))
        return None, pairs


class _ModelTrainer:
    """Builds models, and trains them on given samples."""

    def __init__(
        self,
        build: Any,
        parts: _Parts,
        objective: str,
        options: Mapping[str, Any],
        callbacks: Sequence[Callback],
    ) -> None:
        self._build = check_callable("build", getattr(build, "build", build), where="tune")
        self._own_fit = getattr(build, "fit", None)
        self._parts, self._objective = parts, objective
        self._options, self._callbacks = options, callbacks
        self.confirming = None if parts.confirm is None else _count(parts.confirm)

    def space(self, seed: int) -> dict[str, Parameter]:
        """Return the hyperparameters that the build function asks for."""
        hp = HyperParameters()
        self._built(hp, seed)
        return hp.space

    def run(self, running: Running) -> float | None:
        """Train for a trial."""
        reporter = _Reporter(running, self._objective)
        with added_callbacks(reporter):
            _, callbacks = self._fitted(running.hp, running.seed)
        if reporter.pruned:
            return None
        if not reporter.values:
            raise ValueError("tune(): the method fit(hp, model, x, y, ...) did not call model.fit")
        return reporter.values[_kept_epoch(callbacks)]

    def train_again(
        self, settings: Sequence[Mapping[str, Value]], seeds: Iterable[int], level: float
    ) -> tuple[Model, list[PairedRuns]]:
        """Train the winner and the defaults with each seed, and compare them on the samples that confirm."""
        assert self._parts.confirm is not None
        metric, batch_size = self._objective.removeprefix("val_"), self._options["batch_size"]
        models, pairs = [], []
        for seed in seeds:
            trained = [self._fitted(HyperParameters(values), seed)[0] for values in settings]
            x, y = self._parts.confirm
            compared = compare(
                trained[0], trained[-1], x, y, batch_size=batch_size, main=metric, level=level
            )[metric]
            models.append(trained[0])
            pairs.append(PairedRuns(compared.a, compared.b, standard_error(compared.interval)))
        return models[0], pairs

    def _built(self, hp: HyperParameters, seed: int) -> Model:
        set_random_seed(seed)
        model = self._build(hp)
        if not isinstance(model, Model):
            raise TypeError(f"tune(): build must return a model, got {brief(model)}")
        training_state(model).require_compiled("tune")
        return model

    def _fitted(self, hp: HyperParameters, seed: int) -> tuple[Model, list[Callback]]:
        """Return a trained model, and the callbacks of its training."""
        model = self._built(hp, seed)
        callbacks = copy.deepcopy(list(self._callbacks))
        x, y = self._parts.train
        options = {
            **self._options,
            "validation_data": self._parts.choose,
            "callbacks": callbacks,
            "verbose": 0,
        }
        if self._own_fit is not None:
            self._own_fit(hp, model, x, y, **options)
        else:
            model.fit(x, y, **options)
        return model, callbacks


def _kept_epoch(callbacks: Sequence[Callback]) -> int:
    """Return the index of the epoch whose weights the model has."""
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
            return callback.best_epoch
    return -1
