"""Weight initializers.

An initializer is called with a shape and dtype and returns values at once, also while a function is traced.
With an integer or None as its seed it returns the same values on every call; with a SeedGenerator, new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Config
from hornbeam.core import registry
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import InitializerLike
from hornbeam.initializers.constants import Constant, Identity, Ones, Zeros
from hornbeam.initializers.fourier import STFT
from hornbeam.initializers.initializer import MODULE, Initializer
from hornbeam.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)

__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity",
    "IdentityInitializer", "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal",
    "OrthogonalInitializer", "RandomInitializer", "RandomNormal", "RandomUniform", "STFTInitializer",
    "TruncatedNormal", "VarianceScaling", "Zeros", "compute_fans", "constant", "deserialize", "get",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform",
    "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "stft", "truncated_normal",
    "variance_scaling", "zeros",
]  # fmt: skip

# fmt: off
zeros, ones, constant, identity, stft, orthogonal = Zeros, Ones, Constant, Identity, STFT, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
# fmt: on

# Short names that Keras accepts, and uses as a default (Embedding).
_OLDER_NAMES = {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"}


def serialize(initializer: InitializerLike) -> str | Config:
    """Convert an initializer to a config.

    Args:
        initializer: Initializer.

    Returns:
        Dict.
    """
    return registry.serialize(initializer)


def deserialize(config: str | Config, custom_objects: dict[str, Any] | None = None) -> Initializer:
    """Build the initializer that a name or config describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Initializer.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.resolve(config, MODULE, "initializer", custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Config | Initializer | Tensor | np.ndarray | type[Initializer]) -> Initializer: ...
@overload
def get(identifier: Callable[..., Any]) -> Callable[..., Tensor]: ...
def get(identifier: InitializerLike | type[Initializer]) -> Initializer | Callable[..., Tensor] | None:
    """Return the initializer for an identifier.

    Args:
        identifier: Name such as "he_normal", config, class, array, callable, or None.

    Returns:
        Initializer, or None for None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.

    Example:
        >>> hornbeam.initializers.get("zeros")((2,)).shape
        (2,)
    """
    if isinstance(identifier, (np.ndarray, Tensor)):
        return Constant(identifier)
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, str):
        identifier = _OLDER_NAMES.get(identifier, identifier)
    return registry.resolve(identifier, MODULE, "initializer")


explain_missing(__name__)
