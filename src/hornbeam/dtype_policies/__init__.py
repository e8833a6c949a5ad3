"""Dtype policies: the dtype in which a layer stores its weights, and the one in which it computes."""

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.dtype_policies.identifiers import (
    deserialize,
    get,
    global_policy,
    serialize,
    set_dtype_policy,
    set_global_policy,
)
from hornbeam.dtype_policies.policy import DTypePolicy, FloatDTypePolicy, Policy, dtype_policy
from hornbeam.dtype_policies.policy_map import DTypePolicyMap
from hornbeam.dtype_policies.quantized import (
    QUANTIZATION_MODES,
    AWQDTypePolicy,
    GPTQDTypePolicy,
    Int4DTypePolicy,
    QuantizedDTypePolicy,
    QuantizedFloat8DTypePolicy,
)

__all__ = [
    "QUANTIZATION_MODES", "AWQDTypePolicy", "DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy",
    "GPTQDTypePolicy", "Int4DTypePolicy", "Policy", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy",
    "deserialize", "dtype_policy", "get", "global_policy", "serialize", "set_dtype_policy",
    "set_global_policy",
]  # fmt: skip

explain_missing(__name__)
