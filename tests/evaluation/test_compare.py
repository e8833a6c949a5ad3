"""Paired tests: published and SciPy's values, exact false positive rates, and whole models."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import evaluation, layers
from hornbeam.evaluation.comparison import difference
from hornbeam.evaluation.paired import difference_interval, gain_of, permutation_test
from hornbeam.evaluation.statistics import mean_of
from tests.helpers.builders import classifier, compiled_model, data
from tools import paired_rates as rates


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(1, 9), (0, 5), (7, 7), (12, 13), (30, 50), (400, 330), (0, 0)]
)
def test_mcnemar_is_a_binomial_test(only_a: int, only_b: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    count, few = only_a + only_b, min(only_a, only_b)
    p, name = evaluation.mcnemar(only_a, only_b)
    exact = stats.binomtest(only_a, count).pvalue if count else 1.0
    half = stats.binom.pmf(few, count, 0.5) if name.endswith("mid-p") and only_a != only_b else 0.0
    assert p == pytest.approx(exact - half, rel=1e-9)
    assert name == ("McNemar, exact" if count <= 25 else "McNemar, mid-p")


@pytest.mark.parametrize(("n", "share"), [(50, 0.1), (200, 0.2), (1000, 0.02), (1000, 0.1), (10_000, 0.02)])
def test_mcnemar_is_wrong_in_at_most_5_percent(n: int, share: float) -> None:
    """The rate itself, summed over all outcomes of equal models of which `share` of the samples is judged
    otherwise.
    """
    stats = pytest.importorskip("scipy.stats")
    total = 0.0
    for count in np.flatnonzero(stats.binom.pmf(np.arange(n + 1), n, share) > 1e-9):
        outcomes = np.arange(count + 1)
        wrong = [evaluation.mcnemar(int(k), int(count - k))[0] <= 0.05 for k in outcomes]
        total += stats.binom.pmf(count, n, share) * stats.binom.pmf(outcomes, count, 0.5)[wrong].sum()
    assert 0.005 < total <= 0.05


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(9, 1, 100), (0, 0, 10), (3, 0, 44), (60, 80, 1000)])
def test_score_interval_by_likelihood(only_a: int, only_b: int, n: int) -> None:
    """At both ends the score is 1.96, with the likeliest shares found by a search."""
    optimize = pytest.importorskip("scipy.optimize")
    for end in evaluation.proportion_difference(only_a, only_b, n):

        def unlikely(q: float, end: float = end) -> float:
            p = q + end
            rest = 1 - p - q
            chances = np.maximum([p, q, rest], 1e-300)
            return -float(np.dot([only_a, only_b, n - only_a - only_b], np.log(chances)))

        low, high = max(0.0, -end), (1 - end) / 2
        q = optimize.minimize_scalar(
            unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        ).x
        variance = n * (2 * q + end - end**2)
        assert abs(only_a - only_b - n * end) / variance**0.5 == pytest.approx(1.959964, rel=2e-3)


def test_score_interval_holds() -> None:
    rng = np.random.default_rng(0)
    for n, p, q in [(50, 0.1, 0.05), (200, 0.03, 0.01), (1000, 0.02, 0.02)]:
        counts = rng.multinomial(n, (p, q, 1 - p - q), 4000)
        held = np.mean([p - q in evaluation.proportion_difference(a, b, n) for a, b, _ in counts])
        assert 0.93 < held < 0.97, (n, p, q)


def test_permutations_are_those_of_all_swaps() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 1, 8), rng.normal(size=8)
    gaps = [abs(np.where([(k >> i) & 1 for i in range(8)], a - b, b - a).mean()) for k in range(256)]
    want = np.mean(np.array(gaps) >= abs((a - b).mean()) - 1e-12)
    actual = permutation_test(mean_of("loss", a, np.ones(8)), mean_of("loss", b, np.ones(8)), 20_000, rng)
    assert actual == pytest.approx(want, abs=0.012)


# 4 standard errors above 5% at 400 draws are 9%: wrong tests are far above it.
@pytest.mark.parametrize("name", ["accuracy, n = 200, 10% judged otherwise", "loss, n = 50", "AUC, n = 50"])
def test_equal_models_are_told_apart_rarely(name: str) -> None:
    result = rates.verdicts(rates.NULL[name], 400)
    assert result["better"] + result["worse"] < 0.09


@pytest.mark.slow
@pytest.mark.parametrize("name", rates.NULL)
def test_equal_models_are_told_apart_in_at_most_5_percent(name: str) -> None:
    draws = 10_000 if name.startswith("accuracy") else 4_000
    result = rates.verdicts(rates.NULL[name], draws, seed=1)
    assert result["better"] + result["worse"] <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_intervals_of_differences_hold() -> None:
    """200 samples, a difference of means; 600 draws: three standard errors are 2.7%."""
    a, b = rates.losses(400_000, 0.3)(np.random.default_rng(9))
    true = a.value - b.value
    rng, held = np.random.default_rng(0), []
    for _ in range(600):
        result = difference_interval(gain_of(*rates.losses(200, 0.3)(rng)), 0.95, 300, rng)
        assert result is not None
        held.append(true in result)
    assert 0.92 < np.mean(held) < 0.98


def test_few_samples_are_doubted() -> None:
    a, b = rates.losses(20, 0.3)(np.random.default_rng(0))
    assert "the difference of loss is dominated by few of the 20 samples" in difference(a, b).caveats[0]


def test_large_differences_are_seen() -> None:
    name = "accuracy higher by 2.0% (4% judged otherwise), n = 1,000"
    assert rates.verdicts(rates.POWER[name], 300)["better"] > 0.8
    assert rates.verdicts(rates.POWER["loss lower by about a tenth, n = 1,000"], 50)["better"] > 0.8


def test_unknown_directions_are_named_so() -> None:
    a, b = (
        mean_of("mystery", np.full(40, v) + np.linspace(0, 0.1, 40) ** k, np.ones(40))
        for k, v in [(1, 2), (2, 1)]
    )
    assert difference(a, b).verdict == "higher"
    assert difference(b, a).verdict == "lower"


def trained(seed: int = 0, epochs: int = 30, width: int = 8) -> hb.Sequential:
    hb.utils.set_random_seed(seed)
    x, y = data(500)
    model = compiled_model(
        (4,),
        [layers.Dense(width, "relu"), layers.Dense(3, "softmax")],
        hb.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        name=f"net{seed}",
    )
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def test_models_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2000, 4)).astype("float32")
    y = np.argmax(x[:, :3] + rng.normal(size=(2000, 3)), -1)
    good, bad = trained(0), trained(1, epochs=0)
    actual = evaluation.compare(good, bad, x, y)
    assert actual.verdict == actual["accuracy"].verdict == actual["loss"].verdict == "better"
    assert actual["accuracy"].interval is not None
    assert actual["accuracy"].interval.low > 0
    assert actual["loss"].interval is not None
    assert actual["loss"].interval.high < 0
    assert actual["loss"].test == "permutation"
    want = good.evaluate(x, y, verbose=0, return_dict=True)
    assert actual["accuracy"].a == pytest.approx(want["accuracy"])
    assert actual["loss"].a == pytest.approx(want["loss"], rel=1e-4)
    assert evaluation.compare(bad, good, x, y).verdict == "worse"
    assert "net0 is better than net1 by accuracy: difference +" in str(actual)
    assert actual.as_dict()["differences"]["accuracy"]["verdict"] == "better"

    same = evaluation.compare(good, good, x, y)
    assert same.verdict == "cannot tell"
    assert same["accuracy"].p == same["loss"].p == 1
    assert "cannot tell whether net0 (a) or net0 (b) has the better accuracy" in str(same)
    assert evaluation.compare(good, trained(2), x, y, main="loss").main == "loss"

    stream = hb.data.Dataset.from_tensor_slices((x, y)).batch(100)
    assert evaluation.compare(good, bad, stream).as_dict() == actual.as_dict()
    capsys.readouterr()
    sealed = hb.data.seal(x, y)
    assert evaluation.compare(good, bad, sealed).as_dict() == actual.as_dict()
    assert sealed.uses == 1


def test_what_cannot_be_compared() -> None:
    x, y = data()
    a = classifier()
    with pytest.raises(ValueError, match="reads the data twice"):
        evaluation.compare(a, a, iter([(x, y)]))
    with pytest.raises(ValueError, match="main='auc' is not a metric"):
        evaluation.compare(a, a, x, y, main="auc")
    with pytest.raises(ValueError, match="another order"):
        evaluation.compare(a, a, hb.data.Dataset.from_tensor_slices((x, y)).shuffle(500).batch(50))
    silent = compiled_model((4,), [layers.Dense(1)], "adam", None, metrics=["mae"])
    with pytest.raises(ValueError, match="no metric in common: loss, accuracy, and mae"):
        evaluation.compare(a, silent, x, y)
