"""Area under a curve of two rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_choice
from hornbeam._internal.warn import warn_user
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.ir.limits import count_elements
from hornbeam.losses.shapes import as_weights
from hornbeam.metrics.confusion import KINDS, ConfusionMetric, checked_thresholds
from hornbeam.metrics.metric import MODULE


@exported(MODULE)
class AUC(ConfusionMetric):
    """Area under a curve of two rates, as a sum over thresholds; 0 for targets of one class.

    Args:
        num_thresholds: Integer, number of evenly spaced thresholds; more of them are more accurate.
        curve: "ROC" (recall over FP / (FP + TN)), "PR" (precision over recall), or "PRGAIN" (their gains,
            Flach & Kull 2015).
        summation_method: Rule between thresholds: "interpolation" (trapezoids; for PR the interpolation of
            Davis & Goadrich 2006, https://www.biostat.wisc.edu/~page/rocpr.pdf), "minoring" or "majoring"
            (lower or upper sums).
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        thresholds: Sequence of thresholds in (0, 1) that replaces `num_thresholds`, or None.
        multi_label: Treat the columns of predictions (batch, labels) as separate decisions and average their
            areas.
        num_labels: Integer, number of labels if `multi_label`; None to infer it.
        label_weights: Sequence of numbers, the weights of the labels in the average, or None.
        from_logits: Whether predictions are arguments of a sigmoid instead of probabilities. Logits that
            differ beyond the outer thresholds, about 5 with 200 of them, count as equal, and in float32
            those above 17 are equal.

    Example:
        >>> m = AUC(); m.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]); round(float(m.result()), 4)
        0.75
    """

    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DTypeLike | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = check_choice("curve", str(curve).upper(), ("ROC", "PR", "PRGAIN"))
        methods = ("interpolation", "minoring", "majoring")
        self.summation_method = check_choice("summation_method", str(summation_method).lower(), methods)
        if thresholds is None:
            if num_thresholds < 2:
                raise ValueError(f"num_thresholds must be at least 2, got {num_thresholds!r}")
            count_elements(num_thresholds)
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(checked_thresholds(thresholds))
        super().__init__([-epsilon(), *inner, 1.0 + epsilon()], KINDS, name, dtype)
        # The curve has its ends whatever the predictions are.
        self._limits = [-np.inf, *inner, np.inf]
        if num_labels and not multi_label:
            raise ValueError("num_labels needs multi_label=True")
        self._given = thresholds
        self._warned = False
        self.num_thresholds = len(self._thresholds)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        self.from_logits = from_logits
        if num_labels or not multi_label:
            self._build(*([num_labels] if num_labels else []))

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets 0 and 1.

        Args:
            y_true: Tensor of any shape, of 0 and 1.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        y_pred = ops.convert_to_tensor(y_pred)
        self._check_scores(y_pred, "for logits write AUC(from_logits=True), or scale other scores to 0 to 1")
        if not self._counters:
            self._build(int(ops.shape(y_pred)[-1]))
        if self.label_weights is not None and not self.multi_label:
            row = ops.broadcast_to(
                ops.convert_to_tensor(self.label_weights, dtype=self.dtype), ops.shape(y_pred)
            )
            if sample_weight is not None:
                row = row * as_weights(
                    ops.cast(sample_weight, self.dtype), row.shape, "sample_weight", self.name
                )
            sample_weight = row
        self._update(y_true, y_pred, sample_weight, self.multi_label)

    def result(self) -> Tensor:
        if not self._counters:
            return ops.convert_to_tensor(0.0, dtype=self.dtype)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(self._interpolated())
        x, y = self._axes()
        left, right = y[:-1], y[1:]
        combine = {"minoring": ops.minimum, "majoring": ops.maximum}.get(self.summation_method)
        heights = (left + right) / 2.0 if combine is None else combine(left, right)
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def _axes(self) -> tuple[Tensor, Tensor]:
        recall = self._rate("true_positives", "true_positives", "false_negatives")
        if self.curve == "ROC":
            return self._rate("false_positives", "false_positives", "true_negatives"), recall
        if self.curve == "PR":
            return recall, self._rate("true_positives", "true_positives", "false_positives")
        tp, fp, tn, fn = (self._counters[kind] for kind in KINDS)
        odds = ops.divide_no_nan(tp + fn, tn + fp)
        none = ops.equal(tp, 0.0)
        recall_gain = ops.where(none, 0.0, 1.0 - odds * ops.divide_no_nan(fn, tp))
        precision_gain = ops.where(none, 1.0, 1.0 - odds * ops.divide_no_nan(fp, tp))
        return ops.maximum(recall_gain, 0.0), precision_gain

    def _interpolated(self) -> Tensor:
        """Integrate precision between thresholds, where TP grows linearly with TP + FP."""
        tp, fn = self._counters["true_positives"].value, self._counters["false_negatives"].value
        positives = tp + self._counters["false_positives"]
        gained = tp[:-1] - tp[1:]
        rate = ops.divide_no_nan(gained, ops.maximum(positives[:-1] - positives[1:], 0.0))
        intercept = tp[1:] - rate * positives[1:]
        both = ops.logical_and(positives[:-1] > 0.0, positives[1:] > 0.0)
        ratio = ops.where(both, ops.divide_no_nan(positives[:-1], positives[1:]), 1.0)
        return ops.divide_no_nan(rate * (gained + intercept * ops.log(ratio)), tp[1:] + fn[1:])

    def _over_labels(self, pieces: Tensor) -> Tensor:
        areas = ops.sum(pieces, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(self.label_weights, dtype=self.dtype)
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def warn_of_one_class(self) -> None:
        """Say once that an area is 0 because the targets so far lack a class that its curve needs."""
        if self._warned or not self._counters:
            return
        tp, fp, tn, fn = (np.asarray(self._counters[kind].value)[0] for kind in KINDS)
        lacking = (tp + fn == 0) | ((fp + tn == 0) & (self.curve != "PR"))
        lacking &= tp + fp + tn + fn > 0
        if lacking.any():
            self._warned = True
            which = f"of labels {np.flatnonzero(lacking).tolist()} " if self.multi_label else ""
            warn_user(
                f"{self.name}: the targets {which}are of one class, and no {self.curve} curve is defined: "
                "its area counts as 0. Evaluate samples of both classes",
                LikelyMistakeWarning,
            )

    def get_config(self) -> dict[str, Any]:
        config = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        if self._given is not None:
            config["thresholds"] = self._thresholds[1:-1]
        return {**self._base_config(), **config}
