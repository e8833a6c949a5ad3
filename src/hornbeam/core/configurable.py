"""Configs from signatures: the arguments of a constructor, read from attributes of the same names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hornbeam._internal.call_errors import ArgumentChecks
from hornbeam._internal.formatting import scalars_repr
from hornbeam._internal.typing import Config
from hornbeam.core.typing import Self


class Configurable(ArgumentChecks):
    """Base class of families whose objects keep each argument of the constructor under its name."""

    # Whether a subclass outside of this library must define `get_config` itself.
    _must_define_config = False

    def __repr__(self) -> str:
        return scalars_repr(self)

    def get_config(self) -> Config:
        """Return the arguments from which an equal object is built.

        An object of this library is described by the arguments of its constructor.

        Raises:
            NotImplementedError: If a subclass of a family that needs it does not define `get_config`.
        """
        owner = config_owner(type(self))
        if self._must_define_config and Configurable in owner.__bases__:
            raise NotImplementedError(f"{type(self).__name__} must define get_config() to be saved")
        return {name: getattr(self, name) for name in argument_names(owner)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the object that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Object of this class.
        """
        return cls(**config)


def config_owner(cls: type) -> type:
    """Return the class of this library, `cls` or the nearest base, whose arguments the config has."""
    return next(base for base in cls.__mro__ if "_keras_module" in vars(base))


def own_arguments(instance: object, base: type) -> Config:
    """Return the arguments of an object that a base class does not take, for its config."""
    inherited = argument_names(base)
    owner = config_owner(type(instance))
    return {name: getattr(instance, name) for name in argument_names(owner) if name not in inherited}


def argument_names(cls: type) -> tuple[str, ...]:
    """Return the names of a constructor's arguments."""
    return _argument_names(cls.__init__)  # type: ignore[misc]


@functools.cache
def _argument_names(constructor: Callable[..., None]) -> tuple[str, ...]:
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
