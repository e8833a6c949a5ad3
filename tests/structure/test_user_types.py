"""Programs of users pass mypy --strict, wrong ones do not, and results of calls have types.

The checker runs once, as on a machine that has the package installed.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam
from tests.helpers.public_names import submodules

pytest.importorskip("mypy")
pytestmark = pytest.mark.long

SOURCES = Path(hornbeam.__file__).parents[1]
PROGRAMS = Path(__file__).parent / "typed_programs"
LISTED = [name for name in submodules() if hasattr(sys.modules[name], "__all__")] + [
    f"hornbeam.datasets.{name}" for name in hornbeam.datasets.__all__
]
# Each line but the first has an error.
WRONG = """\
import hornbeam as keras
keras.layers.Dens(1)
keras.callbacks.EarlyStopping(patienc=2)
keras.layers.Dense(activation="relu")
keras.layers.Dense(10, activatio="relu")
keras.layers.Conv2D(8, 3, stride=2)
keras.layers.Dropout(0.1, nam="x")
keras.layers.MaxPool2D(2, traineable=False)
keras.Sequential().compile(losses="mse")
keras.Sequential().evaluate(return_dic=True)
keras.applications.ResNet50(weight=None)
keras.models.load_model(1)
keras.Model(inputs=keras.Input((1,)), outputs=keras.Input((1,)), nam="x")
keras.layer.Dense(1)
keras.models.Sequental([])
keras.Model(keras.Input((1,)), keras.Input((1,))).fitt()
keras.applications.ResNet51()
keras.callbacks.EarlyStoping()
keras.ops.softmaxx(1.0)
keras.utils.to_categoricl([1], 2)
keras.data.Datasets
keras.evaluation.comparee
keras.dtype_policies.DTypePolicies
keras.mixed_precision.Polycy
keras.preprocessing.image.ImageGenerator
keras.config.set_floatxx("float32")
keras.layers.Dense(3)([1.0]).shap
keras.ops.matmul([1.0])
keras.Sequential([keras.layers.Dense(1)]).fit([1.0], [1.0], epoch=3)
keras.ops.ones((2, 2))["a"]
keras.ops.ones("a")
"""
Messages = dict[str, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """Messages of the type checker as (line, text) by program."""
    names = [
        f"{module}.{name}"
        for module in ["hornbeam", *LISTED]
        for name in importlib.import_module(module).__all__
    ]
    sources = {path.stem: path.read_text() for path in PROGRAMS.glob("*.py")}
    sources |= {"wrong": WRONG, "exports": "\n".join(["import hornbeam", *names])}
    folder = tmp_path_factory.mktemp("programs")
    for stem, code in sources.items():
        (folder / f"{stem}.py").write_text(code)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        *(f"{stem}.py" for stem in sources),
    ]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.stderr == ""
    by_program: Messages = {stem: [] for stem in sources}
    for program, number, text in re.findall(
        r"^(\w+)\.py:(\d+): (?:error: |note: (?=Revealed type))(.*)$", run.stdout, re.M
    ):
        by_program[program].append((int(number), text))
    return by_program


def short(revealed: str) -> str:
    """Shorten `Revealed type is "hornbeam.core.tensor.Tensor"` to `Tensor`."""
    revealed = revealed.removeprefix('Revealed type is "').removesuffix('"')
    array = r"numpy\.ndarray\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
    return re.sub(r"(hornbeam|builtins)(\.\w+)*\.(?=\w)", "", re.sub(array, "ndarray", revealed))


@pytest.mark.parametrize("program", ["mnist", "subclassing"])
def test_a_program_has_no_type_errors(messages: Messages, program: str) -> None:
    assert messages[program] == []


def test_results_of_calls_have_types(messages: Messages) -> None:
    lines = enumerate((PROGRAMS / "calls.py").read_text().splitlines(), 1)
    expected = [(number, line.split("  # ")[1]) for number, line in lines if line.startswith("reveal_type(")]
    assert [(number, short(text)) for number, text in messages["calls"]] == expected


def test_unknown_names_and_arguments_are_reported(messages: Messages) -> None:
    lines = range(2, len(WRONG.splitlines()) + 1)
    assert sorted({line for line, _ in messages["wrong"]}) == list(lines)


def test_every_public_name_is_exported(messages: Messages) -> None:
    assert messages["exports"] == []
