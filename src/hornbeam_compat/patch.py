"""Patch: a change that `hornbeam_compat.policy` makes to a module or class."""

from __future__ import annotations

from typing import Any, NamedTuple


class Patch(NamedTuple):
    """A new value of an attribute of a module or class."""

    target: Any
    name: str
    value: Any
