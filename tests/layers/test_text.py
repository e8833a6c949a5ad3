"""Text, lookups and hashes against real Keras, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam.core.sparse import SparseTensor
from hornbeam.ir.types import HornbeamTypeError
from tests.helpers import text_cases

EXPECTED = json.loads((Path(__file__).parent / "text_expected.json").read_text())
FACTS = [(name, fact) for name, facts in EXPECTED.items() for fact in facts]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {name: text_cases.plain(make(hornbeam)) for name, make in text_cases.CASES.items()}


@pytest.mark.parametrize(("name", "fact"), FACTS)
def test_gives_what_keras_gives(results: dict[str, Any], name: str, fact: str) -> None:
    ours, theirs = results[name][fact], EXPECTED[name][fact]
    if not isinstance(theirs, dict):
        if isinstance(theirs, list) and theirs and isinstance(theirs[0], float):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        else:
            assert ours == theirs
        return
    assert ours["dtype"] == theirs["dtype"]
    if theirs["dtype"].startswith("float"):
        np.testing.assert_allclose(ours["values"], theirs["values"], rtol=1e-6)
    else:
        assert ours["values"] == theirs["values"]


L = hornbeam.layers
CAT = ["cat", "dog"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: L.StringLookup()(["a"]), r"no vocabulary yet: call adapt\(data\) or set_vocabulary"),
        (lambda: L.TextVectorization()(["a"]), "no vocabulary yet"),
        (lambda: L.IntegerLookup()([1]), "no vocabulary yet"),
        (lambda: L.StringLookup(output_mode="count")(hornbeam.Input((2,), dtype="string")), "no vocabulary"),
        (
            lambda: L.StringLookup(vocabulary=CAT, num_oov_indices=0)(["cow", "cat"]),
            "'cow' is not in the",
        ),
        (lambda: L.IntegerLookup(vocabulary=[3], num_oov_indices=0)(np.array([3, 4])), "4 is not in the"),
        (lambda: L.StringLookup(vocabulary=["a", "b", "a"]), "repeats 'a'"),
        (lambda: L.StringLookup(vocabulary=["a", ""], mask_token=""), "mask token '' is at 1"),
        (lambda: L.StringLookup(vocabulary=["a", "[UNK]"], invert=True), "out-of-vocabulary token"),
        (lambda: L.StringLookup(max_tokens=2, vocabulary=CAT), "has 3 entries .* max_tokens is 2"),
        (lambda: L.StringLookup(vocabulary=[]), "vocabulary is empty"),
        (lambda: L.StringLookup(vocabulary="no/such/file"), "vocabulary file .* does not exist"),
        (lambda: L.StringLookup(vocabulary=CAT, output_mode="tf_idf"), "needs idf_weights"),
        (lambda: L.StringLookup(vocabulary=CAT, idf_weights=[1, 2]), "idf_weights need"),
        (
            lambda: L.StringLookup(vocabulary=CAT, idf_weights=[1.0], output_mode="tf_idf"),
            "must be 2 numbers",
        ),
        (lambda: L.StringLookup(vocabulary=CAT).adapt(CAT), "has a fixed"),
        (lambda: L.TextVectorization(vocabulary=CAT).adapt(CAT), "has a fixed"),
        (lambda: L.StringLookup(max_tokens=1), "integer of at least 2, got 1"),
        (lambda: L.StringLookup(pad_to_max_tokens=True), "needs max_tokens"),
        (lambda: L.StringLookup(num_oov_indices=-1), "must be at least 0"),
        (lambda: L.StringLookup(invert=True, output_mode="count"), "invert=True needs"),
        (lambda: L.StringLookup(output_mode="counts"), "Did you mean 'count'"),
        (lambda: L.StringLookup(vocabulary=CAT, invert=True)([0.5]), "argmax"),
        (lambda: L.StringLookup(salt=[1, 2, 3]), "two of them"),
        (lambda: L.IntegerLookup(salt=1), "needs oov_method"),
        (lambda: L.IntegerLookup(vocabulary_dtype="int32"), "must be"),
        (lambda: L.TextVectorization(standardize="upper"), "standardize must be one of"),
        (lambda: L.TextVectorization(split="words"), "split must be one of"),
        (lambda: L.TextVectorization(ngrams="2"), "ngrams must be"),
        (
            lambda: L.TextVectorization(output_mode="count", output_sequence_length=3),
            "needs output_mode",
        ),
        (lambda: L.TextVectorization(output_sequence_length=0), "positive"),
        (lambda: L.TextVectorization(vocabulary=CAT)([["a b", "c"]]), r"got \(1, 2\): use split=None"),
        (lambda: L.TextVectorization(vocabulary=CAT, split=lambda x: [["a"]])(["a", "b"]), "each of 2 texts"),
        (lambda: L.Hashing(0), "of at least 1"),
        (lambda: L.Hashing(3, dtype="float32"), "needs an integer dtype"),
        (lambda: L.Hashing(3, salt="x"), "salt must be"),
        (lambda: L.HashedCrossing(3)([np.ones(3, int)]), "at least two inputs"),
        (lambda: L.HashedCrossing(3)([np.ones(3, int), np.ones(4, int)]), "must have one shape"),
        (lambda: L.TextVectorization.from_config({"vocabulary": "secrets.txt"}), "not read on behalf of a"),
    ],
)
def test_refuses(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: L.Dense(2)(np.array([["a"]])), r"\(Dense\) computes with numbers, got strings .*'a'"),
        (lambda: L.Dense(2)(hornbeam.Input((1,), dtype="string")), "put a TextVectorization, StringLookup"),
        (lambda: hornbeam.ops.exp(hornbeam.Input((1,), dtype="string")), "exp computes with numbers"),
        (lambda: L.StringLookup(vocabulary=CAT)(np.array([1, 2])), "IntegerLookup looks up integers"),
        (lambda: L.IntegerLookup(vocabulary=[1])(np.array(["a"])), "computes with numbers"),
        (lambda: L.IntegerLookup().adapt(["a"]), "computes with numbers"),
        (lambda: L.StringLookup(vocabulary=CAT)(np.array(["a", None], object)), "missing values"),
        (lambda: L.StringLookup(vocabulary=CAT)(np.array(["a", np.nan], object)), r"missing values \(nan\)"),
        (lambda: L.StringLookup(vocabulary=CAT)(np.array(["a", 3], object)), "got 3"),
        (lambda: L.IntegerLookup(vocabulary=[1])(np.array([1, None], object)), "got objects .such as 1"),
        (lambda: L.Dense(2)(np.array([[1.0, None]], object)), "got objects .*fill missing values"),
        (lambda: L.Normalization().adapt(np.array([["a"]])), "computes with numbers"),
        (lambda: L.Discretization(num_bins=2).adapt(np.array(["a"])), "computes with numbers"),
        (lambda: L.HashedCrossing(3)([np.ones(3), np.ones(3)]), "Discretization"),
    ],
)
def test_refuses_types(make: Any, text: str) -> None:
    with pytest.raises(HornbeamTypeError, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (lambda **a: L.CategoryEncoding(5, "count", **a), [[1, 1, 4], [0, 2, 1]]),
        (lambda **a: L.Discretization([0.0, 1.0], output_mode="one_hot", **a), [-1.0, 0.5, 3.0]),
        (lambda **a: L.Hashing(4, output_mode="multi_hot", **a), [["a", "b"], ["c", "a"]]),
        (
            lambda **a: L.HashedCrossing(4, output_mode="one_hot", **a),
            [np.array(["a", "b"]), np.array([1, 2])],
        ),
        (
            lambda **a: L.StringLookup(vocabulary=CAT, output_mode="count", **a),
            [["cat", "cat"], ["dog", "x"]],
        ),
        (lambda **a: L.IntegerLookup(vocabulary=[5, 7], output_mode="multi_hot", **a), [[5, 7], [1, 5]]),
        (lambda **a: L.TextVectorization(vocabulary=CAT, output_mode="count", **a), ["cat cat", "dog"]),
    ],
)
def test_sparse_outputs_hold_the_same_values(layer: Any, x: Any) -> None:
    sparse, dense = layer(sparse=True), layer()
    result, expected = sparse(x), dense(x)
    assert isinstance(result, SparseTensor)
    assert not isinstance(expected, SparseTensor)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))
    again = type(sparse).from_config(sparse.get_config())
    assert isinstance(again, L.CategoryEncoding) or again.sparse


def test_indices_are_not_sparse() -> None:
    with pytest.raises(ValueError, match='sparse=True is for vectors: use output_mode="one_hot"'):
        L.StringLookup(sparse=True)
    with pytest.raises(ValueError, match="ragged"):
        L.TextVectorization(ragged=True, output_mode="count")


def test_ragged_outputs_have_a_mask() -> None:
    layer = L.TextVectorization(vocabulary=["cat", "dog"], ragged=True, output_sequence_length=4)
    result = layer(["cat dog cat", "dog", ""])
    assert result.tolist() == [[2, 3, 2], [3, 0, 0], [0, 0, 0]]
    assert result._keras_mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert layer(["cat dog cat dog cat dog"]).shape == (1, 4)
    embedded = L.Embedding(4, 2, mask_zero=True)(result)
    assert embedded._keras_mask.tolist() == result._keras_mask.tolist()
    rows = hornbeam.ops.convert_to_tensor([[1.0, 2.0], [3.0]], ragged=True)
    assert rows.tolist() == [[1, 2], [3, 0]]
    assert rows._keras_mask.tolist() == [[True, True], [True, False]]


def test_the_size_of_vectors_may_not_change() -> None:
    layer = L.StringLookup(output_mode="multi_hot")
    layer.adapt(CAT)
    with pytest.raises(RuntimeError, match=r"outputs have 3 entries.*new vocabulary has 4"):
        layer.adapt([*CAT, "cow"])
    L.StringLookup().adapt(CAT)


def test_vocabulary_files(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("fox\ndog\né\n", encoding="utf-8")
    layer = L.TextVectorization(vocabulary=str(path))
    assert layer.get_vocabulary() == ["", "[UNK]", "fox", "dog", "é"]
    assert np.asarray(layer(["É é dog"])).tolist() == [[1, 4, 3]]
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("12\n-7\n")
    assert np.asarray(L.IntegerLookup(vocabulary=str(numbers))([-7, 3, 12])).tolist() == [2, 0, 1]


def test_functions_of_the_users() -> None:
    def shout(texts: np.ndarray) -> Any:
        return np.char.upper(texts)

    def commas(texts: np.ndarray) -> list[list[str]]:
        return [text.split(",") for text in texts.tolist()]

    layer = L.TextVectorization(standardize=shout, split=commas)
    layer.adapt(["a,é c", "é c"])
    assert layer.get_vocabulary(include_special_tokens=False) == ["É C", "A"]


def test_encodings() -> None:
    latin = "é".encode("latin-1")
    layer = L.StringLookup(vocabulary=["é"], encoding="latin-1")
    assert np.asarray(layer(np.array([latin, b"e"]))).tolist() == [1, 0]
    stray = L.StringLookup()
    stray.adapt(np.array([latin, latin, b"e"], object))
    assert np.asarray(stray(np.array([latin, b"e"], object))).tolist() == [1, 2]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_frames(library: str) -> None:
    frames = pytest.importorskip(library)
    column = frames.Series(["b", "a", "b"])
    layer = L.StringLookup()
    layer.adapt(column)
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]
    assert np.asarray(layer(column)).tolist() == [1, 2, 1]
    assert np.asarray(L.Hashing(3)(column)).shape == (3,)


def test_a_new_vocabulary_is_seen() -> None:
    layer = L.IntegerLookup(vocabulary=[7, 5])
    model = hornbeam.Sequential([hornbeam.Input((2,), dtype="int64"), layer])
    x = np.array([[5, 9]])
    assert np.asarray(model(x)).tolist() == [[2, 0]]
    layer.set_vocabulary([9, 5])
    assert np.asarray(model(x)).tolist() == [[2, 1]]
    model.compile()
    assert model.predict(x, verbose=0).tolist() == [[2, 1]]


def test_a_config_may_claim_any_size() -> None:
    """Nothing is listed or allocated for indices that are only claimed."""
    huge = 10**15
    layer = L.StringLookup.from_config({"vocabulary": ["a", "b"], "num_oov_indices": huge})
    assert layer.vocabulary_size() == huge + 2
    assert int(np.asarray(layer(np.array("b")))) == huge + 1
    padded = L.StringLookup(max_tokens=huge, pad_to_max_tokens=True, output_mode="count", vocabulary=["a"])
    assert padded(hornbeam.Input((1,), dtype="string")).shape == (None, huge)


def in_graph(layer: Any, *values: np.ndarray) -> np.ndarray:
    """A layer's output where it is called inside of a traced function."""

    def call(*x: Any) -> Any:
        assert all(part.node.level for part in x)
        return layer(x[0] if len(x) == 1 else list(x))

    return np.asarray(hornbeam.jit(call)(*map(hornbeam.ops.convert_to_tensor, values)))


WHOLE = np.array(
    [sign * value for k in range(19) for value in (10**k, 10**k - 1, 37 * 10**k // 10) for sign in (1, -1)]
    + [2**63 - 1, -(2**63), 2**32, -(2**31)]
)


@pytest.mark.parametrize("salt", [None, 3, [2**63 - 1, 5]])
@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_integers_are_hashed_in_graphs(salt: Any, mode: str) -> None:
    """Of every number of digits, the same as outside."""
    layer = L.Hashing(7 if mode != "int" else 2**31 - 1, salt=salt, output_mode=mode)
    x = WHOLE.reshape(-1, 2)
    np.testing.assert_array_equal(in_graph(layer, x), np.asarray(layer(x)))


def test_masks_fractions_and_crosses_in_graphs() -> None:
    masked = L.Hashing(5, mask_value=3)
    np.testing.assert_array_equal(in_graph(masked, np.arange(9)), np.asarray(masked(np.arange(9))))
    x = np.array([1.0, 1.9, -2.5, 100.0], "float32")
    np.testing.assert_array_equal(in_graph(L.Hashing(10), x), np.asarray(L.Hashing(10)(x)))
    for mode in ("int", "one_hot"):
        cross = L.HashedCrossing(50, output_mode=mode)
        pair = WHOLE[:, None], WHOLE[::-1, None] % 1000
        np.testing.assert_array_equal(in_graph(cross, *pair), np.asarray(cross(list(pair))))
    with pytest.raises(HornbeamTypeError, match="crosses integers here, got float32"):
        in_graph(L.HashedCrossing(5), x, x)
    with pytest.raises(HornbeamTypeError, match="works on values, before the graph"):
        in_graph(L.StringLookup(vocabulary=CAT, invert=True), np.arange(2))


def test_columns_with_missing_strings() -> None:
    frames = pytest.importorskip("pandas")
    for column in (frames.Series(["a", None], dtype="string"), frames.Series(["a", None], dtype="category")):
        with pytest.raises(HornbeamTypeError, match="missing values"):
            L.StringLookup(vocabulary=CAT)(column)
    kinds = frames.Series(["dog", "cat"], dtype="category")
    assert np.asarray(L.StringLookup(vocabulary=CAT)(kinds)).tolist() == [2, 1]


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
def test_adapt_takes_what_gives_texts(mode: str) -> None:
    texts = np.array(["a b", "b c", "c c d"])
    layer = L.TextVectorization(output_mode=mode)
    layer.adapt(texts)
    dataset = hornbeam.data.Dataset.from_tensor_slices(texts)
    for data in (
        dataset,
        dataset.batch(2),
        iter(texts.tolist()),
        ((np.array([text]), 0) for text in texts),
        texts[:, None],
        texts.astype("S"),
        texts.tolist(),
        [[text] for text in texts],
    ):
        other = L.TextVectorization(output_mode=mode)
        other.adapt(data)
        assert other.get_vocabulary() == layer.get_vocabulary()
        np.testing.assert_array_equal(np.asarray(other(texts)), np.asarray(layer(texts)))
