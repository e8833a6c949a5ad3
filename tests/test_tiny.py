"""Does the world stand? The main parts once, in seconds: run this first."""

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops


def test_arithmetic(engine: str) -> None:
    x = ops.convert_to_tensor(np.arange(6.0, dtype="float32").reshape(2, 3))
    assert (x @ ops.ones((3, 2)) + 1).numpy().tolist() == [[4.0, 4.0], [13.0, 13.0]]
    assert float(ops.sum(ops.exp(x * 0))) == 6.0


def test_gradient(engine: str) -> None:
    assert hb.grad(lambda x: ops.sum(x**3))(np.array([1.0, 2.0])).tolist() == [3.0, 12.0]


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    return (rng.normal(size=(300, 2)) * 0.3 + np.stack([y, y % 2], 1)).astype("float32"), y


def test_training(engine: str, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = blobs
    hb.utils.set_random_seed(0)
    model = hb.Sequential(
        [hb.Input((2,)), layers.Dense(16, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=15, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    assert model.evaluate(x, y, verbose=0)[1] > 0.9
    assert model.predict(x[:5], verbose=0).shape == (5, 3)


def test_convolution(engine: str) -> None:
    model = hb.Sequential(
        [
            hb.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
    model.compile("sgd", "mse")
    first, *_, last = model.fit(x, x[:, :2, 0, 0], epochs=8, batch_size=8, verbose=0).history["loss"]
    assert last < first


def test_saving(tmp_path, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = blobs
    model = hb.Sequential([hb.Input((2,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    again = hb.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
