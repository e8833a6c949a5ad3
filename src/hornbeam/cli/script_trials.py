"""Trials of a script: `hornbeam tune` runs it with arguments, each time in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hornbeam.tuning.confirmation import PairedRuns
from hornbeam.tuning.hyperparameters import HyperParameters, Parameter, Value
from hornbeam.tuning.running import PrunedError, Running
from hornbeam.tuning.tuner import objective_of

_RANGE = re.compile(r"(log:)?(-?[\d.eE+-]+)\.\.(-?[\d.eE+-]+)(?:/([\d.eE+-]+))?")


def parse_parameter(text: str) -> Parameter:
    """Return the hyperparameter of an option.

    Args:
        text: "units=32,64,128" for one of several values, "depth=1..4" for integers, "rate=0.1..0.5" for
            floats, "rate=log:1e-4..1e-1" for floats on a logarithmic scale, "size=16..64/16" with a step.

    Raises:
        ValueError: If it is nothing of the kind.

    >>> parse_parameter("units=32,64").values
    (32, 64)
    """
    name, separator, values = text.partition("=")
    if not separator or not re.fullmatch(r"[A-Za-z][\w-]*", name) or not values:
        raise ValueError(
            f"--param takes NAME=VALUES, such as units=32,64,128 or rate=log:1e-4..1e-1, got {text!r}"
        )
    ends = _RANGE.fullmatch(values)
    if ends is None:
        choices = tuple(_value(part) for part in values.split(","))
        return Parameter(name, choices, default=choices[0])
    low, high = _value(ends[2]), _value(ends[3])
    step = None if ends[4] is None else _value(ends[4])
    if not all(isinstance(x, (int, float)) for x in (low, high)) or isinstance(step, str):
        raise ValueError(f"--param {text}: the ends of a range are numbers")
    is_float = any(isinstance(x, float) for x in (low, high, step)) or (ends[1] is not None and step is None)
    low, high = (float(low), float(high)) if is_float else (low, high)
    hp = HyperParameters()
    ask: Callable[..., Any] = hp.Float if is_float else hp.Int
    ask(name, low, high, step=step, sampling="log" if ends[1] else None)
    return hp.space[name]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class ScriptTrainer:
    """Runs a script with the settings of a trial.

    The first trial runs it without further arguments, with its own settings.

    Args:
        script: The script.
        arguments: Arguments of every run.
        parameters: The hyperparameters; each becomes an argument `--name=value`.
        objective: Metric of the logs of the script's last `fit`.
        jobs: Number of runs at once.
    """

    # The script alone knows its samples.
    confirming: int | None = None

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        parameters: Sequence[Parameter],
        objective: str,
        jobs: int,
    ) -> None:
        self._script, self._arguments, self._parameters = script, list(arguments), parameters
        self._objective, self._jobs = objective, jobs
        self._context = multiprocessing.get_context("spawn")

    def run(self, running: Running) -> float | None:
        """Run the script for a trial; return its objective, None if it was pruned."""
        if running.index > 0:
            for parameter in self._parameters:
                running.hp.ask(parameter)
        epochs = 0

        def report(value: float) -> None:
            nonlocal epochs
            epochs += 1
            running.report(epochs, value)

        return self._run(running.hp.values, running.seed, report)

    def train_again(
        self, settings: Sequence[Mapping[str, Value]], seeds: Iterable[int], level: float
    ) -> tuple[None, list[PairedRuns]]:
        """Run the script with each seed, with the settings of the winner and with its own."""
        chosen = list(seeds)

        def measure(work: tuple[int, Mapping[str, Value]]) -> float:
            seed, values = work
            value = self._run(values, seed, lambda value: None)
            assert value is not None
            return value

        work = [(seed, values) for seed in chosen for values in settings]
        with ThreadPoolExecutor(self._jobs) as executor:
            measured = list(executor.map(measure, work))
        winners, others = measured[:: len(settings)], measured[len(settings) - 1 :: len(settings)]
        return None, [PairedRuns(a, b, None) for a, b in zip(winners, others, strict=True)]

    def _run(self, values: Mapping[str, Value], seed: int, report: Callable[[float], None]) -> float | None:
        arguments = [*self._arguments, *(f"--{name}={value}" for name, value in values.items())]
        ours, theirs = self._context.Pipe()
        lacking = [] if values else [f"--{parameter.name}" for parameter in self._parameters]
        work = (theirs, self._script, arguments, seed, lacking)
        process = self._context.Process(target=_run_script, args=work)
        process.start()
        theirs.close()
        try:
            return self._listen(ours, report)
        finally:
            ours.close()
            process.join()

    def _listen(self, connection: Connection, report: Callable[[float], None]) -> float | None:
        """Follow the epochs of a run."""
        value: float | None = None
        while True:
            try:
                kind, content = connection.recv()
            except EOFError:
                raise RuntimeError("the script's process ended before the script") from None
            if kind == "error":
                raise RuntimeError(content)
            if kind == "end":
                if value is None:
                    raise RuntimeError("the script ended without a call of fit()")
                return value
            value = objective_of(content, self._objective)
            try:
                report(value)
            except PrunedError:
                return None  # the script's process ends when it finds the connection closed
            connection.send("go on")


def _run_script(
    connection: Connection, script: str, arguments: list[str], seed: int, lacking: list[str]
) -> None:
    """Run a script in this process, and tell of its epochs."""
    from hornbeam.training.callbacks.added import added_callbacks
    from hornbeam.utils import set_random_seed
    from hornbeam_compat.programs import run_script

    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # the reports of several runs would be mixed
        os.dup2(nothing, stream)
    set_random_seed(seed)
    try:
        with added_callbacks(_epochs_to(connection)):
            run_script(script, arguments)
        connection.send(("end", None))
    except (BrokenPipeError, ConnectionResetError, EOFError):
        pass  # the trial was pruned, or the search ended
    except BaseException as error:
        settings = f" with {' '.join(arguments)}" if arguments else ""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(Path(script))]
        at = f", line {lines[-1]}" if lines else ""
        message = f"{script}{at}{settings}: {type(error).__name__}: {error}"
        if lacking:
            message += (
                f". It ran without {', '.join(lacking)}, with its own settings: each option needs a default"
            )
        ended = isinstance(error, SystemExit) and error.code in (None, 0)
        connection.send(("end", None) if ended else ("error", message))
        sys.exit(1)


def _epochs_to(connection: Connection) -> Any:
    from hornbeam.callbacks import Callback

    class Epochs(Callback):
        """Sends the logs of each epoch, and waits for the answer."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            connection.send(("epoch", {name: float(value) for name, value in (logs or {}).items()}))
            connection.recv()

    return Epochs()
