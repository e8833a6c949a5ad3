"""Low-rank factors beside a frozen weight: trained, merged in files, apart in checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers

MAKERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Dense": (lambda **kw: layers.Dense(5, **kw), (4, 6)),
    "EinsumDense": (lambda **kw: layers.EinsumDense("abc,cde->abde", (None, 2, 5), **kw), (4, 6)),
    "EinsumDense, last axis summed": (
        lambda **kw: layers.EinsumDense("abc,dc->abd", (None, 5), **kw),
        (4, 6),
    ),
    "Conv1D": (lambda **kw: layers.Conv1D(4, 3, **kw), (4, 6)),
    "Conv2D": (lambda **kw: layers.Conv2D(4, 2, groups=2, **kw), (4, 4, 6)),
    "Conv3D": (lambda **kw: layers.Conv3D(4, 1, **kw), (2, 2, 2, 6)),
    "Embedding": (lambda **kw: layers.Embedding(9, 6, **kw), (4,)),
}
RNG = np.random.default_rng(0)


def example(name: str, batch: int = 5) -> np.ndarray:
    shape = (batch, *MAKERS[name][1])
    return RNG.integers(0, 9, shape) if name == "Embedding" else RNG.normal(size=shape).astype("float32")


def model_of(name: str, **options: Any) -> hornbeam.Model:
    hornbeam.utils.set_random_seed(0)
    make, shape = MAKERS[name]
    dtype = "int32" if name == "Embedding" else None
    return hornbeam.Sequential([hornbeam.Input(shape, dtype=dtype), make(**options), layers.Flatten()])


def weight(layer: Any) -> Any:
    return getattr(layer, f"_{layer._main_name}")


@pytest.mark.parametrize("name", MAKERS)
def test_training_changes_the_factors_alone(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    layer: Any = model.layers[0]
    x = example(name)
    before = model.predict(x, verbose=0)
    layer.enable_lora(2, lora_alpha=3)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5, atol=1e-6)
    frozen = weight(layer).numpy()
    model.compile(hornbeam.optimizers.Adam(0.1), "mse")
    losses = model.fit(x, before + 1.0, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(weight(layer), frozen)
    trained = [v.name for v in model.trainable_weights]
    assert [n for n in trained if n.startswith("lora")] == [
        f"lora_{layer._main_name}_a",
        f"lora_{layer._main_name}_b",
    ]
    # The sum is what the layer computes with, and what its files have.
    a, b = (v.numpy() for v in layer._lora_factors)
    merged = getattr(layer, layer._main_name)
    np.testing.assert_allclose(merged, frozen + 1.5 * a @ b, rtol=1e-5, atol=1e-6)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 0.01
    model.save(tmp_path / "model.keras")
    again = hornbeam.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), after, rtol=1e-4, atol=1e-5)
    loaded: Any = again.layers[0]
    assert (loaded.lora_rank, loaded.lora_alpha) == (2, 3)
    assert not loaded._lora_factors[1].numpy().any()
    assert loaded._lora_factors[0].numpy().any()  # both zero would never train
    plain = model_of(name)
    model.save_weights(tmp_path / "model.weights.h5")
    plain.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(plain.predict(x, verbose=0), after, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["int8", "int4"])
@pytest.mark.parametrize("name", ["Dense", "EinsumDense", "Embedding"])
def test_factors_beside_quantized_weights(name: str, mode: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.quantize(mode)
    layer: Any = model.layers[0]
    x = example(name)
    before = model.predict(x, verbose=0)
    layer.enable_lora(2)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5, atol=1e-6)
    model.compile(hornbeam.optimizers.Adam(0.1), "mse")
    losses = model.fit(x, before + 1.0, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    after = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = hornbeam.saving.load_model(tmp_path / "model.keras")
    error = np.sqrt(np.square(again.predict(x, verbose=0) - after).mean())  # the sum is rounded again
    assert error < (0.02 if mode == "int8" else 0.2) * after.std()


def test_frozen_weights_stay_frozen() -> None:
    model = model_of("Dense", lora_rank=2)
    model.trainable = False
    model.trainable = True
    assert [v.name for v in model.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]


def test_a_training_resumes_with_its_factors(tmp_path: Path) -> None:
    x = example("Dense")
    y = np.ones((5, 20), "float32")

    def fit(epochs: int, **options: Any) -> hornbeam.Model:
        model = model_of("Dense", lora_rank=2)
        model.compile(hornbeam.optimizers.Adam(0.1), "mse")
        model.fit(x, y, epochs=epochs, verbose=0, shuffle=False, **options)
        return model

    complete = fit(4)
    fit(2, resume=tmp_path / "run")
    resumed = fit(4, resume=tmp_path / "run")
    for one, other in zip(complete.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: layers.Dense(2).enable_lora(2), ValueError, "is not built"),
        (lambda: layers.Dense(2, lora_rank=0), ValueError, "lora_rank"),
        (lambda: model_of("Dense", lora_rank=2).layers[0].enable_lora(2), ValueError, "enabled already"),
        (lambda: model_of("Conv1D", lora_rank=2, kernel_constraint="non_neg"), ValueError, "constraint"),
    ],
)
def test_what_cannot_be_done(run: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        run()
