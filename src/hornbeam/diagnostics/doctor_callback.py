"""A callback that knows what can be wrong with a training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hornbeam.distribution.processes import is_first
from hornbeam.engines import current_engine
from hornbeam.training.callbacks.base import Callback, Logs

if TYPE_CHECKING:
    from hornbeam.diagnostics.doctor import Finding
    from hornbeam.diagnostics.doctor.step_probe import StepProbe
    from hornbeam.diagnostics.doctor.training_trace import TrainingTrace

# A look before this share of the updates so far has been added to them would say little new.
_NEW, _AT_LEAST = 0.25, 20
# Steps behind which a long first epoch is looked into.
_EARLY = 100


class Doctor(Callback):
    """Says, once for each, what seems wrong with a training, with this run's numbers and what to do.

    Before the first update, once early in a long first epoch, and at ends of epochs it runs the model's own
    training step on some samples, keeps nothing of what that does, and looks at what layers give, what
    gradients weights get and how far an update moves them: dead and saturated units, vanishing and exploding
    gradients, rates, inputs that are not scaled, layers without use, wrong labels, over- and underfitting
    and others; docs/doctor.md has the table. It is silent where it finds nothing, and a training with it
    ends in the same bits as one without.

    verbose: 1 prints findings as they are made, 0 keeps them to `findings`, a list of
    `hornbeam.diagnostics.doctor.Finding` (name, evidence, advice, layers, epoch). ignore: names of findings
    not to snapshot for. seconds: how long its snapshots took.

    Raises ValueError for a name in `ignore` that is no finding.

    >>> doctor = hornbeam.callbacks.Doctor()
    >>> model.fit(x, y, callbacks=[doctor])  # doctest: +SKIP
    """

    chunked = True

    def __init__(self, verbose: int = 1, ignore: tuple[str, ...] | list[str] = ()) -> None:
        super().__init__()
        from hornbeam._internal.naming import nearest
        from hornbeam.diagnostics.doctor import CHECKS

        known = [check.name for check in CHECKS]
        for name in ignore:
            if name not in known:
                raise ValueError(f"Doctor(ignore=...): there is no finding {name!r}.{nearest(name, known)}")
        self.verbose = verbose
        self.ignore = frozenset(ignore)
        self.findings: list[Finding] = []
        self.seconds = 0.0
        self._trace: TrainingTrace | None = None
        self._probes: dict[Any, StepProbe] = {}
        self._unsaid: list[Finding] = []

    # -- when snapshots are taken ----------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from hornbeam.diagnostics.doctor.training_trace import TrainingTrace

        run = self.model._training_run
        self.findings, self._unsaid, self._probes, self.seconds = [], [], {}, 0.0
        steps = self.params.get("steps")
        self._trace = TrainingTrace(self.model, run, int(self.params.get("epochs") or 1), steps)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        trace = self._trace
        if trace is None or trace.snapshots:
            return
        trace.began = epoch  # and by now a training that goes on has its weights back
        self._take_snapshot(0)
        self._find("snapshot")
        self._say()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        trace = self._trace
        if trace is None or trace.epoch or len(trace.snapshots) > 1 or batch + 1 < _EARLY:
            return
        if trace.steps is None or trace.steps >= 2 * _EARLY:
            self._take_snapshot(batch + 1)
            self._find("snapshot")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        trace = self._trace
        if trace is None:
            return
        trace.history.append({name: value for name, value in (logs or {}).items()})
        updates = self.model._training_run.updates_now
        new = updates - trace.updates
        last = epoch + 1 >= trace.epochs or self.model.stop_training
        due = last or new >= max(_AT_LEAST, _NEW * trace.updates)
        if due:
            self._take_snapshot(updates)
        self._find("snapshot", "epoch") if due else self._find("epoch")
        self._say()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._trace, self._probes = None, {}

    # -- what it does ----------------------------------------------------------------------------------------

    def _take_snapshot(self, updates: int) -> None:
        from hornbeam.diagnostics.doctor.step_probe import StepProbe

        trace = self._trace
        assert trace is not None
        started = time.perf_counter()
        key = tuple(v.trainable for v in self.model.weights)
        probe = self._probes.get(key)
        if probe is None:
            signature = trace.batches[0].signature()
            probe = self._probes[key] = StepProbe(
                self.model, signature, current_engine(), self.model.run_eagerly
            )
        trace.snapshots.append(probe.snapshot(trace.batches, trace.epoch, updates))
        self.seconds += time.perf_counter() - started

    def _find(self, *when: str) -> None:
        from hornbeam.diagnostics.doctor import CHECKS, Finding

        trace = self._trace
        assert trace is not None
        for check in CHECKS:
            if check.when not in when or check.name in trace.found or check.name in self.ignore:
                continue
            if trace.found & set(check.unless) or (trace.found and "any" in check.unless):
                continue
            evidence = check.find(trace)
            if evidence is not None:
                trace.found.add(check.name)
                paths = tuple(map(str, evidence.layers))
                finding = Finding(check.name, evidence.text, check.advice, paths, trace.epoch_now)
                self.findings.append(finding)
                self._unsaid.append(finding)

    def _say(self) -> None:
        unsaid, self._unsaid = self._unsaid, []
        if not unsaid or not self.verbose or not is_first():
            return
        from rich.console import Console
        from rich.text import Text

        console = Console()
        for finding in unsaid:
            text = Text("doctor: ", "bold")
            text.append(finding.name, "bold yellow")
            text.append(f". {finding.evidence[0].upper()}{finding.evidence[1:]}. {finding.advice}.")
            console.print(text, soft_wrap=False)
