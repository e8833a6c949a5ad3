"""Short tracebacks: frames inside of Hornbeam are hidden when an error is displayed, not when it is raised.

Keras trims `__traceback__` in a wrapper around every entry point. Here the display is changed instead:
`sys.excepthook` in scripts and in the interactive interpreter, `threading.excepthook`, and the custom
exception handler of IPython, which Jupyter uses. That covers every function and method without a wrapper
around any, so no call gets slower. Errors keep all of their frames for pytest, loggers, `except` blocks and
`pdb.pm()`, none of which is affected.

A handler that is not Python's own, of the user, a debugger or another library, is left alone, whether it was
installed before this package or after it.

Hidden are the frames of this package and those of the standard library between them, the launcher of
`hornbeam run` before the user's script included. The frames of the user, of other libraries and the message
stay, also of causes and contexts. An error that no frame of the user led to is displayed as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from hornbeam._internal.origin import FOLDERS

_LAUNCHER = FOLDERS[0] + os.path.join("cli", "__init__.py")
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SHOW_ALL = "hornbeam.config.disable_traceback_filtering()"


def install() -> None:
    """Replace Python's handlers of uncaught errors, and no others."""
    import threading

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _show_in_thread
    install_in_ipython()


def install_in_ipython() -> None:
    """Handle the errors of cells, if this is an IPython session without a handler of the user's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    if shell is not None and shell.custom_exceptions == ():
        shell.set_custom_exc((Exception, KeyboardInterrupt), _show_in_ipython)


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    with displayable(error, trace) as note:
        _print_note(note)
        sys.__excepthook__(kind, error, error.__traceback__)


def _show_in_thread(args: Any) -> None:
    import threading

    if args.exc_value is None:
        threading.__excepthook__(args)
        return
    with displayable(args.exc_value, args.exc_traceback) as note:
        _print_note(note)
        shortened = (args.exc_type, args.exc_value, args.exc_value.__traceback__, args.thread)
        threading.__excepthook__(threading.ExceptHookArgs(shortened))


def _show_in_ipython(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    with displayable(error, trace) as note:
        if note and hasattr(error, "add_note"):  # Python 3.10 has no notes
            error.add_note(note)
        shell.showtraceback((kind, error, error.__traceback__), tb_offset=tb_offset)


def _print_note(note: str) -> None:
    """Print a line above a traceback, the last line of which is the message that programs look for."""
    from hornbeam._internal.terminal import print_wrapped  # `import hornbeam` stays quick

    if note and sys.stderr is not None:
        print_wrapped(note, sys.stderr, indent="  ")


@contextmanager
def displayable(error: BaseException, trace: TracebackType | None) -> Iterator[str]:
    """Shorten the tracebacks of an error and of what led to it, and complete its message, inside a block.

    The value is a line on the hidden frames, empty if none are.
    """
    from hornbeam._internal.call_errors import improve_message

    improve_message(error, trace)
    chain = _chain(error)
    before = [(each, each.__traceback__, list(getattr(each, "__notes__", ()))) for each in chain]
    if error.__traceback__ is None:
        error.__traceback__ = trace
    hidden = _shorten(error, chain) if _is_enabled() else 0
    frames = "1 frame" if hidden == 1 else f"{hidden} frames"
    try:
        yield f"({frames} inside of Hornbeam hidden; {_SHOW_ALL} shows all.)" if hidden else ""
    finally:
        for each, original, notes in before:
            each.__traceback__ = original
            if notes:
                each.__notes__ = notes  # type: ignore[attr-defined]
            elif hasattr(each, "__notes__"):
                del each.__notes__


def _is_enabled() -> bool:
    config = sys.modules.get("hornbeam.config")  # absent as long as no setting was read or changed
    return config is None or config.is_traceback_filtering_enabled()


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and all that are displayed with it: causes, contexts, members of groups."""
    chain: list[BaseException] = []
    stack: list[BaseException | None] = [error]
    while stack:
        each = stack.pop()
        if each is None or any(each is other for other in chain):
            continue
        chain.append(each)
        stack += [each.__cause__, None if each.__suppress_context__ else each.__context__]
        stack += getattr(each, "exceptions", ())
    return chain


def _shorten(error: BaseException, chain: list[BaseException]) -> int:
    """Hide frames in the tracebacks of a chain of errors. Return how many, apart from the launcher's."""
    visible_frames = {id(each): _visible_frames(each.__traceback__) for each in chain}
    # What only frames of this package led to is its bug, or a command of its own, unless a script was parsed.
    if not visible_frames[id(error)] and not isinstance(error, SyntaxError):
        return 0
    hidden = 0
    for each in chain:
        visible = visible_frames[id(each)]
        frames = list(_frames(each.__traceback__))
        # Those before the user's first frame belong to the launcher of a script.
        inner = frames[frames.index(visible[0]) :] if visible else [] if each is error else frames
        hidden += len(inner) - len(visible)
        shortened: TracebackType | None = None
        for entry in reversed(visible):
            shortened = TracebackType(shortened, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        each.__traceback__ = shortened
    return hidden


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _visible_frames(trace: TracebackType | None) -> list[TracebackType]:
    """Return the entries of a traceback that remain."""
    visible: list[TracebackType] = []
    inside = False
    for entry in _frames(trace):
        file = entry.tb_frame.f_code.co_filename
        if file.startswith(FOLDERS):
            inside = True
            if file == _LAUNCHER:
                visible.clear()  # the console script, or `python -m`
        elif not (inside and _is_standard(file)):
            inside = False
            visible.append(entry)
    return visible


def _is_standard(file: str) -> bool:
    return file.startswith("<frozen ") or (
        file.startswith(_STANDARD_LIBRARY) and "site-packages" not in file and "dist-packages" not in file
    )
