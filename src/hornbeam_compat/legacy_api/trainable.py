"""`trainable` as Keras 2 read it: at `compile()`."""

from __future__ import annotations

import os
import sys

from hornbeam import Model
from hornbeam_compat.messages import log_once


def keeps_trainable_of_compile(model: Model) -> bool:
    """Return True if a model, frozen or not since `compile()`, is trained as it was then.

    Programs for Keras 2 freeze a discriminator after compiling it, and train it all the same. Keras 3 would
    train nothing. Where some weights remain, the present values count, unless the program asks for Keras 2.

    Args:
        model: A compiled model whose layers have changed.
    """
    if model.trainable_weights and not asks_for_keras2():
        return False
    log_once(
        f"{type(model).__name__} {model.name!r}: `trainable` was changed after compile(). As in Keras 2, "
        "training uses what was trainable at compile(); Keras 3 uses what is trainable now"
    )
    return True


def asks_for_keras2() -> bool:
    """Return True if the program asks for Keras 2: by TF_USE_LEGACY_KERAS, or `import tf_keras`."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    return legacy or "tf_keras" in sys.modules
