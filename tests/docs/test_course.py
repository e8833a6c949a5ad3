"""The course: its notebooks, blocks that can be pasted, terms, questions, exercises."""

from __future__ import annotations

import code
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam as hb
from hornbeam.cli.course import check
from tools import notebooks, pages

COURSE = notebooks.COURSE
PAGES = notebooks.pages()
INDEX = (COURSE / "index.md").read_text(encoding="utf-8")
COLUMNS = 80
_BLOCK = re.compile(r"^```(?:python|py)\n(.*?)^```$", re.M | re.S)
_ANY_BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
EXERCISES = json.loads((notebooks.FOLDER / "exercises.json").read_text(encoding="utf-8"))
# Of twenty-one notebooks these are run by every test run; all of them by the slow one.
SAMPLE = {"02_loss_and_gradient", "15_give_it_away"}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def stem(page: Path) -> str:
    return page.stem


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def term(text: str) -> str:
    """Singular and lower case, on one line."""
    return re.sub(r"\s+", " ", text).casefold().rstrip("s")


# -- blocks that can be pasted -----------------------------------------------------------------------------


class Prompt(code.InteractiveConsole):
    """Python's prompt: it reads line by line, and here it runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def runcode(self, code: object) -> None:
        pass

    def showsyntaxerror(self, filename: str | None = None, **options: object) -> None:
        self.errors.append(str(sys.exc_info()[1]))


def paste(block: str) -> list[str]:
    """Return the syntax errors of a block that is pasted into the prompt, before an empty line."""
    prompt = Prompt()
    for line in [*block.splitlines(), ""]:
        prompt.push(line)
    return prompt.errors or (["unfinished"] if prompt.buffer else [])


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_blocks_can_be_pasted_into_the_prompt(page: Path) -> None:
    for block in _BLOCK.findall(text_of(page)):
        assert paste(block) == [], block


def test_the_prompt_refuses_what_would_not_run_there() -> None:
    assert paste("for i in range(3):\n    i\nprint(1)\n")
    assert paste("def f():\n    a = 1\n\n    return a\n")
    assert paste("x = [1,\n")
    assert paste("for i in range(3):\n    i\n\nprint(1)\n") == []


def test_values_that_the_prompt_displays_are_errors(tmp_path: Path) -> None:
    for code_ in ("1 + 1\n", "for i in range(3):\n    i\n"):
        with pytest.raises(pages.PageError, match="the prompt would display"):
            pages.run_as_typed(code_, "block", {})
    names: dict = {}
    pages.run_as_typed("x = 1\nfor i in range(3):\n    x += i\nNone\n", "block", names)
    assert names["x"] == 4


@pytest.mark.parametrize("page", [*PAGES, COURSE / "glossary.md"], ids=stem)
def test_code_and_output_fit_80_columns(page: Path) -> None:
    lines = [line for block in _ANY_BLOCK.findall(text_of(page)) for line in block.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_formulas_are_on_one_line(page: Path) -> None:
    """GitHub shows no formula that a line break divides."""
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", text_of(page), flags=re.M | re.S)
    formulas = re.findall(r"(?<!\$)\$(?!\$)([^$]+)\$", prose)
    assert [formula for formula in formulas if "\n" in formula] == []


# -- notebooks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_notebooks_are_those_of_the_pages(page: Path) -> None:
    path = notebooks.notebook_path(page)
    assert path.read_text(encoding="utf-8") == notebooks.render(page), "run: python tools/notebooks.py"


def test_there_are_no_other_notebooks() -> None:
    assert sorted(notebooks.FOLDER.glob("*.ipynb")) == [notebooks.notebook_path(page) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_notebooks_are_valid(page: Path) -> None:
    notebook = notebooks.convert(page)
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.reads(notebooks.render(page), as_version=4))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    prose = "\n".join(
        s for s, cell in zip(sources, notebook["cells"], strict=True) if cell["cell_type"] != "code"
    )
    # Links lead to other notebooks, or to the repository.
    for target in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", prose, flags=re.S)):
        assert target.startswith("https://") or (notebooks.FOLDER / target).exists(), target
    # Every block is a cell, or the solution of an exercise.
    for block in re.findall(r"^```python\n(.*?)^```$", text_of(page), re.M | re.S):
        assert any(block.strip() in source for source in sources)


def kernel_sources(page: Path) -> list[str]:
    return ["".join(c["source"]) for c in notebooks.convert(page)["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[] if page.stem in SAMPLE else pytest.mark.slow) for page in PAGES],
    ids=stem,
)
def test_notebooks_run(page: Path, tmp_path: Path) -> None:
    """Cell by cell, without the solutions, in a kernel if one is installed."""
    try:
        import nbclient
        import nbformat
    except ImportError:
        program = tmp_path / "notebook.py"
        program.write_text("\n\n".join(kernel_sources(page)), encoding="utf-8")
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        subprocess.run([sys.executable, program], cwd=tmp_path, env=environment, check=True, timeout=600)
        return
    notebook = nbformat.reads(notebooks.render(page), as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    # Figures are drawn below their code.
    figures = sum(
        "image/png" in output.get("data", {}) for output in outputs if output.output_type == "display_data"
    )
    assert figures >= text_of(page).count("<summary>Code of the figure</summary>")


# -- the tops of the pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_a_page_begins_with_its_notebook_and_what_it_needs(page: Path) -> None:
    header = " ".join(notebooks.page_header(page).split())
    assert header.startswith(notebooks.header(page))
    code_of_page = "\n".join(_BLOCK.findall(text_of(page)))
    needed = {package for module, package in (("matplotlib", "matplotlib"), ("PIL", "pillow"))
              if re.search(rf"^from {module} ", code_of_page, re.M)}  # fmt: skip
    if "plot=" in code_of_page:
        needed.add("matplotlib")
    assert set(notebooks.requirements(page).split()) == needed


def test_the_first_page_and_the_index_say_what_to_install() -> None:
    for text in (text_of(PAGES[0]), INDEX):
        assert "pip install matplotlib" in " ".join(text.split())


def test_the_index_has_the_minutes_of_the_pages_and_the_hours_of_the_paths() -> None:
    minutes = {page.name: notebooks.minutes(page) for page in PAGES}
    rows = re.findall(r"^\| \d+ \| \[[^|]+\]\((\w+\.md)\) \| (\d+) \| ", INDEX, re.M)
    assert {name: int(number) for name, number in rows} == minutes
    (paths,) = re.findall(r"^## Three paths\n(.*?)\n\n[A-Z]", INDEX, re.M | re.S)
    rows = re.findall(r"^\| \w+ \w+ \| .+? \| (\[.+?) \| (\d+) \|$", paths, re.M)
    assert len(rows) == 3
    for links, hours in rows:
        names = re.findall(r"\((\w+\.md)\)", links)
        assert round(sum(minutes[name] for name in names) / 60) == int(hours)
    assert sum(minutes.values()) > 60 * 5


# -- exercises ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_every_exercise_has_a_solution(page: Path) -> None:
    (exercises,) = re.findall(r"^## Try\n(.*?)(?=^Next: |^## )", text_of(page), re.M | re.S)
    questions = re.findall(r"^(\d)\. ", _ANY_BLOCK.sub("", exercises), re.M)
    assert questions == [str(number + 1) for number in range(len(questions))]
    assert len(questions) >= 2
    solutions = re.findall(
        r"^<details><summary>Solution</summary>\n\n(.*?)\n\n</details>$", exercises, re.M | re.S
    )
    assert len(solutions) == len(questions)
    # With code, which the page runs, and an answer in words.
    for solution in solutions:
        assert solution.startswith("```py")
        assert _ANY_BLOCK.sub("", solution).strip()


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_every_page_has_a_question_that_checks_its_answer(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page shows what the right answer prints; a wrong one gets a hint without the answer."""
    number = f"{int(page.name[:2])}.1"
    assert f'check("{number}", ...)' in text_of(page)
    answer = EXERCISES[number]["answer"]
    assert f'check("{number}", {json.dumps(answer)})' in text_of(page)
    check(number, answer)
    right = capsys.readouterr().out
    assert " ".join(right.split()) in " ".join(text_of(page).split())
    assert right.startswith("right: ")
    for wrong in (-1, "something else", None, float("nan"), [1, 2]):
        check(number, wrong)
        assert capsys.readouterr().out == f"not yet. A hint: {EXERCISES[number]['hint']}\n"


def test_answers_are_numbers_of_any_kind_or_words(capsys: pytest.CaptureFixture[str]) -> None:
    for answer in (5628, 5628.0, "5628", hb.ops.convert_to_tensor(5628)):
        check("3.1", answer)
    check("9.1", " No ")
    assert capsys.readouterr().out.count("right: ") == 5
    check("9.1", ...)
    assert capsys.readouterr().out == "no answer yet: put it in place of the three dots\n"
    with pytest.raises(ValueError, match=r"no exercise '99\.1', only 1\.1, "):
        check("99.1", 1)


# -- words and questions -----------------------------------------------------------------------------------


def terms_of_pages() -> dict[str, list[str]]:
    """Return the places of bold terms, as `page.md#section`."""
    places: dict[str, list[str]] = {}
    for page in PAGES:
        section = ""
        for match in re.finditer(r"^#+ (.+)$|\*\*([^*]+)\*\*", _ANY_BLOCK.sub("", text_of(page)), re.M):
            if match[2]:
                places.setdefault(term(match[2]), []).append(page.name + section)
            elif match[0].startswith("## "):
                section = "#" + anchor(match[1])
    return places


def glossary() -> dict[str, str]:
    text = text_of(COURSE / "glossary.md")
    entries = re.findall(r"^- \*\*([^*]+)\*\*\s+\(\[page\s+(\d+)\]\(([^)]+)\)\):\s+(\S.*)", text, re.M)
    assert all(int(number) == int(target[:2]) for _, number, target, _ in entries)
    return {term(name): target for name, _, target, _ in entries}


def test_every_term_is_bold_once_and_where_the_glossary_points() -> None:
    assert terms_of_pages() == {name: [target] for name, target in glossary().items()}


def test_the_glossary_is_complete_and_sorted() -> None:
    text = text_of(COURSE / "glossary.md")
    names = re.findall(r"^- \*\*([^*]+)\*\*", text, re.M)
    assert names == sorted(names, key=str.casefold)
    assert f"The {len(names)} terms" in text
    assert len(names) == len(glossary()) >= 60
    wanted = (
        "learning rate, activation function, standard deviation, feature map, regularization, "
        "data augmentation, hyperparameter, backpropagation, stride, filter, logit, overfitting, "
        "epoch, batch, "
        "gradient descent, softmax, cross-entropy, one-hot, momentum, embedding, attention, transfer learning"
    )
    assert {term(name) for name in wanted.split(", ")} <= set(glossary())


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How many weight updates is an epoch", "03_the_loop"),
        ("Must all images have one size", "05_data_as_it_is"),
        ("Does resizing make objects disproportionate", "05_data_as_it_is"),
        ("zero mean", "05_data_as_it_is"),
        ("Why these layers", "06_convolution"),
        ("Is it not wrong to validate on the test set", "09_honest_numbers"),
    ],
)
def test_the_questions_of_learners_are_in_the_index(question: str, page: str) -> None:
    _, _, questions = INDEX.partition("## Questions and where they are answered")
    (row,) = [line for line in questions.splitlines() if line.startswith("|") and question in line]
    assert f"({page}.md#" in row


def test_notebooks_are_small() -> None:
    files = list(notebooks.FOLDER.glob("*.ipynb"))
    assert sum(path.stat().st_size for path in files) < 300_000
    assert all(not cell.get("outputs") for path in files for cell in json.loads(path.read_text())["cells"])


def test_the_page_on_photos_says_which_weights_are_not_verified(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses: list[str] = []

    def get_file(name: str, address: str, **options: object) -> str:
        addresses.append(address)
        raise ConnectionError

    monkeypatch.setattr("hornbeam.applications.building.get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    named = {"input_shape": (96, 96, 3), "include_top": False, "weights": "imagenet"}
    unverified = (hb.applications.MobileNet, hb.applications.MobileNetV2)
    for architecture in (*unverified, hb.applications.MobileNetV3Small, hb.applications.EfficientNetV2B0):
        with pytest.raises(ConnectionError):
            architecture(**named)
        said = "has no published checksum: its download cannot be verified" in capsys.readouterr().err
        assert said == (architecture in unverified)
    assert len(addresses) == 4
    text = " ".join(text_of(COURSE / "12_your_own_photos.md").split())
    assert "`MobileNet` and `MobileNetV2` are exceptions" in text
