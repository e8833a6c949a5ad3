"""Warnings of likely mistakes: training that runs, but probably does not learn what it should.

Each check is a function from the facts of a fit to sentences, in a table. They run once per fit, before the
first step, on what is known then: the traced step, the settings, and a bounded number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.warn import warn_user
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.training.check_outputs import METRIC_CHECKS, OUTPUT_CHECKS
from hornbeam.training.check_pixels import INPUT_CHECKS
from hornbeam.training.check_settings import SETTING_CHECKS
from hornbeam.training.fit_facts import FitFacts, output_facts
from hornbeam.training.packing import Batch
from hornbeam.training.steps import Steps, training_state

Check = Callable[[FitFacts], Iterator[str]]

CHECKS: tuple[Check, ...] = (*SETTING_CHECKS, *INPUT_CHECKS, *OUTPUT_CHECKS)

_own_fit = context_variable("fits of the library", False)


def own_fit() -> override[bool]:
    """Issue no warnings inside: the library fits a model of its own making, not the user's."""
    return override(_own_fit, True)


def warn_of_likely_mistakes(facts: FitFacts) -> None:
    """Issue a `LikelyMistakeWarning` for everything that the checks find."""
    if _own_fit.get():
        return
    metrics = training_state(facts.model).metrics
    if metrics is not None:
        metrics.judged = True
    for check in CHECKS:
        for sentence in check(facts):
            warn_user(sentence, LikelyMistakeWarning)


def warn_of_metrics(model: Steps, batch: Batch) -> None:
    """Issue a `LikelyMistakeWarning` for metrics that do not fit the outputs, unless `fit` did.

    For `evaluate`; batch: all samples, of a stream the first batch.
    """
    metrics = training_state(model).metrics
    if metrics is None or metrics.judged or _own_fit.get():
        return
    metrics.judged = True
    for check in METRIC_CHECKS:
        for sentence in check(output_facts(model, batch)):
            warn_user(sentence, LikelyMistakeWarning)
