"""KERAS_BACKEND: the name that `keras.backend.backend()` returns, and when the engine follows it.

Scripts and packages choose among their own code paths by this name. The engine stays the native one, unless
the program computes with the backend's library itself.
"""

from __future__ import annotations

import os
import sys

from hornbeam.engines import KERAS_BACKENDS, current_engine, is_engine_chosen, set_default_engine
from hornbeam_compat.legacy_api.trainable import asks_for_keras2
from hornbeam_compat.messages import log_once

# Libraries in whose arrays a program may compute beside Keras: JAX's transformations and PyTorch's autograd
# do not see the operations of another engine. TensorFlow has the shim instead.
FOLLOWED = ("jax", "torch")

# Keras's names for engines that have another name here.
_NAMES = {"reference": "numpy"}
_OWN_NAMES = ("native", "hornbeam")


def backend_name() -> str:
    """Return the value of KERAS_BACKEND, "tensorflow" for programs of Keras 2, or the name of the engine.

    Raises:
        ValueError: If KERAS_BACKEND is no backend of Keras.
    """
    backend = os.environ.get("KERAS_BACKEND", "")
    if not backend and asks_for_keras2():
        return "tensorflow"  # the only backend of tf.keras 2
    if not backend or backend in _OWN_NAMES:
        engine = current_engine().name.partition(":")[0]
        return _NAMES.get(engine, engine)
    _check(backend)
    return backend


def _check(backend: str) -> None:
    known = [*KERAS_BACKENDS, "openvino", *_OWN_NAMES]
    if backend not in known:
        raise ValueError(f"KERAS_BACKEND={backend} is no backend of Keras. Use one of {', '.join(known)}")


def apply_backend() -> None:
    """Follow KERAS_BACKEND when Keras is imported: scripts set the variable until then.

    A line on stderr says so if the engine is another one.

    Raises:
        ValueError: If KERAS_BACKEND is no backend of Keras.
    """
    backend = backend_name()
    if backend in FOLLOWED and backend in sys.modules:
        follow_library(backend)
    engine = current_engine().name
    if not os.environ.get("KERAS_BACKEND") or KERAS_BACKENDS.get(backend, "") == engine or backend == engine:
        return
    if is_engine_chosen():
        log_once(f"running on the {engine} engine, which was chosen over KERAS_BACKEND={backend}")
        return
    option = f"; --engine {KERAS_BACKENDS[backend]} computes with it" if backend in KERAS_BACKENDS else ""
    log_once(f"KERAS_BACKEND={backend} is the name that scripts see. Running on the {engine} engine{option}")


def follow_library(library: str) -> None:
    """Switch to the engine of a library that the program imported, if KERAS_BACKEND names it, and log it.

    HORNBEAM_ENGINE, `--engine` and `set_engine` take precedence. On JAX's engine its transformations trace
    our operations from then on.

    Args:
        library: A library of `FOLLOWED`.
    """
    if os.environ.get("KERAS_BACKEND") == library and not is_engine_chosen():
        try:
            set_default_engine(library)
        except ImportError as error:
            engine = current_engine().name
            log_once(f"running on the {engine} engine: the script imports {library}, but {error}")
            return
        log_once(
            f"running on the {library} engine: KERAS_BACKEND={library}, and the script imports {library}"
        )
    if current_engine().library == "jax":
        from hornbeam.interop import register_jax

        register_jax()


def set_backend(backend: str) -> None:
    """Set KERAS_BACKEND, as `keras.config.set_backend`.

    Args:
        backend: Name of a backend of Keras.

    Raises:
        ValueError: If it is none.
    """
    _check(backend)
    os.environ["KERAS_BACKEND"] = backend
    apply_backend()
