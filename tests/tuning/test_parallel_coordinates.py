"""The lines of a search over parallel axes: heights, who is reached by keyboard, the drawing in a browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed: pip install optuna")

from hornbeam.tuning import TuningResult
from hornbeam.tuning.parallel_coordinates import parallel_coordinates
from hornbeam.tuning.result import Trial
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened

# The trials whose settings are shown.
ABOUT = """() => [...document.querySelectorAll('.trials .about')]
  .filter(e => getComputedStyle(e).visibility === 'visible').map(e => e.textContent.slice(0, 9))"""


def trial(number: int, value: float | None, **values: Any) -> Trial:
    state = "pruned" if value is None else "complete"
    return Trial(number, values, value, state, epochs=3, seconds=1.0)


def lines(drawing: str) -> dict[int, list[list[float]]]:
    """Return the points of each trial's line, by its number."""
    pairs = re.findall(r'id="trial-(\d+)".*?<polyline points="([^"]+)" opacity', drawing)
    return {
        int(number): [[float(x) for x in point.split(",")] for point in points.split()]
        for number, points in pairs
    }


def test_heights_follow_the_values() -> None:
    trials = [trial(1, 0.7, rate=1e-4), trial(2, 0.9, rate=1e-2), trial(3, 0.8, rate=1e-3)]
    drawing = parallel_coordinates(trials, "val_accuracy", 1)
    assert drawing is not None
    points = lines(drawing)
    for axis in (0, 1):  # logarithmic for rates of a ratio of 100
        low, high, middle = (points[number][axis][1] for number in (1, 2, 3))
        assert high < low  # up is less in SVG
        assert middle == pytest.approx((low + high) / 2, abs=0.1)
    assert [f">{label}<" in drawing for label in ("0.0001", "0.001", "0.01")] == [True] * 3


def test_choices_and_what_is_not_set() -> None:
    trials = [trial(1, 0.7, kind="a"), trial(2, 0.9, kind="b", depth=2), trial(3, 0.8, kind="a", depth=3)]
    drawing = parallel_coordinates(trials, "score", 1)
    assert drawing is not None
    points = lines(drawing)
    assert points[1][0] == points[3][0] != points[2][0]
    assert points[1][1][1] > points[2][1][1] > points[3][1][1]  # "not set" is below all numbers
    assert ">not set<" in drawing


def test_constant_settings_have_no_axis_and_pruned_trials_no_line() -> None:
    trials = [trial(1, 0.7, units=8, rate=0.1), trial(2, 0.9, units=8, rate=0.2), trial(3, None, units=9)]
    drawing = parallel_coordinates(trials, "score", 1)
    assert drawing is not None
    assert sorted(lines(drawing)) == [1, 2]
    assert ">units<" not in drawing


@pytest.mark.parametrize(("sign", "best"), [(1, 20), (-1, 1)])
def test_the_best_are_last_and_reached_by_keyboard(sign: int, best: int) -> None:
    trials = [trial(number, number / 20, rate=0.01 * number) for number in range(1, 21)]
    drawing = parallel_coordinates(trials, "score", sign)
    assert drawing is not None
    assert list(lines(drawing))[-1] == best
    assert drawing.count('tabindex="-1"') == 10
    assert re.search(r'class="best"', drawing)
    assert f'aria-label="trial {best}: score {best / 20:.4f}, rate={0.01 * best:.4g}"' in drawing


def test_a_name_is_text() -> None:
    trials = [trial(1, 0.1, **{"<b>": 1}), trial(2, 0.2, **{"<b>": 2})]
    drawing = parallel_coordinates(trials, "score", 1)
    assert drawing is not None
    assert "<b>" not in drawing
    assert "&lt;b&gt;" in drawing


def test_one_trial_is_not_drawn() -> None:
    assert parallel_coordinates([trial(1, 0.1, rate=0.1), trial(2, None, rate=0.2)], "score", 1) is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    names = {f"a_hyperparameter_{i}": 1 for i in range(6)}
    trials = [
        trial(i + 1, 0.5 + i / 100, **{name: i * i + 1 for name in names}, kind="ab"[i % 2])
        for i in range(30)
    ]
    page_file = TuningResult("val_accuracy", 1, trials, None, {}).save(tmp_path / "search.html")
    page, heard = opened(browser, page_file.as_uri(), scheme, width)
    assert heard == []
    assert page.evaluate(OUTSIDE) == []
    assert [where for ratio, where in page.evaluate(CONTRASTS) if ratio < 4.5] == []
    assert page.evaluate(ABOUT) == ["trial 30:"]  # the best one, until another is chosen
    reached = []
    page.locator(".scroll:has(.trials)").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == [f"trial-{number}" for number in range(21, 31)]
    page.locator("#trial-25").focus()
    assert page.evaluate(ABOUT) == ["trial 25:"]
    page.context.close()
