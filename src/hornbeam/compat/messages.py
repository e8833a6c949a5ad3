"""What is said when a script uses a name that is not there, or an old one."""

from __future__ import annotations

import sys

_said: set[str] = set()


class MissingModuleError(ImportError):
    """A script imports a part of Keras or TensorFlow that Hornbeam does not have."""


class MissingNameError(AttributeError):
    """A script uses a name of Keras or TensorFlow that Hornbeam does not have."""


def note(old: str, new: str) -> None:
    """One line on stderr that says the new spelling of `old`, the first time that it is met."""
    if old not in _said:
        _said.add(old)
        print(f"hornbeam run: {old} is an old spelling, write {new}", file=sys.stderr)


def remark(text: str) -> None:
    """One line on stderr, said once."""
    if text not in _said:
        _said.add(text)
        print(f"hornbeam run: {text}", file=sys.stderr)
