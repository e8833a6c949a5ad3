"""`fit` from end to end: models, files, programs and what is said."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam import auto
from hornbeam.auto import search

N = 240


def houses(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    size = random.uniform(30, 200, N)
    city = random.choice(["Rome", "Oslo", "Bern"], N)
    price = 3 * size + 100 * (city == "Bern") + random.normal(0, 10, N)
    return {
        "id": np.arange(N),
        "size": np.where(random.random(N) < 0.1, np.nan, size),
        "city": city,
        "sold": (np.datetime64("2020-01-01") + random.integers(0, 900, N)).astype(str).tolist(),
        "fee": price * 0.03,
        "price": price,
        "dear": np.where(price > np.median(price), "yes", "no"),
    }


def fitted(target: str, trials: int = 2, **options: Any) -> auto.AutoFit:
    table = houses()
    del table["price" if target == "dear" else "dear"]
    if target == "dear":
        del table["fee"]
    return auto.fit(table, target, trials=trials, **{"verbose": False, **options})


@pytest.fixture(scope="module")
def prices() -> auto.AutoFit:
    return fitted("price")


@pytest.fixture(scope="module")
def classes() -> auto.AutoFit:
    return fitted("dear")


def test_a_number(prices: auto.AutoFit) -> None:
    assert prices.baselines.rows[0].comparison is not None
    assert prices.baselines.rows[0].comparison.verdict == "better"
    assert prices.evaluation["r2_score"].value > 0.8
    new = houses(1)
    predicted = prices.predict(new)
    assert np.corrcoef(predicted, new["price"])[0, 1] > 0.9
    bounds = prices.predict_interval(new)
    covered = np.mean((bounds[:, 0] <= new["price"]) & (new["price"] <= bounds[:, 1]))
    assert 0.8 <= covered <= 1
    with pytest.raises(ValueError, match=r"'price' is a number: use predict_interval\(\)"):
        prices.predict_sets(new)


def test_classes(classes: auto.AutoFit) -> None:
    new = houses(1)
    assert np.mean(classes.predict(new) == new["dear"]) > 0.85
    probabilities = classes.predict_probabilities(new)
    assert sorted(probabilities) == ["no", "yes"]
    np.testing.assert_allclose(probabilities["no"] + probabilities["yes"], 1, rtol=1e-5)
    sets = classes.predict_sets(new)
    covered = np.mean([label in labels for label, labels in zip(new["dear"], sets, strict=True)])
    assert covered >= 0.8
    with pytest.raises(ValueError, match=r"'dear' has classes: use predict_sets\(\)"):
        classes.predict_interval(new)


def test_what_is_said(prices: auto.AutoFit) -> None:
    first, second = prices.report.splitlines()[:2]
    assert first.startswith("price: root mean squared error ")
    assert first.endswith("of 48 sealed rows")
    assert "baseline" in second
    reasons = {column.name: column.reason for column in prices.columns if column.kind == "left out"}
    assert reasons == {"id": "numbers the rows", "fee": "tells the target: 100.0% of it"}
    for words in (
        "size: number",
        "sold: date",
        "1. linear model: root mean squared error",
        "pass time_column",
    ):
        assert words in prices.report


@pytest.mark.parametrize("target", ["price", "dear"])
def test_files(target: str, prices: auto.AutoFit, classes: auto.AutoFit, tmp_path: Path) -> None:
    model = prices if target == "price" else classes
    model.save(tmp_path / "model")
    loaded = auto.load(tmp_path / "model")
    new = houses(1)
    np.testing.assert_array_equal(loaded.predict(new), model.predict(new))
    # A program that does not import hornbeam.auto, such as the server.
    code = "import sys, hornbeam as hb; m = hb.models.load_model(sys.argv[1]); print(len(m.input))"
    command = [sys.executable, "-c", code, str(tmp_path / "model" / "model.keras")]
    assert subprocess.check_output(command, text=True).split() == [str(len(loaded.encoder.features))]
    (tmp_path / "model" / "table.json").write_text("{}")
    with pytest.raises(ValueError, match=r"table\.json does not describe a table"):
        auto.load(tmp_path / "model")


def test_the_program_makes_the_same_model(tmp_path: Path) -> None:
    table = houses()
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (tmp_path / "houses.csv").write_text("\n".join(lines).replace("nan", ""))
    model = auto.fit(
        tmp_path / "houses.csv", "price", trials=3, seed=3, kinds={"dear": "left out"}, verbose=False
    )
    model.save(tmp_path / "found")
    subprocess.run([sys.executable, tmp_path / "found" / "program.py"], cwd=tmp_path, check=True)
    again = auto.load(tmp_path / "again")
    for one, other in zip(model.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    bounds = [each.predict_interval(tmp_path / "houses.csv") for each in (model, again)]
    np.testing.assert_array_equal(bounds[0], bounds[1])


def test_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are ended at their time, and what they reached is repeated without a clock."""
    monkeypatch.setattr(search, "has_trees", lambda: False)
    model = fitted("price", trials=None, time=3)  # type: ignore[arg-type]
    assert sum(trial.seconds for trial in model.trials) < 6
    table = auto.read_table({name: values for name, values in houses().items() if name != "dear"})
    again = auto.train(table, model.columns, model.task, model.members)
    for one, other in zip(model.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_too_few_rows_for_intervals_are_said() -> None:
    table = {name: values[:40] for name, values in houses().items() if name != "dear"}
    model = auto.fit(table, "price", trials=1, coverage=0.95, verbose=False)
    assert model.coverage is None
    assert any(note.startswith("no prediction sets or intervals: ") for note in model.notes)


def test_a_value_that_was_never_missing_before(prices: auto.AutoFit) -> None:
    new = houses(1)
    new["sold"][0] = None
    with pytest.warns(UserWarning, match="'sold' has 1 missing value, but had none when the model was made"):
        prices.predict(new)


def test_mixtures_are_not_worse_than_their_best_member(prices: auto.AutoFit) -> None:
    y = prices.task.targets(auto.read_table(houses()))[prices.parts.train]
    held_out = np.concatenate([y[rows] for _, rows in prices.parts.folds])
    weights = search.mix(prices.trials, prices.task, held_out)
    assert sum(weights) == pytest.approx(1)
    mixed = sum(
        weight * np.concatenate([f.predictions for f in trial.fitted])
        for weight, trial in zip(weights, prices.trials, strict=True)
    )
    assert prices.task.loss_of(held_out, np.asarray(mixed)) <= min(t.loss for t in prices.trials) * (1 + 1e-6)


def test_importance(prices: auto.AutoFit, classes: auto.AutoFit) -> None:
    new = houses(1)
    for model in (prices, classes):
        uses = {each.column: each for each in model.importance(new)}
        assert list(uses) == [each.column for each in sorted(uses.values(), key=lambda each: -each.increase)]
        assert next(iter(uses)) == "size"
        assert uses["size"].interval.low > 0
        assert uses["sold"].interval.low < uses["city"].increase
        assert uses["size"].interval.low < uses["size"].increase < uses["size"].interval.high
    assert prices.importances[0].column == "size"
    with pytest.raises(ValueError, match="at least two rows need a known value of 'price'"):
        prices.importance({**new, "price": [None] * N})


def test_random_candidates_repeat() -> None:
    first, again, other = (
        list(itertools.islice(search.candidates(500, seed, True), 9)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert auto.Trees() in first
