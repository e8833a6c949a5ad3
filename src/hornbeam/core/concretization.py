"""The error for a value that is read while a function is traced: which code read it, and what to write."""

from __future__ import annotations

import linecache
import re
import sys
from types import FrameType

from hornbeam.errors import ConcretizationError
from hornbeam.ir.node import Node
from hornbeam.ir.source_lines import user_frame

_IN_EAGER_MODE = "or run the model line by line with compile(run_eagerly=True)"

# Method of a tensor that read the value -> what its caller did, and what to write instead.
_READERS = {
    "__bool__": (
        "`if`, `while`, `and`, `or` and `not` need it: use ops.where or ops.cond (ops.while_loop, "
        f"ops.logical_and, ...), {_IN_EAGER_MODE}"
    ),
    "__float__": f"float() needs it: keep the tensor, convert it outside of the function, {_IN_EAGER_MODE}",
    "__int__": f"int() needs it: keep the tensor, or take the number from a shape, {_IN_EAGER_MODE}",
    "__index__": (
        "An index, a size or range() needs it: use ops.take, ops.slice or ops.fori_loop, or take the number "
        "from a shape"
    ),
    "item": f"item() needs it: keep the tensor, and read it outside of the function, {_IN_EAGER_MODE}",
    "tolist": f"tolist() needs it: keep the tensor, and read it outside of the function, {_IN_EAGER_MODE}",
    "numpy": f"numpy() needs it: compute with hornbeam.ops, {_IN_EAGER_MODE}",
    "__array__": f"NumPy needs it: compute with hornbeam.ops, {_IN_EAGER_MODE}",
}
_NUMPY_CALL = re.compile(r"\b(?:np|numpy)\.((?:linalg\.|fft\.)?\w+)\(")
_BUILTIN_CALL = re.compile(r"(?<![\w.])(max|min)\(")
_MATH_CALL = re.compile(r"\bmath\.(\w+)\(")


def concretization_error(node: Node) -> ConcretizationError:
    """Build the error for reading the value of `node`, from the code on the stack."""
    advice = f"Compute with hornbeam.ops, {_IN_EAGER_MODE}"
    frame: FrameType | None = sys._getframe(1)
    user = user_frame(frame)
    reader = ""  # the outermost of them: float(x) calls item(), which calls numpy()
    while frame is not None and frame is not user:
        if frame.f_code.co_name in _READERS:
            reader = frame.f_code.co_name
        frame = frame.f_back
    if reader:
        advice = (user and (_dynamic(user) or _called(user, reader))) or _READERS[reader]
    return ConcretizationError(
        f"the value of {node.type} is not known here: the function is being traced (by fit, grad, jit, or to "
        f"infer shapes), when only shapes and dtypes are known. {advice}"
    )


def _dynamic(user: FrameType) -> str:
    """Return the advice for an operation whose result has a shape that depends on values, or ""."""
    frame: FrameType | None = sys._getframe(2)
    names = []
    while frame is not None and frame is not user:
        names.append(frame.f_code.co_name.removeprefix("_all_"))
        frame = frame.f_back
    if "_canonical" in names:
        return (
            "A boolean mask as an index needs it, since it decides the shape of the result: use "
            "ops.where(mask, x, 0), which keeps the shape"
        )
    operation = next((name for name in names if name in ("unique", "nonzero", "where", "bincount")), "")
    if operation:
        return (
            f"ops.{operation} needs it, since it decides the shape of the result: call it outside of the "
            f"function, {_IN_EAGER_MODE}"
        )
    return ""


def _called(frame: FrameType, reader: str) -> str:
    """Return the advice for a function of NumPy or `math` that the user's line calls, or ""."""
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("numpy."):
        frame = frame.f_back
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    if reader == "__bool__" and (match := _BUILTIN_CALL.search(line)):
        name = match[1]
        return (
            f"{name}() needs it: use hornbeam.ops.{name}imum(a, b), or hornbeam.ops.{name}(x) of one tensor"
        )
    pattern, library = (_NUMPY_CALL, "np") if reader == "__array__" else (_MATH_CALL, "math")
    names = set(pattern.findall(line))
    if len(names) != 1:
        return ""
    name = names.pop()
    ops = sys.modules["hornbeam.ops"]
    known = name.rpartition(".")[2]
    if known in ("array", "asarray"):
        return f"{library}.{name} needs it: a tensor is an array already, compute with hornbeam.ops"
    instead = f"use hornbeam.ops.{known}" if known in ops.__all__ else "compute with hornbeam.ops"
    return f"{library}.{name} needs it: {instead}"
