"""ONNX's losses of classifiers, which files of training graphs hold."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.vocabulary import Call, operator


@operator("NegativeLogLikelihoodLoss")
def negative_log_likelihood(call: Call, x: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute -x[label] for log probabilities x (batch, classes, ...), weighted by class."""
    ignored, reduction = call.attributes.get("ignore_index"), call.get("reduction", "mean")
    if reduction not in ("none", "mean", "sum"):
        raise GraphError(f"reduction={reduction!r} is not supported")
    kept = ops.ones_like(labels, dtype="bool") if ignored is None else ops.not_equal(labels, ignored)
    index = ops.where(kept, labels, ops.zeros_like(labels))
    factor = ops.cast(kept, x.dtype)
    if weights is not None:
        factor = factor * ops.take(weights, index, axis=0)
    losses = -ops.squeeze(ops.take_along_axis(x, ops.expand_dims(index, 1), axis=1), 1) * factor
    if reduction == "none":
        return losses
    total = ops.sum(losses)
    return total if reduction == "sum" else total / ops.sum(factor)


@operator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(call: Call, x: Tensor, labels: Tensor, weights: Tensor | None = None) -> Any:
    """Compute the loss of scores, and their log probabilities."""
    log_probabilities = ops.log_softmax(x, axis=1)
    return negative_log_likelihood(call, log_probabilities, labels, weights), log_probabilities
