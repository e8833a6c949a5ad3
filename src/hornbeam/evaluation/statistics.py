"""Losses and metrics as functions of sums over samples.

Whatever is a sum over samples can be resampled by one matrix product: the states of B resamples are counts
(B, n) times what each sample adds (n, d), and every value follows from a state. Means, AUC, F1, R2 and IoU
are of this kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import metrics, ops
from hornbeam.core.jit import jit

_BLOCK = 512


@dataclass(frozen=True)
class Statistic:
    """What each of n samples adds to a state, and the value that follows from a state.

    states: (n, d) float64. values: function of states (b, d) that gives (b,). kind: "mean" where the value is
    `values` of sum / weight with states (sum, weight) and grows with it, "proportion" where states
    (successes, failures) are 0 and 1, "free" for all others. sign: +1 where larger is better, -1 where
    smaller is, 0 if unknown.
    """

    name: str
    states: np.ndarray
    values: Callable[[np.ndarray], np.ndarray]
    kind: str = "free"
    sign: int = 0

    @property
    def value(self) -> float:
        """The value over all samples."""
        return float(self.values(self.states.sum(0)[None])[0])


def ratio(states: np.ndarray) -> np.ndarray:
    """sum / weight of states (b, 2), 0 where there is no weight."""
    total, weight = states[:, 0], states[:, 1]
    return np.divide(total, weight, out=np.zeros_like(total), where=weight != 0)


def mean_of(name: str, values: np.ndarray, weights: np.ndarray | None = None, sign: int = 0) -> Statistic:
    """The weighted mean of one value per sample; a share if values are 0 or 1 without weights."""
    values = np.asarray(values, np.float64).reshape(-1)
    if weights is None and np.isin(values, (0.0, 1.0)).all():
        return Statistic(name, np.stack([values, 1 - values], 1), _success_rate, "proportion", sign)
    kept = np.ones_like(values) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    return Statistic(name, np.stack([values * kept, kept], 1), ratio, "mean", sign)


def _success_rate(states: np.ndarray) -> np.ndarray:
    return ratio(np.stack([states[:, 0], states[:, 0] + states[:, 1]], 1))


# -- metrics ---------------------------------------------------------------------------------------


def of_metric(metric: Any, name: str, y: Any, y_pred: Any, weights: Any, sign: int) -> list[Statistic]:
    """A metric's values over the samples: one Statistic, or one for each value if it gives several.

    Raises ValueError for a metric whose state is no sum over samples, or that gives a dict.
    """
    given = [np.asarray(y), np.asarray(y_pred)] + ([] if weights is None else [np.asarray(weights)])
    whole = _whole(metric, given)
    states = _per_sample(metric, given)
    if not np.allclose(states.sum(0), whole, rtol=1e-3, atol=1e-3 * max(float(np.abs(whole).max()), 1.0)):
        raise ValueError("its state is no sum over samples")
    run = _valued(metric)
    first = np.asarray(run(whole[None].astype(np.float32)))
    kind = _kind(metric, states, weights)
    if kind == "proportion":
        states = states if not isinstance(metric, metrics.Mean) else _success_and_failure(states)
        return [Statistic(name, states, _success_rate, "proportion", sign)]
    if type(metric).result is metrics.Mean.result:
        return [Statistic(name, states, ratio, kind, sign)]
    if first.size == 1:
        return [Statistic(name, states, _flat(run, 0), kind, sign)]
    return [Statistic(f"{name}[{k}]", states, _flat(run, k), "free", sign) for k in range(first.size)]


def _whole(metric: Any, given: Sequence[np.ndarray]) -> np.ndarray:
    """The state after one update with all samples; it also makes the variables of metrics that wait for
    shapes.
    """
    metric.reset_state()
    metric.update_state(*given)
    state = np.concatenate([np.asarray(v, np.float64).reshape(-1) for v in metric.variables])
    metric.reset_state()
    return state


def _per_sample(metric: Any, given: Sequence[np.ndarray]) -> np.ndarray:
    zeros = [np.zeros(v.shape, v.dtype) for v in metric.variables]

    def one(parts: Any) -> Any:
        after = metric.stateless_update_state(zeros, *(part[None] for part in parts))
        return ops.concatenate([ops.reshape(ops.cast(state, "float32"), (-1,)) for state in after])

    return np.asarray(jit(lambda *parts: ops.vectorized_map(one, list(parts)))(*given), np.float64)


def _valued(metric: Any) -> Callable[[np.ndarray], Any]:
    """The compiled function of states (b, d) that gives values (b, ...)."""
    places, at = [], 0
    for variable in metric.variables:
        size = int(np.prod(variable.shape))
        places.append((slice(at, at + size), tuple(variable.shape), variable.dtype))
        at += size

    def one(state: Any) -> Any:
        parts = [ops.cast(ops.reshape(state[cut], shape), dtype) for cut, shape, dtype in places]
        found = metric.stateless_result(parts)
        if isinstance(found, dict):
            raise ValueError("it gives a dict")
        return found

    return jit(lambda states: ops.vectorized_map(one, states))


def _flat(run: Callable[[np.ndarray], Any], place: int) -> Callable[[np.ndarray], np.ndarray]:
    """Value number `place`, computed in blocks of one size so that there is one compiled function."""

    def values(states: np.ndarray) -> np.ndarray:
        count = len(states)
        size = 1 if count == 1 else _BLOCK
        padded = np.concatenate([states, np.repeat(states[-1:], -count % size, 0)]).astype(np.float32)
        blocks = [np.asarray(run(padded[at : at + size])) for at in range(0, len(padded), size)]
        return np.concatenate(blocks).reshape(len(padded), -1)[:count, place].astype(np.float64)

    return values


def _kind(metric: Any, states: np.ndarray, weights: Any) -> str:
    if isinstance(metric, metrics.Mean):
        counted = weights is None and np.isin(states, (0.0, 1.0)).all() and (states[:, 1] == 1).all()
        plain = type(metric).result is metrics.Mean.result
        return (
            "proportion"
            if counted and plain
            else "mean"
            if type(metric).__module__.startswith("hornbeam.")
            else "free"
        )
    shares = isinstance(metric, (metrics.Precision, metrics.Recall)) and states.shape[1] == 2
    return "proportion" if shares and weights is None and np.isin(states, (0.0, 1.0)).all() else "free"


def _success_and_failure(states: np.ndarray) -> np.ndarray:
    return np.stack([states[:, 0], states[:, 1] - states[:, 0]], 1)


# -- losses ----------------------------------------------------------------------------------------


def loss_values(loss: Any, y: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The loss of each sample by itself, (n,). Raises ValueError for a loss whose batches are not means of
    these.
    """
    given = [np.asarray(y), np.asarray(y_pred)] + ([] if weights is None else [np.asarray(weights)])

    def one(parts: Any) -> Any:
        rows = [part[None] for part in parts]
        return loss(rows[0], rows[1], sample_weight=rows[2] if len(rows) > 2 else None)

    values = np.asarray(jit(lambda *parts: ops.vectorized_map(one, list(parts)))(*given), np.float64)
    few = [part[:64] for part in given]
    batch = float(np.asarray(loss(few[0], few[1], sample_weight=few[2] if len(few) > 2 else None)))
    if values.ndim != 1 or not np.isclose(batch, values[:64].mean(), rtol=1e-3, atol=1e-5):
        raise ValueError("the loss of a batch is not the mean of its samples' losses")
    return values
