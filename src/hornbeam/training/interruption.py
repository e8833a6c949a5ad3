"""Ctrl-C during `fit`: two lines say what is kept, and how to go on."""

from __future__ import annotations

import sys

from hornbeam._internal.terminal import in_ipython, is_terminal, print_wrapped
from hornbeam.distribution.processes import is_first
from hornbeam.training.callbacks.progbar import ProgbarLogger
from hornbeam.training.run import TrainingRun

_MARK = "_hornbeam_printed"


def print_interruption(run: TrainingRun, error: KeyboardInterrupt) -> None:
    """Print what an interrupted `fit` keeps and how to go on, unless it is silent.

    The command line prints no traceback of an interrupt that was printed.
    """
    ended_line = end_progress(run)
    if run.settings.verbose == 0 or not is_first():
        return
    setattr(error, _MARK, True)
    kept, advice = [], ""
    for callback in run.callbacks.callbacks:
        text, next_step = callback._when_interrupted()
        kept += [text] if text else []
        advice = advice or next_step
    if not kept:
        kept = ["the model keeps its weights" if _is_interactive() else "nothing was saved"]
    if is_terminal(sys.stderr) and not ended_line and run.shutdown is None:
        print(file=sys.stderr)  # the terminal shows ^C
    for line in (f"Interrupted {_progress(run)}: {'; '.join(kept)}.", advice or _advice(run)):
        print_wrapped(line, sys.stderr, indent="  ")
    sys.stderr.flush()


def end_progress(run: TrainingRun) -> bool:
    """End the progress of a `fit` that stops in the middle. Returns True if a line was ended."""
    bars = [callback for callback in run.callbacks.callbacks if isinstance(callback, ProgbarLogger)]
    return any([bar.abandon() for bar in bars])


def is_printed(error: KeyboardInterrupt) -> bool:
    """Return True if `print_interruption` printed its lines."""
    return getattr(error, _MARK, False)


def _progress(run: TrainingRun) -> str:
    done, steps, epochs = run.loop.done, run.callbacks.params.get("steps"), run.settings.epochs
    if run.epoch == epochs:
        return "at the end of the last epoch"
    if done == 0:
        return f"before the first update of epoch {run.epoch + 1} of {epochs}"
    total = f" of {steps:,}" if steps else ""
    return f"in epoch {run.epoch + 1} of {epochs}, after {done:,}{total} updates"


def _advice(run: TrainingRun) -> str:
    if _is_interactive():
        return f"fit(..., initial_epoch={run.epoch}) goes on from them, model.save('model.keras') saves them."
    return "With callbacks=[BackupAndRestore('backup')] in fit() the next start goes on where this one ends."


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or in_ipython()
