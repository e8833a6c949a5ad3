"""Operations by the names of their classes in Keras's sources."""

from __future__ import annotations

from hornbeam import ops
from hornbeam.core import operators
from hornbeam.core.function_operation import FunctionOperation, class_of
from hornbeam.core.indexing import getitem
from hornbeam.core.operation_names import function_name


def operation_class(class_name: str) -> type[FunctionOperation] | None:
    """Return the class of Keras's sources for an operation: `Sum` for `ops.sum`, None if there is none."""
    name = function_name(class_name)
    if name is None:
        return None
    spaces = (ops, operators, ops.image, ops.linalg)
    return class_of(
        getitem if name == "getitem" else next(getattr(s, name) for s in spaces if hasattr(s, name))
    )
