"""Saving and loading our own files: everything comes back, training goes on as if nothing had been."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.core.registry import register_keras_serializable
from hornbeam.errors import LegacyFormatWarning, ModelFileError, UnknownObjectError
from hornbeam.saving import archive as archive_module
from hornbeam.saving import load_model, load_weights, save_model, save_weights
from hornbeam.saving.model_parts import saved_parts
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype("float32")
IMAGES = RNG.normal(size=(8, 10, 10, 2)).astype("float32")
WORDS = RNG.integers(0, 12, (8, 5))


@register_keras_serializable("round_trip")
class Scaled(layers.Layer):
    """Weights of its own, layers in an attribute, in a list, in a dict and in a list of lists."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units, activation="tanh")
        self.many = [layers.Dense(units), layers.Dense(units)]
        self.named = {"norm": layers.LayerNormalization()}
        self.nested = [[layers.Dense(units)], [layers.Dense(units)]]

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        x = self.inner(inputs)
        for layer in (*self.many, self.named["norm"], self.nested[0][0], self.nested[1][0]):
            x = layer(x)
        return x * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@register_keras_serializable("round_trip")
class Net(hb.Model):
    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zeta = Scaled(units)  # attributes in an order that is not the alphabet's
        self.alpha = [layers.Dense(2), Scaled(2)]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = self.zeta(inputs)
        for layer in self.alpha:
            x = layer(x)
        return x


def dense() -> tuple[hb.Model, Any]:
    return hb.Sequential([hb.Input((6,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(2)]), X


def convolutions() -> tuple[hb.Model, Any]:
    model = hb.Sequential(
        [
            hb.Input((10, 10, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(),
            layers.SeparableConv2D(4, 3),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2, "softmax"),
        ]
    )  # fmt: skip
    return model, IMAGES


def recurrent() -> tuple[hb.Model, Any]:
    model = hb.Sequential(
        [
            hb.Input((5,)), layers.Embedding(12, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(3), layers.Dense(1),
        ]
    )  # fmt: skip
    return model, WORDS


def shared() -> tuple[hb.Model, Any]:
    """Two inputs, two named outputs, a layer that is used twice, operations, a structure of outputs."""
    a, b = hb.Input((6,), name="a"), hb.Input((3,), name="b")
    twice = layers.Dense(3, name="twice")
    h = layers.Concatenate()([twice(a[:, :3]), twice(b)])
    outputs = {
        "big": layers.Dense(2, name="big")(ops.exp(h * 0.1) + 1.0),
        "small": layers.Dense(1, name="small")(h),
    }
    return hb.Model([a, b], outputs), [X, X[:, :3]]


def nested() -> tuple[hb.Model, Any]:
    """A functional model and a Sequential inside a functional model, one of them used twice."""
    i = hb.Input((6,))
    inner = hb.Model(i, layers.Dense(4, "relu")(i), name="inner")
    tail = hb.Sequential([hb.Input((4,)), layers.Dense(3), layers.LayerNormalization()], name="tail")
    x = hb.Input((6,))
    return hb.Model(x, layers.Add()([tail(inner(x)), tail(inner(x * 2.0))])), X


def subclassed() -> tuple[hb.Model, Any]:
    model = Net(4)
    model(X)
    return model, X


def mixed() -> tuple[hb.Model, Any]:
    return hb.Sequential(
        [hb.Input((6,)), layers.Dense(4, "relu", dtype="mixed_bfloat16"), layers.Dense(2)]
    ), X


def attention() -> tuple[hb.Model, Any]:
    x = hb.Input((5, 4))
    return hb.Model(x, layers.MultiHeadAttention(2, 3)(x, x) + x), RNG.normal(size=(4, 5, 4)).astype(
        "float32"
    )


def normalized() -> tuple[hb.Model, Any]:
    layer = layers.Normalization()
    layer.adapt(X)
    return hb.Sequential([hb.Input((6,)), layer, layers.Dense(2)]), X


MODELS = [dense, convolutions, recurrent, shared, nested, subclassed, mixed, attention, normalized]


def equal(a: Any, b: Any) -> None:
    pairs = [(a[k], b[k]) for k in a] if isinstance(a, dict) else [(a, b)]
    assert not isinstance(a, dict) or set(a) == set(b)
    for x, y in pairs:
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("make", MODELS)
def test_models_come_back(tmp_path: Path, make: Callable[[], tuple[hb.Model, Any]]) -> None:
    model, data = make()
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert [w.name for w in again.weights] == [w.name for w in model.weights]
    assert [w.trainable for w in again.weights] == [w.trainable for w in model.weights]
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    equal(model.predict(data, verbose=0), again.predict(data, verbose=0))
    again.save(tmp_path / "again.keras")
    for name in ("config.json",):
        first, second = (zipfile.ZipFile(tmp_path / f"{n}.keras").read(name) for n in ("model", "again"))
        assert json.loads(first) == json.loads(second)


@pytest.mark.parametrize("make", MODELS)
def test_weights_come_back(tmp_path: Path, make: Callable[[], tuple[hb.Model, Any]]) -> None:
    model, data = make()
    model.save_weights(tmp_path / "model.weights.h5")
    other, _ = make()
    other.load_weights(tmp_path / "model.weights.h5")
    equal(model.predict(data, verbose=0), other.predict(data, verbose=0))


# -- training goes on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", ["SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Nadam", "Ftrl", "Lion", "Muon"]
)
def test_training_goes_on_bit_by_bit(tmp_path: Path, optimizer: str) -> None:
    """With dropout, batch statistics, a learning-rate schedule and sample order from the same seeds."""

    def make() -> hb.Model:
        hb.utils.set_random_seed(1)
        model = hb.Sequential(
            [
                hb.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3),
                layers.Dense(1),
            ]
        )  # fmt: skip
        rate = hb.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
        model.compile(getattr(hb.optimizers, optimizer)(rate), "mse", metrics=["mae"])
        return model

    def train(model: hb.Model, seed: int) -> None:
        hb.utils.set_random_seed(seed)
        model.fit(X, X[:, :1], batch_size=8, epochs=2, verbose=0)

    full, part = make(), make()
    train(full, 2)
    train(part, 2)
    part.save(tmp_path / "part.keras")
    part = load_model(tmp_path / "part.keras")
    assert int(part.optimizer.iterations) == 6
    train(full, 3)
    train(part, 3)
    for a, b in zip(full.variables, part.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    for a, b in zip(full.optimizer.variables, part.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_compile_settings(tmp_path: Path) -> None:
    model, _ = dense()
    model.compile(
        hb.optimizers.SGD(0.5, momentum=0.9), hb.losses.Huber(delta=2.0), metrics=["mae", hb.metrics.AUC()]
    )
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert (type(again.optimizer), float(again.optimizer.learning_rate), again.optimizer.momentum) == (
        hb.optimizers.SGD, 0.5, 0.9,
    )  # fmt: skip
    assert isinstance(again.loss, hb.losses.Huber)
    assert load_model(tmp_path / "model.keras", compile=False).optimizer is None


def test_an_optimizer_without_steps_may_have_no_state(tmp_path: Path) -> None:
    model, _ = dense()
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert int(load_model(tmp_path / "model.keras").optimizer.iterations) == 0


def test_weights_of_models_that_are_never_called_themselves(tmp_path: Path) -> None:
    """Two players with a train_step of their own, say: their layers are built, and that is enough."""

    class Pair(hb.Model):
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.one = hb.Sequential([hb.Input((2,)), layers.Dense(3), layers.Dropout(rate)])
            self.other = layers.Dense(1)

    pair = Pair(0.1)
    path = tmp_path / "pair.weights.h5"
    with pytest.raises(ValueError, match="build it or call it on data before saving weights"):
        pair.save_weights(path)
    pair.other.build((None, 3))
    pair.save_weights(path)
    again = Pair(0.2)
    again.other.build((None, 3))
    again.load_weights(path)
    for mine, theirs in zip(pair.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_files_hold_the_optimizer_s_state(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    model, data = dense()
    model.compile("adam", "mse")
    model.fit(data, data[:, :2], verbose=0)
    model.save_weights(path)
    same, _ = dense()
    same.compile("adam", "mse")
    same.load_weights(path)
    assert int(same.optimizer.iterations) == 1
    for a, b in zip(model.optimizer.variables, same.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    plain, _ = dense()
    plain.load_weights(path)
    other, _ = dense()
    other.compile("sgd", "mse")
    with pytest.warns(
        UserWarning, match=r"the state of 'sgd.*' in the file does not fit.*starts from its initial state"
    ):
        other.load_weights(path)
    assert int(other.optimizer.iterations) == 0
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# -- writing -------------------------------------------------------------------------------------------------


class DiskFull(OSError):
    pass


@pytest.mark.parametrize("stage", ["write", "fsync", "rename", "config"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    path = tmp_path / "model.keras"
    old, _ = dense()
    old.save(path)
    before = path.read_bytes()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise DiskFull("no space left on device")

    new, _ = dense()
    if stage == "write":
        original = zipfile.ZipFile.writestr
        monkeypatch.setattr(
            zipfile.ZipFile, "writestr",
            lambda self, name, data: fail() if name == "model.weights.h5" else original(self, name, data),
        )  # fmt: skip
    elif stage == "config":
        monkeypatch.setattr(archive_module.registry, "serialize", fail)
    else:
        monkeypatch.setattr(os, {"fsync": "fsync", "rename": "replace"}[stage], fail)
    with pytest.raises(DiskFull):
        new.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.keras"]


def test_overwriting(tmp_path: Path) -> None:
    model, _ = dense()
    for path, save in ((tmp_path / "m.keras", save_model), (tmp_path / "m.weights.h5", save_weights)):
        save(model, path)
        save(model, path)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save(model, path, overwrite=False)
    model.save(tmp_path / "other.keras", overwrite=False)


@pytest.mark.posix
def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    model, _ = dense()
    (tmp_path / "store").mkdir()
    real = tmp_path / "store" / "model.keras"
    model.save(real)
    real.chmod(0o640)
    (tmp_path / "latest.keras").symlink_to(real)
    model.save(tmp_path / "latest.keras")
    assert (tmp_path / "latest.keras").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert load_model(tmp_path / "latest.keras").count_params() == model.count_params()


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (
            lambda m, p: m.save(p / "m"),
            ValueError,
            r"ends in \.keras or \.h5.*Use '.*m\.keras', or model\.export",
        ),
        (
            lambda m, p: save_model(m, p / "m.keras", zipped=False),
            ValueError,
            "a folder, whose name has no suffix",
        ),
        (lambda m, p: save_model(m, p / "m", save_format="tf"), ValueError, "save_format='tf'"),
        (lambda m, p: m.save(p / "no" / "m.keras"), FileNotFoundError, "does not exist"),
        (lambda m, p: hb.Sequential([layers.Dense(1)]).save(p / "m.h5"), ValueError, "not built yet"),
        (lambda m, p: Net().save_weights(p / "m.weights.h5"), ValueError, "no weights yet"),
        (lambda m, p: Net().load_weights(p / "m.weights.h5"), ValueError, "no weights yet"),
        (lambda m, p: m.save_weights(p / "m"), ValueError, r'must end in "\.weights\.h5"'),
        (lambda m, p: m.load_weights(p / "m.txt"), ValueError, r'must end in "\.weights\.h5"'),
        (lambda m, p: m.load_weights(p / "m.weights.h5"), FileNotFoundError, "m.weights.h5"),
        (lambda m, p: load_model(p / "m.keras"), FileNotFoundError, "does not exist"),
        (lambda m, p: load_model(p), ModelFileError, "is a folder without a model: it is empty"),
    ],
)
def test_mistakes(tmp_path: Path, act: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        act(dense()[0], tmp_path)


# -- objects of the user -------------------------------------------------------------------------------------


class Shifted(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs + 1.0


class Doubled(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


def twice_relu(x: Any) -> Any:
    return ops.relu(x) * 2.0


def my_loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    model = compiled_model(
        (6,), [Shifted(), Doubled(), layers.Dense(2, activation=twice_relu)], "sgd", my_loss
    )
    model.save(tmp_path / "custom.keras")
    return tmp_path / "custom.keras"


def test_all_missing_names_at_once(custom: Path) -> None:
    with pytest.raises(UnknownObjectError, match="uses 'Shifted', 'Doubled', 'twice_relu', 'my_loss'"):
        load_model(custom)
    with pytest.raises(UnknownObjectError, match="uses 'Doubled', 'my_loss', which"):
        load_model(custom, custom_objects={"Shifted": Shifted, "twice_relu": twice_relu})
    with pytest.raises(UnknownObjectError, match="uses 'my_loss', which"):
        load_model(custom, custom_objects={"Shifted": Shifted, "Doubled": Doubled, "twice_relu": twice_relu})


def test_custom_objects(custom: Path) -> None:
    objects = {"Shifted": Shifted, "Doubled": Doubled, "twice_relu": twice_relu, "my_loss": my_loss}
    model = load_model(custom, custom_objects=objects)
    assert isinstance(model.layers[0], Shifted)
    assert model.layers[2].activation is twice_relu
    model.fit(X, X[:, :2], verbose=0)
    with hb.saving.custom_object_scope(objects):
        assert isinstance(load_model(custom).layers[1], Doubled)
    del objects["my_loss"]
    assert load_model(custom, custom_objects=objects, compile=False).optimizer is None


def test_lambdas_are_refused_when_they_are_saved(tmp_path: Path) -> None:
    model = hb.Sequential([hb.Input((2,)), layers.Lambda(lambda x: x * 2)])
    with pytest.raises(TypeError, match="code is never stored in a file"):
        model.save(tmp_path / "model.keras")
    assert os.listdir(tmp_path) == []


# -- weights that do not fit ---------------------------------------------------------------------------------


def test_weights_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    hb.Sequential([hb.Input((6,)), layers.Dense(4), layers.Dense(3), layers.Dense(2)]).save_weights(path)
    model, _ = dense()
    before = model.get_weights()
    with pytest.raises(ModelFileError) as error:
        model.load_weights(path)
    assert "do not fit the model (2 problems)" in str(error.value)
    assert "layers/dense_1/vars/0: the file has shape (4, 3)" in str(error.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.warns(UserWarning, match="weights loaded: 2; left out by skip_mismatch=True: layers/dense_1"):
        model.load_weights(path, skip_mismatch=True)
    after = model.get_weights()
    assert not np.array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[2], before[2])


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".npz", ".keras"])
def test_weights_of_which_none_fits(tmp_path: Path, suffix: str) -> None:
    path, (model, _) = tmp_path / f"m{suffix}", dense()
    other = hb.Sequential([hb.Input((9,)), layers.Dense(8, use_bias=False), layers.Dense(7, use_bias=False)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegacyFormatWarning)
        other.save(path) if suffix == ".keras" else other.save_weights(path)
    before = model.get_weights()
    with pytest.raises(ModelFileError, match="no weight of the file fits the model"):
        model.load_weights(path, skip_mismatch=True)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model, _ = dense()
    model.save_weights(path)
    with h5py.File(path, "r+") as store:
        del store["layers/dense_1/vars/1"]
    with pytest.raises(
        ModelFileError, match=r"layers/dense_1/vars/1: missing in the file \(needed by .*bias"
    ):
        load_weights(model, path)


def test_no_weight_is_lost(tmp_path: Path) -> None:
    """The file has every weight of every model once; one that cannot be reached is an error."""
    for make in MODELS:
        model, _ = make()
        results = [id(v) for part in saved_parts(model) if part.required for v in part.variables]
        assert len(set(results)) == len(results)
        assert {id(v) for v in model.weights} <= set(results)


def test_the_layout_is_keras_s(tmp_path: Path) -> None:
    model = Net(4)
    model(X)
    names = []
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as store:
        store.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert store["layers/scaled/vars"].attrs["name"] == model.zeta.name
    assert "alpha/dense/vars/0" in names
    assert "alpha/scaled/inner/vars/1" in names
    # Keras reaches `layers` before `zeta`.
    assert "layers/scaled/many/dense_1/vars/0" in names
    assert "layers/scaled/named/layer_normalization/vars/0" in names
    assert "layers/scaled/nested/list_1/dense/vars/0" in names
    assert "layers/scaled/vars/0" in names


def test_half_floats(tmp_path: Path) -> None:
    model = hb.Sequential(
        [hb.Input((3,)), layers.Dense(2, dtype="bfloat16"), layers.Dense(2, dtype="float16")]
    )
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert [w.dtype for w in again.weights] == ["bfloat16"] * 2 + ["float16"] * 2
    for old, new in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())


# -- kills ---------------------------------------------------------------------------------------------------

SAVE_FOR_EVER = """
import sys
import hornbeam as hb
model = hb.Sequential([hb.Input((100,)), hb.layers.Dense(1000), hb.layers.Dense(100)])
print("ready", flush=True)
while True:
    model.save(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills a process")
def test_a_kill_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    rng = np.random.default_rng(0)
    for _ in range(25):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        until = time.monotonic() + 60
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.02 + 0.2 * rng.random())
        process.kill()
        process.wait()
        process.stdout.close()
        assert load_model(path).count_params() == 201_100


class Unregistered(hb.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


def test_models_are_pickled_and_copied() -> None:
    x = np.ones((4, 3), "float32")
    model = compiled_model((3,), [hb.layers.Dense(2), Unregistered()], "adam", "mse")
    model.fit(x, np.ones((4, 2)), verbose=0)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        assert int(again.optimizer.iterations) == 1
        assert type(again.layers[-1]) is Unregistered


def test_no_part_of_a_large_model_is_passed_over() -> None:
    """Lists that a model makes for each look at it lie in memory where others lay before."""
    inputs = hb.Input((4,))
    x = inputs
    for _ in range(60):
        inner = hb.Input((4,))
        x = hb.Model(inner, layers.Dense(4)(layers.Identity()(inner)))(x)
    model = hb.Model(inputs, x)
    for _ in range(20):
        assert sum(len(part.variables) for part in saved_parts(model)) == 120
