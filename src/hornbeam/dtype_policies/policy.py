"""Dtype policies: the dtype in which a layer stores its weights, and the one in which it computes."""

from __future__ import annotations

from typing import Any, TypeAlias, Union

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import DTypeLike, Tree
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import FLOATS, dtype_name, is_float

DTypePolicyLike: TypeAlias = Union[DTypeLike, "DTypePolicy"]

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_global: DTypePolicy | None = None


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
        self._compute_dtype, self._variable_dtype = dtypes_of(name or floatx())
        self._name = name if name in MIXED else self._compute_dtype

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
    def quantization_mode(self) -> str | None:
        """The format of quantized weights, such as "int8"; None for policies that do not quantize."""
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
        return f'<{type(self).__name__} "{self._name}">'

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


def dtypes_of(name: str) -> tuple[str, str]:
    """Return the dtypes of computation and of weights that the name of a policy stands for.

    Raises ValueError if there is no such policy.
    """
    if name in MIXED:
        return MIXED[name], "float32"
    if name == "string":  # of layers that return text
        return name, name
    try:
        return dtype_name(name), dtype_name(name)
    except TypeError as error:
        known = (*FLOATS, *MIXED)
        raise ValueError(
            f"unknown dtype policy {name!r}.{nearest(str(name), known)} A policy is a dtype, one of "
            f"{', '.join(MIXED)}, or one that quantizes, such as 'int8_from_float32'"
        ) from error


FloatDTypePolicy = DTypePolicy
Policy = DTypePolicy


def dtype_policy() -> DTypePolicy:
    """Return the global policy, of layers without an explicit one: `floatx` unless set."""
    return _global if _global is not None else DTypePolicy(floatx())


def set_global(policy: DTypePolicy | None) -> None:
    """Set the global policy; None for that of `floatx`."""
    global _global
    _global = policy
