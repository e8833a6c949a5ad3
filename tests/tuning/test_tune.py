"""Searches: their trials, their storage, and what they say of the winner."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.tuning import Confirmation, HyperParameters, TuningResult, tune
from hornbeam.tuning.confirmation import PairedRuns

pytest.importorskip("optuna", reason="Optuna is not installed: pip install optuna")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 6)).astype("float32")
Y = ((X[:, :2] ** 2).sum(1) > 1.4).astype("int64")
OBJECTIVE = ("quality", "max")


def build(hp: HyperParameters) -> hb.Model:
    units = hp.Int("units", 2, 32, step=2)
    model = hb.Sequential([hb.Input((6,)), layers.Dense(units, "tanh"), layers.Dense(2, "softmax")])
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    model.compile(hb.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def quality(hp: HyperParameters) -> float:
    """An objective with a known optimum, without a training."""
    return -((hp.Float("x", -1.0, 1.0, default=0.9) - 0.25) ** 2) - 0.1 * hp.Boolean("wrong", default=True)


def search(**options: Any) -> TuningResult:
    options = {"objective": "val_accuracy", "epochs": 3, "trials": 4, "seeds": 0, "verbose": False, **options}
    return tune(build, X, Y, **options)


# -- the search ----------------------------------------------------------------------------------------------


def test_the_first_trial_has_the_defaults_and_the_best_one_wins() -> None:
    result = search(trials=6)
    assert [trial.number for trial in result.trials] == [1, 2, 3, 4, 5, 6]
    assert result.trials[0].values == {"units": 2, "rate": 1e-3}
    values = [trial.value for trial in result.trials if trial.value is not None]
    assert result.winner.value == max(values)
    assert result.best == dict(result.winner.values)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_equal_seeds_give_equal_searches(sampler: str) -> None:
    def function(hp: HyperParameters) -> float:
        return hp.Float("x", 0.0, 1.0, step=0.25) * (2 if hp.Boolean("good") else 1)

    def model(hp: HyperParameters) -> hb.Model:
        function(hp)
        return build(HyperParameters())

    def trials(seed: int) -> list[dict[str, Any]]:
        result = tune(model, X, Y, trials=5, epochs=1, seeds=0, sampler=sampler, seed=seed, verbose=False)
        return [dict(trial.values) for trial in result.trials]

    assert trials(1) == trials(1)
    if sampler != "grid":
        assert trials(1) != trials(2)


@pytest.mark.parametrize("with_data", [True, False])
def test_defaults_that_win_are_not_compared_with_themselves(with_data: bool) -> None:
    trainings = 0

    def asked(hp: HyperParameters) -> float:
        nonlocal trainings
        trainings += 1
        return float(hp.Choice("x", [0.25, 0.5]))

    def model(hp: HyperParameters) -> hb.Model:
        asked(hp)
        return build(HyperParameters())

    if with_data:
        result = tune(model, X, Y, trials=1, epochs=1, seeds=2, verbose=False)
    else:
        result = tune(lambda hp: -asked(hp), objective=OBJECTIVE, trials=4, seeds=2, verbose=False)
    assert result.best == {"x": 0.25}
    assert trainings == (1 if with_data else 4) + 2
    assert "No trial was better than the default settings" in result.headline()
    assert result.confirmation is not None
    assert result.confirmation.difference == 0


def test_a_grid_is_visited_once() -> None:
    def model(hp: HyperParameters) -> hb.Model:
        hp.Choice("a", [1, 2])
        hp.Int("b", 1, 3)
        return build(HyperParameters())

    result = tune(model, X, Y, epochs=1, seeds=0, sampler="grid", verbose=False)
    assert len({tuple(trial.values.items()) for trial in result.trials}) == len(result.trials) == 6


def test_tpe_comes_closer_than_chance() -> None:
    result = tune(quality, objective=OBJECTIVE, trials=40, seeds=0, verbose=False)
    assert abs(float(result.best["x"]) - 0.25) < 0.05
    assert result.best["wrong"] is False
    assert result.importances["x"] > 0


def test_importances_leave_out_a_trial_without_settings() -> None:
    """A script's first trial has its own settings, which Optuna does not know, and would warn of."""
    from hornbeam.tuning.search import Search

    search = Search("score", 1, "random", "none", epochs=0, storage=None, seed=0)
    for number in range(9):
        running = search.begin(9)
        assert running is not None
        value = 0.5 if number == 0 else quality(running.hp)
        search.end(running, value, seconds=0.1)
    assert search.importances().keys() == {"x", "wrong"}


def test_pruned_trials_end_early() -> None:
    result = search(trials=15, epochs=6)
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned
    assert all(1 <= trial.epochs < 6 and trial.value is None for trial in pruned)
    assert not any(trial.state == "pruned" for trial in search(trials=15, epochs=6, pruner="none").trials)


def test_early_stopping_counts_the_epoch_whose_weights_are_kept() -> None:
    stop = hb.callbacks.EarlyStopping("val_loss", patience=0, restore_best_weights=True)
    result = search(objective="val_loss", trials=1, epochs=30, callbacks=[stop], seeds=2)
    assert stop.best_weights is None  # the trials had copies
    assert result.model is not None
    assert result.confirmation is not None


def test_a_hyper_model_fits_itself() -> None:
    class Hyper:
        def build(self, hp: HyperParameters) -> hb.Model:
            return build(hp)

        def fit(self, hp: HyperParameters, model: hb.Model, x: Any, y: Any, **options: Any) -> Any:
            options["batch_size"] = hp.Choice("batch_size", [16, 32])
            return model.fit(x, y, **options)

    result = tune(Hyper(), X, Y, objective="val_accuracy", trials=2, epochs=1, seeds=0, verbose=False)
    assert set(result.best) == {"units", "rate", "batch_size"}


def test_time_ends_a_search() -> None:
    result = tune(quality, objective=OBJECTIVE, trials=10**6, seconds=0.5, seeds=0, verbose=False)
    assert 1 <= len(result.trials) < 10**5


# -- mistakes and failures -----------------------------------------------------------------------------------


def test_settings_that_fail_are_listed() -> None:
    def function(hp: HyperParameters) -> float:
        x = hp.Float("x", 0.0, 1.0)
        if 0.3 < x < 0.5:
            raise MemoryError("too large")
        return float("nan") if 0.6 < x < 0.7 else x

    result = tune(function, objective=OBJECTIVE, trials=30, sampler="random", seeds=0, verbose=False)
    errors = {trial.error for trial in result.trials if trial.state == "failed"}
    assert errors == {"MemoryError: too large", "quality is nan"}
    assert len(result.trials) == 30
    assert "failed (x=" in "\n".join(result.remarks())


def test_a_mistake_of_the_program_ends_the_search() -> None:
    with pytest.raises(ZeroDivisionError):
        tune(lambda hp: 1 / 0, objective=OBJECTIVE, verbose=False)
    calls = []

    def function(hp: HyperParameters) -> float:
        calls.append(hp.Float("x", 0.0, 1.0))
        if len(calls) > 1:
            raise MemoryError
        return 0.0

    with pytest.raises(MemoryError):
        tune(function, objective=OBJECTIVE, trials=20, seeds=0, verbose=False)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"objective": "val_f1_score"},
            ValueError,
            "is not among the logs of fit: accuracy, loss",
        ),
        ({"objective": "quality"}, ValueError, "whether larger values of 'quality' are better is unknown"),
        ({"sampler": "tpee"}, ValueError, "sampler must be one of 'tpe'"),
        ({"pruner": "medium"}, ValueError, "pruner must be one of 'median'"),
        ({"seeds": 1}, ValueError, "seeds must be an integer of at least 2"),
        ({"trials": 0}, ValueError, "trials must be an integer of at least 1"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        search(**options)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="build must return a model, got 3"):
        tune(lambda hp: 3, X, Y, verbose=False)
    with pytest.raises(TypeError, match="build must be a function"):
        tune("model", X, Y, verbose=False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a grid needs a function that builds a model"):
        tune(quality, objective=OBJECTIVE, sampler="grid", verbose=False)


# -- storage -------------------------------------------------------------------------------------------------


def test_a_search_continues_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "search.journal"
    options = {"objective": OBJECTIVE, "seeds": 0, "verbose": False}
    tune(quality, trials=5, storage=path, **options)
    continued = tune(quality, trials=12, storage=path, **options)
    assert continued.as_dict()["trials"][5:] != []
    assert _without_times(continued) == _without_times(tune(quality, trials=12, **options))
    with pytest.raises(ValueError, match="the storage holds a search with seed=0, this one has 1"):
        tune(quality, trials=12, storage=path, seed=1, **options)


def test_an_interrupted_trial_is_repeated(tmp_path: Path) -> None:
    calls = []

    def function(hp: HyperParameters) -> float:
        calls.append(quality(hp))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return calls[-1]

    options = {"objective": OBJECTIVE, "seeds": 0, "verbose": False, "trials": 8}
    with pytest.raises(KeyboardInterrupt):
        tune(function, storage=tmp_path / "s.journal", **options)
    result = tune(function, storage=tmp_path / "s.journal", **options)
    assert _without_times(result) == _without_times(tune(quality, **options))
    assert calls[3] == calls[4]


def _without_times(result: TuningResult) -> list[dict[str, Any]]:
    return [{**trial, "seconds": 0} for trial in result.as_dict()["trials"]]


PROGRAM = """
import json, sys, time
import hornbeam as hb

def function(hp):
    x = hp.Float("x", -1.0, 1.0, default=0.9)
    time.sleep(0.02)
    return -(x - 0.25) ** 2

result = hb.tuning.tune(function, objective=("quality", "max"), trials=int(sys.argv[2]), storage=sys.argv[1],
                        seeds=0, verbose=False)
print(json.dumps([[trial["values"], trial["value"]] for trial in result.as_dict()["trials"]]))
"""


@pytest.mark.linux
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_change_nothing(kills: int, tmp_path: Path) -> None:
    """SIGKILL at random moments: the search ends with the trials of an undisturbed one, none twice."""
    program, trials = tmp_path / "program.py", 25 if kills < 10 else 150
    program.write_text(PROGRAM)
    dice = random.Random(0)

    def start(storage: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(program), str(tmp_path / storage), str(trials)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})

    undisturbed, _ = start("one.journal").communicate(timeout=600)
    killed = 0
    while killed < kills:
        process = start("two.journal")
        before = _size(tmp_path / "two.journal")
        while process.poll() is None and _size(tmp_path / "two.journal") == before:
            time.sleep(0.01)  # imports
        time.sleep(dice.uniform(0, 0.2))
        if process.poll() is not None:
            process.communicate()
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
    assert killed >= 3
    disturbed, _ = start("two.journal").communicate(timeout=600)
    assert json.loads(disturbed) == json.loads(undisturbed)
    assert len(json.loads(disturbed)) == trials


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.linux
def test_processes_share_the_trials(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(tmp_path / "shared.journal"), "20"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    result = tune(
        quality, objective=OBJECTIVE, trials=20, storage=tmp_path / "shared.journal", seeds=0, verbose=False
    )
    assert [trial.number for trial in result.trials] == list(range(1, 21))


def test_a_trial_that_another_machine_has_given_up_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    from optuna.trial import TrialState

    from hornbeam.tuning.search import Search

    search = Search("quality", 1, "random", "none", 0, None, 0)
    for end in (lambda running: search.end(running, 1.0, 0.1), search.interrupt):
        running = search.begin(1)
        assert running is not None
        search._study.tell(running.trial.number, state=TrialState.FAIL)
        end(running)
    assert capsys.readouterr().out.splitlines() == [
        "trial 1 was without a sign of life for too long, and is repeated elsewhere"
    ]
    assert search.results() == []
    again = search.begin(1)
    assert again is not None
    assert again.index == 0


# -- the confirmation ----------------------------------------------------------------------------------------


def test_the_winner_is_confirmed_on_samples_that_chose_nothing() -> None:
    result = search(trials=6, seeds=2, epochs=4)
    confirmation = result.confirmation
    assert confirmation is not None
    assert confirmation.samples == 60
    assert len(confirmation.runs) == 2
    assert result.model is not None
    assert confirmation.metric == "accuracy"
    assert confirmation.interval.low <= confirmation.difference <= confirmation.interval.high
    assert "samples that chose nothing" in result.headline()


def test_defaults_that_win_are_not_better_than_themselves() -> None:
    result = search(trials=1, seeds=3)
    assert result.confirmation is not None
    assert result.confirmation.difference == 0
    assert result.confirmation.verdict == "cannot tell"


def runs(*pairs: tuple[float, float], error: float | None = None) -> list[PairedRuns]:
    return [PairedRuns(a, b, error) for a, b in pairs]


def test_the_interval_is_over_seeds_and_samples() -> None:
    pairs = ((0.90, 0.80), (0.92, 0.84), (0.94, 0.82))
    seeds_alone = Confirmation("accuracy", 1, runs(*pairs), None, 0.95, 10, 0.95)
    # Differences 0.10, 0.08, 0.12: mean 0.10, sd 0.02, t(2) = 4.303.
    assert seeds_alone.interval.low == pytest.approx(0.10 - 4.3027 * 0.02 / 3**0.5, abs=1e-5)
    both = Confirmation("accuracy", 1, runs(*pairs, error=0.03), 200, 0.95, 10, 0.95)
    half = both.interval.high - both.difference
    assert half > 1.96 * (0.03**2 + 0.02**2 / 3) ** 0.5
    assert seeds_alone.verdict == both.verdict == "better"
    assert both.optimism == pytest.approx(0.03)
    worse = Confirmation("loss", -1, runs(*pairs), None, 0.95, 10, 0.95)
    assert worse.verdict == "worse"
    assert worse.optimism == pytest.approx(-0.03)


@pytest.mark.slow
def test_intervals_cover_the_true_difference() -> None:
    """Of 2,000 confirmations with known variances over seeds and samples, 95% cover, within 1.5 points."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        shared = rng.normal(0, 0.01)  # the same samples for all seeds
        differences = 0.02 + shared + rng.normal(0, 0.02, 4)
        interval = Confirmation(
            "accuracy", 1, [PairedRuns(0.9 + d, 0.9, 0.01) for d in differences], 500, 0.9, 5, 0.95
        ).interval
        covered += interval.low <= 0.02 <= interval.high
    assert covered / 2000 >= 0.935


# -- showing -------------------------------------------------------------------------------------------------


def test_a_result_shows_itself(tmp_path: Path) -> None:
    result = search(trials=9, seeds=2, pruner="none")
    text = str(result)
    for words in (
        "best of 9 trials",
        "Best trials",
        "units",
        "rate",
        "Importance",
        "among 9 trials",
    ):
        assert words in text
    page = result.save(tmp_path / "search.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert json.loads(json.dumps(result.as_dict()))["objective"] == "val_accuracy"


def test_lines_are_printed_for_trials(capsys: pytest.CaptureFixture[str]) -> None:
    search(trials=2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "480 samples train, 120 choose"
    assert lines[1].startswith("trial 1/2: 0.")
