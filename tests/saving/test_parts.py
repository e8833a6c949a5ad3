"""Parts of models in files: objects to skip, models that are not built, layers under another path."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.core.registry import register_keras_serializable
from hornbeam.errors import ModelFileError
from hornbeam.saving import load_model, load_weights, save_weights

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def net() -> hb.Sequential:
    model = hb.Sequential([hb.Input((3,)), layers.Dense(3), layers.Dense(2)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("name", ["m.weights.h5", "m.npz"])
def test_objects_to_skip(name: str, tmp_path: Path) -> None:
    model, other, path = net(), net(), tmp_path / name
    save_weights(model, path, objects_to_skip=[model.layers[0]])
    before = other.layers[0].get_weights()
    other.load_weights(path, objects_to_skip=[other.layers[0]])
    np.testing.assert_array_equal(other.layers[0].get_weights()[0], before[0])
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], model.layers[1].get_weights()[0])
    with pytest.raises(ModelFileError, match=r"missing in the file"):
        other.load_weights(path)
    model.save_weights(path)
    load_weights(other, path, objects_to_skip=[other.layers[0]])
    np.testing.assert_array_equal(other.layers[0].get_weights()[0], before[0])


def test_objects_that_cannot_be_skipped(tmp_path: Path) -> None:
    model = net()
    with pytest.raises(TypeError, match="objects_to_skip must be a list of layers or optimizers"):
        model.save_weights(tmp_path / "m.weights.h5", objects_to_skip=["dense"])
    with pytest.raises(ValueError, match=r"objects_to_skip is for \.weights\.h5"):
        model.save_weights(tmp_path / "m.h5", objects_to_skip=[model.layers[0]])


def test_an_optimizer_to_skip(tmp_path: Path) -> None:
    model, path = net(), tmp_path / "m.weights.h5"
    model.fit(X, X[:, :2], verbose=0)
    model.save_weights(path, objects_to_skip=[model.optimizer])
    other = net()
    other.load_weights(path)
    assert int(other.optimizer.iterations) == 0
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


@register_keras_serializable("parts")
class Unbuilt(hb.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def test_models_that_are_not_built(tmp_path: Path) -> None:
    for model in (Unbuilt(), hb.Sequential([layers.Dense(4), layers.Dense(2)])):
        model.compile("adam", "mse")
        model.save(tmp_path / "m.keras")
        loaded = load_model(tmp_path / "m.keras")
        assert (loaded.built, loaded.compiled) == (False, True)
        assert loaded(X).shape == (4, 2)
        assert len(pickle.loads(pickle.dumps(model)).layers) == len(model.layers)
    half = Unbuilt()
    half.dense.build((None, 3))
    with pytest.raises(ValueError, match="not built yet"):
        half.save(tmp_path / "m.keras")


@register_keras_serializable("parts")
class Blocks(hb.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [(layers.Dense(3, use_bias=False),) for _ in range(2)]
        self.last = layers.Dense(2)

    def call(self, x: Any) -> Any:
        for (dense,) in self.blocks:
            x = dense(x)
        return self.last(x)


def test_layers_in_nested_containers_of_older_files(tmp_path: Path) -> None:
    model = Blocks()
    expected = np.asarray(model(X))
    model.save(tmp_path / "m.keras")
    old = tmp_path / "old.keras"
    with zipfile.ZipFile(tmp_path / "m.keras") as new, zipfile.ZipFile(old, "w") as archive:
        for name in new.namelist():
            content = new.read(name)
            if name.endswith(".h5"):
                file = io.BytesIO(content)
                with h5py.File(file, "r+") as store:  # as they were written: among the layers, in order
                    for source, target in (("list", "dense"), ("list_1", "dense_1")):
                        store.move(f"blocks/{source}/dense", f"layers/{target}")
                content = file.getvalue()
            archive.writestr(name, content)
    np.testing.assert_allclose(load_model(old)(X), expected, rtol=1e-6)


def test_a_list_that_contains_itself(tmp_path: Path) -> None:
    model = Unbuilt()
    model.rest = []
    model.rest.append(model.rest)
    expected = np.asarray(model(X))
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "m.keras")(X), expected)


def test_a_compile_with_other_arguments(tmp_path: Path) -> None:
    @register_keras_serializable("parts")
    class Two(hb.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compile(self, first: Any, second: Any) -> None:  # type: ignore[override]
            super().compile(first, "mse")
            self.second = second

    model = Two()
    model(X)
    model.compile("sgd", "adam")
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match=r"its compile\(\) takes other arguments"):
        loaded = load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))


class Named(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = hb.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class Renamed(hb.Model):
    """Has the layer under another name, and a property with the first."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = hb.layers.Dense(3)

    @property
    def dense(self) -> hb.layers.Layer:
        return self.inner

    @property
    def not_yet(self) -> Any:
        return self.absent

    def call(self, x: Any) -> Any:
        return self.dense(x)


def test_a_property_leads_to_a_layer(tmp_path: Path) -> None:
    x = np.ones((2, 2), "float32")
    before, after = Named(), Renamed()
    before(x), after(x)
    before.save_weights(tmp_path / "m.weights.h5")
    after.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(before(x), after(x))


@register_keras_serializable("parts")
class Around(hb.layers.Layer):
    """Takes a layer, and has no from_config() to rebuild it."""

    def __init__(self, inner: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inner": hb.saving.serialize_keras_object(self.inner)}


def test_a_config_in_the_place_of_a_layer(tmp_path: Path) -> None:
    inputs = hb.Input((2,))
    hb.Model(inputs, Around(hb.layers.Dense(3))(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(ModelFileError, match=r"needs a from_config\(\) that rebuilds them"):
        load_model(tmp_path / "m.keras")
