"""Every form of data that fit, evaluate and predict take trains the same model."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.data import Dataset
from hornbeam.training.data import StreamData, TableData
from hornbeam.training.sources import make_data

ROWS, SIZE = 20, 8
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 3)).astype("float32"), rng.normal(size=(ROWS, 1)).astype("float32")
W = rng.uniform(size=ROWS).astype("float32")


def model() -> Any:
    made = hb.Sequential([hb.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    made.compile(hb.optimizers.SGD(0.1), "mse")
    return made


def weights_after(*data: Any, **settings: Any) -> np.ndarray:
    made = model()
    made.fit(*data, epochs=2, verbose=0, **settings)
    return np.concatenate([w.reshape(-1) for w in made.get_weights()])


def expected(**settings: Any) -> np.ndarray:
    return weights_after(X, Y, batch_size=SIZE, shuffle=False, **settings)


# -- hornbeam.data -----------------------------------------------------------------------------------------


def test_datasets_in_memory_become_arrays() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    for dataset in (rows.batch(SIZE), rows.shuffle(9).batch(SIZE).prefetch(1), rows.take(9).cache().batch(4)):
        assert isinstance(make_data(dataset, None, None, None, "fit"), TableData)
    for dataset in (rows.map(lambda x, y: (x, y)).batch(SIZE), rows.batch(SIZE).map(lambda x, y: (x, y))):
        assert isinstance(make_data(dataset, None, None, None, "fit"), StreamData)
    endless = make_data(rows.batch(SIZE).repeat(), None, None, None, "fit")
    assert (endless.endless, endless.steps) == (True, 3)
    dropping = make_data(rows.batch(SIZE, drop_remainder=True), None, None, None, "fit")
    assert (dropping.samples, dropping.steps) == (16, 2)


@pytest.mark.parametrize("through_a_map", [False, True])
def test_datasets_train_as_arrays_do(through_a_map: bool) -> None:
    def through(dataset: Dataset) -> Dataset:
        return dataset.map(lambda *parts: parts) if through_a_map else dataset

    rows = through(Dataset.from_tensor_slices((X, Y)))
    np.testing.assert_allclose(weights_after(rows.batch(SIZE)), expected(), rtol=1e-6)
    weighted = through(Dataset.from_tensor_slices((X, Y, W)))
    np.testing.assert_allclose(weights_after(weighted.batch(SIZE)), expected(sample_weight=W), rtol=1e-6)
    np.testing.assert_allclose(
        weights_after(rows.batch(SIZE).repeat(), steps_per_epoch=3), expected(), rtol=1e-6
    )
    kept = rows.batch(SIZE, drop_remainder=True)
    np.testing.assert_allclose(
        weights_after(kept), weights_after(X[:16], Y[:16], batch_size=SIZE, shuffle=False), rtol=1e-6
    )


def test_shuffled_datasets_train_alike_in_memory_and_streamed() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    quick = weights_after(rows.shuffle(ROWS, seed=3).batch(SIZE))
    slow = weights_after(rows.map(lambda x, y: (x, y)).shuffle(ROWS, seed=3).batch(SIZE))
    np.testing.assert_allclose(quick, slow, rtol=1e-6)
    assert not np.allclose(quick, expected())


def test_validation_evaluation_and_prediction() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    made = model()
    history = made.fit(rows.skip(8).batch(4), validation_data=rows.take(8).batch(4), epochs=2, verbose=0)
    loss = made.evaluate(X[:8], Y[:8], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert made.evaluate(rows.take(8).batch(3), verbose=0) == pytest.approx(loss)
    shuffled = rows.shuffle(ROWS, seed=1, reshuffle_each_iteration=False).batch(6)
    order = np.concatenate([x for x, _ in shuffled.as_numpy_iterator()])
    np.testing.assert_allclose(made.predict(shuffled, verbose=0), made.predict(order, verbose=0), rtol=1e-6)
    with warnings.catch_warnings():  # another part of the same arrays is no test set that was looked at
        warnings.simplefilter("error")
        made.evaluate(rows.skip(8).batch(3), verbose=0)


def test_data_without_an_end_need_steps() -> None:
    endless = Dataset.from_tensor_slices((X, Y)).batch(SIZE).repeat()
    made = model()
    for call, argument in (
        (lambda: made.fit(endless), "steps_per_epoch"),
        (lambda: made.fit(X, Y, validation_data=endless), "validation_steps"),
        (lambda: made.evaluate(endless), "steps"),
        (lambda: made.predict(endless), "steps"),
    ):
        with pytest.raises(ValueError, match=f"no end.*give {argument}"):
            call()
    assert made.evaluate(endless, steps=2, verbose=0) == pytest.approx(
        made.evaluate(X[:16], Y[:16], verbose=0)
    )


def test_unknown_lengths() -> None:
    rows = Dataset.from_generator(lambda: zip(X, Y, strict=True)).batch(SIZE)
    np.testing.assert_allclose(weights_after(rows), expected(), rtol=1e-6)
    with pytest.warns(UserWarning, match="the data ran out in epoch 1 after 3 steps"):
        model().fit((batch for batch in rows.as_numpy_iterator()), steps_per_epoch=5, verbose=0)


def test_datasets_of_single_elements_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"batches.*\.batch\(32\)"):
        model().fit(Dataset.from_tensor_slices((X, Y[:, 0])), verbose=0)


def test_no_thread_is_left_after_training() -> None:
    rows = Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x, y), num_parallel_calls=2)
    model().fit(rows.batch(SIZE).prefetch(2), verbose=0, epochs=2)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("hornbeam-batches")]
