"""KERAS_BACKEND, which Keras reads when it is imported, chooses the engine of a script."""

from __future__ import annotations

import os

from hornbeam.compat.messages import log_once
from hornbeam.engines import current_engine, follow_keras_backend

_followed: list[str] = []


def follow_backend(by_user: bool = False) -> None:
    """Switch to the engine that KERAS_BACKEND names, and log it.

    HORNBEAM_ENGINE and `--engine` take precedence. Called before the script begins, for a variable set by the
    user, and again when the script imports Keras, since many scripts set the variable themselves.

    Args:
        by_user: True before the script begins. A missing library is then an error; if the script asked for
            it, the engine stays and a line on stderr gives the reason.

    Raises:
        ValueError: If no engine corresponds to the value of KERAS_BACKEND.
        ImportError: If the engine's library is missing and `by_user` is True.
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
        log_once(f"running on the {engine} engine: the script sets KERAS_BACKEND={backend}, but {error}")
        return
    if name is None:
        engine = current_engine().name
        log_once(f"running on the {engine} engine, which was chosen over KERAS_BACKEND={backend}")
    else:
        log_once(f"running on the {name} engine, chosen by KERAS_BACKEND={backend}")
