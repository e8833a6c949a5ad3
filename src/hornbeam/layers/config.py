"""Configs of layers: constructor arguments as plain values."""

from __future__ import annotations

from typing import Any


def constructor_arguments(variables: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments in a constructor's `locals()`, to pass them on to the base class by keyword.

    A layer's constructor repeats the 10 to 20 arguments of its family, so that editors and signatures show
    them. `super().__init__(**constructor_arguments(locals()))`, as its first statement, forwards all of
    them, `**kwargs` included.
    """
    arguments = {
        name: value for name, value in variables.items() if name not in ("self", "kwargs", "__class__")
    }
    return {**arguments, **variables.get("kwargs", {})}
