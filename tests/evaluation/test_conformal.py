"""Conformal prediction: formulas beside independent ones, coverage by simulation, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import CalibrationError, ModelFileError
from hornbeam.evaluation import conformal
from hornbeam.evaluation.conformal.cross import jackknife_plus

RNG = np.random.default_rng(0)


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def classes(samples: int, seed: int, sharpness: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are sharper than true, and classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(samples, 5)) * 1.5
    true = (softmax(logits).cumsum(1) > rng.random((samples, 1))).argmax(1)
    return softmax(sharpness * logits), true


def numbers(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, predictions with a bias, and targets whose noise grows with the input."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 3, samples)
    return x, 2 * x + 0.3, 2 * x + rng.standard_t(4, samples) * (0.2 + x)


# -- quantiles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95, 0.99, 1 / 3])
def test_the_fewest_samples_are_those_for_which_a_rank_exists(coverage: float) -> None:
    needed = conformal.required_samples(coverage)
    conformal.conformal_quantile(RNG.normal(size=needed), coverage)
    with pytest.raises(CalibrationError, match=f"needs at least {needed}"):
        conformal.conformal_quantile(RNG.normal(size=needed - 1), coverage)


def test_the_quantile_is_an_order_statistic() -> None:
    scores = RNG.normal(size=100)
    assert conformal.conformal_quantile(scores, 0.9) == np.sort(scores)[90]  # ceil(101 * 0.9) = 91


def test_the_range_of_coverage_is_that_of_simulated_calibrations() -> None:
    scores = np.sort(RNG.random((20_000, 50)), axis=1)[:, 45]  # the 46th: its value is its coverage
    low, high = conformal.coverage_range(50, 0.9)
    assert np.mean((scores >= low) & (scores <= high)) == pytest.approx(0.95, abs=0.006)


# -- classes -------------------------------------------------------------------------------------------------


def plain_scores(row: np.ndarray, method: str) -> list[float]:
    """Scores of a sample's classes, class by class."""
    order = sorted(range(len(row)), key=lambda k: -row[k])
    scores = []
    for k in range(len(row)):
        rank = order.index(k)
        above = sum(row[other] for other in order[:rank])
        penalty = 0.05 * max(rank + 1 - 2, 0)
        scores.append({"lac": 1 - row[k], "aps": above, "raps": above + penalty}[method])
    return scores


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_sets_are_those_of_a_plain_loop(method: str) -> None:
    probabilities, y = classes(200, 1)
    options = {"method": method, "penalty": 0.05, "free_ranks": 2, "nonempty": False}
    sets = conformal.calibrate_sets(probabilities, y, 0.8, **options)
    scores = sorted(plain_scores(row, method)[k] for row, k in zip(probabilities, y, strict=True))
    limit = scores[161 - 1]  # ceil(201 * 0.8)
    new = classes(50, 2)[0]
    expected = [[score <= limit + 1e-12 for score in plain_scores(row, method)] for row in new]
    assert sets.predict(new).tolist() == expected
    assert sets.thresholds.values[""] == pytest.approx(limit)


def test_a_set_has_the_most_probable_class_at_least() -> None:
    probabilities, y = classes(500, 3, 5.0)
    strict = conformal.calibrate_sets(probabilities, y, 0.3, nonempty=False).predict(probabilities)
    sets = conformal.calibrate_sets(probabilities, y, 0.3).predict(probabilities)
    assert strict.sum(1).min() == 0
    assert sets.sum(1).min() == 1
    assert sets[np.arange(500), probabilities.argmax(1)].all()


@pytest.mark.parametrize("options", [{}, {"by_class": True}, {"groups": True}, {"weights": True}])
def test_the_config_keeps_every_bit(options: dict[str, bool]) -> None:
    import json

    probabilities, y = classes(300, 4)
    extra = {"groups": np.arange(300) % 2, "weights": RNG.random(300) + 0.5}
    by = {name: extra.get(name, value) for name, value in options.items()}
    sets = conformal.calibrate_sets(probabilities, y, method="raps", seed=1, **by)
    again = conformal.ConformalSets.from_config(json.loads(json.dumps(sets.to_config())))
    by.pop("by_class", None)
    assert (sets.predict(probabilities, **by) == again.predict(probabilities, **by)).all()


# -- coverage by simulation ----------------------------------------------------------------------------------

CASES = ["lac", "aps", "raps", "aps, randomized", "absolute", "normalized", "cqr"]


def coverage_of_split(case: str, seed: int, size: int, samples: int) -> float:
    """Calibrate on one draw, and return the coverage on another."""
    method, _, randomized = case.partition(", ")
    if method in ("lac", "aps", "raps"):
        (p, y), (p_new, y_new) = classes(size, 2 * seed), classes(samples, 2 * seed + 1)
        options = {"seed": seed if randomized else None, "nonempty": False}
        sets = conformal.calibrate_sets(p, y, method=method, **options)
        return sets.evaluate(p_new, y_new).value
    (x, f, y), (x_new, f_new, y_new) = numbers(size, 2 * seed), numbers(samples, 2 * seed + 1)

    def outputs(x: np.ndarray, f: np.ndarray) -> np.ndarray:
        kinds = {"absolute": [f], "normalized": [f, 0.2 + x], "cqr": [f - x, f + 2 * x]}
        return np.stack(kinds[method], 1)

    intervals = conformal.calibrate_intervals(outputs(x, f), y, method=method)
    return intervals.evaluate(outputs(x_new, f_new), y_new).value


def check_coverage(case: str, splits: int, size: int, samples: int) -> None:
    """Compare the mean coverage with its bounds: 0.9 to 0.9 + 1/(n + 1), or more for equal scores."""
    values = [coverage_of_split(case, seed, size, samples) for seed in range(splits)]
    # One split varies by its calibration (a Beta distribution) and by its test samples (a binomial).
    variance = 0.9 * 0.1 * (1 / (size + 2) + 1 / samples)
    error = 4 * (variance / splits) ** 0.5
    assert np.mean(values) >= 0.9 - error
    if case not in ("aps", "raps"):  # equal scores, 0 of the most probable classes, raise the coverage
        assert np.mean(values) <= 0.9 + 1 / (size + 1) + error
        assert np.std(values) == pytest.approx(variance**0.5, rel=0.25)


@pytest.mark.parametrize("case", CASES)
def test_coverage_over_200_splits(case: str) -> None:
    check_coverage(case, 200, 99, 200)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "size"), list(itertools.product(CASES, [49, 199, 999])))
def test_coverage_over_1000_splits(case: str, size: int) -> None:
    check_coverage(case, 1000, size, 500)


def test_each_class_and_group_is_covered() -> None:
    """All together are covered without that, too, but hard classes and groups less often."""
    plain, by_class, by_group = [], [], []
    for seed in range(40):
        (p, y), (p_new, y_new) = classes(1000, seed), classes(1000, seed + 1000)
        # Class 0 is predicted too rarely.
        p, p_new = (q * [0.2, 1, 1, 1, 1] / (q * [0.2, 1, 1, 1, 1]).sum(1, keepdims=True) for q in (p, p_new))
        plain.append(conformal.calibrate_sets(p, y).evaluate(p_new, y_new).classes[0].value)
        by_class.append(conformal.calibrate_sets(p, y, by_class=True).evaluate(p_new, y_new).classes[0].value)
        (x, f, y), (x_new, f_new, y_new) = numbers(500, seed), numbers(500, seed + 1000)
        wide = conformal.calibrate_intervals(f, y, groups=x > 2)
        by_group.append([row.value for row in wide.evaluate(f_new, y_new, groups=x_new > 2).groups])
    assert np.mean(plain) < 0.8
    assert np.mean(by_class) == pytest.approx(0.9, abs=0.02)
    assert np.mean(by_group, 0) == pytest.approx([0.9, 0.9], abs=0.02)


def test_weights_keep_the_coverage_under_a_covariate_shift() -> None:
    """New inputs have the density x / 4.5 on [0, 3] instead of 1/3: there the noise is larger."""
    plain, weighted = [], []
    for seed in range(100):
        x, f, y = numbers(300, seed)
        x_new, f_new, y_new = numbers(2000, seed + 5000)
        kept = np.random.default_rng(seed).random(2000) < x_new / 3
        x_new, f_new, y_new = x_new[kept], f_new[kept], y_new[kept]
        plain.append(conformal.calibrate_intervals(f, y).evaluate(f_new, y_new).value)
        shifted = conformal.calibrate_intervals(f, y, weights=x + 1e-9)
        weighted.append(shifted.evaluate(f_new, y_new, weights=x_new + 1e-9).value)
    assert np.mean(plain) < 0.87
    assert 0.89 < np.mean(weighted) < 0.92


def test_equal_weights_are_no_weights() -> None:
    _, f, y = numbers(99, 1)
    plain, weighted = (
        conformal.calibrate_intervals(f, y),
        conformal.calibrate_intervals(f, y, weights=y * 0 + 3),
    )
    assert (plain.predict(f) == weighted.predict(f, weights=y * 0 + 3)).all()
    assert np.isinf(weighted.predict(f, weights=y * 0 + 1e6)).all()


def test_adaptive_intervals_follow_a_change_of_scale() -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(size=1000), 5 * rng.normal(size=1000)])
    past = rng.normal(size=100)
    bounds = conformal.AdaptiveIntervals(past, 0.9, step=0.02, window=200).run(np.zeros(2000), y)
    missed = (y < bounds[:, 0]) | (y > bounds[:, 1])
    # The bound of Gibbs and Candès, which holds for any series.
    assert abs(missed.mean() - 0.1) <= (0.9 + 0.02) / (0.02 * 2000)
    assert missed[1200:].mean() == pytest.approx(0.1, abs=0.02)
    fixed = np.quantile(np.abs(past), 0.9)
    assert (np.abs(y[1200:]) > fixed).mean() > 0.6


def test_the_jackknife_plus_takes_order_statistics() -> None:
    centers, residuals = RNG.normal(size=(7, 39)), RNG.random(39)
    low, high = jackknife_plus(centers, residuals, 0.9).T
    assert (low == np.sort(centers - residuals, 1)[:, 4 - 1]).all()  # floor(40 * 0.1) = 4
    assert (high == np.sort(centers + residuals, 1)[:, 36 - 1]).all()  # ceil(40 * 0.9) = 36


# -- models --------------------------------------------------------------------------------------------------

CENTERS = np.random.default_rng(5).normal(size=(3, 4)) * 1.3


def points(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    return (CENTERS[y] + rng.normal(size=(samples, 4))).astype("float32"), y


def classifier(activation: str | None = "softmax") -> hb.Model:
    hb.utils.set_random_seed(0)
    model = hb.Sequential([hb.Input((4,)), layers.Dense(16, "relu"), layers.Dense(3, activation)])
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(hb.optimizers.Adam(0.01), loss)
    model.fit(*points(500, 1), epochs=3, verbose=0)
    return model


def regressor(outputs: int = 1) -> hb.Model:
    hb.utils.set_random_seed(0)
    model = hb.Sequential([hb.Input((4,)), layers.Dense(16, "relu"), layers.Dense(outputs)])
    model.compile(hb.optimizers.Adam(0.01), "mse")
    x, _ = points(500, 1)
    model.fit(x, np.repeat(x.sum(1, keepdims=True), outputs, 1), epochs=3, verbose=0)
    return model


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_model_predicts_sets_and_keeps_them_in_its_file(activation: str | None, tmp_path: Path) -> None:
    model = classifier(activation)
    calibration = model.calibrate(*points(400, 2), coverage=0.95)
    x, y = points(2000, 3)
    sets = model.predict_sets(x)
    assert conformal.evaluate_coverage(sets, y).value == pytest.approx(0.95, abs=0.03)
    scores = np.asarray(model.predict(x, verbose=0), np.float64)
    probabilities = scores / scores.sum(1, keepdims=True) if activation else softmax(scores)
    assert (calibration.predict(probabilities) == sets).all()
    model.save(tmp_path / "model.keras")
    assert (hb.saving.load_model(tmp_path / "model.keras").predict_sets(x) == sets).all()


def test_a_model_of_two_classes_has_sets_of_two() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile(hb.optimizers.Adam(0.05), "binary_crossentropy")
    x, y = points(500, 1)
    model.fit(x, y == 0, epochs=3, verbose=0)
    x, y = points(400, 2)
    model.calibrate(x, (y == 0).astype(int), method="aps")
    assert model.predict_sets(x[:5]).shape == (5, 2)


def test_a_model_predicts_intervals(tmp_path: Path) -> None:
    model = regressor()
    x, _ = points(300, 2)
    model.calibrate(x, x.sum(1) + RNG.normal(size=300))
    x_new, _ = points(2000, 3)
    bounds = model.predict_interval(x_new)
    coverage = conformal.evaluate_coverage(bounds, x_new.sum(1) + RNG.normal(size=2000))
    assert coverage.value == pytest.approx(0.9, abs=0.05)
    model.save(tmp_path / "model.keras")
    assert (hb.saving.load_model(tmp_path / "model.keras").predict_interval(x_new) == bounds).all()


def test_two_outputs_need_a_method() -> None:
    model = regressor(2)
    x, _ = points(300, 2)
    with pytest.raises(ValueError, match="method='cqr' if they are two quantiles"):
        model.calibrate(x, x.sum(1))
    model.calibrate(x, x.sum(1), method="cqr")
    assert model.predict_interval(x).shape == (300, 2)


def test_groups_and_weights_of_a_model() -> None:
    model, (x, y) = classifier(), points(400, 2)
    model.calibrate(x, y, groups=np.where(x[:, 0] > 0, "right", "left"))
    assert model.predict_sets(x[:2], groups=["left", "right"]).shape == (2, 3)
    with pytest.raises(ValueError, match="by group: give groups"):
        model.predict_sets(x)
    with pytest.raises(CalibrationError, match="'middle' was not among"):
        model.predict_sets(x[:1], groups=["middle"])
    model.calibrate(x, y, weights=np.ones(400))
    with pytest.raises(ValueError, match="had weights: give weights"):
        model.predict_sets(x)


def test_cross_conformal_models() -> None:
    def build() -> hb.Model:
        model = hb.Sequential([hb.Input((4,)), layers.Dense(1)])
        model.compile(hb.optimizers.Adam(0.1), "mse")
        return model

    x, _ = points(60, 1)
    y = x.sum(1) + RNG.normal(size=60)
    cross = conformal.cross_conformal(build, x, y, folds=4, epochs=30)
    x_new, _ = points(500, 2)
    covered = conformal.evaluate_coverage(cross.predict_interval(x_new), x_new.sum(1) + RNG.normal(size=500))
    assert covered.value > 0.8
    # Scores are of models that have not seen the sample.
    residuals = np.abs(np.asarray(cross.models[0].predict(x, verbose=0))[:, 0] - y)
    assert cross.scores[cross.fold == 0] == pytest.approx(residuals[cross.fold == 0], rel=1e-5)
    with pytest.raises(ValueError, match="call predict_interval"):
        cross.predict_sets(x_new)


def test_cross_conformal_sets() -> None:
    def build() -> hb.Model:
        model = hb.Sequential([hb.Input((4,)), layers.Dense(3, "softmax")])
        model.compile(hb.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
        return model

    cross = conformal.cross_conformal(build, *points(90, 1), folds=3, epochs=10)
    x, y = points(1000, 2)
    sets = cross.predict_sets(x)
    assert conformal.evaluate_coverage(sets, y).value > 0.84
    scores = [1 - np.asarray(model.predict(x[:1], verbose=0), np.float64)[0] for model in cross.models]
    smaller = [sum(cross.scores[i] < scores[cross.fold[i]][k] for i in range(90)) for k in range(3)]
    assert sets[0].tolist() == [count < 82 for count in smaller]  # ceil(91 * 0.9)


# -- what is refused -----------------------------------------------------------------------------------------


def test_samples_that_were_trained_on_are_refused() -> None:
    model, (x, y) = classifier(), points(500, 1)
    for rows in (slice(None), slice(100, 150)):
        with pytest.raises(CalibrationError, match="data that fit\\(\\) was trained on"):
            model.calibrate(x[rows], y[rows])
    x_new, y_new = points(400, 2)
    with pytest.raises(CalibrationError, match="at least 40 of 440"):
        model.calibrate(np.concatenate([x_new, x[:40]]), np.concatenate([y_new, y[:40]]))
    model.calibrate(x_new, y_new)


def test_samples_that_were_held_out_of_fit_are_not_refused() -> None:
    model, (x, y) = classifier(), points(400, 7)
    model.fit(x, y, validation_split=0.5, validation_split_mode="tail", verbose=0)
    model.calibrate(x[200:], y[200:])
    with pytest.raises(CalibrationError, match="trained on"):
        model.calibrate(x[:200], y[:200])


def test_samples_of_few_categories_equal_others_by_chance() -> None:
    rng = np.random.default_rng(0)
    model = hb.Sequential([hb.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = rng.integers(0, 3, (1000, 3)).astype("float32"), rng.integers(0, 2, 1000)
    model.fit(x[:700], y[:700], verbose=0)
    model.calibrate(x[700:], y[700:])


def test_other_weights_need_another_calibration() -> None:
    model, (x, y) = classifier(), points(400, 2)
    with pytest.raises(ValueError, match="calibrate\\(x, y\\) after"):
        model.predict_sets(x)
    model.calibrate(x, y)
    model.evaluate(x, y, verbose=0)
    model.predict_sets(x)
    model.set_weights([weight * 2 for weight in model.get_weights()])
    with pytest.raises(ValueError, match="after the last fit"):
        model.predict_sets(x)
    model.calibrate(x, y)
    model.fit(*points(100, 4), verbose=0)
    with pytest.raises(ValueError, match="after the last fit"):
        model.predict_sets(x)


def test_a_sealed_test_set_is_refused() -> None:
    with pytest.raises(hb.errors.SealedError, match="calibrate\\(\\)"):
        classifier().calibrate(hb.data.seal(*points(100, 2)))


P, Y = classes(100, 9)
REFUSED = {
    "coverage must lie between 0 and 1, such as 0.9, got 90: for 90 percent write 0.9": lambda: (
        conformal.calibrate_sets(P, Y, 90)
    ),
    "class 4 has 0: merge the small ones": lambda: conformal.calibrate_sets(
        P[Y < 4], Y[Y < 4], by_class=True
    ),
    "group a has 3: merge": lambda: conformal.calibrate_sets(P, Y, groups=["a"] * 3 + ["b"] * 97),
    "exclude each other": lambda: conformal.calibrate_sets(P, Y, by_class=True, groups=Y),
    "apply softmax to logits first": lambda: conformal.calibrate_sets(P * 3, Y),
    "probabilities must be finite, but row 0": lambda: conformal.calibrate_sets(P * np.nan, Y),
    r"probabilities must have the shape \(n, classes\), got \(100,\)": lambda: conformal.calibrate_sets(
        P[:, 0], Y
    ),
    "class index from 0 to 4": lambda: conformal.calibrate_sets(P, Y + 1),
    r"for each of the 100 samples, got an array \(99,\)": lambda: conformal.calibrate_sets(P, Y[1:]),
    "groups must have one value for each": lambda: conformal.calibrate_sets(P, Y, groups=Y[1:]),
    "weights must be above 0": lambda: conformal.calibrate_sets(P, Y, weights=Y * 0),
    r"y_pred must have the shape \(n, 2\)": lambda: conformal.calibrate_intervals(Y, Y, method="cqr"),
    "end the model in a softplus": lambda: conformal.calibrate_intervals(
        P[:, :2] * 0, Y, method="normalized"
    ),
    r"y must have the shape \(100,\), got \(99,\)": lambda: conformal.calibrate_intervals(Y, Y[1:]),
    "call predict\\(\\) first": lambda: conformal.AdaptiveIntervals(Y).update(1.0),
    "needs at least 9 past scores, got 100 scores and a window of 5": lambda: conformal.AdaptiveIntervals(
        Y, window=5
    ),
    "predicted must be sets": lambda: conformal.evaluate_coverage(P, Y),
    "folds must be at most": lambda: conformal.cross_conformal(classifier, P, Y, folds=101),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_promised_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_a_damaged_calibration_in_a_file_is_refused(tmp_path: Path) -> None:
    import json
    import zipfile

    model = classifier()
    model.calibrate(*points(100, 2))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for damage in ({"coverage": 2}, {"values": {"": "1"}}, {"classes": None}, {"method": "cqr"}):
        metadata = json.loads(members["metadata.json"])
        metadata["conformal"].update(damage)
        with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
            for name, content in {**members, "metadata.json": json.dumps(metadata).encode()}.items():
                archive.writestr(name, content)
        with pytest.raises(ModelFileError, match="calibrate the model again"):
            hb.saving.load_model(tmp_path / "other.keras")


# -- reports -------------------------------------------------------------------------------------------------


def test_the_report_names_classes_that_are_covered_too_rarely() -> None:
    probabilities, y = classes(2000, 1)
    sets = np.ones((2000, 5), bool)
    sets[:, 0] = False
    report = conformal.evaluate_coverage(sets, y, groups=y % 2, coverage=0.9)
    assert report.classes[0].value == 0
    assert "classes covered less often than promised: 0." in " ".join(report.remarks())
    assert [row.name for row in report.groups] == ["0", "1"]
    assert "interval" in str(report)
    assert report.sizes == [0, 0, 0, 0, 2000]
    assert "coverage of 95% of calibrations" in str(conformal.calibrate_sets(probabilities, y, by_class=True))
