"""Programs with a planted mistake: what is said is about the mistake; right programs: not a word."""

from pathlib import Path

import pytest

import hornbeam
from tests.helpers.planted import (  # noqa: F401
    labels,
    own_code,
    right_code,
    right_images,
    right_sequences,
    right_tables,
    saving,
    scales,
    sequences,
    shapes,
    splits,
    training,
    use,
)
from tests.helpers.planted.listen import MISTAKES, RIGHT, listen

pytestmark = pytest.mark.sampled

PAGE = Path(__file__).parents[2] / "benchmarks" / "mistakes.md"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hornbeam.utils.set_random_seed(0)


@pytest.mark.parametrize(
    "name", [name for name, mistake in MISTAKES.items() if mistake.by not in ("silent", "line")]
)
def test_mistake_is_said(name):
    program, by, words = MISTAKES[name]
    said = listen(program, hornbeam)
    assert said.at, "not under a line of the program"
    if by in ("error", "misleading"):
        assert words in said.error
    else:
        assert not said.error
        assert any(words in warning for warning in said.warnings), said.warnings


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.by == "line"])
def test_mistake_shows_in_a_line(name):
    said = listen(MISTAKES[name].program, hornbeam)
    assert said[:3] == ("", [], "")
    assert MISTAKES[name].words in said.printed


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.by == "silent"])
def test_silent_mistake_is_silent(name):
    """A mend that makes one heard moves it from `silent` to `error` or `warning`."""
    assert listen(MISTAKES[name].program, hornbeam)[:3] == ("", [], "")


@pytest.mark.parametrize("name", RIGHT)
def test_right_program_is_left_alone(name):
    assert listen(RIGHT[name], hornbeam)[:3] == ("", [], "")


def test_page_has_the_counts_of_the_tables():
    """After a change of the tables: `python benchmarks/mistakes.py > benchmarks/mistakes.md`."""
    page = PAGE.read_text()
    said = sum(mistake.by in ("error", "warning", "line") for mistake in MISTAKES.values())
    assert f"says {said} of {len(MISTAKES)} mistakes" in page
    assert f"in {len(RIGHT)} of {len(RIGHT)} right programs" in page
