"""Policies: those that a machine is slower with, and maps of several."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import hornbeam
from hornbeam import dtype_policies
from hornbeam.dtype_policies import DTypePolicy, DTypePolicyMap
from hornbeam.engines import current_engine


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dtype_policies.identifiers, "_warned", set())
    yield
    dtype_policies.set_dtype_policy(None)


def test_a_policy_that_is_only_slower_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        type(current_engine()), "has_native_arithmetic", lambda self, dtype: dtype == "float32"
    )
    with pytest.warns(UserWarning, match="no instruction that multiplies bfloat16"):
        dtype_policies.set_dtype_policy("mixed_bfloat16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dtype_policies.set_dtype_policy("mixed_bfloat16")
        dtype_policies.set_dtype_policy("float32")
    with pytest.warns(UserWarning, match="float16"):
        dtype_policies.get("mixed_float16")


def test_a_policy_that_the_machine_has_an_instruction_for_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(current_engine()), "has_native_arithmetic", lambda self, dtype: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dtype_policies.set_dtype_policy("mixed_bfloat16")


def test_inputs_are_converted() -> None:
    policy = DTypePolicy("mixed_bfloat16")
    assert policy.convert_input(np.ones(2, "float32"), True, "bfloat16").dtype == "bfloat16"
    assert policy.convert_input(np.ones(2, "float32"), False, "bfloat16").dtype == "float32"
    assert policy.convert_input(np.ones(2, "int32"), True, "bfloat16").dtype == "int32"
    assert policy.convert_input(3.0, True, "bfloat16") == 3.0


def test_maps() -> None:
    policies = DTypePolicyMap("float32", {"block/.*": DTypePolicy("bfloat16"), "block/last": "float16"})
    assert policies["block/first"].name == "bfloat16"
    assert policies["block/last"].name == "float16"
    assert (policies["other"].name, policies.name, policies.compute_dtype) == (
        "float32",
        "map_float32",
        "float32",
    )
    assert "other" not in policies
    policies["other"] = "float64"
    assert len(policies) == 3
    again = DTypePolicyMap.from_config(policies.get_config())
    assert again == policies
    assert dtype_policies.get(dtype_policies.serialize(policies)) == policies
    policies["block/f.*"] = "float64"
    with pytest.raises(ValueError, match="matches several entries"):
        policies["block/first"]
    with pytest.raises(ValueError, match="has a policy for 'other' already"):
        policies["other"] = "float16"
    with pytest.raises(ValueError, match="must be a single policy"):
        DTypePolicyMap(policies)
    with pytest.raises(TypeError, match="must be a dict"):
        DTypePolicyMap(None, [])


def test_a_map_reaches_the_layers_inside() -> None:
    policies = DTypePolicyMap("float32", {"attend/query": DTypePolicy("float64")})
    layer = hornbeam.layers.MultiHeadAttention(2, 4, dtype=policies, name="attend")
    layer.build((None, 3, 8), (None, 3, 8))
    results = {variable.path: variable.dtype for variable in layer.weights}
    assert results["attend/query/kernel"] == "float64"
    assert results["attend/key/kernel"] == "float32"


def test_a_layer_takes_a_policy_by_its_name() -> None:
    layer = hornbeam.layers.Dense(2)
    layer.dtype_policy = "mixed_float16"
    assert (layer.compute_dtype, layer.variable_dtype) == ("float16", "float32")
    assert layer(np.ones((1, 3), "float32")).dtype == "float16"
    with pytest.raises(ValueError, match="mixed"):
        layer.dtype_policy = "mixed_float17"


def test_layers_of_text_have_the_policy_string() -> None:
    class Words(hornbeam.Layer):
        pass

    layer = Words(dtype="string")
    assert (layer.compute_dtype, layer.variable_dtype, layer.dtype_policy.name) == ("string",) * 3
    assert Words.from_config(layer.get_config()).compute_dtype == "string"
