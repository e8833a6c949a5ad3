"""Dtype policies by name or config, and the global policy."""

from __future__ import annotations

from typing import Any

from hornbeam._internal.typing import Config
from hornbeam._internal.warn import warn_user
from hornbeam.config import floatx
from hornbeam.core.registry import deserialize as deserialize_object
from hornbeam.core.registry import serialize as serialize_object
from hornbeam.dtype_policies.policy import MIXED, DTypePolicy, DTypePolicyLike, dtype_policy, set_global
from hornbeam.dtype_policies.quantized import QUANTIZATION_MODES, quantized_policy
from hornbeam.engines import current_engine
from hornbeam.ir.types import dtype_name, is_float

# Dtypes with a warning already.
_warned: set[str] = set()


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
    if isinstance(identifier, str) and identifier.startswith(QUANTIZATION_MODES):
        return quantized_policy(identifier)
    return _sensible(DTypePolicy(identifier if isinstance(identifier, str) else dtype_name(identifier)))


def _sensible(policy: DTypePolicy) -> DTypePolicy:
    """Return the policy, after a warning (one for each dtype) if it only makes this machine slower."""
    dtype = policy.compute_dtype
    if policy.name in MIXED and dtype not in _warned and not current_engine().has_native_arithmetic(dtype):
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
    return serialize_object(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Build the policy that a config describes.

    Args:
        config: Config.
        custom_objects: Classes by name, in addition to the registered ones.

    Returns:
        DTypePolicy.
    """
    return deserialize_object(config, custom_objects)


def set_dtype_policy(policy: DTypePolicyLike | Config) -> None:
    """Set the policy of layers that are created from now on.

    Args:
        policy: Policy, name, dtype or config.

    Raises:
        ValueError: If the policy does not compute in a float dtype.
    """
    new_policy = DTypePolicy(floatx()) if policy is None else get(policy)
    if not is_float(new_policy.compute_dtype):
        raise ValueError(f"the global dtype policy must compute in a float dtype, got {policy!r}")
    set_global(None if policy is None else new_policy)


# Older names of Keras.
global_policy = dtype_policy
set_global_policy = set_dtype_policy
