"""Making segments of a certified training again, inside of a `fit` with the same data and settings."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from hornbeam._internal.origin import is_own
from hornbeam.certificate import facts
from hornbeam.certificate.confidence import Draw
from hornbeam.certificate.hashing import hash_arrays
from hornbeam.certificate.recorder import state_name
from hornbeam.certificate.refusals import check_certifiable
from hornbeam.certificate.state import (
    STEERING,
    Snapshot,
    StateFollower,
    metrics_of,
    snapshot,
    snapshot_hashes,
    weights_of,
)
from hornbeam.certificate.statement import stated_rates
from hornbeam.certificate.verification import Verification
from hornbeam.errors import CertificateError, ModelFileError
from hornbeam.saving.checkpoint import read_checkpoint
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.base import Callback, Logs
from hornbeam.training.run import TrainingRun


class ReplayEnd(BaseException):
    """Leaves the `fit` in which a training was made again, and the program around it."""


class _SegmentEnd(BaseException):
    """Leaves a training at the end of a segment."""


class Replay(StateFollower):
    """Make segments of a certificate's chain again when `fit` begins, compare, and leave `fit`.

    Args:
        statement: The certificate.
        draw: Segments that are made again.
        states: Folder of the states, None to begin with the first step.
        result: Result that sentences are added to.
    """

    def __init__(
        self, statement: dict[str, Any], draw: Draw, states: Path | None, result: Verification
    ) -> None:
        self.predicate = statement["predicate"]
        self.weights = statement["subject"][0]["digest"]["hornbeamArrays1"]
        self.entries = self.predicate["chain"]["entries"]
        self.rates = stated_rates(self.entries)
        super().__init__(self.predicate["chain"]["every"])
        self.draw, self.states, self.result = draw, states, result
        self.trained: Any = None
        # True if a program calls `fit`, whose source files are compared.
        self.checks_program = False
        # Number of the entry that the training is at, and of that at which it stops.
        self._at, self._stop = -1, 0
        self._compared: set[int] = set()

    def take_over(self, callback: Callback) -> None:
        """Take the part of a program's `Certificate` in its `fit`. Does not return."""
        self.set_model(callback.model)
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin()
        run = self.run
        assert run is not None
        # Those that write files or print would do so again.
        kept = [c for c in run.callbacks.callbacks if type(c) in STEERING or not is_own(type(c))]
        run.callbacks.callbacks = [*(c for c in kept if c is not self), self]
        check_certifiable(run)
        self._compare_facts(run)
        if self.checks_program:
            self._compare_program()
        if not self.result.problems:
            self._make_segments(run)
        raise ReplayEnd

    # -- facts ---------------------------------------------------------------------------------------------

    def _compare_facts(self, run: TrainingRun) -> None:
        definition = self.predicate["buildDefinition"]
        stated, dependencies = definition["externalParameters"], definition["resolvedDependencies"]
        present = facts.parameters_of(run, stated["model"])  # which the graph stands for
        for name in ("fit", "seed", "start", "callbacks", "validation"):
            self._compare(name, stated[name], present[name])
        stated, inner = definition["internalParameters"], facts.inner_facts(run)
        for name in ("engine", "floatx", "graph"):
            self._compare(name, stated[name], inner[name])
        data = [*facts.data_facts("data", run.data), *facts.data_facts("validation", run.validation)]
        self._compare_dependencies("data", data, [d for d in dependencies if not _is_program(d)])
        if isinstance(run.data, ArrayData) and run.settings.steps is None:
            ends = [entry["step"] for entry in self.entries if not entry["done"]]
            for before, after in itertools.pairwise(ends):
                if after - before != run.data.steps:
                    self._compare(f"steps of the epoch before step {after}", after - before, run.data.steps)
        if stated["kernels"] != inner["kernels"] and not self.result.problems:
            raise CertificateError(
                f"this computer cannot tell: the training was made with {stated['kernels']!s:.60}, and with "
                f"{inner['kernels']} last bits are others. {_other_computer(stated['kernels'])}"
            )

    def _compare(self, name: str, stated: Any, present: Any) -> None:
        if stated != present:
            self.result.problems.append(
                f"{name}: {stated!r:.200} in the certificate, {present!r:.200} in the training made again"
            )

    def _compare_dependencies(self, title: str, present: list[Any], stated: list[Any]) -> None:
        different = sorted(
            {fact["name"] for fact in [*present, *stated] if present.count(fact) != stated.count(fact)}
        )
        if different:
            self.result.problems.append(f"other {title} than in the certificate: {', '.join(different[:5])}")
        elif stated:
            self.result.checked.append(f"{title}: {', '.join(sorted(fact['name'] for fact in stated)[:6])}")

    def _compare_program(self) -> None:
        """Compare the source files of the program that runs."""
        dependencies = self.predicate["buildDefinition"]["resolvedDependencies"]
        self._compare_dependencies("program", facts.program_files(), list(filter(_is_program, dependencies)))

    # -- segments ------------------------------------------------------------------------------------------

    def _make_segments(self, run: TrainingRun) -> None:
        if self.states is None:
            self._train(run, 0, len(self.entries) - 1)
        else:
            self._compare_beginning(run)
            for first, last in joined(self.draw.chosen):
                if not self.result.problems:
                    self._restore(run, first)
                    self._train(run, first, last)
        if self.result.problems:
            return
        optimizer = run.model.optimizer
        if self.predicate["runDetails"]["metadata"]["complete"]:
            if optimizer is not None and optimizer.built:
                optimizer.finalize_variable_values(run.model.trainable_variables)
            run.callbacks.on_train_end({})
        if hash_arrays(weights_of(run.model)) != self.weights:
            self.result.problems.append("the final weights are others than those of the certificate")
        else:
            self.result.checked.append("final weights, made again")
        self.trained = run.model

    def _compare_beginning(self, run: TrainingRun) -> None:
        """Say so if the seed does not lead to the first state: the weights may come from a file.

        The learning rate and the random state must be those of the program all the same.
        """
        self._train(run, 0, 0)
        if not self.result.problems:
            return
        self.result.problems.clear()
        self.result.unchecked.append(
            "where the first weights come from: the seed gives others than the first state holds"
        )
        beginning = snapshot(run, False, self.entries[0].get("batches", ""))
        self._compare("learning rate", self.rates[0], beginning.rates)
        self._restore(run, 0)
        position = snapshot(run, False, self.entries[0].get("batches", "")).position
        if position != beginning.position:
            self.result.problems.append("the first state has another random state than the seed gives")

    def _restore(self, run: TrainingRun, number: int) -> None:
        assert self.states is not None
        path = self.states / state_name(number)
        if not path.is_file():
            raise CertificateError(f"the states lack {path.name}, with which segment {number + 1} begins")
        names = {type(callback).__name__ for callback in run.callbacks.callbacks}

        def accept(state: dict[str, Any]) -> None:
            kept = [entry for entry in state["callbacks"] if entry["class"] in names]
            run.restore({**state, "callbacks": kept})

        try:
            read_checkpoint(run.model, path, accept)
        except (ModelFileError, ValueError, KeyError, TypeError) as error:
            raise CertificateError(f"the state {path.name} cannot be used: {error}") from error

    def _train(self, run: TrainingRun, first: int, last: int) -> None:
        """Train from entry `first` to entry `last`, and compare on the way."""
        self._at, self._stop = first - 1, last
        self._begun = first > 0
        if first > 0:
            self._at, entry = first, self.entries[first]
            self._compare_entry(first, snapshot(run, False, entry.get("batches", "")), None)
        if self.result.problems:
            return
        try:
            run.train()
        except _SegmentEnd:
            run.epoch_is_over = False
        if self._at < last and not self.result.problems:
            self.result.problems.append(f"the training ends before entry {last} of the chain")

    def reached(self, finished: bool, logs: Logs | None) -> None:
        entry = self.entries[self._at + 1]
        before = self.entries[self._at]["step"] if self._at >= 0 else entry["step"]
        state = self.taken(finished, before)
        self._at += 1
        self._compare_entry(self._at, state, logs)
        if self.result.problems or self._at == self._stop:
            raise _SegmentEnd

    def _compare_entry(self, number: int, state: Snapshot, logs: Logs | None) -> None:
        entry = self.entries[number]
        moment = f"step {entry['step']:,} (epoch {entry['epoch'] + bool(entry['done'])})"
        if (state.position["epoch"], state.position["done"]) != (entry["epoch"], entry["done"]):
            self.result.problems.append(f"the chain has another entry than the training at {moment}")
        elif state.rates != self.rates[number]:
            self._compare(f"learning rate at {moment}", self.rates[number], state.rates)
        elif logs is not None and metrics_of(logs) != entry.get("metrics"):
            shown = difference(entry.get("metrics", {}), metrics_of(logs))
            self.result.problems.append(f"the metrics at {moment}: {shown}")
        elif snapshot_hashes(state)[0] != entry["state"]:
            self.result.problems.append(f"the state at {moment} is another than that of the certificate")


def _other_computer(kernels: str) -> str:
    """Name a computer that has kernels of this kind."""
    if kernels.startswith("split"):
        return "HORNBEAM_ISA=portable selects such kernels, in builds that have them"
    if kernels.endswith("bfloat16"):
        return "AMD's processors with AVX512-BF16 have them"
    return "Processors with AVX2 or NEON have them; HORNBEAM_ISA=avx2 leaves instructions for bfloat16 out"


def _is_program(dependency: Any) -> bool:
    return str(dependency["name"]).startswith("program/")


def joined(chosen: tuple[int, ...]) -> list[tuple[int, int]]:
    """Join neighboring segments: return pairs of the entries at which they begin and end."""
    pairs: list[tuple[int, int]] = []
    for number in chosen:
        if pairs and pairs[-1][1] == number:
            pairs[-1] = pairs[-1][0], number + 1
        else:
            pairs.append((number, number + 1))
    return pairs


def difference(stated: dict[str, str], present: dict[str, str]) -> str:
    """Say of which metric, the first by name, the certificate has another value than is computed here."""
    name = min(name for name in stated | present if stated.get(name) != present.get(name))
    return f"{name} is {stated.get(name)} in the certificate, {present.get(name)} here"
