"""Nested structures of lists, tuples, named tuples and dicts: flatten, rebuild, map. Keras's `keras.tree`."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import explain_missing

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as",
    "traverse",
]  # fmt: skip


class MAP_TO_NONE:
    """Return value of a function of `traverse` that replaces a part by None; None keeps the part."""


def is_nested(structure: Tree) -> bool:
    """Return True for lists, tuples and dicts.

    Args:
        structure: Tree object.

    Example:
        >>> is_nested([1]), is_nested("text")
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict))


def _keys(structure: dict[Any, Any]) -> Iterable[Any]:
    """Return the keys of a dict in the order of its leaves: sorted, except for an OrderedDict."""
    if isinstance(structure, OrderedDict):
        return structure
    try:
        return sorted(structure)
    except TypeError:  # keys of several types
        return sorted(structure, key=lambda key: (type(key).__qualname__, repr(key)))


def _children(structure: Tree) -> Iterable[tuple[Any, Any]]:
    if isinstance(structure, dict):
        return [(key, structure[key]) for key in _keys(structure)]
    return enumerate(structure)


def flatten(structure: Tree) -> list[Any]:
    """Return the leaves from left to right; dicts in the order of their sorted keys. None is a leaf.

    Args:
        structure: Nested structure.

    Returns:
        List of leaves.

    Example:
        >>> flatten({"b": 1, "a": [2, (3, None)]})
        [2, 3, None, 1]
    """
    if not is_nested(structure):
        return [structure]
    return [leaf for _, child in _children(structure) for leaf in flatten(child)]


def flatten_with_path(structure: Tree) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the leaves with the keys and indices that lead to them.

    Args:
        structure: Nested structure.

    Returns:
        List of pairs (path, leaf); a path is a tuple.

    Example:
        >>> flatten_with_path({"a": [5]})
        [(('a', 0), 5)]
    """
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf) for key, child in _children(structure) for path, leaf in flatten_with_path(child)
    ]


def _rebuild(like: Tree, children: Iterable[Any]) -> Tree:
    """Rebuild a container with the type and keys of `like` from other parts."""
    if isinstance(like, dict):
        mapping = dict(zip(_keys(like), children, strict=True))
        ordered = {key: mapping[key] for key in like}
        if isinstance(like, defaultdict):
            return defaultdict(like.default_factory, ordered)
        return ordered if type(like) is dict else type(like)(ordered)
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*children)
    return type(like)(children)


def pack_sequence_as(structure: Tree, flat_sequence: Sequence[Any]) -> Tree:
    """Rebuild a structure from a flat sequence of leaves.

    Args:
        structure: Nested structure whose nesting is taken.
        flat_sequence: Sequence of leaves.

    Returns:
        Nested structure.

    Raises:
        ValueError: If the numbers of leaves differ.

    Example:
        >>> pack_sequence_as({"b": 0, "a": [0]}, [1, 2])
        {'b': 2, 'a': [1]}
    """
    rest = list(flat_sequence)
    count = len(flatten(structure))
    if count != len(rest):
        raise ValueError(f"the structure has {count} leaves, got {len(rest)} values")
    return _pack(structure, iter(rest))


def _pack(structure: Tree, leaves: Iterator[Any]) -> Tree:
    # No closure: one that calls itself is a cycle, which holds the leaves until the garbage is collected.
    if not is_nested(structure):
        return next(leaves)
    return _rebuild(structure, [_pack(child, leaves) for _, child in _children(structure)])


def map_structure(func: Callable[..., Any], *structures: Tree, none_is_leaf: bool = True) -> Tree:
    """Apply a function to the corresponding leaves of structures with the same nesting.

    Args:
        func: Function of corresponding leaves.
        *structures: Nested structures.
        none_is_leaf: Call `func` for None, too; otherwise None stays None.

    Returns:
        Nested structure of results.

    Raises:
        ValueError: If the structures differ.

    Example:
        >>> map_structure(lambda x, y: x + y, {"a": [1]}, {"a": [10]})
        {'a': [11]}
    """
    if not structures:
        raise ValueError("map_structure needs at least one structure")
    first, *others = structures
    for other in others:
        assert_same_structure(first, other)
    columns = zip(*(flatten(s) for s in structures), strict=True)
    if none_is_leaf:
        return pack_sequence_as(first, [func(*leaves) for leaves in columns])
    return pack_sequence_as(first, [None if leaves[0] is None else func(*leaves) for leaves in columns])


def map_structure_up_to(shallow_structure: Tree, func: Callable[..., Any], *structures: Tree) -> Tree:
    """Apply a function to the parts of structures at the leaves of a shallower one.

    Args:
        shallow_structure: Nested structure whose leaves determine the parts.
        func: Function of corresponding parts.
        *structures: Nested structures that contain the nesting of `shallow_structure`.

    Returns:
        Nested structure of results.

    Example:
        >>> map_structure_up_to([0, 0], len, [[1, 2], [3]])
        [2, 1]
    """
    if not is_nested(shallow_structure):
        return func(*structures)
    for structure in structures:
        _assert_alike(shallow_structure, structure, ())
    parts = [
        map_structure_up_to(child, func, *(structure[key] for structure in structures))
        for key, child in _children(shallow_structure)
    ]
    return _rebuild(shallow_structure, parts)


def map_shape_structure(func: Callable[[Any], Any], structure: Tree) -> Tree:
    """Apply a function to the shapes in a structure: tuples and lists of integers and None are its leaves.

    Args:
        func: Function of a shape.
        structure: Nested structure of shapes.

    Returns:
        Nested structure of results.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(2,)]})
        {'a': 2, 'b': [1]}
    """
    if not is_nested(structure) or _is_shape(structure):
        return func(structure)
    return _rebuild(structure, [map_shape_structure(func, child) for _, child in _children(structure)])


def _is_shape(x: object) -> bool:
    return isinstance(x, (list, tuple)) and all(size is None or isinstance(size, int) for size in x)


def assert_same_structure(a: Tree, b: Tree, check_types: bool | None = None) -> None:
    """Raise ValueError, naming the first difference, unless nesting, types and keys are the same.

    A dict and an OrderedDict are of one type.

    Args:
        a, b: Nested structures.
        check_types: Accepted for Keras's signature; types are always compared.
    """
    _assert_same(a, b, ())


def _assert_same(a: Tree, b: Tree, path: tuple[Any, ...]) -> None:
    if is_nested(a) or is_nested(b):
        _assert_alike(a, b, path)
        for key, child in _children(a):
            _assert_same(child, b[key], (*path, key))


def _assert_alike(a: Tree, b: Tree, path: tuple[Any, ...]) -> None:
    """Raise unless two containers have the same type, length and keys."""
    where = f" at {'/'.join(map(str, path))!r}" if path else ""
    kinds = [dict if isinstance(x, dict) else type(x) for x in (a, b)]
    if kinds[0] is not kinds[1]:
        raise ValueError(f"structures differ{where}: {type(a).__name__} and {type(b).__name__}")
    if isinstance(a, dict) and set(a) != set(b):
        raise ValueError(f"structures differ{where}: keys {list(a)} and {list(b)}")
    if len(a) != len(b):
        raise ValueError(f"structures differ{where}: {len(a)} and {len(b)} parts")


def assert_same_paths(a: Tree, b: Tree) -> None:
    """Raise ValueError unless the leaves of both have the same paths.

    Args:
        a, b: Nested structures.

    Raises:
        ValueError: If the paths differ.
    """
    paths = [{path for path, _ in flatten_with_path(x)} for x in (a, b)]
    if paths[0] != paths[1]:
        only_a, only_b = (sorted(map(str, x)) for x in (paths[0] - paths[1], paths[1] - paths[0]))
        raise ValueError(f"paths differ: only in the first {only_a}, only in the second {only_b}")


def traverse(func: Callable[[Any], Any], structure: Tree, top_down: bool = True) -> Tree:
    """Rebuild a structure, replacing every part for which a function returns something other than None.

    Args:
        func: Function of a part; `MAP_TO_NONE` as its result replaces the part by None.
        structure: Nested structure.
        top_down: Call `func` for a container before its parts, and do not descend into its result; otherwise
            after them.

    Returns:
        Nested structure.
    """

    def replace(part: Tree) -> Tree:
        result = func(part)
        if result is MAP_TO_NONE or isinstance(result, MAP_TO_NONE):
            return True, None
        return result is not None, result

    if top_down:
        replaced, result = replace(structure)
        if replaced:
            return result
    rebuilt = structure
    if is_nested(structure):
        rebuilt = _rebuild(structure, [traverse(func, child, top_down) for _, child in _children(structure)])
    if not top_down:
        replaced, result = replace(rebuilt)
        return result if replaced else rebuilt
    return rebuilt


def lists_to_tuples(structure: Tree) -> Tree:
    """Replace every list by a tuple.

    Args:
        structure: Nested structure.

    Returns:
        Nested structure.

    Example:
        >>> lists_to_tuples({"a": [1, [2]]})
        {'a': (1, (2,))}
    """
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


explain_missing(__name__)
