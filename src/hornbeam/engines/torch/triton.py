"""Import Triton, which PyTorch's compiler does when it is first used, in a process that holds TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import sys


def import_beside_tensorflow() -> None:
    """Import Triton with symbols of its own if TensorFlow is loaded, and Triton installed but not imported.

    Both contain LLVM. Loaded second by a plain import, Triton would bind to the LLVM of TensorFlow, register
    its options there again, and LLVM would abort the process. `torch._dynamo` imports Triton, and is itself
    imported by `torch.compile` and by many operations on the meta device.
    """
    if "tensorflow" not in sys.modules or "triton" in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        return
    if importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        import triton  # noqa: F401
    finally:
        sys.setdlopenflags(flags)
