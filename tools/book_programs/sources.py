# ruff: noqa: E501
"""Programs of the suites: which repositories, which commits, which files, and their cells."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """Programs of one repository at one commit.

    Attributes:
        repository: Folder of the git repository, in the folder of all repositories.
        commit: Commit or tag.
        files: Regular expression of the paths.
        side: What the original needs: "keras" (Keras 3 and TensorFlow), "tf_keras" (Keras 2), or "" for Keras
            1, which runs nowhere any more.
        samples: Training samples of the data sets in memory: programs slice them by numbers.
    """

    repository: str
    commit: str
    files: str
    side: str = "keras"
    samples: int = 60000


BOOK = "fchollet+deep-learning-with-python-notebooks"
DOCS = "tensorflow+docs"
SUITES = {
    "dlp3": Suite(BOOK, "dea84a4e12cc3bb3cb61ce952a0168bca113d315", r"^chapter.*ipynb$"),
    "dlp2": Suite(BOOK, "dea84a4e12cc3bb3cb61ce952a0168bca113d315", r"^second_edition/.*ipynb$"),
    "dlp1": Suite(BOOK, "dea84a4e12cc3bb3cb61ce952a0168bca113d315", r"^first_edition/.*ipynb$", "tf_keras"),
    "handson3": Suite("ageron+handson-ml3", "e3f3f9e66d58cfa1d068a498433063a1d3fba9ef", r"^1[0-9]_.*ipynb$"),
    "d2l": Suite(
        "d2l-ai+d2l-en",
        "23d7a5aecceee57d1292c56e90cce307f183bb0a",
        r"^chapter_.*md$",
        "tf_keras",
        samples=2048,
    ),
    "tf_tutorials": Suite(
        DOCS,
        "7c3650212740204359d4ceae481abc79345541be",
        r"site/en/tutorials/(audio|customization|generative|images|interpretability|keras|load_data|quickstart"
        r"|reinforcement_learning|structured_data|understanding|video|distribute/(custom|keras|save|input)).*",
        samples=10256,
    ),
    "tf_guides": Suite(
        DOCS, "7c3650212740204359d4ceae481abc79345541be", r"site/en/guide/(core/|[a-z_0-9]+[.]ipynb)"
    ),
    "keras_guides": Suite("keras-team+keras", "v3.15.1", r"^guides/(?!.*(jax|torch)).*py$"),
    "keras_io": Suite("keras-team+keras", "v3.0.0", r"^examples/keras_io/(?!pytorch).*py$", samples=10256),
    "keras2": Suite("keras-team+keras", "2.2.4", r"^examples/.*py$", "tf_keras"),
    "keras1": Suite("keras-team+keras", "1.2.2", r"^examples/.*py$", ""),
}

# What is changed in every program, for both sides.
REWRITES = (
    (r"https://", "http://"),
    (r"""weights\s*=\s*(['"])imagenet\1""", "weights=None"),
    (r"\b(\w*(?:epochs?|EPOCHS?|iterations|ITERATIONS|nb_epoch|episodes))(\s*=\s*)(?:[2-9]|\d[\d_]+)\b", r"\1\g<2>2"),
)  # fmt: skip
SHELL = ("curl", "mkdir", "rm", "tar", "unzip", "wget")


def _git(root: Path, suite: Suite, *arguments: str) -> str:
    folder = root / suite.repository / "repo"
    result = subprocess.run(["git", f"--git-dir={folder}", *arguments], capture_output=True, check=False)
    return result.stdout.decode("utf8", "replace")  # large files are missing in some copies


def paths(root: Path, suite: Suite) -> list[str]:
    """Return the paths of the programs of a suite."""
    names = _git(root, suite, "ls-tree", "-r", "--name-only", suite.commit).splitlines()
    return [name for name in names if re.search(suite.files, name)]


def cells(root: Path, suite: Suite, path: str) -> list[str]:
    """Return the code of a program, changed for a short run without a network; a script is one cell, or several."""
    text = _git(root, suite, "show", f"{suite.commit}:{path}")
    if not text:
        return []
    if path.endswith(".ipynb"):
        parts = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    elif path.endswith(".md"):
        parts = list(_tensorflow_tabs(text))
    else:
        parts = list(_sections(text))
    return [code for code in map(_prepared, parts) if code.strip()]


def _sections(text: str) -> Iterator[str]:
    """Yield the parts of a script, which texts on the top level separate."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        yield text
        return
    lines = text.splitlines()
    starts = [0, *(node.end_lineno or 0 for node in body if _is_text(node)), len(lines)]
    for first, last in itertools.pairwise(starts):
        yield "\n".join(lines[first:last])


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _tensorflow_tabs(text: str) -> Iterator[str]:
    """Yield the code of a page whose examples have tabs for several libraries: common and TensorFlow's.

    Code without a tab is that of the library that is the default of the page, another one.
    """
    for block in re.findall(r"```\{?\.?python.*?\}?\n(.*?)```", text, re.DOTALL):
        first, _, code = block.partition("\n")
        tab = re.match(r"(?:%%|#@)tab (.*)", first)
        if tab and {"tensorflow", "all"} & {name.strip() for name in tab[1].split(",")}:
            yield code


def _prepared(code: str) -> str:
    if re.match(r"\s*%%(?!time|capture)", code):
        return ""
    lines = []
    for line in textwrap.dedent(code).splitlines() if code[:1] == " " else code.splitlines():
        stripped = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if stripped.startswith("!"):
            words = stripped[1:].split()
            known = bool(words) and words[0] in SHELL
            lines.append(f"{indent}_shell({stripped[1:]!r})" if known else f"{indent}pass")
        elif stripped.startswith(("%", "?")) and not _is_python(code):
            lines.append(f"{indent}pass")
        else:
            lines.append(line)
    code = "\n".join(lines)
    for pattern, replacement in REWRITES:
        code = re.sub(pattern, replacement, code)
    return code


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True
