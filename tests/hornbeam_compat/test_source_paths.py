"""`__module__` of public classes is a path of Keras's sources where `import keras` means Hornbeam."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import hornbeam
import hornbeam_compat.source_paths
from hornbeam.core import registry
from hornbeam.data.pipeline.purity import is_pure


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """Let `import keras` mean Hornbeam."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "keras"}
    hornbeam.install_as_keras(verbose=False)
    importlib.import_module("keras")
    yield
    hornbeam.uninstall_as_keras()
    sys.modules.update(hidden)


@pytest.mark.parametrize(
    ("cls", "path"),
    [
        (hornbeam.Model, "models.model"),
        (hornbeam.Sequential, "models.sequential"),
        (hornbeam.models.Functional, "models.functional"),
        (hornbeam.layers.Dense, "layers.core.dense"),
        (hornbeam.layers.GRUCell, "layers.rnn.gru"),
        (hornbeam.optimizers.Adam, "optimizers.adam"),
        (hornbeam.losses.Huber, "losses.losses"),
        (hornbeam.metrics.MeanSquaredError, "metrics.regression_metrics"),
        (hornbeam.initializers.Zeros, "initializers.constant_initializers"),
        (hornbeam.callbacks.EarlyStopping, "callbacks.early_stopping"),
    ],
)
def test_classes_name_the_path(cls: type, path: str) -> None:
    assert cls.__module__ == f"keras.src.{path}"
    assert repr(cls) == f"<class 'keras.src.{path}.{cls.__name__}'>"


def test_functional_models_are_of_keras() -> None:
    inputs = hornbeam.Input((2,))
    model = hornbeam.Model(inputs, hornbeam.layers.Dense(1)(inputs))
    assert type(model).__module__.partition(".")[0] == "keras"


def test_all_classes_are_at_their_path() -> None:
    for family in registry._FAMILIES:
        importlib.import_module(f"hornbeam.{family}")
    classes = {c for c in registry._TABLE.values() if inspect.isclass(c) and c.__module__[:6] == "keras."}
    assert len(classes) > 250
    for cls in classes:
        assert getattr(importlib.import_module(cls.__module__), cls.__name__) is cls
        assert pickle.loads(pickle.dumps(cls)) is cls


@pytest.mark.parametrize("cls", [hornbeam.layers.LSTM, hornbeam.losses.Dice, hornbeam.Model])
def test_sources_are_those_of_hornbeam(cls: type) -> None:
    assert inspect.getsource(cls).lstrip().startswith(("@exported", "class "))
    assert f"class {cls.__name__}(" in inspect.getsource(cls)


def test_objects_are_pickled() -> None:
    loaded = pickle.loads(pickle.dumps(hornbeam.initializers.Constant(3.0)))
    np.testing.assert_array_equal(loaded((2,)), [3, 3])


def test_hornbeam_knows_its_classes() -> None:
    with pytest.raises(TypeError, match="Flatten takes no tensors"):
        hornbeam.layers.Flatten(hornbeam.Input((2,)))
    assert is_pure(lambda x: hornbeam.layers.Rescaling(2.0)(x))


def test_uninstall_restores_the_paths() -> None:
    hornbeam.uninstall_as_keras()
    assert hornbeam.layers.Dense.__module__ == "hornbeam.layers.core"
    assert inspect.getfile is hornbeam_compat.source_paths._getfile
