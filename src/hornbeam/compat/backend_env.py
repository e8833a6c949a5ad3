"""KERAS_BACKEND, which Keras reads when it is imported, chooses the engine of a script."""

from __future__ import annotations

import os

from hornbeam.compat.messages import remark
from hornbeam.engines import current_engine, follow_keras_backend

_followed: list[str] = []


def follow_backend(by_user: bool = False) -> None:
    """Run on the engine that KERAS_BACKEND means, unless HORNBEAM_ENGINE or `--engine` chose one, and say so.

    Called before the script begins, when its user has set the variable, and when the script imports Keras,
    since many set it themselves. Raises ValueError for what is no engine here. A library that is not there is
    an ImportError where the user asked for it; where the script did, the engine stays and a line says why.
    """
    backend = os.environ.get("KERAS_BACKEND", "")
    if not backend or backend in _followed:
        return
    _followed[:] = [backend]
    try:
        name = follow_keras_backend(backend)
    except ImportError as error:
        if by_user:
            raise
        engine = current_engine().name
        remark(f"running on the {engine} engine: the script sets KERAS_BACKEND={backend}, but {error}")
        return
    if name is None:
        remark(
            f"running on the {current_engine().name} engine, which was chosen over KERAS_BACKEND={backend}"
        )
    else:
        remark(f"running on the {name} engine, as KERAS_BACKEND={backend} says")
