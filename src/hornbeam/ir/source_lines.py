"""Which line of the user's something comes from, for errors.

A layer notes where it was made, which costs a look at a frame or two. Nodes note nothing: whoever has to say
which line made one traces the function again inside `recorded_lines`. With HORNBEAM_LINES=1 in the
environment every node is noted, for errors of eager code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hornbeam.ir.graph import BACKWARD, Located, Node, Place, current_scope, scope, watchers

_ROOT = str(Path(__file__).parents[1]) + os.sep


def users_place(frame: FrameType | None, outermost: FrameType | None = None) -> Place | None:
    """File and line of the innermost frame that is not Hornbeam's, from `frame` out to `outermost`."""
    while frame is not None and frame is not outermost:
        if not frame.f_code.co_filename.startswith(_ROOT):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


@contextmanager
def located(place: Place | None) -> Iterator[None]:
    """Nodes made inside carry `place`, in the scope that is open."""
    name = current_scope()
    with scope(Located(name, place) if place else name):
        yield


@contextmanager
def recorded_lines() -> Iterator[None]:
    """Nodes that this thread makes inside carry the line that made them, if there is one inside."""
    outermost = sys._getframe(2)

    def watch(node: Node) -> None:
        # A derivative's scope has the line of what it differentiates; other threads never reach `outermost`.
        if node.scope.endswith(BACKWARD) and isinstance(node.scope, Located):
            return
        place = users_place(sys._getframe(1), outermost)
        if place is not None:
            node.scope = Located(node.scope, place)

    watchers.append(watch)
    try:
        yield
    finally:
        watchers.remove(watch)


# Kept: it ends with the process.
_always = recorded_lines()
if os.environ.get("HORNBEAM_LINES"):
    _always.__enter__()
