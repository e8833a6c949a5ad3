"""Freezing and unfreezing layers, and learning rates that fall from layer to layer."""

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.transfer import freeze, layerwise_decay, unfreeze


def network():
    base = hb.Sequential(
        [hb.Input((4,)), layers.Dense(6, "relu", name="low"), layers.BatchNormalization(name="norm")],
        name="base",
    )
    return hb.Sequential([hb.Input((4,)), base, layers.Dense(3, name="head")], name="net")


def two_denses():
    """A model with two layers of one name."""
    return hb.Sequential(
        [
            hb.Sequential([hb.Input((4,)), layers.Dense(4, name="dense")], name=name)
            for name in ("left", "right")
        ]
    )


def trained(model):
    return [variable.path.split("/")[-2] for variable in model.trainable_variables]


def test_all_layers():
    model = network()
    freeze(model)
    assert trained(model) == []
    unfreeze(model)
    assert trained(model) == ["low", "low", "norm", "norm", "head", "head"]


@pytest.mark.parametrize("name", ["low", "base/low"])
def test_by_name_and_by_path(name):
    model = network()
    freeze(model, name)
    assert trained(model) == ["norm", "norm", "head", "head"]


def test_by_layer_with_all_inside():
    model = network()
    freeze(model, model.layers[0])
    assert trained(model) == ["head", "head"]
    unfreeze(model, "norm")
    assert trained(model) == ["norm", "norm", "head", "head"]
    assert len(model.layers[0].trainable_variables) == 2  # the container, too


@pytest.mark.parametrize(("last", "names"), [(1, ["head", "head"]), (2, ["norm", "norm", "head", "head"])])
def test_last_layers(last, names):
    model = network()
    freeze(model, except_last=last)
    assert trained(model) == names
    freeze(model)
    unfreeze(model, last=last)
    assert trained(model) == names


def test_unknown_layers_are_named():
    with pytest.raises(ValueError, match=r"has no layer 'hed'\. Did you mean 'head'.*It has: .*norm, head"):
        freeze(network(), "hed")
    with pytest.raises(ValueError, match="has no layer 'dense"):
        unfreeze(network(), layers.Dense(2, name="dense_of_another"))
    with pytest.raises(ValueError, match=r"strings, or layers themselves; got 3"):
        freeze(network(), 3)


def test_ambiguous_names_ask_for_a_path():
    with pytest.raises(ValueError, match="several layers 'dense': 'left/dense', 'right/dense'"):
        freeze(two_denses(), "dense")


def test_contradicting_arguments():
    with pytest.raises(ValueError, match="either layers or except_last="):
        freeze(network(), "head", except_last=1)
    with pytest.raises(ValueError, match="either layers or last="):
        unfreeze(network(), "head", last=1)
    with pytest.raises(ValueError, match="'empty' is not built"):
        freeze(hb.Sequential([layers.Dense(2)], name="empty"), except_last=1)


def test_frozen_batch_normalization_keeps_its_statistics():
    model = network()
    freeze(model, "base")
    model.compile("sgd", "mse")
    before = model.layers[0].get_weights()
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    for old, new in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_frozen_is_saved(tmp_path):
    model = network()
    freeze(model, "low")
    model.save(tmp_path / "model.keras")
    assert trained(hb.models.load_model(tmp_path / "model.keras")) == ["norm", "norm", "head", "head"]


def test_layerwise_decay():
    assert layerwise_decay(network(), 0.5) == {"low": 0.25, "norm": 0.5, "head": 1.0}
    assert layerwise_decay(two_denses(), 0.1) == {"left/dense": 0.1, "right/dense": 1.0}
    with pytest.raises(ValueError, match=r"decay must be a number in \(0, 1\]"):
        layerwise_decay(network(), 0.0)
