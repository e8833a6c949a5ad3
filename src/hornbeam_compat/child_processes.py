"""Child processes of `multiprocessing`: Hornbeam replaces Keras in those that it starts anew, too.

A forked child has the changes of its parent. Processes that a program starts by `subprocess` have not.
"""

from __future__ import annotations

import multiprocessing.spawn
from collections.abc import Callable
from typing import Any

from hornbeam_compat import messages

_preparation_data = multiprocessing.spawn.get_preparation_data


class _Call:
    """An object that calls a function of the speaker when it is unpickled."""

    def __init__(self, function: Callable[[str], None]) -> None:
        self._function = function

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return self._function, (messages.speaker,)


def preparation_data(name: str, install: Callable[[str], None]) -> dict[str, Any]:
    """Return the data from which a child prepares itself, as `multiprocessing.spawn`.

    Children read it before they import the main module.

    Args:
        name: Name of the child.
        install: Function to call in the child, with the name of the program that speaks.
    """
    return {**_preparation_data(name), "hornbeam": _Call(install)}
