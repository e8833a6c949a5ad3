"""The kernel of a notebook, if this process is one: its cells, and displays that are updated."""

from __future__ import annotations

import sys
from typing import Any


def in_kernel() -> bool:
    """Return True in a kernel of Jupyter, VS Code or Colab, where outputs can be displayed and updated."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def cell_number() -> int | None:
    """Return the number of the cell that is running, None outside of a kernel."""
    shell = sys.modules["IPython"].get_ipython() if in_kernel() else None
    return None if shell is None else int(shell.execution_count)


def display_object(value: Any, **options: Any) -> Any:
    """Display an object in the present cell."""
    from IPython import display

    show: Any = display.display
    return show(value, **options)


class LiveOutput:
    """An output of the present cell that is replaced while the cell runs."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Display the output, or replace the displayed one."""
        bundle = {"text/plain": text, "text/html": html}
        if self._handle is None:
            self._handle = display_object(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    @property
    def is_shown(self) -> bool:
        """True after the first `show`."""
        return self._handle is not None
