"""A search: trials in a study of Optuna that survives its processes, with the same trials after a kill."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hornbeam._internal.extras import install_command
from hornbeam._internal.validation import check_choice
from hornbeam.distribution.processes import print_once
from hornbeam.tuning.hyperparameters import HyperParameters, Parameter, Value
from hornbeam.tuning.result import Trial
from hornbeam.tuning.running import Running

try:
    import optuna
    from optuna.trial import TrialState

    from hornbeam.tuning.database import Heartbeat, database
except ModuleNotFoundError as error:
    if error.name != "optuna":
        raise
    raise ImportError(f"hornbeam.tuning needs Optuna: {install_command('tune')}") from None

SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "cma": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "grid": lambda seed: _FixedSampler({}),
}
PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "median": lambda epochs: optuna.pruners.MedianPruner(),
    "asha": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(max_resource=epochs or "auto"),
    "none": lambda epochs: optuna.pruners.NopPruner(),
}
# User attributes of trials.
_INDEX, _PROCESS, _ERROR, _VALUES, _SECONDS = "index", "process", "error", "values", "seconds"
# Seconds in which another process that has begun a trial says which one it is.
_MAX_WAIT = 2.0
# Seconds after which the lock of a file is taken for one that a killed process has left; it is held for
# milliseconds.
_LOCK_SECONDS = 5
_SPREAD = 1_000_003


class _FixedSampler(optuna.samplers.BaseSampler):
    """Draws values that are known before."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return self.values[param_name]


class Search:
    """Trials of one objective, in memory or in a file, which several processes may share.

    Each trial's sampler and training are seeded by its number, and samplers see finished trials alone. So one
    process that is killed and started again makes the same trials as an undisturbed one.

    Args:
        objective: Name of the objective, such as "val_accuracy".
        sign: 1 if larger values are better, -1 if smaller ones are.
        sampler: Name of a sampler.
        pruner: Name of a pruner.
        epochs: Epochs of a trial, 0 if they are unknown.
        storage: File, URL of a database, or None.
        seed: Seed of the search.
    """

    def __init__(
        self,
        objective: str,
        sign: int,
        sampler: str,
        pruner: str,
        epochs: int,
        storage: str | os.PathLike[str] | None,
        seed: int,
    ) -> None:
        self.objective, self.sign, self.seed = objective, sign, seed
        self._make_sampler = SAMPLERS[check_choice("sampler", sampler, tuple(SAMPLERS))]
        check_choice("pruner", pruner, tuple(PRUNERS))
        # The trials of a grid.
        self.grid: list[dict[str, Value]] | None = None
        self._lock = threading.Lock()
        self._heartbeats: dict[int, Heartbeat] = {}
        with _quiet():
            self._storage = _storage(storage)
            self._study = optuna.create_study(
                storage=self._storage,
                pruner=PRUNERS[pruner](epochs),
                study_name="hornbeam",
                direction="maximize" if sign > 0 else "minimize",
                load_if_exists=True,
            )
        self._check_same({"objective": objective, "epochs": epochs, "seed": seed, "sampler": sampler})

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        """Refuse to go on with a file of another search."""
        for name, value in settings.items():
            before = self._study.user_attrs.get(name)
            if before is None:
                self._study.set_user_attr(name, value)
            elif before != value:
                raise ValueError(
                    f"the storage holds a search with {name}={before!r}, this one has {value!r}: continue it "
                    "with the same settings, or choose another storage"
                )

    # -- trials ----------------------------------------------------------------------------------------------

    def begin(self, limit: int) -> Running | None:
        """Begin a trial, or return None if `limit` trials are finished or running.

        The first trial has the defaults of all hyperparameters.

        Args:
            limit: Number of trials of the search.
        """
        with self._lock:
            self._drop_interrupted()
            index = self._free_index(self._counted())
            if index >= limit:
                return None
            self._study.sampler = self._sampler(index)
            with _quiet():
                trial = self._study.ask()
            trial.set_user_attr(_PROCESS, _this_process())
            if self._beats:
                self._heartbeats[trial.number] = Heartbeat(self._storage, trial)
            index = self._index_of(trial)
            if index >= limit:  # another process was faster
                self._tell(trial, None, TrialState.FAIL)
                return None
            trial.set_user_attr(_INDEX, index)
            sampler = self._sampler(index)

        def draw(parameter: Parameter) -> Value:
            with self._lock, _quiet():
                self._study.sampler = sampler
                if index == 0 and isinstance(sampler, _FixedSampler):
                    sampler.values.setdefault(parameter.name, parameter.default)
                return parameter.suggest(trial)

        return Running(trial, index, HyperParameters.drawn_by(draw), self._seed_of(index))

    def end(self, running: Running, value: float | None, seconds: float, error: str = "") -> None:
        """Note how a trial ended.

        Args:
            running: The trial.
            value: Its objective; None if it was pruned or failed.
            seconds: Its duration.
            error: Why it failed.
        """
        attributes: dict[str, Any] = {_VALUES: running.hp.values, _SECONDS: round(seconds, 4)}
        if error:
            self._tell(running.trial, None, TrialState.FAIL, {**attributes, _ERROR: error})
        elif value is None:
            self._tell(running.trial, None, TrialState.PRUNED, attributes)
        else:
            self._tell(running.trial, value, None, attributes)

    def interrupt(self, running: Running) -> None:
        """Note that a trial was interrupted, so that it is repeated."""
        self._tell(running.trial, None, TrialState.FAIL)

    @property
    def _beats(self) -> bool:
        """True if trials report that they are alive."""
        return isinstance(self._storage, optuna.storages.RDBStorage)

    def _tell(
        self,
        trial: optuna.Trial,
        value: float | None,
        state: TrialState | None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """End a trial, unless another machine took it for gone, and repeats it."""
        heartbeat = self._heartbeats.pop(trial.number, None)
        if heartbeat is not None:
            heartbeat.stop()
        try:
            for name, attribute in (attributes or {}).items():
                trial.set_user_attr(name, attribute)
            self._study.tell(trial, value, state=state, skip_if_finished=True)
        except optuna.exceptions.UpdateFinishedTrialError:
            number = trial.user_attrs.get(_INDEX, trial.number) + 1
            print_once(f"trial {number} was without a sign of life for too long, and is repeated elsewhere")

    def results(self) -> list[Trial]:
        """Return the finished trials, in the order of their numbers."""
        results = [_result(trial) for trial in self._counted() if trial.state.is_finished()]
        return sorted(results, key=lambda trial: trial.number)

    def importances(self) -> dict[str, float]:
        """Return how much of the objective's variance each hyperparameter explains (PED-ANOVA).

        It is empty if fewer than eight trials are complete, or nothing varies. The first trial of a script,
        which has its own settings, does not count.
        """
        complete = [t for t in self._counted() if t.state == TrialState.COMPLETE and t.params]
        varied = {
            name for t in complete for name in t.params if t.params[name] != complete[0].params.get(name)
        }
        if len(complete) < 8 or not varied:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with _quiet():
            study = optuna.create_study(direction=self._study.direction)
            study.add_trials(complete)
            return optuna.importance.get_param_importances(study, evaluator=evaluator)

    # -- numbers of trials -----------------------------------------------------------------------------------

    def _counted(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that run, or ended by themselves."""
        trials = self._study.get_trials(deepcopy=False)
        return [t for t in trials if t.state != TrialState.FAIL or _ERROR in t.user_attrs]

    @staticmethod
    def _free_index(trials: Sequence[optuna.trial.FrozenTrial]) -> int:
        used = {t.user_attrs.get(_INDEX) for t in trials}
        return next(i for i in itertools.count() if i not in used)

    def _index_of(self, trial: optuna.Trial) -> int:
        """Return the number of a new trial: the least that no trial before it has."""
        deadline = time.monotonic() + _MAX_WAIT
        while True:
            before = [t for t in self._counted() if t.number < trial.number]
            if all(_INDEX in t.user_attrs for t in before) or time.monotonic() > deadline:
                return self._free_index(before)
            time.sleep(0.01)

    def _drop_interrupted(self) -> None:
        """Mark trials without a sign of life, without a process on this machine, or that never had one."""
        if self._beats:
            with _quiet():
                optuna.storages.fail_stale_trials(self._study)
        latest = datetime.now() - timedelta(seconds=_MAX_WAIT)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            process = trial.user_attrs.get(_PROCESS)
            is_nameless = process is None and (trial.datetime_start or latest) <= latest
            if is_nameless or (process is not None and _is_gone(process)):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    # -- seeds -----------------------------------------------------------------------------------------------

    def _seed_of(self, index: int) -> int:
        return (self.seed * _SPREAD + index) % 2**32

    def _sampler(self, index: int) -> optuna.samplers.BaseSampler:
        if self.grid is not None:
            return _FixedSampler(dict(self.grid[index]))
        if index == 0:  # `begin` fills in the defaults
            return _FixedSampler({})
        with _quiet():
            return self._make_sampler(self._seed_of(index))


def _result(trial: optuna.trial.FrozenTrial) -> Trial:
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
    reported = trial.intermediate_values
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Trial(
        number=trial.user_attrs.get(_INDEX, trial.number) + 1,
        values=trial.user_attrs.get(_VALUES, trial.params),
        value=value,
        state=state,
        epochs=len(reported),
        seconds=trial.user_attrs.get(_SECONDS, 0.0),
        error=trial.user_attrs.get(_ERROR, ""),
    )


def _storage(storage: str | os.PathLike[str] | None) -> Any:
    """Return Optuna's storage: memory, a database, or a journal in a file."""
    if storage is None or (isinstance(storage, str) and storage.startswith("sqlite:")):
        return storage
    if isinstance(storage, str) and "://" in storage:
        return database(storage)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    # This lock works on Windows and network drives, too. One that a killed process has left is broken after
    # the grace period.
    lock = JournalFileOpenLock(str(path), grace_period=_LOCK_SECONDS)
    return JournalStorage(JournalFileBackend(str(path), lock))


def _this_process() -> str:
    return f"{socket.gethostname()} {os.getpid()} {_start_time(os.getpid())}"


def _is_gone(process: str) -> bool:
    """Return True if a process of this machine has ended. Of others, and on Windows, nothing is known."""
    host, _, rest = process.partition(" ")
    if host != socket.gethostname() or sys.platform == "win32":
        return False
    pid, _, start = rest.partition(" ")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _start_time(int(pid)) != start


def _start_time(pid: int) -> str:
    """Return when a process was started, as Linux counts it, so that a later one is not taken for it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Optuna logs about each study, and its warnings of arguments that may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)  # `begin` has one
            yield
    finally:
        optuna.logging.set_verbosity(before)
