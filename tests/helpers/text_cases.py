"""Behaviour of layers for strings and categories, for real Keras and for Hornbeam: `k` is either.

`text_expected.json` holds what Keras 3.15.1 on TensorFlow gives (see tools/expected_text.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CASES: dict[str, Callable[[Any], dict[str, Any]]] = {}


def case(function: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    CASES[function.__name__] = function
    return function


TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "the DOG barks -- at the Fox's tail!",
    "Émile's café, naïve  \t Ünïcode\u2003wide space\x0bvertical",
    "",
    "one",
    "fox fox fox dog dog",
]
WORDS = [["fox", "dog", "the"], ["dog", "dog", "unheard"], ["the", "", "fox"], ["é", "É", "[UNK]"]]
NUMBERS = [[5, 7, 5], [-3, 5, 1_000_000_000_000], [7, 0, -1]]


def strings(seed: int, count: int) -> np.ndarray:
    """Strings of 0 to 199 characters, some of them of several bytes."""
    draw = np.random.default_rng(seed)
    letters = list("abcxyz019 _-äßç日本🙂")
    return np.array(["".join(draw.choice(letters, size=n % 200)) for n in range(count)], object)


@case
def hashing(k: Any) -> dict[str, Any]:
    x = strings(0, 220)
    array = np.array([0, 1, -1, 9, 10, 12345678, -987654321, 2**31 - 1, 2**63 - 1, -(2**63)])
    short = np.array([["A", "B"], ["C", "A"]])
    return {
        "fast": k.layers.Hashing(2**31 - 1)(x),
        "strong": k.layers.Hashing(2**31 - 1, salt=[133, 137])(x),
        "one salt": k.layers.Hashing(1000, salt=133)(x[:20]),
        "whole": k.layers.Hashing(2**31 - 1)(array),
        "whole strong": k.layers.Hashing(1000, salt=5)(array),
        "fractions": k.layers.Hashing(10)(np.array([1.0, 1.9, -2.5, 100.0])),
        "masked": k.layers.Hashing(7, mask_value="")(np.array([["", "a"], ["b", ""]])),
        "masked numbers": k.layers.Hashing(5, mask_value=3)(np.array([3, 4, 3, 9])),
        "int32": k.layers.Hashing(10, dtype="int32")(short),
        "one hot": k.layers.Hashing(3, output_mode="one_hot")(np.array([["A"], ["B"]])),
        "one hot of several": k.layers.Hashing(3, output_mode="one_hot")(short),
        "multi hot": k.layers.Hashing(3, output_mode="multi_hot")(short),
        "count": k.layers.Hashing(3, output_mode="count")(np.array([["A", "A", "B"]])),
    }


@case
def crossing(k: Any) -> dict[str, Any]:
    a, b, c = (
        np.array(["A", "B", "A", "long" * 20]),
        np.array([101, -5, 2**40, 0]),
        np.array(["", "x", "y", "é"]),
    )
    cross = k.layers.HashedCrossing
    return {
        "two": cross(1000)([a, b]),
        "three": cross(1000)([a, b, c]),
        "columns": cross(7)([a[:, None], b[:, None]]),
        "numbers": cross(50)([b, b.astype("int32")]),
        "one hot": cross(5, output_mode="one_hot")([a, b]),
        "one hot columns": cross(5, output_mode="one_hot")([a[:, None], b[:, None]]),
        "one sample": cross(50)([np.array("A"), np.array(3)]),
    }


@case
def string_lookup(k: Any) -> dict[str, Any]:
    vocabulary = ["the", "fox", "dog", "é"]
    words = np.array(WORDS)
    weights = [0.5, 1.0, 1.5, 2.0]
    result: dict[str, Any] = {}
    options: list[dict[str, Any]] = [
        {},
        {"mask_token": ""},
        {"num_oov_indices": 3},
        {"num_oov_indices": 3, "mask_token": "", "salt": 7},
        {"output_mode": "multi_hot"},
        {"output_mode": "multi_hot", "mask_token": ""},
        {"output_mode": "count", "num_oov_indices": 2},
        {"output_mode": "one_hot"},
        {"output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True},
        {"output_mode": "tf_idf", "idf_weights": weights},
        {"output_mode": "tf_idf", "idf_weights": weights, "max_tokens": 8, "pad_to_max_tokens": True},
    ]
    for arguments in options:
        layer = k.layers.StringLookup(vocabulary=vocabulary, **arguments)
        label = str(arguments)
        result[label] = layer(words)
        result[f"{label} vocabulary"] = layer.get_vocabulary()
        result[f"{label} size"] = layer.vocabulary_size()
    plain = k.layers.StringLookup(vocabulary=vocabulary)
    result["bytes"] = plain(np.array([b"fox", "é".encode(), b"?"]))
    result["list"] = plain(["fox", "dog"])
    result["one string"] = plain(np.array("dog"))
    result["config"] = sorted(plain.get_config())
    result["special at the front"] = k.layers.StringLookup(vocabulary=["", "[UNK]", "a"], mask_token="")(
        ["a", "", "b"]
    )
    return result


@case
def string_lookup_inverted(k: Any) -> dict[str, Any]:
    plain = k.layers.StringLookup(vocabulary=["a", "b", "é"], invert=True)
    masked = k.layers.StringLookup(vocabulary=["a", "b"], invert=True, mask_token="", num_oov_indices=2)
    indices = np.array([[0, 1, 2], [3, 4, 9]])
    return {
        "plain": plain(indices),
        "masked": masked(indices),
        "plain vocabulary": plain.get_vocabulary(),
        "masked vocabulary": masked.get_vocabulary(),
        "without": masked.get_vocabulary(include_special_tokens=False),
    }


@case
def string_lookup_adapted(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    data = np.array(["b", "a", "c", "b", "d", "é", "z", "é", "[UNK]", ""])
    for arguments in ({}, {"mask_token": ""}, {"max_tokens": 4}, {"output_mode": "count", "mask_token": ""}):
        layer = k.layers.StringLookup(**arguments)
        layer.adapt(data)
        result[f"{arguments} vocabulary"] = layer.get_vocabulary()
        result[f"{arguments}"] = layer(data)
    batched = k.layers.StringLookup()
    batched.adapt(iter([data[:4], data[4:]]))
    result["batches"] = batched.get_vocabulary()
    first = k.layers.StringLookup()
    first.adapt(iter([data[:4], data[4:]]), steps=1)
    result["one step"] = first.get_vocabulary()
    for arguments in ({}, {"max_tokens": 9, "pad_to_max_tokens": True}):
        layer = k.layers.StringLookup(output_mode="tf_idf", **arguments)
        layer.adapt(np.array(WORDS))
        result[f"tf-idf {arguments} vocabulary"] = layer.get_vocabulary()
        result[f"tf-idf {arguments}"] = layer(np.array(WORDS))
    layer = k.layers.StringLookup(output_mode="tf_idf")
    layer.adapt(data)
    result["tf-idf of a column"] = layer(data[:3, None])
    return result


@case
def integer_lookup(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    numbers = np.array(NUMBERS)
    options: list[dict[str, Any]] = [
        {},
        {"mask_token": 0},
        {"num_oov_indices": 3},
        {"num_oov_indices": 3, "oov_method": "farmhash"},
        {"num_oov_indices": 3, "oov_method": "farmhash", "salt": [1, 2]},
        {"output_mode": "multi_hot"},
        {"output_mode": "multi_hot", "mask_token": 0},
        {"output_mode": "count", "num_oov_indices": 2},
        {"output_mode": "one_hot"},
        {"output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True},
        {"output_mode": "tf_idf", "idf_weights": [0.5, 1.5]},
    ]
    for arguments in options:
        layer = k.layers.IntegerLookup(vocabulary=[7, 5], **arguments)
        result[f"{arguments}"] = layer(numbers)
        result[f"{arguments} vocabulary"] = [int(token) for token in layer.get_vocabulary()]
    result["config"] = sorted(k.layers.IntegerLookup(vocabulary=[7, 5]).get_config())
    result["no unknown ones"] = k.layers.IntegerLookup(vocabulary=[7, 5], num_oov_indices=0)(np.array([5, 7]))
    adapted = k.layers.IntegerLookup(max_tokens=5)
    adapted.adapt(np.array([9, 2, 2, 3, 8, 3, 1, -1]))
    result["adapted vocabulary"] = [int(token) for token in adapted.get_vocabulary()]
    result["adapted"] = adapted(numbers)
    inverse = k.layers.IntegerLookup(vocabulary=[12, 36], invert=True, mask_token=0)
    result["inverted"] = inverse(np.array([[0, 1], [2, 3], [4, 9]]))
    return result


TEXT_OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_tokens": 6},
    {"standardize": "lower"},
    {"standardize": "strip_punctuation"},
    {"standardize": None},
    {"split": "character", "output_sequence_length": 8},
    {"ngrams": 2},
    {"ngrams": (1, 3)},
    {"ngrams": (3,), "split": "character", "max_tokens": 20},
    {"output_sequence_length": 4},
    {"output_sequence_length": 15},
    {"output_mode": "multi_hot"},
    {"output_mode": "count"},
    {"output_mode": "tf_idf"},
    {"output_mode": "count", "max_tokens": 30, "pad_to_max_tokens": True},
    {"output_mode": "tf_idf", "max_tokens": 30, "pad_to_max_tokens": True, "ngrams": 2},
]


@case
def text_vectorization(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for arguments in TEXT_OPTIONS:
        layer = k.layers.TextVectorization(**arguments)
        layer.adapt(TEXTS)
        result[f"{arguments} vocabulary"] = layer.get_vocabulary()
        result[f"{arguments}"] = layer(np.array(TEXTS))
        result[f"{arguments} column"] = layer(np.array(TEXTS[:2])[:, None])
        result[f"{arguments} size"] = layer.vocabulary_size()
    layer = k.layers.TextVectorization(vocabulary=["fox", "dog"], output_sequence_length=3)
    result["given"] = layer(np.array(TEXTS))
    result["one text"] = layer(np.array("the fox and a dog"))
    result["config"] = sorted(layer.get_config())
    again = k.layers.TextVectorization.from_config(layer.get_config())
    result["again"] = again(np.array(TEXTS))
    batched = k.layers.TextVectorization(output_mode="tf_idf")
    batched.adapt(iter([np.array(TEXTS[:2]), np.array(TEXTS[2:])]))
    result["batches"] = batched(np.array(TEXTS))
    return result


@case
def words_in_columns(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    words = np.array(WORDS)
    for arguments in (
        {},
        {"output_mode": "count"},
        {"output_sequence_length": 2},
        {"output_sequence_length": 5},
    ):
        layer = k.layers.TextVectorization(split=None, standardize=None, **arguments)
        layer.adapt(words)
        result[f"{arguments} vocabulary"] = layer.get_vocabulary()
        result[f"{arguments}"] = layer(words)
    layer = k.layers.TextVectorization(split=None, vocabulary=["fox", "dog"])
    result["a row"] = layer(np.array(["fox", "cat", "Dog!"]))
    return result


@case
def discretization(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    draw = np.random.default_rng(3)
    sets = {"few": draw.normal(size=9), "many": draw.normal(size=1000) * 5, "ties": draw.integers(0, 5, 300)}
    for name, data in sets.items():
        for bins, epsilon in ((2, 0.01), (4, 0.01), (10, 0.1)):
            layer = k.layers.Discretization(num_bins=bins, epsilon=epsilon)
            layer.adapt(data.astype("float32"))
            result[f"{name} {bins} {epsilon}"] = [float(edge) for edge in layer.bin_boundaries]
    layer = k.layers.Discretization(num_bins=5)
    layer.adapt(iter(np.split(sets["many"].astype("float32"), 10)))
    result["batches"] = [float(edge) for edge in layer.bin_boundaries]
    result["bins"] = layer(sets["many"][:20].astype("float32"))
    return result


@case
def single_values_and_more_axes(k: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    words, numbers = np.array(WORDS), np.array(NUMBERS)
    for mode in ("int", "one_hot", "multi_hot", "count"):
        lookup = k.layers.StringLookup(vocabulary=["fox", "dog"], output_mode=mode)
        integers = k.layers.IntegerLookup(vocabulary=[7, 5], output_mode=mode)
        hashing = k.layers.Hashing(4, output_mode=mode)
        for label, text, number in (("one", "fox", 5), ("row", words[0], numbers[0])):
            result[f"lookup {mode} {label}"] = lookup(np.array(text))
            result[f"integers {mode} {label}"] = integers(np.array(number))
            if label == "row" or mode == "int":  # Keras hashes no single string into a vector
                result[f"hashing {mode} {label}"] = hashing(np.array(text))
    result["axes"] = k.layers.StringLookup(vocabulary=["fox"])(words.reshape(2, 2, 3))
    result["one hot axes"] = k.layers.StringLookup(vocabulary=["fox"], output_mode="one_hot")(
        words.reshape(2, 2, 3)
    )
    return result


def plain(value: Any) -> Any:
    """Return the results of a case as JSON: arrays as nested lists, with their dtype; bytes as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, int, str)):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        text = [x.decode() if isinstance(x, bytes) else str(x) for x in array.reshape(-1).tolist()]
        return {"dtype": "string", "values": np.array(text).reshape(array.shape).tolist()}
    return {"dtype": array.dtype.name, "values": array.tolist()}
