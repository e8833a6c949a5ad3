"""Conclusions from the curves of a training run: what they mean, and what to try next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree

# Fractions of the baseline above which nothing was learned, and above which the first updates did harm.
_NOTHING, _HARM = 0.98, 1.5
# Factor by which the validation loss rises again where a model overfits, rather than by noise.
_RISE = 1.05
# Magnitude of inputs that a net with the usual initial weights was not made for.
_LARGE = 20.0


def conclusions(logs: Mapping[str, Sequence[float]], baseline: float | None, x: Tree = None) -> list[str]:
    """Return sentences about a run, the most important one first.

    logs: a list of numbers an epoch by name. baseline: loss of a trivial prediction. x: the inputs, if known.
    """
    losses, validation = list(logs.get("loss") or ()), list(logs.get("val_loss") or ())
    if not losses:
        return []
    bad = next((epoch for epoch, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    if bad is not None:
        return [
            f"The loss is not finite from epoch {bad} on, and the model is of no use. fit(debug_nans=True) "
            f"names the layer where that begins; a lower learning rate usually helps. {_inputs(x)}".strip()
        ]
    if baseline and min(losses) >= _NOTHING * baseline and losses[-1] > 0.9 * losses[0]:
        return [
            "Nothing was learned: the loss never fell below that of the baseline. "
            f"{_inputs(x) or 'data.look(x, y) shows whether the inputs are scaled and the labels fit.'} "
            "lr_find(model, x, y) shows which learning rates work."
        ]
    return list(_of_curves(losses, validation, baseline, x))


def _of_curves(
    losses: Sequence[float], validation: Sequence[float], baseline: float | None, x: Tree
) -> Iterator[str]:
    if baseline and losses[0] > _HARM * baseline:
        when = "The loss is still" if losses[-1] > baseline else "In the first epoch the loss was"
        yield (
            f"{when} above the baseline: the first updates were too large, so that wrong predictions became "
            f"too confident. {_inputs(x) or _SCALE} A lower learning rate helps, too."
        )
    if len(losses) == 1:
        yield "One epoch shows no trend: train for more."
        return
    if losses[-1] > 1.02 * losses[0]:
        yield "The training loss rose: lower the learning rate, to a tenth at first."
        return
    if not validation:
        yield (
            "Without validation data the curves do not show whether the model generalizes: "
            "fit(..., validation_split=0.1)."
        )
        return
    best = int(np.nanargmin(validation)) if not all(map(math.isnan, validation)) else 0
    if best == len(validation) - 1:
        yield "The validation loss was still falling in the last epoch: more epochs may help."
    elif validation[-1] > _RISE * validation[best] and losses[-1] < losses[best]:
        yield (
            f"The model overfits since epoch {best + 1}: the training loss falls further, that of validation "
            "rises. EarlyStopping(restore_best_weights=True) keeps the best epoch; more data, augmentation, "
            "Dropout or fewer weights move it."
        )
    else:
        yield (
            f"The validation loss has not improved since epoch {best + 1}: more epochs of the same will "
            "hardly help."
        )


_SCALE = "Inputs that are not scaled are the usual cause: data.look(x) shows their range."


def _inputs(x: Tree) -> str:
    """Return a sentence about inputs of a large magnitude, "" for others."""
    for part in tree.flatten(x) if x is not None else ():
        values = np.asarray(part)[:256]
        if values.dtype.kind not in "fiu" or values.dtype.itemsize > 8 or not values.size:
            continue
        largest = float(np.abs(values.astype(np.float64)).max())
        if largest > _LARGE and values.dtype.kind == "f":
            advice = "divide by 255" if 200 < largest <= 255 else "a Normalization layer scales them"
            return f"Inputs reach {largest:.4g}: {advice}."
        if values.dtype == np.uint8 and largest > _LARGE:
            return f"Inputs reach {largest:.0f}: divide by 255, or begin the model with Rescaling(1 / 255)."
    return ""
