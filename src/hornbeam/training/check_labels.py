"""Checks of a loss against the model's last layer and the targets, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam._internal import warning_policy
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.losses import Loss

_SPARSE = ("sparse_categorical_crossentropy", "categorical_generalized_cross_entropy")
_CATEGORICAL = ("categorical_crossentropy", "categorical_focal_crossentropy")
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")


# -- losses against outputs ------------------------------------------------------------------------


def loss_kind(loss: Loss | None) -> str | None:
    """Return "sparse", "categorical" or "binary" for a cross-entropy of this library, else None."""
    name = loss_function_name(loss)
    if name in _SPARSE:
        return "sparse"
    if name in _CATEGORICAL:
        return "categorical"
    return "binary" if name in _BINARY else None


def loss_axis(loss: Loss) -> int:
    """Return the class axis of a cross-entropy of this library."""
    return int(_option(loss, "axis", -1))


def loss_function_name(loss: Loss | None) -> str:
    """Return the name of the function that a loss of this library applies, "" for any other loss."""
    fn: Any = getattr(loss, "fn", None)
    return fn.__name__ if getattr(fn, "__module__", "").startswith("hornbeam.losses") else ""


def takes_logits(loss: Loss | None) -> bool:
    """Return whether a loss of this library expects logits instead of probabilities."""
    return bool(_option(loss, "from_logits", False))


def _option(loss: Loss | None, name: str, default: Any) -> Any:
    return getattr(loss, "options", {}).get(name, default)


_ACTIVATIONS = {"softmax": "softmax", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def last_activations(node: Node) -> tuple[str | None, str | None]:
    """Return the activation that computes a node, and the one that computes its argument."""
    node = skip_movement(node)
    inner = last_activation(node.inputs[0]) if node.name in _ACTIVATIONS else None
    return last_activation(node), inner


def last_activation(node: Node) -> str | None:
    """Return the activation that computes a node, None if unknown.

    It is "softmax", "sigmoid", "tanh", "relu" or "linear".

    "linear" is a product or convolution with a trained weight.
    """
    node = skip_movement(node)
    if node.name in _ACTIVATIONS:
        return _ACTIVATIONS[node.name]
    if node.name == "add":
        operands = [skip_movement(operand) for operand in node.inputs]
        if any(map(_is_weighted_sum, operands)) and any(x.primitive is None for x in operands):
            return "linear"
    return "linear" if _is_weighted_sum(node) else None


def skip_movement(node: Node) -> Node:
    """Return the operand under casts, reshapes, broadcasts and transposes."""
    while node.name in ("convert", "reshape", "broadcast", "transpose"):
        node = node.inputs[0]
    return node


def _is_weighted_sum(node: Node) -> bool:
    return node.name in ("dot_general", "conv") and skip_movement(node.inputs[1]).primitive is None


def check_activation(loss: Loss, prediction: Tensor, where: str) -> None:
    """Compare the `from_logits` of a cross-entropy with the activation that computes the prediction.

    The warning policy decides about softmax or sigmoid with from_logits=True, scores with from_logits=False,
    a softmax over one unit, and classes that are compared with one unit.
    """
    activation = last_activation(prediction.node)
    layer = prediction.node.scope
    at = f"{where} (layer {layer!r})" if layer else where
    kind = loss_kind(loss)
    units = prediction.shape[-1] if prediction.shape else 1
    if activation == "softmax" and units == 1 and loss_function_name(loss):
        warning_policy.on_warning(
            f"{at} ends in a softmax over 1 unit, which is always 1. For yes or no use "
            "Dense(1, activation='sigmoid') with binary_crossentropy, for classes one unit each"
        )
    if kind in ("sparse", "categorical") and units == 1:
        warning_policy.on_warning(
            f"{at} has 1 unit, but {loss.name} compares classes: use one unit per class, or "
            "binary_crossentropy with a sigmoid for yes or no"
        )
    if kind is not None and activation is not None:
        _check_logits(loss, kind, activation, at)


def _check_logits(loss: Loss, kind: str, activation: str, at: str) -> None:
    from_logits = takes_logits(loss)
    if from_logits and activation in ("softmax", "sigmoid"):
        warning_policy.on_warning(
            f"{at} ends in a {activation}, but the loss {loss.name} has from_logits=True and would apply it "
            "a second time: remove the activation, or write from_logits=False"
        )
    takes_scores = loss_function_name(loss) == "categorical_generalized_cross_entropy"
    if not from_logits and activation in ("linear", "tanh") and not takes_scores:
        name = "sigmoid" if kind == "binary" else "softmax"
        outputs = "negative values too" if activation == "tanh" else "any numbers (logits)"
        warning_policy.on_warning(
            f"{at} gives {outputs}, but the loss {loss.name} expects probabilities: add activation='{name}' "
            f"to the last layer, or write {_class_name(loss)}(from_logits=True)"
        )


def _class_name(loss: Loss) -> str:
    return "".join(word.capitalize() for word in loss_function_name(loss).split("_"))


# -- targets ---------------------------------------------------------------------------------------


def check_labels(loss: Loss, y: np.ndarray, prediction: tuple[int, ...], where: str) -> None:
    """Check all targets of a cross-entropy against an output of shape `prediction`.

    The warning policy decides about labels that the output's units cannot represent.
    """
    kind = loss_kind(loss)
    if kind is None or y.size == 0 or y.dtype.kind not in "fiub":
        return
    if kind == "sparse":
        _check_sparse(loss, y, prediction[loss_axis(loss)], where)
    elif kind == "binary":
        _check_binary(y, where)
    else:
        _check_one_hot(y, where, _option(loss, "axis", -1))


def _check_binary(y: np.ndarray, where: str) -> None:
    low, high = y.min(), y.max()
    if low >= 0 and high <= 1:
        return
    hint = ""
    if (low, high) == (-1, 1):
        hint = ": turn -1 and 1 into 0 and 1 with (y + 1) / 2"
    elif low == 0 and high == 255:
        hint = ": divide y by 255"
    elif low >= 0 and high == int(high):
        classes = int(high) + 1
        hint = f": for {classes} classes use sparse_categorical_crossentropy and {classes} units with softmax"
    warning_policy.on_warning(
        f"{where}: binary_crossentropy expects targets between 0 and 1, y has values from {low:g} to "
        f"{high:g}{hint}"
    )


def _check_sparse(loss: Loss, y: np.ndarray, units: int, where: str) -> None:
    ignored = _option(loss, "ignore_class", None)
    values = y if ignored is None else y[y != ignored]
    if values.size == 0:
        return
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        fraction = values[values != np.floor(values)][0]
        warning_policy.on_warning(
            f"{where}: {loss.name} expects class indices (integers), y contains {fraction:g}"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0:
        hint = f". To leave samples out, write ignore_class={low} in the loss" if ignored is None else ""
        warning_policy.on_warning(
            f"{where}: y contains the label {low}; class indices go from 0 to {units - 1}{hint}"
        )
    if high >= units:
        from_one = low >= 1 and high == units
        hint = (
            "Labels that begin at 1 need y - 1" if from_one else f"Use {high + 1} units, or check the labels"
        )
        warning_policy.on_warning(
            f"{where}: y contains the label {high}, the output has {units} units for the classes 0 to "
            f"{units - 1}. {hint}"
        )


def _check_one_hot(y: np.ndarray, where: str, axis: int) -> None:
    if ((y == 0) | (y == 1)).all():
        ones = y.sum(axis=axis)
        if (ones > 1).any():
            row = int(np.argwhere(np.atleast_1d(ones > 1))[0][0])
            warning_policy.on_warning(
                f"{where}: y is not one-hot: sample {row} has {int(np.atleast_1d(ones)[row].max())} ones. "
                "For several classes at once use a sigmoid with binary_crossentropy"
            )
    elif y.dtype.kind in "iu":
        warning_policy.on_warning(
            f"{where}: categorical_crossentropy expects one-hot rows of zeros and ones, y holds integers "
            f"from {y.min()} to {y.max()}: convert them with utils.to_categorical"
        )


def check_class_numbers(
    class_weight: Mapping[int, float], loss: Loss, prediction: tuple[int, ...], where: str
) -> None:
    """Ask the warning policy about weights of classes that the output does not have."""
    if loss_kind(loss) is None:
        return
    classes = max(prediction[-1], 2)
    unknown = [key for key in class_weight if not 0 <= key < classes]
    if unknown:
        warning_policy.on_warning(
            f"{where}: class_weight has the class {unknown[0]}, the output has the classes 0 to {classes - 1}"
        )
