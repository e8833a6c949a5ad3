"""Sparse matrices of SciPy as inputs: the same as dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import hornbeam
from hornbeam import layers
from hornbeam.training import array_data

RNG = np.random.default_rng(4)
DENSE = np.where(RNG.random((90, 40)) < 0.1, RNG.normal(size=(90, 40)), 0).astype("float32")
TARGETS = (DENSE.sum(1) > 0).astype("float32")


def _model(sparse: bool = False) -> hornbeam.Model:
    hornbeam.utils.set_random_seed(7)
    inputs = hornbeam.Input((40,), sparse=sparse)
    model = hornbeam.Model(inputs, layers.Dense(1, activation="sigmoid")(inputs))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def _fitted(x: Any, **options: Any) -> tuple[dict[str, list[float]], np.ndarray]:
    model = _model(sparse=not isinstance(x, np.ndarray))
    hornbeam.utils.set_random_seed(1)
    history = model.fit(x, TARGETS, batch_size=16, epochs=3, verbose=0, **options).history
    return history, model.predict(x, verbose=0)


@pytest.mark.parametrize("form", ["csr_matrix", "coo_matrix", "csc_array", "lil_matrix"])
def test_fits_as_dense_arrays_do(form: str) -> None:
    expected, predictions = _fitted(DENSE, validation_split=0.2)
    result, again = _fitted(getattr(scipy.sparse, form)(DENSE), validation_split=0.2)
    assert list(result) == list(expected)
    for name in expected:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(again, predictions, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"class_weight": {0: 1.0, 1: 2.0}},
        {"sample_weight": np.linspace(1, 2, 90)},
        {"validation_data": (scipy.sparse.csr_matrix(DENSE[:20]), TARGETS[:20])},
        {"callbacks": [hornbeam.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: None)]},
    ],
    ids=["shuffle", "class_weight", "sample_weight", "validation_data", "batches"],
)
def test_options_of_fit(options: dict[str, Any]) -> None:
    dense = {key: (DENSE[:20], TARGETS[:20]) if key == "validation_data" else v for key, v in options.items()}
    expected, predictions = _fitted(DENSE, **dense)
    result, again = _fitted(scipy.sparse.csr_matrix(DENSE), **options)
    np.testing.assert_allclose(result["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(again, predictions, rtol=1e-5)


def test_evaluate_and_batch_methods() -> None:
    model, x = _model(), scipy.sparse.csr_matrix(DENSE)
    np.testing.assert_allclose(
        model.evaluate(x, TARGETS, verbose=0), model.evaluate(DENSE, TARGETS, verbose=0), rtol=1e-5
    )
    np.testing.assert_allclose(model(hornbeam.ops.convert_to_tensor(x)), model(DENSE), rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(x), model.predict_on_batch(DENSE), rtol=1e-5)
    loss = model.train_on_batch(x, TARGETS)
    assert np.isfinite(loss).all()


def test_only_the_rows_of_a_few_batches_are_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_data, "_DENSE_BYTES", 40 * 4 * 16)
    used: list[int] = []
    rows = array_data.rows_for
    monkeypatch.setattr(array_data, "rows_for", lambda e, a: (used.append(a.shape[0]), rows(e, a))[1])
    _fitted(scipy.sparse.csr_matrix(DENSE))
    assert max(used) == 16


def test_values_that_are_not_finite_are_named() -> None:
    bad = DENSE.copy()
    bad[3, 5] = np.nan
    with pytest.raises(ValueError, match="x contains NaN, first in sample 3"):
        _model().fit(scipy.sparse.csr_matrix(bad), TARGETS, verbose=0)
