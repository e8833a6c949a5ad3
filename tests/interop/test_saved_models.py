"""Functions of SavedModels as layers, against TensorFlow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.engines import installed
from hornbeam.errors import ModelFileError

NEEDS_TENSORFLOW = pytest.mark.skipif("tensorflow" not in installed(), reason="needs TensorFlow")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
KERNEL = RNG.normal(size=(4, 3)).astype("float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(KERNEL)

        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
        def serve(self, x: Any) -> Any:
            return tf.tanh(x @ self.kernel)

        @tf.function(input_signature=[{"a": tf.TensorSpec((None, 4)), "b": tf.TensorSpec((None, 4))}])
        def both(self, x: Any) -> Any:
            return {"sum": x["a"] + x["b"], "rows": tf.shape(x["a"])[:1]}

        @tf.function(input_signature=[tf.TensorSpec((None, 4)), tf.TensorSpec((None, 4))])
        def two(self, a: Any, b: Any) -> Any:
            return a + b

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def lengths(self, texts: Any) -> Any:
            return {"lengths": tf.strings.length(texts)}

    module = Module()
    path = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(module, path, {"serving_default": module.serve, "lengths_default": module.lengths})
    return path


@NEEDS_TENSORFLOW
def test_values_and_shapes(folder: str) -> None:
    layer = layers.TFSMLayer(folder)
    np.testing.assert_allclose(layer(X), np.tanh(X @ KERNEL), atol=1e-6)
    assert layer(hornbeam.Input((4,))).shape == (None, 3)
    assert layer.compute_output_shape((8, 4)) == (8, 3)
    assert layer.weights == []
    signature = layers.TFSMLayer(folder, "serving_default")(X.astype("float64"))
    (values,) = signature.values() if isinstance(signature, dict) else [signature]
    np.testing.assert_allclose(values, np.tanh(X @ KERNEL), atol=1e-6)


@NEEDS_TENSORFLOW
def test_structures_and_strings(folder: str) -> None:
    result = layers.TFSMLayer(folder, "both")({"a": X, "b": 2 * X})
    np.testing.assert_allclose(result["sum"], 3 * X, rtol=1e-6)
    assert result["rows"].numpy().tolist() == [8]
    lengths = layers.TFSMLayer(folder, "lengths_default")(np.array(["a", "abc"]))
    assert lengths["lengths"].numpy().tolist() == [1, 3]


@NEEDS_TENSORFLOW
def test_a_model_trains_what_follows(folder: str, tmp_path: Path) -> None:
    def build() -> hornbeam.Model:
        inputs = hornbeam.Input((4,))
        features = layers.TFSMLayer(folder)(inputs)
        model = hornbeam.Model(inputs, layers.Dense(1, use_bias=False)(features))
        model.compile("sgd", "mse")
        return model

    model, features = build(), np.tanh(X @ KERNEL)
    weights = model.get_weights()[0]
    before = float(model.evaluate(X, features @ np.ones((3, 1)), verbose=0))
    np.testing.assert_allclose(model.predict(X, verbose=0), features @ weights, atol=1e-5)
    model.fit(X, features @ np.ones((3, 1)), epochs=200, verbose=0)
    assert float(model.evaluate(X, features @ np.ones((3, 1)), verbose=0)) < before / 2
    model.save_weights(tmp_path / "m.weights.h5")
    other = build()
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelFileError, match="make the TFSMLayer in Python"):
        hornbeam.saving.load_model(tmp_path / "m.keras")


@NEEDS_TENSORFLOW
def test_mistakes(folder: str, tmp_path: Path) -> None:
    for make, words in [
        (lambda: layers.TFSMLayer(str(tmp_path)), "has no saved_model.pb"),
        (lambda: layers.TFSMLayer(folder, "absent"), "no function 'absent'. Signatures: .*serving_default"),
        (lambda: layers.TFSMLayer(folder, "two"), "takes several arguments"),
        (lambda: layers.TFSMLayer(folder, call_training_endpoint="serve"), "call_training_endpoint"),
        (lambda: layers.TFSMLayer(folder, "both")(X), "takes 2 tensors"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.skipif("tensorflow" in installed(), reason="TensorFlow is installed")
def test_without_tensorflow_it_says_so() -> None:
    with pytest.raises(ImportError, match="needs TensorFlow, which is not installed"):
        layers.TFSMLayer("folder")


def test_a_config_makes_none() -> None:
    with pytest.raises(ValueError, match="no code from a file is ever run"):
        layers.deserialize({"class_name": "TFSMLayer", "config": {"filepath": "/tmp"}})
