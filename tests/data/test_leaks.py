"""Leaks that were planted are found and named; clean programs hear nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.row_hash import count_matches
from hornbeam.data import find_leaks, seal, split
from hornbeam.data.inspection.near_duplicates import bits_per_sample
from hornbeam.errors import LeakWarning
from tests.helpers.builders import compiled_model

Case = Callable[[np.random.Generator], dict[str, Any]]


def table(rng: np.random.Generator, n: int = 600, width: int = 8) -> np.ndarray:
    """Quantities that depend on each other, of several scales."""
    mixed = rng.normal(size=(n, width)) @ rng.normal(size=(width, width))
    return (mixed * np.geomspace(1, 50, width) + np.arange(width)).astype("float32")


def images(rng: np.random.Generator, n: int = 400) -> np.ndarray:
    """Blots in random places, as bytes."""
    y, x = np.indices((16, 16))
    centres, sizes = rng.uniform(3, 13, (n, 2, 2, 1, 1)), rng.uniform(1, 3, (n, 2, 1, 1))
    apart = (y - centres[:, :, 0]) ** 2 + (x - centres[:, :, 1]) ** 2
    return (255 * np.exp(-apart / sizes**2).max(axis=1)).astype("uint8")


def cut(x: Any, test: int = 100, validation: int = 0) -> dict[str, Any]:
    end = len(x) - test
    parts = {"train": x[: end - validation], "test": x[end:]}
    return {**parts, "validation": x[end - validation : end]} if validation else parts


def standard(x: np.ndarray, by: np.ndarray, axis: Any = 0) -> np.ndarray:
    return (x - by.mean(axis=axis)) / by.std(axis=axis)


def ranged(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    return (x - by.min(axis=0)) / (by.max(axis=0) - by.min(axis=0))


def adapted(layer: Any, *data: Any) -> Any:
    layer.adapt(np.concatenate(data) if len(data) > 1 else data[0])
    return layer


TREES = "alder ash beech birch elm hazel holly hornbeam larch lime maple oak pine rowan willow yew"
WORDS = np.array(TREES.split())


def texts(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    return np.array([" ".join(rng.choice(WORDS, rng.integers(8, 20))) for _ in range(n)], object)


def model_of(x: np.ndarray, layer: Any) -> Any:
    return hb.Sequential([hb.Input(x.shape[1:]), layer, layers.Dense(1)])


def noisy(rng: np.random.Generator, x: np.ndarray, scale: float) -> np.ndarray:
    return (x + scale * x.std(axis=0) * rng.normal(size=x.shape)).astype(x.dtype)


# -- planted -----------------------------------------------------------------------------------------


def rows_twice(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    x[550:560] = x[3:13]
    return cut(x)


def one_row_twice(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    x[599] = x[0]
    return cut(x)


def copied_before_the_split(rng: np.random.Generator) -> dict[str, Any]:
    x = np.repeat(table(rng, 300), 2, axis=0)  # oversampling
    return cut(x[rng.permutation(600)])


def image_twice(rng: np.random.Generator) -> dict[str, Any]:
    x = images(rng)
    x[350] = x[7]
    return cut(x)


def same_as_float(rng: np.random.Generator) -> dict[str, Any]:
    x = images(rng)
    return {"train": x[:300], "test": x[290:].astype("float32")}


def validation_is_test(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {"train": x[:400], "validation": x[400:500], "test": x[450:550]}


def text_twice(rng: np.random.Generator) -> dict[str, Any]:
    x = texts(rng)
    x[250] = x[3]
    return cut(x)


def frame_rows_twice(rng: np.random.Generator) -> dict[str, Any]:
    x = pd.DataFrame(table(rng), columns=list("abcdefgh"))
    return {"train": x.iloc[:500], "test": x.iloc[495:]}


def structure_twice(rng: np.random.Generator) -> dict[str, Any]:
    x, more = table(rng), texts(rng, 600)
    return {
        "train": {"a": x[:500], "b": more[:500]},
        "test": {"a": x[490:], "b": more[490:]},
    }


def low_table_copied(rng: np.random.Generator) -> dict[str, Any]:
    x = rng.normal(size=(200, 3)).round(2)
    x[150:190] = x[:40]
    return cut(x, 50)


def augmented_before_the_split(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng, 300)
    both = np.concatenate([x, noisy(rng, x, 0.005)])
    return cut(both[rng.permutation(600)])


def noisy_copies(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    x[550:560] = noisy(rng, x[:10], 0.003)
    return cut(x)


def images_compressed_again(rng: np.random.Generator) -> dict[str, Any]:
    x = images(rng)
    x[350:360] = np.clip(x[:10].astype(int) + rng.integers(-1, 2, x[:10].shape), 0, 255)
    return cut(x)


def groups_torn(rng: np.random.Generator) -> dict[str, Any]:
    groups = rng.integers(0, 60, 600)
    return {**cut(table(rng)), "groups": {"train": groups[:500], "test": groups[500:]}}


def one_group_torn(rng: np.random.Generator) -> dict[str, Any]:
    groups = np.array([f"patient {i // 10}" for i in range(600)], object)
    groups[599] = "patient 0"
    return {**cut(table(rng)), "groups": {"train": groups[:500], "test": groups[500:]}}


def split_without_groups(rng: np.random.Generator) -> dict[str, Any]:
    return {"train": split(table(rng), seed=1, verbose=False), "groups": np.arange(600) // 5}


def adapted_on_all(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {**cut(x), "layers": adapted(layers.Normalization(), x)}


def adapted_on_some_test_rows(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {**cut(x), "layers": model_of(x, adapted(layers.Normalization(), x[:520]))}


def adapted_on_test(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {**cut(x), "layers": [adapted(layers.Normalization(), x[500:])]}


def vocabulary_of_all(rng: np.random.Generator) -> dict[str, Any]:
    x = texts(rng)
    return {**cut(x), "layers": adapted(layers.TextVectorization(), x)}


def bins_of_all(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {
        **cut(x),
        "layers": adapted(layers.Discretization(num_bins=4), hb.data.Dataset.from_tensor_slices(x).batch(50)),
    }


def space_of_all(rng: np.random.Generator) -> dict[str, Any]:
    columns = {name: table(rng)[:, 0] for name in "ab"}
    space = hb.utils.FeatureSpace({"a": "float_normalized", "b": "float_normalized"})
    space.adapt(columns)
    parts = {"train": slice(0, 500), "test": slice(500, 600)}
    return {name: {key: value[rows] for key, value in columns.items()} for name, rows in parts.items()} | {
        "layers": space
    }


def adapted_on_validation(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return {**cut(x, validation=100), "layers": adapted(layers.Normalization(), x[:500])}


def standardized_first(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return cut(standard(x, x))


def standardized_first_in_double(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng).astype("float64")
    return cut(standard(x, x), validation=80)


def standardized_with_n_minus_1(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng).astype("float64")
    return cut((x - x.mean(axis=0)) / x.std(axis=0, ddof=1))


def images_standardized_first(rng: np.random.Generator) -> dict[str, Any]:
    x = images(rng).astype("float32")
    return cut(standard(x, x, None))


def each_by_itself(rng: np.random.Generator) -> dict[str, Any]:
    parts = cut(table(rng))
    return {name: standard(x, x) for name, x in parts.items()}


def ranged_first(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    return cut(ranged(x, x), 300)


PLANTED: list[tuple[Case, str, int | None]] = [
    (rows_twice, "same sample", 10),
    (one_row_twice, "same sample", 1),
    (copied_before_the_split, "same sample", None),
    (image_twice, "same sample", 1),
    (same_as_float, "same sample", 10),
    (validation_is_test, "same sample", 50),
    (text_twice, "same sample", 1),
    (frame_rows_twice, "same sample", 5),
    (structure_twice, "same sample", 10),
    (low_table_copied, "same sample", 40),
    (augmented_before_the_split, "near-duplicate", None),
    (noisy_copies, "near-duplicate", 10),
    (images_compressed_again, "near-duplicate", 10),
    (groups_torn, "same group", None),
    (one_group_torn, "same group", 1),
    (split_without_groups, "same group", None),
    (adapted_on_all, "fitted on held-out data", 100),
    (adapted_on_some_test_rows, "fitted on held-out data", 20),
    (adapted_on_test, "fitted on held-out data", 100),
    (vocabulary_of_all, "fitted on held-out data", 100),
    (bins_of_all, "fitted on held-out data", 100),
    (space_of_all, "fitted on held-out data", 100),
    (adapted_on_validation, "fitted on held-out data", 100),
    (standardized_first, "scaled before the split", 100),
    (standardized_first_in_double, "scaled before the split", 180),
    (standardized_with_n_minus_1, "scaled before the split", 100),
    (images_standardized_first, "scaled before the split", 100),
    (each_by_itself, "scaled before the split", 100),
    (ranged_first, "scaled before the split", 300),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("case", "kind", "number"), PLANTED, ids=[case.__name__ for case, *_ in PLANTED])
def test_planted_leaks_are_found(case: Case, kind: str, number: int | None, seed: int) -> None:
    leaks = find_leaks(**case(np.random.default_rng(seed)))
    assert {leak.kind for leak in leaks} == {kind}, leaks
    if number is not None:
        assert {leak.number for leak in leaks} == {number}
    assert f"1. {kind}: " in str(leaks)


# -- clean -------------------------------------------------------------------------------------------


def with_seed(make: Callable[[np.random.Generator], Any], **settings: Any) -> Case:
    return lambda rng: cut(make(rng), **settings)


def digits(rng: np.random.Generator) -> dict[str, Any]:
    (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
    some = rng.permutation(len(x))[:10_000]
    return {"train": (x[some], y[some]), "test": (x_test[:3000], y_test[:3000])}


def fitted_on_train(make: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Case:
    def case(rng: np.random.Generator) -> dict[str, Any]:
        parts = cut(table(rng), validation=80)
        return {name: make(x, parts["train"]) for name, x in parts.items()}

    return case


def layers_fitted_on_train(rng: np.random.Generator) -> dict[str, Any]:
    x = table(rng)
    norm = adapted(layers.Normalization(), x[:500])
    bins = adapted(layers.Discretization(num_bins=3), x[:500])
    return {**cut(x), "layers": [model_of(x, norm), bins]}


def adapted_on_discrete_columns(rng: np.random.Generator) -> dict[str, Any]:
    x = rng.integers(0, 30, (600, 1))  # test values are in the training part as well
    return {**cut(x), "layers": adapted(layers.IntegerLookup(), x[:500])}


def adapted_on_train_and_other_data(rng: np.random.Generator) -> dict[str, Any]:
    # An unlabelled set, some rows of which are by chance those of the test.
    x, other = rng.integers(0, 6, (500, 4)), rng.integers(0, 6, (2000, 4))
    return {**cut(x), "layers": adapted(layers.Normalization(), x[:400], other)}


def vocabulary_of_train(rng: np.random.Generator) -> dict[str, Any]:
    x = texts(rng)
    return {**cut(x), "layers": adapted(layers.TextVectorization(), x[:200])}


def by_groups(rng: np.random.Generator) -> dict[str, Any]:
    groups = rng.integers(0, 50, 600)
    return {"train": split(table(rng), groups=groups, seed=2, verbose=False), "groups": groups}


def one_hot_table(rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([np.eye(8)[rng.integers(0, 8, 600)] for _ in range(3)], axis=1)


def dependent_categories(rng: np.random.Generator) -> np.ndarray:
    first = rng.integers(0, 12, 600)
    return np.stack([first, first // 2, first % 3, rng.integers(0, 4, 600)], axis=1)


def measured_to_a_tenth(rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(0, 3, 150)  # like the irises
    return (rng.normal(size=(150, 4)) * 0.35 + 1.2 * kind[:, None] + [5, 3, 2, 1]).round(1)


def signs(rng: np.random.Generator) -> np.ndarray:
    return np.sign(rng.permutation(np.tile([-1.0, 1.0], 300)).reshape(600, 1) * np.ones((1, 12)))


def per_image(rng: np.random.Generator) -> np.ndarray:
    x = images(rng).astype("float32")
    return (x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True)


def blank_images(rng: np.random.Generator) -> np.ndarray:
    x = images(rng)
    x[rng.random(400) < 0.05] = 0
    return x


def sealed_test(rng: np.random.Generator) -> dict[str, Any]:
    parts = cut(table(rng))
    return {"train": parts["train"], "test": seal(parts["test"], np.zeros(100))}


CLEAN: dict[str, Case] = {
    "digits": digits,
    "quantities": with_seed(table),
    "quantities in three parts": with_seed(table, validation=100),
    "few columns": with_seed(lambda rng: table(rng, width=2)),
    "one column": with_seed(lambda rng: rng.normal(size=600)),
    "a line from 0 to 1": with_seed(lambda rng: rng.permutation(np.linspace(0, 1, 600)[:, None])),
    "three uniform columns": with_seed(lambda rng: rng.random((600, 3))),
    "standard normal": with_seed(lambda rng: rng.normal(size=(600, 20)).astype("float32")),
    "standard normal, many": with_seed(lambda rng: rng.normal(size=(20_000, 2)).astype("float32")),
    "a plane in many columns": with_seed(lambda rng: rng.normal(size=(600, 2)) @ rng.normal(size=(2, 30))),
    "a curve in many columns": with_seed(lambda rng: np.sin(rng.random((600, 1)) * np.arange(1, 30))),
    "categories": with_seed(lambda rng: rng.integers(0, 5, (600, 4))),
    "dependent categories": with_seed(dependent_categories),
    "one-hot": with_seed(one_hot_table),
    "yes or no": with_seed(lambda rng: rng.random((600, 10)) < 0.3),
    "measured to a tenth": with_seed(measured_to_a_tenth, test=40),
    "signs": with_seed(signs),
    "words": with_seed(lambda rng: rng.choice(WORDS, 600).astype(object)),
    "texts": with_seed(texts),
    "images": with_seed(images),
    "images / 255": with_seed(lambda rng: images(rng).astype("float32") / 255),
    "blank images": with_seed(blank_images),
    "each image scaled by itself": with_seed(per_image),
    "standardized by train": fitted_on_train(standard),
    "images standardized by constants": with_seed(lambda rng: (images(rng) / 255.0 - 0.485) / 0.229),
    "ranged by train": fitted_on_train(ranged),
    "layers fitted on train": layers_fitted_on_train,
    "layer on categories": adapted_on_discrete_columns,
    "layer on other data": adapted_on_train_and_other_data,
    "vocabulary of train": vocabulary_of_train,
    "split by groups": by_groups,
    "frames": with_seed(lambda rng: pl.DataFrame({"a": rng.normal(size=600), "b": rng.choice(WORDS, 600)})),
    "a sealed test": sealed_test,
}  # fmt: skip


# The digits are what they are: one look at them is enough.
@pytest.mark.parametrize(
    ("name", "seed"), [(name, seed) for name in CLEAN for seed in range(1 if name == "digits" else 5)]
)
def test_clean_programs_hear_nothing(name: str, seed: int) -> None:
    leaks = find_leaks(**CLEAN[name](np.random.default_rng(seed)))
    assert not leaks, str(leaks)
    assert str(leaks) == "No leak was found."


def test_wrong_questions() -> None:
    x = np.zeros((10, 2))
    for text, settings in {
        "pass test=": {"train": x},
        "same arrays": {"train": {"a": x}, "test": {"b": x}},
        "groups must be": {"train": x, "test": x, "groups": np.zeros(10)},
        "expected train": {"train": x, "test": x, "groups": {"tset": np.zeros(10)}},
        "has its own parts": {"train": split(x, verbose=False), "test": x},
        "layers or models": {"train": x, "test": x, "layers": "norm"},
    }.items():
        with pytest.raises(ValueError, match=text):
            find_leaks(**settings)


def test_pieces() -> None:
    rng = np.random.default_rng(0)
    assert bits_per_sample({"x": rng.integers(0, 2, (1000, 10))}) == pytest.approx(10, abs=0.1)
    assert bits_per_sample({"a": rng.normal(size=(1000, 1)), "b": rng.choice(WORDS, 1000)}) == pytest.approx(
        18.9 + 4, abs=0.3
    )
    x = table(rng, 1000)
    counts = count_matches(np.concatenate([x, x[:5]]), np.concatenate([x[:10], x[:3] + 1]))
    assert counts is not None
    assert counts.tolist() == [2] * 5 + [1] * 5 + [0] * 3
    assert count_matches(np.zeros((6000, 3)), np.zeros((1, 3))) is None


# -- in fit and evaluate -----------------------------------------------------------------------------


def trained(x: Any, layer: Any = None, validation: Any = None, many: int = 1) -> Any:
    inner = [layer] if layer is not None else []
    model = compiled_model(x.shape[1:], [*inner, layers.Dense(1)], "adam", "mse")
    for _ in range(many):
        model.fit(x, np.zeros(len(x)), validation_data=validation, verbose=0)
    return model


def test_fit_names_validation_data_that_are_training_data() -> None:
    x = table(np.random.default_rng(0))
    for held in (x, x[100:300], np.flip(x[:64], axis=0).copy()):
        with pytest.warns(LeakWarning, match="samples are in the training data"):
            trained(x, validation=(held, np.zeros(len(held))))


def test_fit_is_silent_where_it_cannot_be_sure() -> None:
    rng = np.random.default_rng(0)
    x, coarse = table(rng), rng.integers(0, 4, (600, 4)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(x[:500], validation=(x[500:], np.zeros(100)))
        trained(x, validation=(x[:30], np.zeros(30)))  # a toy
        trained(coarse[:500], validation=(coarse[500:], np.zeros(100)))
        trained(x, validation=(x[:64].astype("float64"), np.zeros(64)))


def test_evaluate_names_layers_that_saw_the_test_data() -> None:
    x = table(np.random.default_rng(0))
    model = trained(x[:500], adapted(layers.Normalization(), x), many=2)
    with pytest.warns(LeakWarning, match="adapt.* of .*normalization.* saw the data that evaluate"):
        model.evaluate(x[500:], np.zeros(100), verbose=0)
    model.evaluate(x[500:], np.zeros(100), verbose=0)  # once is enough
    assert find_leaks(train=x[:500], test=x[500:], layers=model)[0].number == 100


def test_evaluate_names_vocabularies_of_test_texts() -> None:
    x = texts(np.random.default_rng(0))
    for seen, leaks in ((x, True), (x[:200], False)):
        layer = adapted(layers.TextVectorization(output_mode="multi_hot"), seen)
        model = hb.Sequential([hb.Input((), dtype="string"), layer, layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(x[:200], np.zeros(200), verbose=0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.evaluate(x[200:], np.zeros(100), verbose=0)
        assert [issubclass(one.category, LeakWarning) for one in caught] == [True] * leaks


def test_evaluate_is_silent_where_it_cannot_be_sure() -> None:
    x = table(np.random.default_rng(0))
    fitted = trained(x[:500], adapted(layers.Normalization(), x[:500]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.evaluate(x[500:], np.zeros(100), verbose=0)
        fitted.evaluate(x[:500], np.zeros(500), verbose=0)
        fresh = trained(x[:500], layers.Normalization(mean=[0.0] * 8, variance=[1.0] * 8))
        fresh.evaluate(x[500:], np.zeros(100), verbose=0)
        other = trained(x[:500], adapted(layers.Normalization(), x[:510]))
        other.evaluate(x[500:], np.zeros(100), verbose=0)
        untrained = compiled_model((8,), [adapted(layers.Normalization(), x), layers.Dense(1)], "adam", "mse")
        untrained.evaluate(x[500:], np.zeros(100), verbose=0)
