"""Dtype policies: the dtype in which a layer stores its weights, and the one in which it computes."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.lazy_imports import attach
from hornbeam._internal.naming import nearest
from hornbeam._internal.warn import warn_user
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.registry import deserialize as _deserialize
from hornbeam.core.registry import exported
from hornbeam.core.registry import serialize as _serialize
from hornbeam.core.tensor import Tensor
from hornbeam.engines import current_engine
from hornbeam.ir.types import FLOATS, dtype_name, is_float

if TYPE_CHECKING:
    from hornbeam._internal.typing import Config, DTypePolicyLike, Tree

__all__ = [
    "DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "dtype_policy", "get", "serialize",
    "set_dtype_policy",
]  # fmt: skip

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_default: DTypePolicy | None = None
# Dtypes with a warning already.
_warned: set[str] = set()


@exported("keras")
@exported("keras.dtype_policies", "FloatDTypePolicy")
@exported("keras.mixed_precision", "Policy")
class DTypePolicy:
    """Dtypes of a layer: weights are stored in `variable_dtype` and computed with in `compute_dtype`.

    See Micikevicius et al. 2018, Mixed Precision Training.

    Args:
        name: Dtype such as "float32" for both, or "mixed_float16" or "mixed_bfloat16" (weights in float32,
            arithmetic in 16 bits); None for the global policy.

    Raises:
        ValueError: If the name is unknown.

    Example:
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
        """Name of the policy, such as "float32" or "mixed_bfloat16"."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """Dtype of inputs, and of weights while the layer computes."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Dtype in which weights are stored and updated."""
        return self._variable_dtype

    def at(self, path: str) -> DTypePolicy:
        """Return the policy of a layer; a `DTypePolicyMap` has several.

        Args:
            path: Path of the layer.

        Returns:
            DTypePolicy.
        """
        return self

    def convert_input(self, x: Tree, autocast: bool, dtype: str) -> Tree:
        """Convert an input of a layer: arrays become tensors; anything else stays as it is.

        Args:
            x: Input.
            autocast: Cast floating-point inputs.
            dtype: Dtype to cast to.

        Returns:
            Tensor, or `x`.
        """
        if not isinstance(x, (Tensor, np.ndarray, np.generic)):
            return x
        tensor = as_tensor(x)
        return cast(tensor, dtype) if autocast and is_float(tensor.dtype) else tensor

    @property
    def quantization_mode(self) -> None:
        """None: quantized policies are not supported."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the config `{"name": ...}`."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """Build the policy that a config describes.

        Args:
            config: Dict of arguments.

        Returns:
            DTypePolicy.
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


FloatDTypePolicy = DTypePolicy
Policy = DTypePolicy


@exported("keras.dtype_policies")
class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by layer path, for the `dtype` of a layer that passes it on to the layers inside.

    Args:
        default_policy: Policy of layers that match no entry; None for the global policy at the time of the
            query.
        policy_map: Policies by path; a path may be a regular expression that matches the full path.

    Raises:
        ValueError: If a path matches several expressions, or is set twice.

    Example:
        >>> policies = DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("bfloat16")})
        >>> policies["encoder/dense"].name, policies["decoder"].name
        ('bfloat16', 'float32')
    """

    def __init__(
        self, default_policy: DTypePolicyLike | None = None, policy_map: dict[str, Any] | None = None
    ) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError("default_policy must be a single policy, not a DTypePolicyMap")
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(f"policy_map must be a dict of policies by path, got {type(policy_map).__name__}")
        self._given = default_policy
        self._policies = {path: get(policy) for path, policy in (policy_map or {}).items()}
        get(default_policy)  # raise for invalid policies now

    @property
    def default_policy(self) -> DTypePolicy:
        """Policy of layers that match no entry."""
        return get(self._given)

    @property
    def name(self) -> str:
        """Name "map_" followed by the name of the default policy."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """Compute dtype of the default policy."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Variable dtype of the default policy."""
        return self.default_policy.variable_dtype

    def at(self, path: str) -> DTypePolicy:
        """Return the policy of a layer.

        Args:
            path: Path of the layer.

        Returns:
            DTypePolicy.
        """
        return self[path]

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self._policies:
            return self._policies[path]
        patterns = [pattern for pattern in self._policies if re.fullmatch(pattern, path)]
        if len(patterns) > 1:
            raise ValueError(f"the path {path!r} matches several entries of the DTypePolicyMap: {patterns}")
        return self._policies[patterns[0]] if patterns else self.default_policy

    def __setitem__(self, path: str, policy: DTypePolicyLike) -> None:
        if path in self._policies:
            raise ValueError(f"the DTypePolicyMap has a policy for {path!r} already: delete it first")
        self._policies[path] = get(policy)

    def __delitem__(self, path: str) -> None:
        del self._policies[path]

    def __contains__(self, path: object) -> bool:
        return path in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def get_config(self) -> dict[str, Any]:
        """Return the default policy as it was passed, and the others by path."""
        default = _serialize(self._given) if isinstance(self._given, DTypePolicy) else self._given
        return {
            "default_policy": default,
            "policy_map": {k: _serialize(v) for k, v in self._policies.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicyMap:
        """Build the map that a config describes.

        Args:
            config: Dict of arguments.

        Returns:
            DTypePolicyMap.
        """
        return cls(_deserialize(config["default_policy"]), _deserialize(config["policy_map"]))

    def __repr__(self) -> str:
        return (
            f"<DTypePolicyMap default={self.default_policy.name} { ({k: v.name for k, v in self.items()}) }>"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and (
            (other._given, other._policies) == (self._given, self._policies)
        )

    __hash__ = object.__hash__


_MISSING = dict.fromkeys(
    (
        "AWQDTypePolicy",
        "GPTQDTypePolicy",
        "Int4DTypePolicy",
        "QuantizedDTypePolicy",
        "QuantizedFloat8DTypePolicy",
    ),
    "Quantized layers are not in this version.",
)


if not TYPE_CHECKING:  # there, it would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__, missing=_MISSING)


def get(identifier: DTypePolicyLike | Config | None) -> DTypePolicy:
    """Return the policy for an identifier.

    Args:
        identifier: Policy, name, dtype, config, or None for the global policy.

    Returns:
        DTypePolicy.

    Raises:
        ValueError: If the identifier names no policy.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return _sensible(identifier)
    if isinstance(identifier, dict):
        policy = deserialize(identifier)
        if not isinstance(policy, DTypePolicy):
            raise ValueError(f"the config {identifier!r} describes no dtype policy")
        return _sensible(policy)
    return _sensible(DTypePolicy(identifier if isinstance(identifier, str) else dtype_name(identifier)))


def _sensible(policy: DTypePolicy) -> DTypePolicy:
    """Return the policy, after a warning (one for each dtype) if it only makes this machine slower."""
    dtype = policy.compute_dtype
    if policy.name in _MIXED and dtype not in _warned and not current_engine().has_native_arithmetic(dtype):
        _warned.add(dtype)
        warn_user(
            f"{policy.name!r}: this CPU has no instruction that multiplies {dtype}, so that training and "
            "prediction are slower than in float32; only memory is saved"
        )
    return policy


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Convert a policy to a config in Keras's format.

    Args:
        dtype_policy: Policy.

    Returns:
        Dict.
    """
    return _serialize(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Build the policy that a config describes.

    Args:
        config: Config.
        custom_objects: Classes by name, in addition to the registered ones.

    Returns:
        DTypePolicy.
    """
    return _deserialize(config, custom_objects)


def dtype_policy() -> DTypePolicy:
    """Return the global policy, of layers without an explicit one: `floatx` unless set."""
    return _default if _default is not None else DTypePolicy(floatx())


def set_dtype_policy(policy: DTypePolicyLike | Config) -> None:
    """Set the policy of layers that are created from now on.

    Args:
        policy: Policy, name, dtype or config.

    Raises:
        ValueError: If the policy does not compute in a float dtype.
    """
    global _default
    new_policy = DTypePolicy(floatx()) if policy is None else get(policy)
    if not is_float(new_policy.compute_dtype):
        raise ValueError(f"the global dtype policy must compute in a float dtype, got {policy!r}")
    _default = None if policy is None else new_policy


# Older names of Keras.
global_policy = dtype_policy
set_global_policy = set_dtype_policy
