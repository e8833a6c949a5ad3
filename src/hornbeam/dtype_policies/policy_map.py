"""Dtype policies by the path of a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.dtype_policies.identifiers import get
from hornbeam.dtype_policies.policy import DTypePolicy, DTypePolicyLike


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

    @property
    def quantization_mode(self) -> str | None:
        """Quantization mode of the default policy."""
        return self.default_policy.quantization_mode

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
        default = serialize(self._given) if isinstance(self._given, DTypePolicy) else self._given
        return {
            "default_policy": default,
            "policy_map": {k: serialize(v) for k, v in self._policies.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicyMap:
        """Build the map that a config describes.

        Args:
            config: Dict of arguments.

        Returns:
            DTypePolicyMap.
        """
        return cls(deserialize(config["default_policy"]), deserialize(config["policy_map"]))

    def __repr__(self) -> str:
        return (
            f"<DTypePolicyMap default={self.default_policy.name} { ({k: v.name for k, v in self.items()}) }>"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and (
            (other._given, other._policies) == (self._given, self._policies)
        )

    __hash__ = object.__hash__
