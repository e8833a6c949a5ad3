"""FeatureSpaces that real Keras and Hornbeam both build: `k` is either.

`feature_expected.json` and `feature_space.keras` hold the results of Keras 3.15.1 on TensorFlow (see
tools/expected_features.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np


def table(rows: int) -> dict[str, list[Any]]:
    draw = np.random.default_rng(7)
    return {
        "plain": draw.normal(size=rows).round(3).tolist(),
        "scaled": draw.integers(0, 255, rows).astype(float).tolist(),
        "normal": (draw.normal(size=rows) * 5 + 3).round(3).tolist(),
        "binned": draw.exponential(size=rows).round(3).tolist(),
        "year": draw.integers(1990, 1995, rows).tolist(),
        "town": draw.choice(["Ulm", "Bonn", "Köln", ""], rows).tolist(),
        "street": [f"street {n}" for n in draw.integers(0, 50, rows)],
        "code": draw.integers(-1000, 10**6, rows).tolist(),
    }


DATA = table(75)
OTHERS = {**table(6), "town": ["Ulm", "?", "Köln", "", "Rom", "Bonn"], "year": [1990, 1, 1994, 1992, 7, -1]}


def short(k: Any) -> Any:
    """Kinds as strings."""
    return k.utils.FeatureSpace(
        {
            "plain": "float",
            "scaled": "float_rescaled",
            "normal": "float_normalized",
            "binned": "float_discretized",
            "year": "integer_categorical",
            "town": "string_categorical",
            "street": "string_hashed",
            "code": "integer_hashed",
        },
        crosses=[("town", "year"), ("street", "code")],
        crossing_dim=16,
        hashing_dim=10,
        num_discretization_bins=4,
    )


def full(k: Any) -> Any:
    """Kinds with arguments, as a dict of features."""
    make = k.utils.FeatureSpace
    return make(
        {
            "plain": make.float(),
            "scaled": make.float_rescaled(scale=1 / 255, offset=-0.5),
            "normal": make.float_normalized(),
            "binned": make.float_discretized(num_bins=5, output_mode="int"),
            "year": make.integer_categorical(max_tokens=4, num_oov_indices=2),
            "town": make.string_categorical(output_mode="int"),
            "street": make.string_hashed(num_bins=7, output_mode="int"),
            "code": make.integer_hashed(num_bins=5),
        },
        crosses=[make.cross(("town", "year"), crossing_dim=9, output_mode="int"), ("binned", "code")],
        output_mode="dict",
    )


def own(k: Any) -> Any:
    """Layers of one's own choice."""
    make = k.utils.FeatureSpace
    text = k.layers.TextVectorization(output_mode="count", max_tokens=12)
    return make(
        {
            "street": make.feature("string", text, "float"),
            "year": make.feature("int32", k.layers.IntegerLookup(num_oov_indices=1), "one_hot"),
            "plain": "float",
        },
        output_mode="dict",
    )


SPACES = {"short": short, "full": full, "own": own}


def columns(space: Any, data: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: data[name] for name in space.features}


def as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_lists(part) for name, part in value.items()}
    return {"dtype": np.asarray(value).dtype.name, "values": np.asarray(value).tolist()}


def encoded(k: Any, name: str) -> dict[str, Any]:
    """Return the results of a space for the data it was adapted to, for others, and for one row."""
    space = SPACES[name](k)
    space.adapt(columns(space, DATA))
    return facts(space)


def facts(space: Any) -> dict[str, Any]:
    row = {name: values[2] for name, values in columns(space, OTHERS).items()}
    inputs = {"data": columns(space, DATA), "others": columns(space, OTHERS), "row": row}
    return {label: as_lists(space(values)) for label, values in inputs.items()}
