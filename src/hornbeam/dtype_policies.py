"""Dtype policies: in which dtype a layer keeps its weights, and in which it computes."""

from __future__ import annotations

import warnings
from typing import Any

from hornbeam.config import floatx
from hornbeam.engines import current_engine
from hornbeam.ir.types import FLOATS, dtype_name, is_float
from hornbeam.naming import nearest
from hornbeam.registry import deserialize as _deserialize
from hornbeam.registry import exported
from hornbeam.registry import serialize as _serialize

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_default: DTypePolicy | None = None
# The dtypes that were warned of.
_warned: set[str] = set()


@exported("keras")
@exported("keras.dtype_policies", "FloatDTypePolicy")
@exported("keras.mixed_precision", "Policy")
class DTypePolicy:
    """How a layer treats dtypes: weights are stored in `variable_dtype`, computed with in `compute_dtype`.

    name: a dtype such as "float32" (both are that), or "mixed_float16" / "mixed_bfloat16" (weights in
    float32, work in 16 bits; see Micikevicius et al. 2018, Mixed Precision Training).

    Raises ValueError for an unknown name.

    >>> DTypePolicy("mixed_bfloat16").compute_dtype
    'bfloat16'
    """

    def __init__(self, name: str | None = None) -> None:
        name = name or floatx()
        if name in _MIXED:
            self._name, self._compute_dtype, self._variable_dtype = name, _MIXED[name], "float32"
            return
        try:
            self._name = self._compute_dtype = self._variable_dtype = dtype_name(name)
        except TypeError as error:
            known = (*FLOATS, *_MIXED)
            raise ValueError(
                f"unknown dtype policy {name!r}.{nearest(str(name), known)} A policy is a dtype or one of "
                f"{', '.join(_MIXED)}"
            ) from error

    @property
    def name(self) -> str:
        """ "float32", "mixed_bfloat16", ..."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype of inputs, and of weights while the layer computes."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype in which weights are stored and updated."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> None:
        """None: quantized policies are not there."""
        return None

    def get_config(self) -> dict[str, Any]:
        """`{"name": ...}`."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy that a config describes."""
        return cls(**config)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


FloatDTypePolicy = DTypePolicy
Policy = DTypePolicy

MISSING = dict.fromkeys(
    (
        "AWQDTypePolicy",
        "GPTQDTypePolicy",
        "Int4DTypePolicy",
        "QuantizedDTypePolicy",
        "QuantizedFloat8DTypePolicy",
    ),
    "quantized layers are not there",
)
MISSING["DTypePolicyMap"] = "one policy per sublayer path is not there: pass dtype= to the layers"


def __getattr__(name: str) -> Any:
    if name in MISSING:
        raise AttributeError(f"dtype_policies.{name} is not in this version of Hornbeam: {MISSING[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{nearest(name, globals())}")


def get(identifier: Any) -> DTypePolicy:
    """A policy from a policy, its name, a dtype, a config, or None for the global policy.

    Raises ValueError for what names no policy.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return _sensible(identifier)
    if isinstance(identifier, dict):
        made = deserialize(identifier)
        if not isinstance(made, DTypePolicy):
            raise ValueError(f"the config {identifier!r} describes no dtype policy")
        return _sensible(made)
    return _sensible(DTypePolicy(identifier if isinstance(identifier, str) else dtype_name(identifier)))


def _sensible(policy: DTypePolicy) -> DTypePolicy:
    """The policy, after a warning (one for each dtype) if it only makes this machine slower."""
    dtype = policy.compute_dtype
    if policy.name in _MIXED and dtype not in _warned and not current_engine().multiplies(dtype):
        _warned.add(dtype)
        warnings.warn(
            f"{policy.name!r}: this CPU has no instruction that multiplies {dtype}, so that training and "
            "prediction are slower than in float32; only memory is saved",
            stacklevel=3,
        )
    return policy


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """The policy in Keras's config format."""
    return _serialize(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The policy that a config describes."""
    return _deserialize(config, custom_objects)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none: `floatx` unless set."""
    return _default if _default is not None else DTypePolicy(floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers made from now on. Raises ValueError unless it computes in a float dtype."""
    global _default
    made = DTypePolicy(floatx()) if policy is None else get(policy)
    if not is_float(made.compute_dtype):
        raise ValueError(f"the global dtype policy must compute in a float dtype, got {policy!r}")
    _default = None if policy is None else made


# Keras's older names for the same two.
global_policy = dtype_policy
set_global_policy = set_dtype_policy
