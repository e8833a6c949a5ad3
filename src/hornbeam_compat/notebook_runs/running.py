"""`run_notebook`: all cells of a notebook, in order, until one fails."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

from hornbeam_compat.notebook_runs.outputs import Recorder, Tee
from hornbeam_compat.notebook_runs.reading import (
    NotebookError,
    code_cells,
    read_notebook,
    source_of,
    write_notebook,
)


def run_notebook(path: str, output: str | None = None) -> int:
    """Run the cells of a notebook in the notebook's folder; return the exit status.

    Texts are shown as they come. A cell that fails ends the run, except with the tag "raises-exception".

    Args:
        path: Notebook, which is not changed.
        output: File that gets the notebook with the outputs of its cells, also if one fails.
    """
    try:
        notebook = read_notebook(path)
    except NotebookError as error:
        print(f"hornbeam run: {error}", file=sys.stderr)
        return 2
    target = None if output is None else os.path.abspath(output)
    folder = os.path.dirname(os.path.abspath(path))
    sys.argv = [path]
    sys.path.insert(0, folder)
    recorder = Recorder(sys.stdout)
    session = _session(recorder)
    cells = code_cells(notebook)
    for _, cell in cells:
        cell["outputs"], cell["execution_count"] = [], None
    try:
        with _working_directory(folder):
            return _run_cells(cells, session, recorder)
    finally:
        if target is not None:
            write_notebook(notebook, target)


def _session(recorder: Recorder) -> Any:
    try:
        from hornbeam_compat.notebook_runs.ipython_session import IPythonSession
    except ImportError:
        from hornbeam_compat.notebook_runs.plain_session import PlainSession

        return PlainSession(recorder)
    return IPythonSession(recorder)


def _run_cells(cells: list[tuple[int, dict[str, Any]]], session: Any, recorder: Recorder) -> int:
    stdout, stderr = sys.stdout, sys.stderr
    for number, cell in cells:
        source = source_of(cell)
        if not source.strip():
            continue
        recorder.begin()
        sys.stdout = cast(Any, Tee("stdout", stdout, recorder))
        sys.stderr = cast(Any, Tee("stderr", stderr, recorder))
        try:
            error = session.run(source, number)
        finally:
            sys.stdout, sys.stderr = stdout, stderr
            cell["outputs"], cell["execution_count"] = recorder.outputs, recorder.count
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        if error is not None and "raises-exception" not in cell.get("metadata", {}).get("tags", ()):
            stdout.flush()
            print(f"{session.traceback}\n\nhornbeam run: cell {number} failed", file=stderr)
            return 1
    return 0


@contextlib.contextmanager
def _working_directory(folder: str) -> Iterator[None]:
    previous = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(previous)
