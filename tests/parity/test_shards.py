"""Weights in several files change hands, with the state of the optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.keras_models import branches, tutorial
from tests.helpers.parity.comparison import fresh


@pytest.mark.parametrize("build", [tutorial, branches])
@pytest.mark.parametrize(("writer", "reader"), [(hornbeam, keras), (keras, hornbeam)])
def test_files_change_hands(build: Any, writer: Any, reader: Any, tmp_path: Path) -> None:
    fresh()
    source, x, y = build(writer)
    source.fit(x, y, epochs=1, verbose=0)
    target, *_ = build(reader)
    target.optimizer.build(target.trainable_variables)
    largest = max(array.nbytes for array in source.get_weights())
    source.save_weights(str(tmp_path / "m.weights.json"), max_shard_size=largest / 1024**3)
    assert len(list(tmp_path.glob("*.h5"))) > 1
    target.load_weights(str(tmp_path / "m.weights.json"))
    for one, other in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(target.optimizer.variables, source.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
