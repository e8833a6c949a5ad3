"""Programs of operations that engines fuse, reorder and share, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

import hornbeam as hb
from hornbeam import ops
from hornbeam.core.tensor import Tensor

SHAPES = [(3, 4), (4, 3), (5,), (2, 3, 4)]


def recomputed(choice: int) -> Callable[[Tensor], Tensor]:
    inner = [
        lambda a: ops.tanh(a) * a,
        lambda a: ops.where(a > 0, a, ops.exp(ops.minimum(a, 1.0))),
        lambda a: hb.random.dropout(a, 0.5, seed=3),
    ][choice % 3]
    return hb.remat(inner)


def steps(v: Tensor, values: Sequence[Tensor], choice: int) -> dict[str, Callable[[], Tensor]]:
    """Return the operations on a value, by name; `values` are the other operands."""
    same = [w for w in values if w.shape == v.shape]
    partner = same[choice % len(same)]
    factors = [w for w in values if w.ndim == 2 and v.ndim == 2 and w.shape[0] == v.shape[1]]
    result: dict[str, Callable[[], Tensor]] = {
        "add": lambda: v + partner,
        "mul": lambda: v * partner,
        "tanh": lambda: ops.tanh(v),
        "where": lambda: ops.where(v > 0.1, v, v * 0.5),
        "reciprocal": lambda: ops.mean(v) - v / (1 + ops.square(v)),
        "relu": lambda: ops.relu(v),
        "stop": lambda: hb.stop_gradient(v) * v,
        "remat": lambda: recomputed(choice)(v),
        "transpose": lambda: ops.transpose(v),
        "flat": lambda: ops.reshape(v, (-1,)),
        "logsumexp": lambda: ops.logsumexp(v) + v,
    }
    if v.ndim:
        axis = choice % v.ndim
        result |= {
            "sum": lambda: ops.sum(v, axis=axis, keepdims=bool(choice % 2)),
            "peak": lambda: ops.max(v, axis=-1, keepdims=True) + v,
            "softmax": lambda: ops.softmax(v),
            "flip": lambda: v[::-1],
            "rows": lambda: ops.take(v, np.array([0, 0, -1]), axis=0),
            "running": lambda: ops.cumsum(v, axis=-1),
        }
        if v.shape[0] > 2:
            result["slice"] = lambda: v[1:]
        if v.size < 300:
            result |= {
                "concatenate": lambda: ops.concatenate([v, v * 2], axis=axis),
                "pad": lambda: ops.pad(v, [(1, 0)] * v.ndim),
                "spread": lambda: ops.expand_dims(v, 0) + ops.ones((2,) + (1,) * v.ndim),
            }
    if factors:
        result["matmul"] = lambda: v @ factors[choice % len(factors)]
    return result


def program(seed: int) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    def run(*inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        rng = random.Random(seed)
        values = list(inputs)
        for _ in range(rng.randint(4, 40)):
            v = rng.choice(values)
            options = steps(v, values, rng.randrange(100))
            # Kept small, so that rounding does not grow from step to step.
            values.append(ops.tanh(options[rng.choice(sorted(options))]()))
        outputs = rng.sample(values, min(3, len(values)))
        return sum((ops.sum(ops.sin(x)) for x in outputs), start=ops.zeros(())), outputs

    return run
