"""`hornbeam.tree` against what `keras.tree` (3.15.1) does."""

from __future__ import annotations

import doctest
import gc
import weakref
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam import tree

Point = namedtuple("Point", ["x", "y"])
structures = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


def test_examples() -> None:
    assert doctest.testmod(tree).failed == 0


@pytest.mark.parametrize(
    ("structure", "leaves"),
    [
        ({"b": 1, "a": [2, (3, None)], "c": {}}, [2, 3, None, 1]),
        (OrderedDict([("b", 1), ("a", 2)]), [1, 2]),
        (defaultdict(int, {"b": 1, "a": 2}), [2, 1]),
        ({1: 1, "a": 2}, [1, 2]),
        (Point(1, [2, 3]), [1, 2, 3]),
        (None, [None]),
        ("abc", ["abc"]),
        ([], []),
    ],
)
def test_flatten(structure: Any, leaves: list) -> None:
    assert tree.flatten(structure) == leaves
    assert [leaf for _, leaf in tree.flatten_with_path(structure)] == leaves


def test_paths() -> None:
    assert tree.flatten_with_path({"b": 1, "a": [2, (3,)]}) == [(("a", 0), 2), (("a", 1, 0), 3), (("b",), 1)]
    assert tree.flatten_with_path(Point(1, 2)) == [((0,), 1), ((1,), 2)]
    assert tree.flatten_with_path(1) == [((), 1)]


def test_what_is_nested() -> None:
    nested = [[], (), {}, Point(1, 2), OrderedDict()]
    assert all(map(tree.is_nested, nested))
    assert not any(map(tree.is_nested, [1, "a", None, {1}, np.ones(1), {}.keys()]))


@given(structures)
def test_flatten_and_pack_are_inverse(structure: Any) -> None:
    again = tree.pack_sequence_as(structure, tree.flatten(structure))
    assert again == structure
    assert type(again) is type(structure)
    assert tree.map_structure(lambda x: x, structure) == structure
    assert [list(a) for a, _ in tree.flatten_with_path(structure)] == [
        list(b) for b, _ in tree.flatten_with_path(again)
    ]
    tree.assert_same_structure(structure, again)


def test_pack() -> None:
    assert tree.pack_sequence_as({"b": 0, "a": [0, (0,)]}, [1, 2, 3]) == {"b": 3, "a": [1, (2,)]}
    assert list(tree.pack_sequence_as({"b": 0, "a": 0}, [1, 2])) == ["b", "a"]  # the order of keys is kept
    assert tree.pack_sequence_as(0, [5]) == 5
    packed = tree.pack_sequence_as(defaultdict(list, {"a": 0}), [1])
    assert packed == {"a": 1}
    assert packed["new"] == []
    for wrong in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match=f"the structure has 2 leaves, got {len(wrong)} values"):
            tree.pack_sequence_as([0, 0], wrong)


def test_map() -> None:
    assert tree.map_structure(lambda x, y: x + y, {"a": 1, "b": [2]}, {"b": [20], "a": 10}) == {
        "a": 11,
        "b": [22],
    }
    assert tree.map_structure(lambda x: "x", [None, 1]) == ["x", "x"]
    assert tree.map_structure(lambda x: "x", [None, 1], none_is_leaf=False) == [None, "x"]
    assert tree.map_structure(lambda x, y: x, {"a": 1}, OrderedDict(a=2)) == {"a": 1}
    with pytest.raises(ValueError, match="at least one structure"):
        tree.map_structure(len)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([1, 2], (1, 2), "list and tuple"),
        ([1, 2], [1, 2, 3], "2 and 3 parts"),
        ({"a": 1}, {"b": 1}, r"keys \['a'\] and \['b'\]"),
        ([1], [[1]], "at '0': int and list"),
        ([[1]], [1], "at '0': list and int"),
        ([], {}, "list and dict"),
        ({"a": [1, (2,)]}, {"a": [1, Point(2, 3)]}, "at 'a/1': tuple and Point"),
    ],
)
def test_structures_that_differ(a: Any, b: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tree.assert_same_structure(a, b)
    with pytest.raises(ValueError, match=text):
        tree.map_structure(lambda x, y: x, a, b)


def test_same_paths() -> None:
    tree.assert_same_paths([1, {"a": 2}], (1, {"a": 3}))
    with pytest.raises(ValueError, match="only in the first"):
        tree.assert_same_paths({"a": 1}, {"b": 1})


def test_map_up_to() -> None:
    result = tree.map_structure_up_to([0, [0]], lambda a, b: (a, b), [1, [2]], [[3, 4], [5]])
    assert result == [(1, [3, 4]), [(2, 5)]]
    with pytest.raises(ValueError, match="list and int"):
        tree.map_structure_up_to([0, [0]], lambda a: a, [1, 2])


def test_map_shapes() -> None:
    assert tree.map_shape_structure(len, [(1, 2), (3,)]) == [2, 1]
    assert tree.map_shape_structure(lambda s: s, (None, 3)) == (None, 3)
    assert tree.map_shape_structure(list, {"a": (1, 2), "b": [(None, 3)]}) == {"a": [1, 2], "b": [[None, 3]]}


def test_traverse() -> None:
    nested = {"a": [1, [2]]}

    def as_tuple(x: Any) -> Any:
        return tuple(x) if isinstance(x, list) else None

    assert tree.traverse(lambda x: None, nested) == nested
    assert tree.traverse(as_tuple, nested) == {"a": (1, [2])}
    assert tree.traverse(as_tuple, nested, top_down=False) == {"a": (1, (2,))}
    assert tree.traverse(lambda x: tree.MAP_TO_NONE if x == 1 else None, [1, 2]) == [None, 2]
    assert tree.traverse(lambda x: tree.MAP_TO_NONE() if x == 1 else None, [1, 2], top_down=False) == [
        None,
        2,
    ]
    assert tree.lists_to_tuples({"a": [1, [2]], "b": (3, [4])}) == {"a": (1, (2,)), "b": (3, (4,))}


def test_leaves_are_freed_at_once() -> None:
    """A packed structure is no part of a cycle: results of compiled functions are large."""

    class Leaf:
        pass

    gc.disable()
    try:
        leaf = Leaf()
        reference = weakref.ref(leaf)
        tree.pack_sequence_as({"a": [0, (0,)]}, [leaf, leaf])
        tree.map_structure(lambda _, leaf: leaf, [0, (0,)], [leaf, (leaf,)])
        del leaf
        assert reference() is None
    finally:
        gc.enable()
