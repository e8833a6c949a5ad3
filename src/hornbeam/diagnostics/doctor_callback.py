"""Callback that reports problems of a training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hornbeam.distribution.processes import is_first
from hornbeam.engines import current_engine
from hornbeam.training.callbacks.base import Callback, Logs, run_of

if TYPE_CHECKING:
    from hornbeam.diagnostics.doctor import Finding
    from hornbeam.diagnostics.doctor.step_probe import StepProbe
    from hornbeam.diagnostics.doctor.training_trace import TrainingTrace

# A snapshot is due once the updates grew by this fraction: earlier ones would bring little news.
_NEW, _AT_LEAST = 0.25, 20
# Step of a long first epoch after which a snapshot is taken.
_EARLY = 100


class Doctor(Callback):
    """Report problems of a training, once each, with the numbers of this run and advice.

    Before the first update, once early in a long first epoch, and at ends of epochs it runs the model's own
    training step on some samples, without side effects, and examines outputs of layers, gradients of weights
    and sizes of updates: dead and saturated units, vanishing and exploding gradients, learning rates,
    unscaled inputs, useless layers, wrong labels, over- and underfitting and others; docs/doctor.md has the
    table. It is silent if it finds nothing, and training gives the same bits with and without it.

    Its attributes are `findings`, a list of `hornbeam.diagnostics.doctor.Finding` (name, evidence, advice,
    layers, epoch), and `seconds`, the time that its snapshots took.

    Args:
        verbose: 1 prints findings at once, 0 only collects them.
        ignore: Names of findings to omit.

    Raises:
        ValueError: For a name in `ignore` that is not a finding.

    Example:
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
                raise ValueError(f"Doctor(ignore=...): no finding {name!r} exists.{nearest(name, known)}")
        self.verbose = verbose
        self.ignore = frozenset(ignore)
        self.findings: list[Finding] = []
        self.seconds = 0.0
        self._trace: TrainingTrace | None = None
        self._probes: dict[Any, StepProbe] = {}
        self._unreported: list[Finding] = []

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(finding.name for finding in self.findings))
        count = f"{len(self.findings)} finding{'s' * (len(self.findings) != 1)}" if names else "no findings"
        return f"<Doctor, {count}{': ' * bool(names)}{names}>"

    def _repr_html_(self) -> str:
        from hornbeam.visualization.findings import findings_html

        return findings_html(self.findings)

    # -- when snapshots are taken ----------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from hornbeam.diagnostics.doctor.training_trace import TrainingTrace

        run = run_of(self.model)
        self.findings, self._unreported, self._probes, self.seconds = [], [], {}, 0.0
        steps = self.params.get("steps")
        self._trace = TrainingTrace(self.model, run, int(self.params.get("epochs") or 1), steps)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        trace = self._trace
        if trace is None or trace.snapshots:
            return
        trace.began = epoch  # by now a resumed training has its weights back
        self._take_snapshot(0)
        self._run_checks("snapshot")
        self._report()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        trace = self._trace
        if trace is None or trace.epoch or len(trace.snapshots) > 1 or batch + 1 < _EARLY:
            return
        if trace.steps is None or trace.steps >= 2 * _EARLY:
            self._take_snapshot(batch + 1)
            self._run_checks("snapshot")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        trace = self._trace
        if trace is None:
            return
        trace.history.append({name: value for name, value in (logs or {}).items()})
        updates = run_of(self.model).updates_now
        new = updates - trace.updates
        last = epoch + 1 >= trace.epochs or self.model.stop_training
        due = last or new >= max(_AT_LEAST, _NEW * trace.updates)
        if due:
            self._take_snapshot(updates)
        self._run_checks("snapshot", "epoch") if due else self._run_checks("epoch")
        self._report()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._trace, self._probes = None, {}

    # -- snapshots and findings
    # ----------------------------------------------------------------------------------------

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

    def _run_checks(self, *when: str) -> None:
        from hornbeam.diagnostics.doctor import CHECKS, Finding

        trace = self._trace
        assert trace is not None
        for check in CHECKS:
            if check.when not in when or check.name in trace.reported or check.name in self.ignore:
                continue
            if trace.reported & set(check.unless) or (trace.reported and "any" in check.unless):
                continue
            evidence = check.find(trace)
            if evidence is not None:
                trace.reported.add(check.name)
                paths = tuple(map(str, evidence.layers))
                finding = Finding(check.name, evidence.text, check.advice, paths, trace.epoch_now)
                self.findings.append(finding)
                self._unreported.append(finding)

    def _report(self) -> None:
        findings, self._unreported = self._unreported, []
        if not findings or not self.verbose or not is_first():
            return
        from rich.text import Text

        from hornbeam.visualization.terminal import rich_console

        console = rich_console()
        for finding in findings:
            text = Text("doctor: ", "bold")
            text.append(finding.name, "bold yellow")
            text.append(f". {finding.evidence[0].upper()}{finding.evidence[1:]}. {finding.advice}.")
            console.print(text, soft_wrap=False)
