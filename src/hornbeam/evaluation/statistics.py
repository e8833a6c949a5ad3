"""Losses and metrics as functions of sums over samples.

A sum over samples is resampled by one matrix product: the states of B resamples are counts (B, n) times what
each sample adds (n, d), and every value follows from a state. Means, AUC, F1, R2 and IoU are of this kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import metrics, ops
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam.core.jit import jit
from hornbeam.losses import Loss
from hornbeam.metrics import Metric

_BLOCK = 512


@dataclass(frozen=True)
class Statistic:
    """A value that follows from a sum over samples.

    Args:
        name: Name of the value.
        states: What each sample adds to the state, (n, d) float64.
        values: Function from states (b, d) to values (b,).
        kind: "mean" if the value is a function of sum / weight that grows with it, with states (sum, weight);
            "proportion" if states (successes, failures) are 0 and 1; "free" for all others.
        sign: +1 if larger values are better, -1 if smaller ones are, 0 if it is unknown.
    """

    name: str
    states: np.ndarray
    values: Callable[[np.ndarray], np.ndarray]
    kind: str = "free"
    sign: int = 0

    @property
    def value(self) -> float:
        """Value of all samples."""
        return float(self.values(self.states.sum(0)[None])[0])


def ratio(states: np.ndarray) -> np.ndarray:
    """Return sum / weight of states (b, 2), 0 where the weight is 0."""
    total, weight = states[:, 0], states[:, 1]
    return np.divide(total, weight, out=np.zeros_like(total), where=weight != 0)


def mean_of(name: str, values: np.ndarray, weights: np.ndarray | None = None, sign: int = 0) -> Statistic:
    """Return the weighted mean of one value a sample, a proportion if values are 0 or 1 without weights."""
    values = np.asarray(values, np.float64).reshape(-1)
    if weights is None and np.isin(values, (0.0, 1.0)).all():
        return Statistic(name, np.stack([values, 1 - values], 1), _success_rate, "proportion", sign)
    weight = np.ones_like(values) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    return Statistic(name, np.stack([values * weight, weight], 1), ratio, "mean", sign)


def _success_rate(states: np.ndarray) -> np.ndarray:
    return ratio(np.stack([states[:, 0], states[:, 0] + states[:, 1]], 1))


# -- metrics ---------------------------------------------------------------------------------------


def of_metric(
    metric: Metric, name: str, y: Tree, y_pred: Tree, weights: ArrayLike | None, sign: int
) -> list[Statistic]:
    """Return a metric as one Statistic, or one for each of its values.

    Raises ValueError for a metric whose state is not a sum over samples, or that returns a dict.
    """
    arguments = [np.asarray(y), np.asarray(y_pred)] + ([] if weights is None else [np.asarray(weights)])
    total = _total_state(metric, arguments)
    if type(metric) is metrics.R2Score:
        states = _r2_states(*arguments)
        total = states.sum(0)
    else:
        states = _sample_states(metric, arguments)
    if not np.allclose(states.sum(0), total, rtol=1e-3, atol=1e-3 * max(float(np.abs(total).max()), 1.0)):
        raise ValueError("its state is not a sum over samples")
    run = _result_function(metric)
    first = np.asarray(run(total[None].astype(np.float32)))
    kind = _kind(metric, states, weights)
    if kind == "proportion":
        states = states if not isinstance(metric, metrics.Mean) else _success_and_failure(states)
        return [Statistic(name, states, _success_rate, "proportion", sign)]
    if type(metric).result is metrics.Mean.result:
        return [Statistic(name, states, ratio, kind, sign)]
    if first.size == 1:
        return [Statistic(name, states, _value_at(run, 0), kind, sign)]
    return [Statistic(f"{name}[{k}]", states, _value_at(run, k), "free", sign) for k in range(first.size)]


def _total_state(metric: Metric, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """Return the state after one update with all samples, which also builds the metric."""
    metric.reset_state()
    metric.update_state(*arguments)
    state = np.concatenate([np.asarray(v, np.float64).reshape(-1) for v in metric.variables])
    metric.reset_state()
    return state


def _sample_states(metric: Metric, arguments: Sequence[np.ndarray]) -> np.ndarray:
    zeros = [np.zeros(v.shape, v.dtype) for v in metric.variables]

    def one(parts: Any) -> Any:
        after = metric.stateless_update_state(zeros, *(part[None] for part in parts))
        return ops.concatenate([ops.reshape(ops.cast(state, "float32"), (-1,)) for state in after])

    return np.asarray(jit(lambda *parts: ops.vectorized_map(one, list(parts)))(*arguments), np.float64)


def _r2_states(y: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return what samples add to the variables of `R2Score`.

    R2 is the same for targets and predictions less a constant, here the mean of the targets: sums are exact
    there.
    """
    y = y.reshape(y_pred.shape).astype(np.float64)
    weight = np.ones(y.shape) if weights is None else np.broadcast_to(weights.reshape(len(y), -1), y.shape)
    centred = y - y.mean(0)
    columns = (centred**2 * weight, centred * weight, (y - y_pred) ** 2 * weight, weight)
    return np.concatenate([np.full((len(y), 1), y[0].size), *columns], 1)


def _result_function(metric: Metric) -> Callable[[np.ndarray], Any]:
    """Return the compiled function from states (b, d) to values (b, ...)."""
    slices, start = [], 0
    for variable in metric.variables:
        size = int(np.prod(variable.shape))
        slices.append((slice(start, start + size), tuple(variable.shape), variable.dtype))
        start += size

    def one(state: Any) -> Any:
        parts = [ops.cast(ops.reshape(state[cut], shape), dtype) for cut, shape, dtype in slices]
        result = metric.stateless_result(parts)
        if isinstance(result, dict):
            raise ValueError("it returns a dict")
        return result

    return jit(lambda states: ops.vectorized_map(one, states))


def _value_at(run: Callable[[np.ndarray], Any], index: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of one value, computed in blocks of one size, for which it is compiled once."""

    def values(states: np.ndarray) -> np.ndarray:
        count = len(states)
        size = 1 if count == 1 else _BLOCK
        padded = np.concatenate([states, np.repeat(states[-1:], -count % size, 0)]).astype(np.float32)
        blocks = [np.asarray(run(padded[at : at + size])) for at in range(0, len(padded), size)]
        return np.concatenate(blocks).reshape(len(padded), -1)[:count, index].astype(np.float64)

    return values


def _kind(metric: Metric, states: np.ndarray, weights: Any) -> str:
    if isinstance(metric, metrics.Mean):
        counted = weights is None and np.isin(states, (0.0, 1.0)).all() and (states[:, 1] == 1).all()
        plain = type(metric).result is metrics.Mean.result
        return "proportion" if counted and plain else "mean" if is_own(type(metric)) else "free"
    counts = isinstance(metric, (metrics.Precision, metrics.Recall)) and states.shape[1] == 2
    return "proportion" if counts and weights is None and np.isin(states, (0.0, 1.0)).all() else "free"


def _success_and_failure(states: np.ndarray) -> np.ndarray:
    return np.stack([states[:, 0], states[:, 1] - states[:, 0]], 1)


# -- losses ----------------------------------------------------------------------------------------


def loss_values(loss: Loss, y: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the loss of each sample by itself, (n,).

    Raises ValueError for a loss that is not the mean of these over a batch.
    """
    arguments = [np.asarray(y), np.asarray(y_pred)] + ([] if weights is None else [np.asarray(weights)])

    def one(parts: Any) -> Any:
        rows = [part[None] for part in parts]
        return loss(rows[0], rows[1], sample_weight=rows[2] if len(rows) > 2 else None)

    values = np.asarray(jit(lambda *parts: ops.vectorized_map(one, list(parts)))(*arguments), np.float64)
    few = [part[:64] for part in arguments]
    batch = float(np.asarray(loss(few[0], few[1], sample_weight=few[2] if len(few) > 2 else None)))
    if values.ndim != 1 or not np.isclose(batch, values[:64].mean(), rtol=1e-3, atol=1e-5):
        raise ValueError("the loss of a batch is not the mean of its samples' losses")
    return values
