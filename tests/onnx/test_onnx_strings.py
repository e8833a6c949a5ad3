"""ONNX files of text: operators on strings, strings as inputs, outputs and constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.errors import GraphError, ModelFileError
from hornbeam.saving import load_onnx
from tests.helpers import onnx_bytes as onnx

FLOAT, INT, TEXT, BOOL = 1, 7, 8, 9
WORDS = np.array([["to", "be"], ["or", "Not"]], object)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def written(path: Path, nodes: list[bytes], ends: Any, inputs: Any, arrays: Any = ()) -> Any:
    values = [[onnx.value(*x) for x in each] for each in (inputs, ends)]
    path.write_bytes(onnx.model(onnx.graph(nodes, list(arrays), input=values[0], output=values[1])))
    return load_onnx(path)


def result(path: Path, op: str, *xs: Any, code: int = TEXT, axes: int = 2, **attributes: Any) -> Any:
    """The first result of an operator on strings or integers."""
    names = [f"x{i}" for i in range(len(xs))]
    inputs = [
        (name, ["n", *x.shape[1:]] if x.ndim else [], {"O": TEXT, "i": INT, "f": FLOAT}[x.dtype.kind])
        for name, x in zip(names, xs, strict=True)
    ]
    model = written(path, [onnx.node(op, names, ["y"], **attributes)], [("y", ["m"] * axes, code)], inputs)
    return np.asarray(model(list(xs) if len(xs) > 1 else xs[0])).tolist()


def test_strings_are_joined_and_split(path: Path) -> None:
    assert result(path, "StringConcat", WORDS, WORDS[:1]) == [["toto", "bebe"], ["orto", "Notbe"]]
    split = [[["t", ""], ["be", ""]], [["", "r"], ["N", "t"]]]
    assert result(path, "StringSplit", WORDS, axes=3, delimiter="o") == split
    blanks = np.array([" a  b ", ""], object)
    assert result(path, "StringSplit", blanks) == [["a", "b"], ["", ""]]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"case_change_action": "UPPER"}, ["TO", "BE", "OR", "NOT"]),
        ({"case_change_action": "LOWER", "stopwords": ["not", "be"]}, ["to", "or"]),
        ({"is_case_sensitive": 1, "stopwords": ["not", "be"]}, ["to", "or", "Not"]),
        ({"stopwords": ["to", "be", "or", "not"]}, [""]),
    ],
)
def test_words_are_normalized(path: Path, attributes: Any, expected: list[str]) -> None:
    assert result(path, "StringNormalizer", WORDS.reshape(-1), axes=1, **attributes) == expected
    row = WORDS.reshape(1, -1)
    assert result(path, "StringNormalizer", row, **attributes) == [expected]


def test_patterns_match_whole_strings(path: Path) -> None:
    matches = result(path, "RegexFullMatch", WORDS, code=BOOL, pattern="[a-z]{2}|N.*")
    assert matches == [[True, True], [True, True]]
    assert result(path, "RegexFullMatch", WORDS, code=BOOL, pattern="o") == [[False] * 2] * 2


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"tokenexp": "[a-z]+"}, [["a", "bc", "#"], ["d", "e", "f"]]),
        ({"tokenexp": r"\w\w"}, [["bc"], ["#"]]),
        ({"separators": [", ", " "]}, [["a", "bc"], ["d,e", "f"]]),
        ({"separators": [""], "mincharnum": 1}, [list("a, bc"), list("d,e f")]),
        ({"tokenexp": "[a-z]+", "mincharnum": 2, "mark": 1}, [["\2", "bc", "\3"], ["\2", "\3", "#"]]),
    ],
)
def test_text_becomes_tokens(path: Path, attributes: Any, expected: Any) -> None:
    """By the operator that converters of text pipelines use."""
    text = np.array(["a, bc", "d,e f"], object)
    assert result(path, "Tokenizer", text, domain="com.microsoft", pad_value="#", **attributes) == expected


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(?=a)a", r"(a)\1", "((x|y+)z)*"])
def test_patterns_that_could_take_forever_are_refused(path: Path, pattern: str) -> None:
    with pytest.raises(GraphError, match="are not run"):
        result(path, "RegexFullMatch", WORDS, code=BOOL, pattern=pattern)


@pytest.mark.parametrize(
    ("op", "others", "attributes", "expected"),
    [
        ("Gather", [np.array([1, -2])], {"axis": 1}, [["be", "to"], ["Not", "or"]]),
        ("Transpose", [], {}, [["to", "or"], ["be", "Not"]]),
        ("Concat", [WORDS], {"axis": 1}, [["to", "be"] * 2, ["or", "Not"] * 2]),
        ("Identity", [], {}, WORDS.tolist()),
    ],
)
def test_strings_are_moved(path: Path, op: str, others: Any, attributes: Any, expected: Any) -> None:
    assert result(path, op, WORDS, *others, **attributes) == expected


def test_strings_are_compared(path: Path) -> None:
    assert result(path, "Equal", WORDS, np.array(["to", "x"], object), code=BOOL) == [
        [True, False], [False, False],
    ]  # fmt: skip
    assert result(path, "Unique", np.array(["b", "a", "b"], object), axes=1) == ["a", "b"]


def test_numbers_become_text_and_text_numbers(path: Path) -> None:
    numbers = np.array([0.1, 2, -np.inf, np.nan, 1e10], "float32")
    texts = ["0.1", "2", "-INF", "NaN", "1e+10"]
    assert result(path, "Cast", numbers, axes=1, to=8) == texts
    back = result(path, "Cast", np.array(texts, object), code=FLOAT, axes=1, to=1)
    np.testing.assert_array_equal(np.array(back, "float32"), numbers)
    with pytest.raises(GraphError, match=r"a string is not a number: .*'x'"):
        result(path, "Cast", np.array(["x"], object), code=INT, axes=1, to=7)


def test_runs_of_words_are_counted(path: Path) -> None:
    text = np.array([["a", "b", "a", "b", "c"]], object)
    counts = result(
        path, "TfIdfVectorizer", text, code=FLOAT, mode="TF", min_gram_length=1, max_gram_length=2,
        max_skip_count=0, ngram_counts=[0, 2], ngram_indexes=[0, 1, 2], pool_strings=["c", "d", "a", "b"],
    )  # fmt: skip
    assert counts == [[1, 0, 2]]


def test_a_model_of_text_predicts(path: Path) -> None:
    """The layer is the part of the model that runs on the host; what follows in it is compiled."""
    nodes = [
        onnx.node("Equal", ["x", "word"], ["same"]),
        onnx.node("Cast", ["same"], ["y"], to=1),
    ]
    arrays = [onnx.tensor("word", np.array(["or"], object))]
    model = written(path, nodes, [("y", ["n", 2], FLOAT)], [("x", ["n", 2], TEXT)], arrays)
    assert model(WORDS).tolist() == [[0, 0], [1, 0]]
    assert model.predict(WORDS, verbose=0).tolist() == [[0, 0], [1, 0]]
    assert model.predict([["or", "or"]], verbose=0).tolist() == [[1, 1]]


def test_missing_strings_are_refused(path: Path) -> None:
    with pytest.raises(GraphError, match="got None: fill in missing values"):
        result(path, "Identity", np.array(["a", None], object), axes=1)


def test_constants_of_strings_have_as_many_as_their_shape(path: Path) -> None:
    arrays = [onnx.tensor("word", np.array(["or"], object), dims=[2])]
    with pytest.raises(ModelFileError, match="says that it has shape \\(2,\\)"):
        written(path, [onnx.node("Equal", ["x", "word"], ["y"])], [("y", ["n", 2], BOOL)],
                [("x", ["n", 2], TEXT)], arrays)  # fmt: skip
