"""Pyright (as Pylance in VS Code) underlines nothing in right programs, and each mistake in wrong ones.

The checker runs once, as on a machine that has the package installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam
from tools.pages import Page

pytest.importorskip("basedpyright")

ROOT = Path(__file__).parents[2]
SOURCES = Path(hornbeam.__file__).parents[1]
TYPED = ROOT / "tests/structure/typed_programs"
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/course").glob("*.md")]
# Pyright's rules but two, which Pylance leaves off or shows as a hint: Keras's own guides override `compile`
# and `train_step` with other arguments, and programs use the last value of a loop after it.
SETTINGS = {
    "typeCheckingMode": "standard",
    "reportIncompatibleMethodOverride": "none",
    "reportMissingImports": "none",
    "reportPossiblyUnboundVariable": "none",
    "pythonVersion": "3.10",
    "extraPaths": [str(SOURCES)],
}
# Each line but the first has a mistake.
MISTAKES = """\
import hornbeam as hb
hb.Sequential([hb.layers.Dense(1)]).fitt([1.0], [1.0])
hb.Sequential().fit([1.0], [1.0], epoch=3)
hb.Sequential().fit([1.0], [1.0], epochs="3")
hb.Sequential().fit([1.0], [1.0], batch_size="32")
hb.Sequential().fit([1.0], [1.0], callbacks="early")
hb.Sequential().compile("adam", "mse", metric=["accuracy"])
hb.Sequential().compile("adam", losses="mse")
hb.Sequential().evaluate([1.0], [1.0], return_dic=True)
hb.Sequential().summary(width=3)
hb.Sequential().add("dense")
hb.Sequential().get_layer("a").kernal
hb.Sequential(hb.layers.Dense(1), hb.layers.Dense(2))
hb.Model(hb.Input((1,)), hb.Input((1,))).save()
hb.Model(inputs=hb.Input((1,)), output=hb.Input((1,)))
hb.Input(28, 28)
hb.layers.Dense("3")
hb.layers.Dense(3, activaton="relu")
hb.layers.Dense(3, activation=3)
hb.layers.Dens(3)
hb.layers.Conv2D("32", 3)
hb.layers.Conv2D(32, "3")
hb.layers.Conv2D(32, 3, stride=2)
hb.layers.Dropout(p=0.5)
hb.layers.LSTM(32, return_sequence=True)
hb.layers.Embedding(1000, "64")
hb.layers.MaxPool2D(2, traineable=False)
hb.layers.Dense(3)([1.0]).shap
hb.optimizers.Adam(learning_rate="0.1")
hb.callbacks.EarlyStoping()
hb.callbacks.EarlyStopping("val_loss", patience="3")
hb.callbacks.ModelCheckpoint()
hb.losses.SparseCategoricalCrossentropy(from_logit=True)
hb.applications.ResNet50(weight=None)
hb.datasets.minst.load_data()
hb.datasets.mnist.load()
hb.utils.to_categorical([1, 2], classes=3)
hb.ops.concat([[1.0]])
hb.ops.sum([1.0], dim=0)
hb.ops.reshape([1.0], "a")
hb.models.load_model()
hb.set_engin("torch")
"""


def programs() -> dict[str, str]:
    """Programs of the README, the pages and `examples/` by name, with Hornbeam where they import Keras.

    Scripts that import TensorFlow are left out: an editor checks them against TensorFlow's types.
    """
    by_name = {path.stem: "\n".join(code for code, *_ in Page(path).blocks) for path in PAGES}
    for path in (ROOT / "examples").rglob("*.py"):
        code = re.sub(r"^import keras$", "import hornbeam as keras", path.read_text(), flags=re.M)
        by_name[f"example_{path.stem}"] = re.sub(r"^from keras\b", "from hornbeam", code, flags=re.M)
    by_name |= {f"typed_{path.stem}": path.read_text() for path in TYPED.glob("*.py")}
    return {name: code for name, code in by_name.items() if code and "import tensorflow" not in code}


PROGRAMS = programs()
Messages = dict[str, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """Errors that the editor shows, as (line, text) by program."""
    folder = tmp_path_factory.mktemp("programs")
    for name, code in {**PROGRAMS, "mistakes": MISTAKES}.items():
        (folder / f"{name}.py").write_text(code)
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "."]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS) + 1
    errors: Messages = {name: [] for name in [*PROGRAMS, "mistakes"]}
    for message in report["generalDiagnostics"]:
        if message["severity"] == "error":
            line = message["range"]["start"]["line"] + 1
            errors[Path(message["file"]).stem].append((line, message["message"]))
    return errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_in_a_right_program_is_underlined(messages: Messages, name: str) -> None:
    assert messages[name] == []


@pytest.mark.parametrize("line", range(2, len(MISTAKES.splitlines()) + 1))
def test_mistakes_are_underlined(messages: Messages, line: int) -> None:
    assert [text for number, text in messages["mistakes"] if number == line], MISTAKES.splitlines()[line - 1]
