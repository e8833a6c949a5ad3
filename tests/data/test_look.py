"""`data.look`: numbers against NumPy, planted findings, and no finding on clean data."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import hornbeam as hb
from hornbeam._internal.neighbors import nearest
from hornbeam._internal.row_hash import HashSketch, fingerprint, hash_rows
from hornbeam.data import Dataset, look
from hornbeam.data.inspection.statistics import summarize


def advised(report: Any) -> str:
    return "\n".join(f"{name} | {why}" for name, why in report.advice)


# -- numbers -----------------------------------------------------------------------------------------


@given(
    st.integers(1, 300), st.integers(1, 5), st.sampled_from(["uint8", "int32", "float32", "float64", "bool"]),
    st.booleans(), st.integers(0, 2**31),
)  # fmt: skip
def test_summaries_are_numpy_s(n: int, features: int, dtype: str, gaps: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 200, (n, features)).astype(dtype)
    if gaps and array.dtype.kind == "f":
        array[rng.random(array.shape) < 0.2] = np.nan
        array[rng.random(array.shape) < 0.1] = np.inf
    summary = summarize(array, "x")
    wide = array.astype(np.float64)
    good = np.isfinite(wide)
    assert (summary.missing, summary.infinite) == (int(np.isnan(wide).sum()), int(np.isinf(wide).sum()))
    if not good.any():
        assert summary.mean is None
        return
    np.testing.assert_allclose(
        (summary.low, summary.high, summary.mean, summary.std),
        (wide[good].min(), wide[good].max(), wide[good].mean(), wide[good].std()),
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    for j in range(features):
        column = wide[good[:, j], j]
        assert summary.missing_by_feature[j] == n - len(column)
        if len(column):
            np.testing.assert_allclose(
                (summary.lows[j], summary.highs[j], summary.means[j], summary.stds[j]),
                (column.min(), column.max(), column.mean(), column.std()), rtol=1e-9, atol=1e-9,
            )  # fmt: skip


def test_summaries_of_many_blocks() -> None:
    array = np.random.default_rng(0).normal(3, 2, (5000, 700)).astype("float32")
    summary = summarize(array, "x")
    np.testing.assert_allclose(summary.means, array.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(summary.stds, array.std(axis=0, dtype=np.float64), rtol=1e-6)


@given(st.integers(2, 60), st.integers(1, 4), st.sampled_from(["uint8", "int64", "float32", "float64"]))
def test_words_are_equal_where_rows_are(n: int, width: int, dtype: str) -> None:
    array = np.random.default_rng(n).integers(0, 3, (n, width)).astype(dtype)
    words = hash_rows(array, array.dtype)
    assert len(np.unique(words)) == len(np.unique(array, axis=0))
    for i in range(n):
        assert ((words == words[i]) == (array == array[i]).all(axis=1)).all()


def test_advice_on_constant_columns_and_texts() -> None:
    array = np.array([[0.0, np.nan], [-0.0, -np.nan], [1.0, np.nan]])
    assert len(np.unique(hash_rows(array, np.float64))) == 2
    round_numbers = np.stack(np.meshgrid(*[np.arange(16.0)] * 4), axis=-1).reshape(-1, 4)
    assert len(np.unique(hash_rows(round_numbers, np.float64))) == 16**4
    texts = np.array([["ab", "c"], ["a", "bc"], ["ab", "c"]], object)
    assert len(np.unique(hash_rows(texts))) == 2
    assert (hash_rows(texts) == hash_rows(texts.astype("U"))).all()
    assert fingerprint(np.array(["a", "b"], object)) != fingerprint(np.array(["a", "c"], object))


def test_bounded_knowledge_keeps_the_same_words_in_any_order() -> None:
    words = hash_rows(np.arange(1000)[:, None], np.int64)
    one, other = HashSketch(100), HashSketch(100)
    for part in np.array_split(words, 7):
        one.add(part)
    other.add(words[::-1])
    assert one.words.tolist() == other.words.tolist()
    assert len(one) == 100 == len(one.comparable(words))
    assert one.has(one.comparable(words)).all()


def test_nearest_is_brute_force() -> None:
    rng = np.random.default_rng(0)
    points, among = (rng.normal(size=(n, 6)).astype("float32") for n in (1500, 300))
    skip = rng.integers(-1, 300, 1500)
    apart = np.square(points[:, None].astype(float) - among[None]).sum(axis=2)
    apart[np.flatnonzero(skip >= 0), skip[skip >= 0]] = np.inf
    rows, distances = nearest(points, among, 4, skip)
    wanted = np.sort(apart, axis=1)[:, :4]
    np.testing.assert_allclose(np.take_along_axis(apart, rows, axis=1), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(distances, wanted, rtol=1e-3, atol=1e-4)


# -- findings ----------------------------------------------------------------------------------------


def blobs(n: int = 400, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    centres = 4 * rng.normal(size=(classes, 6))
    x = centres[y] + rng.normal(size=(n, 6))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32"), y


def test_good_data_need_nothing() -> None:
    report = look(*blobs())
    assert report.advice == []
    assert report.suspicious == []
    text = str(report)
    assert "Nothing to do" in text
    assert "No duplicates." in text
    assert "No label is contradicted" in text


def test_wrong_labels_are_found() -> None:
    x, y = blobs()
    wrong = [7, 100, 333]
    y[wrong] = (y[wrong] + 1) % 4
    report = look(x, y)
    assert sorted(one.row for one in report.suspicious) == wrong
    assert all(one.neighbors == (one.label - 1) % 4 for one in report.suspicious)
    assert "check the labels of rows" in advised(report)
    assert look(x, y, neighbors=False).suspicious is None


def test_labels_that_neighbours_cannot_tell() -> None:
    rng = np.random.default_rng(0)
    report = look(rng.normal(size=(400, 6)), rng.integers(0, 4, 400))
    assert report.suspicious is None
    assert "are uninformative" in str(report)


def test_a_rare_class_is_not_a_wrong_label() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 4)), np.zeros(1000, int)
    y[:30] = 1  # the same cloud: of its neighbours nearly all are 0
    assert look(x, y).suspicious == []


def changed(x: np.ndarray, row: Any, value: Any) -> np.ndarray:
    x = x.copy()
    x[row] = value
    return x


X, Y = blobs()
FINDINGS = {
    "missing": (changed(X, (3, 2), np.nan), Y, r"fill or drop.* \| 1 missing \(NaN\) values, in 1 of 6"),
    "infinite": (changed(X, (3, 2), np.inf), Y, r"1 infinite values"),
    "scale": (X * [1, 1000, 1, 1, 1, 1], Y, r"standardize x: .*Normalization.* 1 to 1e\+03.*training part"),
    "offset": (X + 100, Y, r"standardize x"),
    "constant": (changed(X, (slice(None), 4), 1.5), Y, r"drop feature 4 of x"),
    "balance": (X[:150], np.repeat([0, 1], [120, 30]), r"class_weight=\{0: 0.625, 1: 2.5\}.*4.0 times"),
    "few": (X, np.where(np.arange(400) < 5, 4, Y), r"more samples of 4"),
    "one class": (X, np.zeros(400, int), r"all samples have the label 0"),
    "from one": (X, Y + 1, r"number classes from 0: y - 1"),
    "signs": (X, np.where(Y % 2, 1, -1), r"\(y \+ 1\) // 2"),
    "gaps": (X, Y * 3, r"without gaps.*10 units"),
    "texts": (X, np.array(["cat", "dog", "cow", "hen"])[Y], r"labels to numbers"),
    "twice": (np.concatenate([X, X[:5]]), np.concatenate([Y, Y[:5]]), r"5 of 405 samples repeat"),
    "contradiction": (np.concatenate([X, X[:1]]), np.append(Y, (Y[0] + 1) % 4), r"2 samples have"),
    "target": (X, X[:, 0] * 5000, r"scale y: .*by statistics of the training part"),
    "words": (np.array([["a"], ["b"]] * 200, object), Y, r"encode x, which holds text"),
    "pixels": (np.random.default_rng(0).integers(0, 256, (400, 12, 12, 3), np.uint8), Y, r"divide x by 255"),
    "channels": (np.random.default_rng(0).random((400, 12, 12)), Y, r"x\[\.\.\., None\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_advice(name: str) -> None:
    x, y, wanted = FINDINGS[name]
    report = look(x, y)
    assert re.search(wanted, advised(report)), advised(report)
    plain = re.sub(r"\s+", " ", str(report))
    for result, _ in report.advice:
        assert re.sub(r"\s+", " ", result) in plain


def test_class_weights_balance() -> None:
    x, y = np.random.default_rng(0).normal(size=(100, 2)), np.repeat([0, 1, 2], [60, 30, 10])
    texts = np.array(["few", "more", "most"])[y]
    for labels in (y, np.eye(3)[y], texts):
        report = look(x, labels, class_names=["a", "b", "c"])
        weights = report.classes.weights
        totals = [weights[number] * count for number, count in enumerate([60, 30, 10])]
        np.testing.assert_allclose(totals, 100 / 3, rtol=1e-3)
        assert "class_weight={0: 0.556, 1: 1.111, 2: 3.333}" in advised(report)
    assert list(look(x, y + 5).classes.weights) == [5, 6, 7]


# -- kinds of data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [pd, pl])
def test_frames(library: Any) -> None:
    table = {"age": [30, 41, None, 25] * 20, "city": ["Bonn", "Köln", "Bonn", None] * 20, "one": [1] * 80}
    report = look(library.DataFrame(table), library.Series([0, 1] * 40))
    by_name = {summary.name: summary for summary in report.x}
    assert by_name["x['age']"].missing == 20
    assert by_name["x['age']"].mean == 32
    assert (by_name["x['city']"].missing, by_name["x['city']"].distinct) == (20, 2)
    text = advised(report)
    assert "encode x['city']" in text
    assert "drop x['one']" in text
    assert "2 distinct" in str(report)


def test_datasets_and_structures() -> None:
    x, y = blobs(100)
    full = look(x, y)
    for dataset in (Dataset.from_tensor_slices((x, y)), Dataset.from_tensor_slices((x, y)).batch(32)):
        report = look(dataset)
        assert str(report) == str(full)
    part = look(Dataset.from_tensor_slices((x, y)).repeat(), limit=50)
    assert part.samples == 50
    assert "the first 50 samples of a Dataset" in str(part)
    alone = look(Dataset.from_tensor_slices(x))
    assert (alone.y, alone.classes) == ([], None)
    several = look({"a": x, "b": x[:, :2]}, {"one": y, "two": x[:, 0]})
    assert [summary.name for summary in several.x] == ["x['a']", "x['b']"]
    assert [summary.name for summary in several.y] == ["y['one']", "y['two']"]
    one_hot = look(x, np.eye(4)[y])
    assert one_hot.classes.counts.tolist() == full.classes.counts.tolist()
    with pytest.raises(ValueError, match="omit y"):
        look(Dataset.from_tensor_slices((x, y)), y)
    with pytest.raises(ValueError, match="no samples"):
        look(x[:0], y[:0])
    with pytest.raises(ValueError, match="class_names has 2 names"):
        look(x, y, class_names=["a", "b"])


def test_it_is_shown_by_rich_in_html_and_as_an_image(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (x, y), _ = hb.datasets.mnist.load_data()
    report = look(x[:500], y[:500], class_names=[f"digit {i}" for i in range(10)])
    for text in (str(report), repr(report)):
        assert "500 x 28 x 28" in text
        assert "digit 9" in text
        assert "█" in text
    html = report._repr_html_()
    assert html.startswith('<div class="hornbeam"><style>')
    assert html.count('<img src="data:image/png;base64,') == 10
    assert "digit 9" in html
    assert '<th scope="row">digit 9</th>' in html
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(report)
    console.file.close()
    assert "What to do" in console.export_text()
    assert report.plot(tmp_path / "look.png").stat().st_size > 20_000
    table = look(*blobs()).plot(tmp_path / "sub" / "table.svg")
    assert "samples of each class" in table.read_text()
    look(np.zeros((10, 9, 9, 3)) + np.arange(10).reshape(-1, 1, 1, 1) / 10).plot(tmp_path / "colour.png")


# -- columns that a model should not get -------------------------------------------------------------


def customers(n: int = 600) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(0)
    churn = rng.random(n) < 0.2
    columns = {
        "customer_id": np.arange(n) + 1000,
        "age": rng.integers(18, 80, n),
        "income": rng.integers(10_000, 10_000_000, n),  # never repeats, and is no id
        "fee": 20.0 * churn,
        "city": rng.choice(np.array(["Ulm", "Bonn", None], object), n),
    }
    return pd.DataFrame(columns), churn.astype(int)


def test_an_id_and_an_answer_are_no_features() -> None:
    x, y = customers()
    report = look(x, y)
    assert report.ids == ["x['customer_id']"]
    assert report.answers == {"x['fee']": 600}
    text = advised(report)
    assert re.search(r"drop x\['customer_id'\] \| it never repeats", text)
    assert re.search(r"check x\['fee'\]: .* alone tells y in 600 of 600 samples", text)
    assert "standardize x['customer_id']" not in text
    x["fee"] += np.random.default_rng(1).normal(size=600)  # as many values as samples
    x["customer_id"] = [f"C{number:05}" for number in np.random.default_rng(2).permutation(600)]
    report = look(x, y)
    assert (report.ids, report.answers) == (["x['customer_id']"], {"x['fee']": 599})
    assert "encode x['customer_id']" not in advised(report)


def test_quantities_and_useful_features_are_kept() -> None:
    """Right data get no advice: rare classes, good features, texts, and the only column."""
    x, y = customers()
    rng = np.random.default_rng(3)
    x = x[["age", "income"]].assign(helps=y + rng.normal(size=600), text=[f"words {n}" for n in range(600)])
    assert (look(x, y).ids, look(x, y).answers) == ([], {})
    assert not look(x, np.arange(600) < 5).answers
    assert not look({"a": np.arange(600), "b": rng.normal(size=600)}, rng.integers(0, 2, 600)).answers
    assert not look(np.arange(600), y).ids


def test_text_has_a_table_and_advice_of_its_own() -> None:
    x, y = customers()
    report = look(x, np.array(["no", "yes"])[y])
    lines = str(report).splitlines()
    (heads,) = [line for line in lines if "distinct" in line and "such as" in line]
    (city,) = [line for line in lines if line.startswith("x['city']")]
    assert city.index("'Bonn', 'Ulm'") == heads.index("such as")
    advice = next(reason for action, reason in report.advice if "fill missing values in x['city']" in action)
    assert "mean" not in advice
    assert "median" not in advice


def test_y_can_be_named_by_its_column() -> None:
    x, y = customers()
    table = x.assign(churn=y)
    assert look(table, "churn").answers == {"x['fee']": 600}
    assert look({"a": [1.0, 2.0, 2.0], "y": [0, 1, 1]}, "y").classes.counts.tolist() == [1, 2]
