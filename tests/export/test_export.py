"""SavedModels, loaded by TensorFlow alone, and models as `tf.Module`s. Skipped without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import interop, layers, ops
from hornbeam.engines import installed

pytestmark = pytest.mark.skipif("tensorflow" not in installed(), reason="needs TensorFlow")
RNG = np.random.default_rng(0)


def load(path: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(path))


def close(x: Any, y: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def images() -> tuple[hornbeam.Model, list[np.ndarray]]:
    model = hornbeam.Sequential(
        [
            layers.Input((8, 8, 2), name="image"),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return model, [RNG.normal(size=(75, 8, 8, 2)).astype("float32")]


def texts() -> tuple[hornbeam.Model, list[np.ndarray]]:
    words, length = hornbeam.Input((6,), dtype="int32", name="words"), hornbeam.Input((1,), name="length")
    x = layers.Embedding(11, 8, mask_zero=True)(words)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LSTM(5)(layers.LayerNormalization()(x))
    both = layers.Concatenate()([x, length])
    model = hornbeam.Model([words, length], {"class": layers.Dense(2)(both), "length": length * 2})
    return model, [RNG.integers(0, 11, (75, 6)).astype("int32"), RNG.random((75, 1), "float32")]


@pytest.mark.parametrize("make", [images, texts])
def test_a_saved_model_gives_what_the_model_gives(make: Any, tmp_path: Path) -> None:
    hornbeam.utils.set_random_seed(0)
    model, data = make()
    for weight in model.weights:
        weight.assign(weight + RNG.random(weight.shape) * 0.1)
    model.export(tmp_path / "artifact", verbose=False)
    loaded = load(tmp_path / "artifact")
    # TensorFlow's own convolutions on CPUs give no rows the shape of their input.
    for rows in (1, 9, 75) if make is images else (0, 1, 9, 75):
        inputs = [x[:rows] for x in data]
        actual = loaded.serve(inputs if len(inputs) > 1 else inputs[0])
        wanted = model(inputs if len(inputs) > 1 else inputs[0], training=False) if rows else None
        for key in ("class", "length") if isinstance(actual, dict) else (None,):
            y = actual if key is None else actual[key]
            assert y.shape[0] == rows
            if wanted is not None:
                close(y, wanted if key is None else wanted[key])
    names = list(loaded.signatures["serving_default"].structured_input_signature[1])
    assert sorted(names) == (["image"] if make is images else ["length", "words"])
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


def test_endpoints_variables_and_a_batch_size_of_ones_own(tmp_path: Path, capsys: Any) -> None:
    import tensorflow as tf

    model = hornbeam.Sequential([layers.Input((3,)), layers.BatchNormalization()])
    x = RNG.normal(size=(4, 3)).astype("float32")
    archive = hornbeam.export.ExportArchive()
    archive.track(model)
    signature = [hornbeam.InputSpec(shape=(4, 3), dtype="float32")]
    archive.add_endpoint("train", lambda x: model(x, training=True), signature)
    noise = layers.Dropout(0.5)
    archive.add_endpoint("noisy", lambda x: noise(x, training=True), [tf.TensorSpec((None, 3), tf.float32)])
    archive.add_endpoint("shifted", lambda x: ops.exp(x) + 1, [tf.TensorSpec((None, 3), tf.float32)])
    plain = tf.function(lambda x: x * 2)
    plain(tf.ones(2))
    archive.add_endpoint("twice", plain)
    archive.add_variable_collection("own", model.weights[:1])
    archive.write_out(tmp_path / "artifact")
    assert "train, noisy, shifted, twice" in capsys.readouterr().out
    loaded = load(tmp_path / "artifact")
    close(loaded.train(x), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), 1e-4)
    moved = [v for v in loaded.variables if "moving_mean" in v.name]
    close(moved[0], 0.01 * x.mean(0))
    for rows in (1, 4):  # the state of the random numbers is a variable, too
        close(loaded.noisy(x[:rows]), noise(x[:rows], training=True))
    close(loaded.shifted(x), np.exp(x) + 1)
    close(loaded.twice(tf.ones(2)), [2, 2])
    close(loaded.own[0], np.ones(3))


def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    archive = hornbeam.export.ExportArchive()
    rows = [hornbeam.InputSpec(shape=(None, 3), dtype="float32")]
    with pytest.raises(ValueError, match=r"endpoint 'few' computes something else for batch=1"):
        archive.add_endpoint("few", lambda x: x * 2 if x.shape[0] < 3 else x, rows)
    with pytest.raises(ValueError, match="needs input_signature"):
        archive.add_endpoint("plain", lambda x: x)
    with pytest.raises(ValueError, match="no endpoint"):
        archive.write_out(tmp_path / "artifact")
    archive.add_endpoint("serve", lambda x: x, rows)
    with pytest.raises(ValueError, match="already exists"):
        archive.add_endpoint("serve", lambda x: x, rows)
    with pytest.raises(ValueError, match="not built"):
        archive.track(layers.Dense(2))
    with pytest.raises(ValueError, match="format"):
        hornbeam.export.ExportArchive("neptune_model")
    lookup = layers.StringLookup(vocabulary=["a"])
    text = hornbeam.Sequential([hornbeam.Input((1,), dtype="string"), lookup])
    with pytest.raises(ValueError, match="for strings"):
        text.export(tmp_path / "text")


def test_a_tf_module_trains_as_the_model_does() -> None:
    import tensorflow as tf

    hornbeam.utils.set_random_seed(2)
    model, (x,) = images()
    y = RNG.integers(0, 3, 75)
    module = interop.tf_module(model)
    close(module(x), model(x, training=False))

    @tf.function
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            picked = tf.gather(module(x, training=True), y[:, None], batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(picked))
        for variable, gradient in zip(
            module.trainable_variables, tape.gradient(loss, module.trainable_variables), strict=True
        ):
            variable.assign_sub(0.1 * gradient)
        return loss

    losses = [float(step(tf.constant(x), tf.constant(y))) for _ in range(4)]
    model.compile(hornbeam.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    fitted = model.fit(x, y, batch_size=75, epochs=4, shuffle=False, verbose=0).history["loss"]
    close(losses, fitted, 1e-4)
    theirs = {v.name.removesuffix(":0"): v.numpy() for v in module.variables}
    for variable in model.weights:
        close(theirs[variable.path], variable, 1e-4)
    kernel = next(v for v in module.variables if v.name.startswith(model.weights[0].path))
    kernel.assign(tf.ones_like(kernel))
    module.write_back()
    assert (np.asarray(model.weights[0]) == 1).all()
    with pytest.raises(ValueError, match="needs a built model"):
        interop.tf_module(layers.Dense(2))
