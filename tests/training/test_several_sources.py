"""Training steps of a user that take batches of several sources, each of its own size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb


class TwoSources(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = hb.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        (x, y), unlabeled = data
        loss = hb.ops.mean((self(x) - y) ** 2) + hb.ops.mean(self(unlabeled) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(hb.gradients(loss, variables), variables)
        return {"loss": loss, "rows": hb.ops.cast(x.shape[0] + 10 * unlabeled.shape[0], "float32")}


def test_batches_of_two_sizes() -> None:
    x = np.ones((8, 3), "float32")
    labeled = hb.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(4)
    unlabeled = hb.data.Dataset.from_tensor_slices(np.ones((30, 3), "float32")).batch(10)
    both = hb.data.Dataset.zip(labeled, unlabeled)
    model = TwoSources()
    model.compile("sgd")
    assert model.fit(both, verbose=0).history["rows"] == [104.0]
    plain = hb.Sequential([hb.layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="same number of samples"):
        plain.fit(hb.data.Dataset.zip(labeled.map(lambda a, b: a), unlabeled), verbose=0)
