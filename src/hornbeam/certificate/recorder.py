"""A callback that writes the certificate of a training."""

from __future__ import annotations

import copy
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam._internal.context import context_variable
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.certificate import facts
from hornbeam.certificate.hashing import canonical, hash_arrays, head_of, plain
from hornbeam.certificate.refusals import check_certifiable, program_reasons
from hornbeam.certificate.signing import sign
from hornbeam.certificate.state import StateFollower, metrics_of, snapshot_hashes, weights_of
from hornbeam.certificate.statement import BUILD_TYPE, BUILDER, build, start_of, stated_rates
from hornbeam.errors import CertificateError
from hornbeam.saving.checkpoint import write_checkpoint
from hornbeam.saving.files import replace_file
from hornbeam.saving.weights import weight_groups
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.base import Logs
from hornbeam.training.callbacks.callback_list import CallbackList, CallbacksLike
from hornbeam.training.callbacks.log_failures import LogFailures
from hornbeam.training.sources import Data

if TYPE_CHECKING:
    from hornbeam.certificate.replay import Replay

# Set while a certificate is checked: what a program's `Certificate` does then instead of writing one.
current_replay: ContextVar[Replay | None] = context_variable("replay of a certificate", None)
# Seconds between two writes of the file.
_PAUSE = 5.0


class Certificate(StateFollower):
    """Write a certificate of a training: a small file by which `hornbeam verify` makes it again and compares.

    It has hashes of the data, of the program and of the state (weights, optimizer, random state) every so
    many steps and after every epoch, each with all before it, and the metrics. The same training writes the
    same bytes on every computer, but for the versions in it. The thread that hashes runs beside the training.

    Args:
        path: Path of the file, such as "run.cert".
        every: Number of steps between two hashes of the state. Fewer let a sample of the steps say more, and
            cost time.
        states: Folder for the states themselves, from each of which `hornbeam verify` can begin: large. None
            keeps none, and `verify` makes all steps again.
        key: PEM file of a private Ed25519 key that signs the certificate (`pip install cryptography`).

    Raises:
        ValueError: For wrong arguments.
        CertificateError: When training begins, if it cannot be certified; the message has the reason.

    Example:
        >>> certificate = hornbeam.callbacks.Certificate("run.cert", every=100, states="states")
        >>> model.fit(x, y, callbacks=[certificate])  # doctest: +SKIP
        >>> certificate.evaluate(x_test, y_test)  # doctest: +SKIP
    """

    checkpointed = ("_entries", "_definition")

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int = 500,
        states: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(check_int("every", every, 1))
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise ValueError(f"Certificate needs the name of a file, got {path!r}")
        self.path, self.states = Path(path), None if states is None else Path(states)
        self.key = key
        self._entries: list[dict[str, Any]] = []
        self._definition: dict[str, Any] = {}
        self._weights = ""
        self._rates: dict[str, str] | None = None  # as the last entry with learning rates has them
        self._resumes = False
        self._evaluations: list[dict[str, Any]] = []
        self._rest: dict[str, Any] = {}
        self._complete, self._written = False, 0.0
        self._hasher: ThreadPoolExecutor | None = None
        self._jobs: list[Future[None]] = []
        self._failures = LogFailures("Certificate")

    # -- hooks ---------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        assert self.run is not None
        replay = current_replay.get()
        if replay is not None:
            replay.take_over(self)
        check_certifiable(self.run)
        size = self.run.model.steps_per_execution
        self.chunk_bound = self.every = -(-self.every // size) * size
        self._entries, self._evaluations, self._complete = [], [], False
        self._definition, self._rest, self._resumes, self._rates = {}, {}, False, None
        self._failures = LogFailures("Certificate")
        with replace_file(self.path) as file:  # a path that cannot be written fails now
            file.write(b"{}\n")
        if self.states is not None:
            self.states.mkdir(parents=True, exist_ok=True)
        self._hasher = ThreadPoolExecutor(1, "hornbeam-certificate")

    def reached(self, finished: bool, logs: Logs | None) -> None:
        assert self.run is not None
        assert self._hasher is not None
        if not self._rest:
            self._define()
        before = self._entries[-1]["step"] if self._entries else self.run.updates_now
        if self._entries and self._resumes:
            self._resumes = False
            return  # the training goes on between two entries
        state = self.taken(finished, before)
        entry: dict[str, Any] = {
            "epoch": state.position["epoch"],
            "done": state.position["done"],
            "step": self.run.updates_now,
        }
        if "batches" in state.position:
            entry["batches"] = state.position["batches"]
        if state.rates != self._rates:
            entry["learningRate"] = self._changed_rates(state.rates)
        if finished:
            entry["metrics"] = metrics_of(logs or {})
        saved = None
        if self.states is not None:
            saved = weight_groups(self.model, merged=False), copy.deepcopy(self.run.state(finished))
        self._wait(most=1)  # of states in memory
        self._entries.append(entry)
        self._jobs.append(self._hasher.submit(self._record, len(self._entries) - 1, entry, state, saved))

    def _changed_rates(self, rates: dict[str, str]) -> dict[str, str]:
        """Keep learning rates. Raise CertificateError if a schedule came or went, which no state holds."""
        before = rates if self._rates is None else self._rates
        for name in before:
            if before[name] != rates.get(name) and "{" in before[name] + rates.get(name, "{"):
                raise CertificateError(
                    f"this training cannot be certified: {name} was {before[name]}, and became "
                    f"{rates.get(name)} while fit() ran: give compile() one schedule for the whole training"
                )
        self._rates = rates
        return rates

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._hasher is None:
            return
        self._wait()
        self._hasher.shutdown()
        self._hasher = None
        self._weights, self._complete = hash_arrays(weights_of(self.model)), True
        self._write()

    def get_state(self) -> dict[str, Any]:
        self._wait()
        return {name: copy.deepcopy(getattr(self, name)) for name in self.checkpointed}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._resumes = bool(self._entries)
        self._rates = stated_rates(self._entries)[-1] if self._entries else None
        if self._resumes and self.run is not None and not isinstance(self.run.data, ArrayData):
            raise CertificateError("a certified training over a stream cannot be resumed")

    # -- the file ------------------------------------------------------------------------------------------

    def _define(self) -> None:
        """Collect what is fixed before the training."""
        run = self.run
        assert run is not None
        model = facts.config_text(run.model)
        self._rest = {"needsProgram": program_reasons(run, bool(model)), "caveats": facts.caveats_of(run)}
        for caveat in self._rest["caveats"]:
            warn_user(f"Certificate: {caveat}")
        parameters = facts.parameters_of(run, model)
        if self._definition:  # of the training that is resumed
            before = self._definition["externalParameters"]
            # The model's config has the learning rate, which may have changed since.
            parameters |= {name: before[name] for name in ("model", "start", "seed")}
        inner = facts.inner_facts(run)
        kernels = self._definition.get("internalParameters", inner)["kernels"]
        if kernels != inner["kernels"]:
            raise CertificateError(
                f"this training began with {kernels}, and would go on with {inner['kernels']}, whose last "
                "bits are others: resume it on a computer like the first one"
            )
        self._definition = {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": inner,
            "resolvedDependencies": facts.program_files(),
        }
        assert self._hasher is not None
        self._jobs.append(self._hasher.submit(self._hash_data, run.data, run.validation))

    def _hash_data(self, data: Data, validation: Data | None) -> None:
        """Hash the data, in another thread."""
        hashed = [*facts.data_facts("data", data), *facts.data_facts("validation", validation)]
        self._definition["resolvedDependencies"][:0] = hashed

    def _record(self, number: int, entry: dict[str, Any], state: Any, saved: Any) -> None:
        """Hash a state, in another thread, and write it if the certificate keeps states."""
        entry["state"], self._weights = snapshot_hashes(state)
        with self._failures.caught(self.path):
            if saved is not None and self.states is not None:
                write_checkpoint(self.states / state_name(number), *saved)
            if time.monotonic() - self._written > _PAUSE and "metrics" in entry:
                self._write()

    def _wait(self, most: int = 0) -> None:
        """Wait until at most so many jobs are left."""
        while len(self._jobs) > most:
            self._jobs.pop(0).result()

    def _predicate(self) -> dict[str, Any]:
        entries = [entry for entry in self._entries if "state" in entry]
        return {
            "buildDefinition": self._definition,
            "runDetails": {
                "builder": {"id": BUILDER, "version": facts.versions()},
                "metadata": {"complete": self._complete},
            },
            "chain": {
                "every": self.every,
                "entries": entries,
                "head": head_of(entries, start_of(self._definition)),
                "states": None if self.states is None else self.states.name,
            },
            "evaluations": self._evaluations,
            **self._rest,
        }

    def _write(self) -> None:
        self._written = time.monotonic()
        payload = canonical(build(self._predicate(), self._weights))
        data = payload + b"\n" if self.key is None else sign(payload, self.key) + b"\n"
        with self._failures.caught(self.path), replace_file(self.path) as file:
            file.write(data)

    # -- evaluations ---------------------------------------------------------------------------------------

    def evaluate(
        self, x: Tree, y: Tree = None, batch_size: int = 32, *, verbose: str | int = 0
    ) -> dict[str, float]:
        """Evaluate the trained model on test data, once, and add the result to the certificate.

        Args:
            x: Arrays of inputs, or a sealed test set (`data.seal`).
            y: Arrays of targets.
            batch_size: Samples per batch.
            verbose: As in `Model.evaluate`.

        Returns:
            Dict from names of metrics to values.

        Raises:
            CertificateError: Before the training has ended, and after the weights have changed since.
        """
        if not self._complete or hash_arrays(weights_of(self.model)) != self._weights:
            raise CertificateError("evaluate() needs the weights of the end of the certified training")
        result = self.model.evaluate(x, y, batch_size, verbose=verbose, return_dict=True)
        self._evaluations.append(
            {
                "batchSize": batch_size,
                "data": facts.evaluated_facts("test", x, y),
                "metrics": plain(result),
            }
        )
        self._write()
        return result


def state_name(number: int) -> str:
    """Return the name of the file with the state of an entry of the chain."""
    return f"{number:06d}.weights.h5"


def with_certificate(callbacks: CallbacksLike, path: str | os.PathLike[str]) -> CallbacksLike:
    """Add the Certificate of `fit(certificate=...)` to its callbacks."""
    if isinstance(callbacks, CallbackList):
        raise ValueError(f"certificate={os.fspath(path)!r}: put a Certificate(...) into the CallbackList")
    return [*CallbackList(callbacks).callbacks, Certificate(path)]
