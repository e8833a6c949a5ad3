"""Nested structures of lists, tuples, named tuples and dicts: flatten, rebuild, map. Keras's `keras.tree`."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_structure",
    "pack_sequence_as",
    "traverse",
]


def is_nested(structure: Any) -> bool:
    """True for lists, tuples and dicts."""
    return isinstance(structure, (list, tuple, dict))


def _children(structure: Any) -> list[tuple[Any, Any]]:
    if isinstance(structure, dict):
        keys = structure if isinstance(structure, (OrderedDict, defaultdict)) else sorted(structure)
        return [(key, structure[key]) for key in keys]
    return list(enumerate(structure))


def flatten(structure: Any) -> list[Any]:
    """The leaves from left to right; dicts in the order of their sorted keys. None is a leaf."""
    if not is_nested(structure):
        return [structure]
    return [leaf for _, child in _children(structure) for leaf in flatten(child)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves with the keys and indices that lead to them."""
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf) for key, child in _children(structure) for path, leaf in flatten_with_path(child)
    ]


def _rebuild(like: Any, children: Sequence[Any]) -> Any:
    if isinstance(like, dict):
        made = dict(zip((key for key, _ in _children(like)), children, strict=True))
        if isinstance(like, defaultdict):
            return defaultdict(like.default_factory, made)
        ordered = {key: made[key] for key in like}
        return ordered if type(like) is dict else type(like)(ordered)
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*children)
    return type(like)(children)


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """`flat_sequence` in the shape of `structure`. Raises ValueError if the numbers of leaves differ."""
    rest = list(flat_sequence)
    count = len(flatten(structure))
    if count != len(rest):
        raise ValueError(f"the structure has {count} leaves, got {len(rest)} values")
    values = iter(rest)

    def pack(part: Any) -> Any:
        if not is_nested(part):
            return next(values)
        return _rebuild(part, [pack(child) for _, child in _children(part)])

    return pack(structure)


def map_structure(func: Callable[..., Any], *structures: Any) -> Any:
    """`func` applied to the corresponding leaves of structures of one shape."""
    first, *others = structures
    for other in others:
        assert_same_structure(first, other)
    columns = zip(*(flatten(s) for s in structures), strict=True)
    return pack_sequence_as(first, [func(*leaves) for leaves in columns])


def assert_same_structure(a: Any, b: Any) -> None:
    """Raise ValueError unless both have the same nesting and keys."""
    paths_a = [path for path, _ in flatten_with_path(a)]
    paths_b = [path for path, _ in flatten_with_path(b)]
    if paths_a != paths_b:
        raise ValueError(f"structures differ: {paths_a} and {paths_b}")


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Rebuild `structure`, replacing every part for which `func` returns something other than None."""
    if top_down:
        found = func(structure)
        if found is not None:
            return found
    made = structure
    if is_nested(structure):
        made = _rebuild(structure, [traverse(func, child, top_down) for _, child in _children(structure)])
    if not top_down:
        found = func(made)
        return made if found is None else found
    return made


def lists_to_tuples(structure: Any) -> Any:
    """The structure with every list turned into a tuple."""
    return traverse(
        lambda part: tuple(lists_to_tuples(child) for child in part) if type(part) is list else None,
        structure,
    )
