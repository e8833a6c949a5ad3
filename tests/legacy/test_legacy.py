"""Names that Keras 3 keeps of Keras 2."""

from __future__ import annotations

import pytest

import hornbeam as hb
from hornbeam.legacy.saving import deserialize_keras_object, serialize_keras_object


def test_configs() -> None:
    config = serialize_keras_object(hb.initializers.Constant(2.0))
    assert config == {"class_name": "Constant", "config": {"value": 2.0}}
    names = {"Constant": hb.initializers.Constant, "relu": hb.activations.relu}
    assert deserialize_keras_object(config, names).value == 2.0
    assert deserialize_keras_object("relu", custom_objects=names) is hb.activations.relu
    assert serialize_keras_object(hb.activations.relu) == "relu"
    assert serialize_keras_object(None) is deserialize_keras_object(None) is None
    with pytest.raises(ValueError, match="unknown layer 'Dens'"):
        deserialize_keras_object("Dens", printable_module_name="layer")
    with pytest.raises(ValueError, match="cannot be serialized"):
        serialize_keras_object(3)
    assert hb.utils.legacy.serialize_keras_object is serialize_keras_object


def test_optimizers() -> None:
    with pytest.raises(ImportError, match=r"use hornbeam\.optimizers\.Adam"):
        hb.optimizers.legacy.Adam(0.1)
