"""Facts about a fit that checks are made of, before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.jit import Traced
from hornbeam.losses import Loss
from hornbeam.training.check_labels import loss_function_name, loss_kind, takes_logits
from hornbeam.training.compile_config import describe
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.packing import Batch
from hornbeam.training.sources import Data
from hornbeam.training.steps import Steps, training_state

# Samples that a check reads at most.
SAMPLES = 512


@dataclass(frozen=True)
class OutputFacts:
    """An output of the model with what it is compared with.

    where: model and output, for messages. activations: that of the output, then the one under it, None if
    unknown. shape: of the prediction for a batch. target: all targets, of a stream those of the first batch.
    """

    where: str
    loss: Loss
    activations: tuple[str | None, str | None]
    shape: tuple[int, ...]
    target: np.ndarray
    metrics: list[tuple[str, Any]]

    @property
    def kind(self) -> str | None:
        """Kind of cross-entropy: "sparse", "categorical", "binary", or None."""
        return loss_kind(self.loss)

    @property
    def from_logits(self) -> bool:
        return takes_logits(self.loss)

    @property
    def is_regression(self) -> bool:
        return loss_function_name(self.loss) in _REGRESSION


_REGRESSION = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")


@dataclass(frozen=True)
class FitFacts:
    """Facts about a fit before the first step, whose steps have been traced."""

    model: Steps
    data: Data
    validation: Data | None
    settings: FitSettings
    has_callbacks: bool
    has_validation_data: bool

    @property
    def where(self) -> str:
        """The model, for messages."""
        return describe(self.model)

    @cached_property
    def batch(self) -> Batch:
        """All samples, of a stream the first batch."""
        return self.data.known

    @cached_property
    def outputs(self) -> list[OutputFacts]:
        """The outputs that have a loss of their own."""
        return output_facts(self.model, self.batch)

    def step(self) -> Traced | None:
        """Return the traced training step, None if it runs eagerly."""
        state = training_state(self.model)
        if state.run_eagerly:
            return None
        signature = self.data.signatures(self.settings.steps)[0]
        return getattr(state.compiled_step("train", signature), "traced", None)


def output_facts(model: Steps, batch: Batch) -> list[OutputFacts]:
    """Return the facts of the outputs that have a loss of their own, once a step has been traced."""
    state = training_state(model)
    losses = state.losses
    if losses is None or losses.outputs is None or batch.y is None:
        return []
    names = losses.outputs.names
    metrics: dict[str, list[tuple[str, Any]]] = {name: [] for name in names}
    if state.metrics is not None and state.metrics.outputs is not None:
        for index, metric, _, name in state.metrics.rows:
            metrics[names[index]].append((name, metric))
    targets = losses.outputs.targets(batch.y, losses.needed)
    return [
        OutputFacts(
            f"{describe(model)}, output {name!r}",
            loss,
            losses.activations[name],
            losses.shapes[name],
            target,
            metrics[name],
        )
        for name, loss, target in zip(names, losses.by_output, targets, strict=True)
        if loss is not None and isinstance(target, np.ndarray) and name in losses.activations
    ]


def some_samples(array: np.ndarray, count: int = SAMPLES) -> np.ndarray:
    """Return about `count` samples at equal distances, as a view."""
    return array[:: max(len(array) // count, 1)]


def input_arrays(facts: FitFacts) -> list[np.ndarray]:
    """Return the arrays of the inputs."""
    return [x for x in tree.flatten(facts.batch.x) if isinstance(x, np.ndarray)]
