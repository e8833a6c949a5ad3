"""Folders of `hornbeam fit`, served with the columns as inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hornbeam import auto
from hornbeam.serving.loading import load
from hornbeam.serving.repository import Source
from tests.helpers.served_models import running

N = 200
RANDOM = np.random.default_rng(5)
SIZE = RANDOM.uniform(20, 200, N)
TABLE: dict[str, Any] = {
    "size": SIZE,
    "city": RANDOM.choice(["Rome", "Oslo"], N),
    "day": (np.datetime64("2020-01-01") + RANDOM.integers(0, 900, N)),
    "price": 3 * SIZE + RANDOM.normal(0, 5, N),
}
ROWS = [
    {"size": 80.0, "city": "Rome", "day": "2020-05-01"},
    {"size": 120.0, "city": "Paris", "day": ""},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return auto.fit(TABLE, "price", trials=1, verbose=False).save(tmp_path_factory.mktemp("fit") / "houses")


@pytest.mark.filterwarnings("ignore:'day' has 1 missing value")
def test_a_server_takes_columns(folder: Path, tmp_path: Path) -> None:
    table = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    expected = auto.load(folder).predict(table)
    bounds = auto.load(folder).predict_interval(table)
    with running(tmp_path, [folder]) as server:
        url = f"{server.address}/v1/models/houses"
        answer = httpx.post(f"{url}:predict", json={"instances": ROWS}).raise_for_status().json()
        refused = httpx.post(
            f"{url}:predict", json={"instances": [{"size": "large", "city": "Rome", "day": ""}]}
        )
    rows = [[row[name] for name in ("prediction", "low", "high")] for row in answer["predictions"]]
    np.testing.assert_allclose(rows, np.column_stack([expected, bounds]), rtol=1e-5)
    assert refused.status_code == 400
    assert "size" in refused.json()["error"]


def test_classes_have_probabilities_and_sets(tmp_path: Path) -> None:
    table = {**TABLE, "price": np.where(TABLE["price"] > 300, "dear", "cheap")}
    model = auto.fit(table, "price", trials=1, verbose=False)
    served = load(model.save(tmp_path / "classes"))
    columns = {"size": np.array([30, 190], "float32"), "city": np.array(["Rome", "Oslo"], object)}
    outputs = served.run({**columns, "day": np.array(["2020-05-01", b"2021-05-01"], object)})
    assert outputs["prediction"].tolist() == ["cheap", "dear"]
    np.testing.assert_allclose(outputs["probabilities"].sum(1), 1, rtol=1e-5)
    assert outputs["in_set"].shape == (2, 2)
    assert served.metadata["labels"] == list(model.task.labels)
    specs = served.signatures["predict"]
    assert {spec.name: spec.dtype for spec in specs.inputs} == {
        "size": "float32",
        "city": "string",
        "day": "string",
    }
    assert {spec.name for spec in specs.outputs} == set(outputs)


def test_a_folder_of_fit_is_one_version(folder: Path) -> None:
    assert Source.parse(str(folder)).versions() == {"1": folder}
