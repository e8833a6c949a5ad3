"""Cells run by IPython's shell: magics, `!commands` and displays as in Jupyter."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from hornbeam_compat.notebook_runs.outputs import Recorder
from hornbeam_compat.notebooks import adapt_shell


class _Publisher(DisplayPublisher):
    """Publisher of `display()` that records what is displayed."""

    recorder: Recorder

    def publish(
        self,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: Any = False,
        **kwargs: Any,
    ) -> None:
        display_id = (transient or {}).get("display_id")
        self.recorder.display(data, metadata, display_id, update)

    def clear_output(self, wait: bool = False) -> None:
        self.recorder.clear()


class _Hook(DisplayHook):
    """Hook that records the value of a last expression."""

    recorder: Recorder

    def write_output_prompt(self) -> None:
        """Write no prompt."""

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        if format_dict:
            self.recorder.result(format_dict, md_dict or {})

    def finish_displayhook(self) -> None:
        self._is_active = False


class _Shell(InteractiveShell):
    """A shell that prints no tracebacks itself."""

    traceback_lines: list[str]

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        self.traceback_lines = [str(line) for line in stb]

    def enable_gui(self, gui: str | None = None) -> None:
        """Ignore event loops: figures are recorded as images."""


class IPythonSession:
    """Runs cells by IPython.

    Args:
        recorder: Takes the outputs.
    """

    def __init__(self, recorder: Recorder) -> None:
        os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        main = ModuleType("__main__")
        sys.modules["__main__"] = main
        self._recorder = recorder
        shell: Any = _Shell.instance(
            config=config, user_module=main, display_pub_class=_Publisher, displayhook_class=_Hook
        )
        adapt_shell(shell)
        shell.display_pub.recorder = shell.displayhook.recorder = recorder
        self._shell = shell

    def run(self, source: str, number: int) -> BaseException | None:
        """Run the cell with this number; return the error that ended it, if any."""
        self._shell.traceback_lines = []
        result = self._shell.run_cell(source, store_history=True, cell_id=f"cell {number}")
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        if error is not None:
            self._recorder.error(error, self._shell.traceback_lines)
        return error

    @property
    def traceback(self) -> str:
        """Traceback of the last error, as text."""
        return "\n".join(self._shell.traceback_lines)
