"""Which gradient tapes are open in this thread, and what is kept for them."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from hornbeam.core import variable
from hornbeam.core.lazy import acquire_graph, release_graph
from hornbeam.ir.node import Node

_local = threading.local()


def tapes() -> list[Any]:
    """Tapes that may still be asked, as weak references; dead ones are left out."""
    alive = [ref for ref in getattr(_local, "tapes", ()) if ref() is not None]
    _local.tapes = alive
    return [ref() for ref in alive]


def is_recording() -> bool:
    """Whether some tape is open."""
    return getattr(_local, "open", 0) > 0


def begin(tape: Any) -> None:
    """A tape is opened: values keep their history until it ends or is thrown away."""
    _local.open = getattr(_local, "open", 0) + 1
    if tape not in tapes():
        _local.tapes = [*getattr(_local, "tapes", ()), weakref.ref(tape)]
        acquire_graph(id(tape))
        weakref.finalize(tape, release_graph, id(tape)).atexit = False
    variable.set_assignment_observer(_observe)


def stop(tape: Any) -> None:
    """The `with` block ends; the tape may still be asked."""
    _local.open -= 1


def end(tape: Any) -> None:
    """The tape has answered: nothing need be kept for it any more."""
    _local.tapes = [ref for ref in getattr(_local, "tapes", ()) if ref() not in (None, tape)]
    release_graph(id(tape))
    if not _local.tapes:
        variable.set_assignment_observer(None)


def _observe(changed: variable.Variable, before: Node) -> None:
    for tape in tapes():
        tape.assigned(changed, before)
