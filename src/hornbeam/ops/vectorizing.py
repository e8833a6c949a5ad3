"""Application of functions of small tensors to larger ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor, broadcast_shapes
from hornbeam.core.indexing import reshape
from hornbeam.ir.types import ShapeError
from hornbeam.ops.control_flow import vectorized_map
from hornbeam.ops.shaping import broadcast_to

_ARGUMENT = re.compile(r"\(([\w, ]*)\)")


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[Any] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """Turn a function of scalars into a function of tensors that broadcast against each other.

    Named arguments are passed on as they are.

    Args:
        pyfunc: Function of scalars, or of the axes in `signature`.
        excluded: Positions or names of arguments that are passed on as they are.
        signature: The function's own axes, such as "(n),(n)->()" for one of two vectors that returns a
            scalar; all axes before those are looped over. None for scalars.

    Returns:
        Function of tensors.

    Raises:
        ValueError: If `signature` does not parse or does not fit the arguments.
        ShapeError: If the shapes of the arguments do not fit `signature`.

    Example:
        >>> distance = hornbeam.ops.vectorize(lambda a, b: hornbeam.ops.sum(hornbeam.ops.abs(a - b)),
        ...                                   signature="(n),(n)->()")
        >>> distance([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
        [1.0, 5.0]
    """
    names = {} if signature is None else _parsed(signature)
    excluded_arguments = set(excluded or ())

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = [i for i in range(len(args)) if i not in excluded_arguments]
        if names and len(names) != len(places):
            raise ValueError(f"the signature {signature!r} has {len(names)} arguments, got {len(places)}")
        tensors = [as_tensor(args[i]) for i in places]
        cores = [
            _core(x.shape, names.get(n, ()), f"argument {i}") for n, (i, x) in _numbered(places, tensors)
        ]
        _check_sizes(cores, names)
        loops = [x.shape[: len(x.shape) - len(core)] for x, core in zip(tensors, cores, strict=True)]
        loop = broadcast_shapes(*loops)
        flat = [
            reshape(broadcast_to(x, (*loop, *core)), (-1, *core))
            for x, core in zip(tensors, cores, strict=True)
        ]

        def one(slices: Any) -> Any:
            full = list(args)
            for i, part in zip(places, slices, strict=True):
                full[i] = part
            return pyfunc(*full, **kwargs)

        results = vectorized_map(one, flat)
        return tree.map_structure(lambda x: reshape(x, (*loop, *x.shape[1:])), results)

    return wrapped


def _numbered(places: list[int], tensors: list[Any]) -> Tree:
    return enumerate(zip(places, tensors, strict=True))


def _parsed(signature: str) -> dict[int, tuple[str, ...]]:
    """Return the names of the axes of every argument."""
    left, arrow, right = signature.partition("->")
    signatures = _ARGUMENT.findall(left)
    groups = ",".join(f"({axes_of_argument})" for axes_of_argument in signatures)
    if (
        not arrow
        or not signatures
        or groups != left.replace(" ", "").replace(",(", ",(")
        or not right.strip()
    ):
        raise ValueError(f'signature must look like "(n),(n)->()", got {signature!r}')
    return {
        i: tuple(n.strip() for n in axes_of_argument.split(",") if n.strip())
        for i, axes_of_argument in enumerate(signatures)
    }


def _core(shape: tuple[int, ...], names: tuple[str, ...], label: str) -> tuple[int, ...]:
    """Return the sizes of an argument's own axes."""
    if len(shape) < len(names):
        raise ShapeError(
            f"vectorize: {label} has shape {shape}, its last axes should be ({', '.join(names)})"
        )
    return shape[len(shape) - len(names) :]


def _check_sizes(cores: list[tuple[int, ...]], names: dict[int, tuple[str, ...]]) -> None:
    sizes: dict[str, int] = {}
    for number, core in enumerate(cores):
        for name, size in zip(names.get(number, ()), core, strict=True):
            if sizes.setdefault(name, size) != size:
                raise ShapeError(f"vectorize: axis {name!r} has sizes {sizes[name]} and {size}")
