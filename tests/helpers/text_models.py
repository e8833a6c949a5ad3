"""Models with layers for strings that real Keras and Hornbeam both build: `k` is either.

`keras_text.zip` holds them as real Keras 3.15.1 wrote them, with what they give (see tools/keras_text.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

TEXTS = np.array(["good film", "BAD film!", "very good", "é very bad bad"])
COLUMNS = {
    "city": np.array([["Rom"], ["Oslo"], ["Ulm"], ["?"]]),
    "number": np.array([[5], [8], [7], [5]]),
}


def data(*names: str) -> Any:
    return {name: COLUMNS.get(name, TEXTS) for name in names}


def sequence(k: Any) -> Any:
    """Texts to word indices."""
    layers = k.layers
    words = layers.TextVectorization(max_tokens=20, output_sequence_length=5, ngrams=2)
    words.adapt(TEXTS)
    return k.Sequential(
        [k.Input((), dtype="string"), words, layers.Embedding(20, 3), layers.Flatten(), layers.Dense(2)],
        name="sequence",
    )


def tables(k: Any) -> Any:
    """Adapted lookups and hashes of several inputs beside each other."""
    layers = k.layers
    text = k.Input((), dtype="string", name="text")
    city = k.Input((1,), dtype="string", name="city")
    number = k.Input((1,), dtype="int64", name="number")
    weighed = layers.TextVectorization(output_mode="tf_idf", max_tokens=12)
    weighed.adapt(TEXTS)
    cities = layers.StringLookup(output_mode="one_hot", num_oov_indices=2)
    cities.adapt(COLUMNS["city"][:3])
    numbers = layers.IntegerLookup(output_mode="multi_hot")
    numbers.adapt(COLUMNS["number"][:2])
    parts = [
        weighed(text),
        cities(city),
        k.ops.cast(numbers(number), "float32"),
        k.ops.cast(layers.Hashing(3, output_mode="one_hot", salt=4)(city), "float32"),
        k.ops.cast(layers.HashedCrossing(4, output_mode="one_hot")([city, number]), "float32"),
        layers.CategoryEncoding(4, output_mode="one_hot")(layers.Hashing(4)(number)),
    ]
    return k.Model([text, city, number], layers.Dense(2)(layers.Concatenate()(parts)), name="tables")


def given_vocabulary(k: Any) -> Any:
    """Vocabularies in the config."""
    layers = k.layers
    words = layers.TextVectorization(vocabulary=["good", "bad"], output_mode="count", split="whitespace")
    return k.Sequential([k.Input((), dtype="string"), words, layers.Dense(2)], name="given")


MODELS = {"sequence": sequence, "tables": tables, "given": given_vocabulary}


def inputs(name: str) -> Any:
    return data("text", "city", "number") if name == "tables" else TEXTS
