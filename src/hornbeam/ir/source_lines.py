"""Lines of the user's code that layers and nodes come from, for error messages.

A layer records the line that created it, which takes a frame or two. Nodes record nothing: to find the line
of a node, trace the function again inside `recorded_lines`. With HORNBEAM_LINES=1 in the environment every
node records its line, for errors of eager code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hornbeam._internal.origin import FOLDERS
from hornbeam.ir.node import Node, node_hooks
from hornbeam.ir.scope import BACKWARD, Located, SourceLine, current_scope, scope


def user_line(frame: FrameType | None, outermost: FrameType | None = None) -> SourceLine | None:
    """Return file and line of the innermost frame outside of Hornbeam, from `frame` out to `outermost`."""
    user = user_frame(frame, outermost)
    return None if user is None else (user.f_code.co_filename, user.f_lineno)


def user_frame(frame: FrameType | None, outermost: FrameType | None = None) -> FrameType | None:
    """Return the innermost frame outside of Hornbeam, from `frame` out to `outermost`."""
    while frame is not None and frame is not outermost:
        if not frame.f_code.co_filename.startswith(FOLDERS):
            return frame
        frame = frame.f_back
    return None


@contextmanager
def located(line: SourceLine | None) -> Iterator[None]:
    """Let nodes created inside carry `line`, in the current scope."""
    name = current_scope()
    with scope(Located(name, line) if line else name):
        yield


@contextmanager
def recorded_lines() -> Iterator[None]:
    """Let nodes that this thread creates inside carry the user's line that created them."""
    outermost = sys._getframe(2)

    def record(node: Node) -> None:
        # A derivative's scope has the line of what it differentiates; other threads never reach `outermost`.
        if node.scope.endswith(BACKWARD) and isinstance(node.scope, Located):
            return
        line = user_line(sys._getframe(1), outermost)
        if line is not None:
            node.scope = Located(node.scope, line)

    node_hooks.append(record)
    try:
        yield
    finally:
        node_hooks.remove(record)


# Open until the process ends.
_always = recorded_lines()
if os.environ.get("HORNBEAM_LINES"):
    _always.__enter__()
