"""A search of 20 trials beside KerasTuner, and beside plain Optuna, both on Keras and TensorFlow.

    python benchmarks/tuning.py --peer-python PYTHON [--rounds 3] [--trials 20] [--json FILE]

PYTHON is an environment with tensorflow, tensorboard, keras, keras-tuner and optuna. In each round all sides
make the same trials in the same order: settings drawn at random (units, dropout, learning rate), a dense net
with two hidden layers on 4,000 digits, 1,000 to validate on, 5 epochs, no pruning. So neither luck nor the
sampler counts, only the time around and in the trainings. A side is a process; its clock starts after its
imports. The sides take turns. Figures are medians of the rounds:

seconds: the search. outside: seconds of a trial outside of `fit`. score: seconds until a trial had reached a
validation accuracy that some trial of every side reaches. process: seconds with imports.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
EPOCHS, BATCH_SIZE = 5, 32
SIDES = ("hornbeam", "keras_tuner", "optuna_keras")

Settings = dict[str, Any]
Note = Callable[[float, float], None]


def draw(trials: int, seed: int) -> list[Settings]:
    rng = np.random.default_rng(seed)
    return [
        {
            "units": int(rng.choice([32, 64, 128, 256])),
            "dropout": float(rng.uniform(0, 0.5)),
            "rate": float(10 ** rng.uniform(-4, -1.5)),
        }
        for _ in range(trials)
    ]


def build(keras: Any, settings: Settings) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(settings["units"], activation="relu"),
            layers.Dropout(settings["dropout"]),
            layers.Dense(settings["units"], activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(settings["rate"]), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


# -- sides: each makes the trials in order, and notes the score and the seconds in `fit` ---------------------


def hornbeam(folder: Path, data: Any, trials: list[Settings], note: Note) -> Callable[[], None]:
    import hornbeam as hb

    class Trials:
        def build(self, hp: Any) -> Any:
            return build(hb, trials[hp.Int("trial", 0, len(trials) - 1)])

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **options: Any) -> Any:
            start = time.perf_counter()
            history = model.fit(x, y, **options)
            note(history.history["val_accuracy"][-1], time.perf_counter() - start)
            return history

    def search() -> None:
        hb.tuning.tune(
            Trials(), data["x"], data["y"], validation_data=(data["vx"], data["vy"]), sampler="grid",
            objective="val_accuracy", epochs=EPOCHS, batch_size=BATCH_SIZE, pruner="none", seeds=0,
            verbose=False, storage=folder / "search.journal",
        )  # fmt: skip

    hb.tuning.HyperParameters()  # imports
    import optuna  # noqa: F401

    return search


def keras_tuner(folder: Path, data: Any, trials: list[Settings], note: Note) -> Callable[[], None]:
    import keras
    import keras_tuner

    class Trials(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(keras, trials[hp.Int("trial", 0, len(trials) - 1)])

        def fit(self, hp: Any, model: Any, *args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            history = model.fit(*args, **options)
            note(history.history["val_accuracy"][-1], time.perf_counter() - start)
            return history

    def search() -> None:
        tuner = keras_tuner.GridSearch(
            Trials(),
            objective="val_accuracy",
            max_trials=len(trials),
            directory=folder,
            project_name="search",
        )
        tuner.search(
            data["x"], data["y"], validation_data=(data["vx"], data["vy"]), epochs=EPOCHS,
            batch_size=BATCH_SIZE, verbose=0,
        )  # fmt: skip

    return search


def optuna_keras(folder: Path, data: Any, trials: list[Settings], note: Note) -> Callable[[], None]:
    import keras
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        keras.backend.clear_session()
        model = build(keras, trials[trial.suggest_int("trial", 0, len(trials) - 1)])
        start = time.perf_counter()
        history = model.fit(
            data["x"], data["y"], validation_data=(data["vx"], data["vy"]), epochs=EPOCHS,
            batch_size=BATCH_SIZE, verbose=0,
        )  # fmt: skip
        score = history.history["val_accuracy"][-1]
        note(score, time.perf_counter() - start)
        return score

    def search() -> None:
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(folder / "search.journal"))
        )
        study = optuna.create_study(storage=storage, direction="maximize")
        for number in range(len(trials)):
            study.enqueue_trial({"trial": number})
        study.optimize(objective, n_trials=len(trials))

    return search


def run_side(side: str, data: Path, trials: int, seed: int) -> None:
    """Run in a process of the side: print its times as JSON."""
    notes: list[tuple[float, float, float]] = []
    with np.load(data) as loaded, tempfile.TemporaryDirectory() as folder:
        arrays = dict(loaded)
        begin = 0.0

        def note(score: float, seconds: float) -> None:
            notes.append((time.perf_counter() - begin, float(score), seconds))

        search = globals()[side](Path(folder), arrays, draw(trials, seed), note)
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            search()
        total = time.perf_counter() - begin
    if len(notes) != trials:
        raise RuntimeError(f"{side} made {len(notes)} trials of {trials}")
    print(json.dumps({"seconds": total, "notes": notes}))


# -- comparison ----------------------------------------------------------------------------------------------


def measure(side: str, python: str, data: Path, trials: int, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    command = [python, str(HERE), "--side", side, str(data), str(trials), str(seed)]
    # KerasTuner and TensorFlow write to the standard error.
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}
    )
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["process"] = time.perf_counter() - start
    inside = sum(seconds for _, _, seconds in result["notes"])
    result["outside"] = (result["seconds"] - inside) / trials
    result["load"] = os.getloadavg()[0]
    return result


def add_scores(sides: dict[str, dict[str, Any]]) -> None:
    """Add the seconds until a score was reached that every side reaches."""
    best = [max(score for _, score, _ in side["notes"]) for side in sides.values()]
    goal = min(best) - 0.001
    for side in sides.values():
        side["goal"] = goal
        side["score"] = next(seconds for seconds, score, _ in side["notes"] if score >= goal)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, data, trials, seed = options.side
        run_side(side, Path(data), int(trials), int(seed))
        return
    import hornbeam as hb

    (x, y), _ = hb.datasets.mnist.load_data()
    x = x[:5000].reshape(-1, 784).astype("float32") / 255
    rounds: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        np.savez(data, x=x[:4000], y=y[:4000], vx=x[4000:], vy=y[4000:5000])
        for seed in range(options.rounds):
            results = {}
            for side in SIDES:
                python = sys.executable if side == "hornbeam" else options.peer_python
                results[side] = measure(side, python, data, options.trials, seed)
            add_scores(results)
            rounds.append(results)
            for side, result in results.items():
                shown = {k: round(v, 3) for k, v in result.items() if k != "notes"}
                print(f"round {seed + 1} {side:13} {shown}", flush=True)
    for figure in ("seconds", "outside", "score", "process"):
        middle = {side: statistics.median(r[side][figure] for r in rounds) for side in SIDES}
        ratios = {
            side: statistics.median(r[side][figure] / r["hornbeam"][figure] for r in rounds)
            for side in SIDES[1:]
        }
        print(f"{figure:8}", *(f"{side} {value:.3f} s" for side, value in middle.items()), end="; ")
        print(*(f"{side} / hornbeam {ratio:.2f}" for side, ratio in ratios.items()))
    if options.json:
        options.json.write_text(json.dumps(rounds))


if __name__ == "__main__":
    main()
