"""Predictions of a model together with their targets, which evaluations and reports compare.

All of them read the data by `predictions`, in one pass and in the batches of `evaluate`, so that a sealed
test set counts one use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_model
from hornbeam.models import Model
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.base import current_run
from hornbeam.training.check_arguments import check_steps, limit_steps
from hornbeam.training.compile_config import describe
from hornbeam.training.data_leakage import count_evaluation, unsealed
from hornbeam.training.packing import Batch
from hornbeam.training.sources import Data, make_data
from hornbeam.training.steps import host_part, training_state


@dataclass(frozen=True)
class Predictions:
    """Structures of arrays with a row for each sample.

    Attributes:
        x: Inputs, None unless they were kept.
        y: Targets.
        y_pred: Outputs of the model.
        sample_weight: Weights of the samples, None if there are none.
        adds_losses: True if layers add losses that depend on their inputs.
    """

    x: Tree
    y: Tree
    y_pred: Tree
    sample_weight: Tree
    adds_losses: bool

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(tree.flatten(self.y_pred)[0])


def predictions(
    model: Model,
    x: Tree,
    y: Tree = None,
    sample_weight: Tree = None,
    batch_size: int | None = None,
    steps: int | None = None,
    keep_x: bool = False,
    purpose: str = "evaluation",
) -> Predictions:
    """Predict the data of `evaluate` in one pass, and keep the targets.

    Args:
        model: Compiled model.
        x: Data as for `Model.evaluate`, as the following four arguments.
        y: Targets, unless x yields them.
        sample_weight: Weights of the samples.
        batch_size: Integer, samples per batch.
        steps: Integer, the number of batches, needed for data without an end.
        keep_x: True to keep the inputs, too.
        purpose: Entry in the log of a sealed test set; "" if the caller has opened the seal.

    Returns:
        Predictions of all samples.

    Raises:
        ValueError: For data without targets, without an end, or without a batch.
        NotImplementedError: For outputs with a mask.
    """
    if purpose:
        x, y, sample_weight = open_sealed(model, x, y, sample_weight, purpose)
    data = make_data(
        x, y, sample_weight, batch_size, "evaluate", run_host_layers=host_part(model), steps=steps
    )
    steps = limit_steps("steps", check_steps("steps", steps), data, model.steps_per_execution)
    training_state(model).validation_fingerprints.check(data)
    rows: list[tuple[Any, Any, Any, Any]] = []
    adds_losses = False
    for batch in _batches(data, steps):
        targets = batch.y
        if targets is None:
            raise ValueError("predictions are compared with targets, but y is missing")
        if not rows:
            adds_losses = _try_model(model, batch)
        outputs = training_state(model).predict_batch(batch.inputs_only())
        rows.append((batch.x if keep_x else None, targets, outputs, batch.sample_weight))
    if not rows:
        raise ValueError("the data hold no batch to evaluate: a generator can be read only once")
    data.rewind()
    inputs, targets, outputs, weights = (_concatenated([row[column] for row in rows]) for column in range(4))
    return Predictions(inputs, targets, outputs, weights, adds_losses)


def open_sealed(model: Model, x: Tree, y: Tree, sample_weight: Tree, purpose: str) -> tuple[Any, Any, Any]:
    """Return data taken out of their seal, if they have one; the evaluation is counted and printed."""
    check_model(model, where=purpose)
    x, y, sample_weight, sealed = unsealed(x, y, sample_weight, current_run(model) is not None)
    count_evaluation(sealed, f"{purpose} of {describe(model)}", quiet=False)
    return x, y, sample_weight


def _batches(data: Data, steps: int | None) -> Iterator[Batch]:
    if isinstance(data, ArrayData):
        for execution in data.epoch(steps):  # the batches of one call, `steps_per_execution` of them
            for rows in execution:
                yield data.table.take(rows)
    else:
        yield from data.epoch(steps)


def _concatenated(batches: list[Any]) -> Any:
    """Concatenate the arrays of structures; None for batches that are None."""
    if batches[0] is None:
        return None
    return tree.map_structure(lambda *arrays: None if arrays[0] is None else np.concatenate(arrays), *batches)


def _try_model(model: Model, batch: Batch) -> bool:
    """Call the model on one sample, and return True if layers add losses.

    Raises:
        NotImplementedError: If an output has a mask.
    """
    outputs = model(batch.take(slice(0, 1)).x, training=False)
    if any(getattr(output, "_keras_mask", None) is not None for output in tree.flatten(outputs)):
        raise NotImplementedError(
            f"{describe(model)} gives outputs with a mask, which predictions do not keep: give "
            "the mask as sample_weight to evaluate(), or use the last step alone"
        )
    # `losses` has the penalties of regularizers, too, which depend on weights alone.
    penalties = sum(weight.regularizer is not None for weight in model.trainable_weights)
    return len(model.losses) > penalties
