"""Everything fits terminals of 60, 80 and 120 columns: no line wraps, and no word or number is broken."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.cli import _parser
from hornbeam.cli.mnist.training import build
from tests.helpers.builders import compiled_model
from tests.helpers.paths import HELPERS
from tests.helpers.terminal import Screen, Session, hornbeam, install_command, run_in_terminal

pytestmark = pytest.mark.posix

COLUMNS = pytest.mark.parametrize("columns", [60, 80, 120])
PROGRAM = HELPERS / "terminal_program.py"
QUICK = {"EPOCHS": "1", "SAMPLES": "64", "HORNBEAM_THREADS": "1"}


def assert_fits(session: Session) -> None:
    """No line reached the right edge and went on in the next one."""
    assert session.screen.wrapped == []


# -- the emulator --------------------------------------------------------------------------------------------


def test_the_emulator_counts_wrapped_lines() -> None:
    screen = Screen(10)
    screen.feed("0123456789\r\n01234567890\r\n\x1b[31mred\x1b[0m and \x1b[1mbold\x1b[0m\r\nlong\rshort\b!")
    assert screen.text == "0123456789\n0123456789\n0\nred and bo\nld\nshor!"
    assert screen.wrapped == ["0123456789", "red and bo"]
    assert screen.colors == 2
    screen.feed("\r\x1b[Kempty")
    assert screen.text.endswith("\nld\nempty")


# -- commands ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, files of models, and broken ones."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("first", "a_second_run_with_a_long_name"):
        model = compiled_model((3,), [hb.layers.Dense(1)], "sgd", "mse", metrics=["mae"])
        recorder = hb.callbacks.RunRecorder(name, folder / "runs")
        x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
        model.fit(x, y, validation_data=(x + 1, y), epochs=3, verbose=0, callbacks=[recorder])
        recorder.evaluate(x + 2, y)
    build().save(folder / "mnist.keras")
    content = bytearray((folder / "mnist.keras").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "damaged.keras").write_bytes(content)
    first, second = sorted(path.name for path in (folder / "runs").iterdir())
    (folder / "first").symlink_to(folder / "runs" / first)
    (folder / "second").symlink_to(folder / "runs" / second)
    return folder


@COLUMNS
@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("", 0),
        ("mist", 2),
        ("mnist --epohcs 3", 2),
        ("mnist --epochs 0", 2),
        ("runs", 0),
        ("runs nowhere", 1),
        ("runs compare first", 2),
        ("runs compare first second", 0),
        ("report first", 0),
        ("report nowhere", 1),
        ("inspect mnist.keras", 0),
        ("inspect nothing.keras", 1),
        ("verify mnist.keras", 0),
        ("verify damaged.keras", 1),
        ("convert mnist.keras mnist.onnx --overwrite", 0 if find_spec("onnx") else 1),
        ("doctor", 0),
        ("bench mlp --runs 1", 0),
        ("bench mpl", 2),
        ("run nothing.py", 2),
        ("launch nothing.py", 2),
        ("course notebooks", 0),
        ("course mnist.keras", 1),
    ],
)
def test_commands(folder: Path, words: str, status: int, columns: int) -> None:
    session = run_in_terminal(hornbeam(*words.split()), columns, folder, env=QUICK)
    assert_fits(session)
    assert session.status == status, session.text


@COLUMNS
def test_help(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    parser, names = _parser()
    commands = next(action for action in parser._actions if action.choices)
    assert list(commands.choices) == names
    for each in (parser, *commands.choices.values()):
        # The usage begins with the program's path, which cannot be folded.
        lines = each.format_help().partition("\n\n")[2].splitlines()
        assert [line for line in lines if len(line) > columns and "hornbeam" not in line] == []


@pytest.mark.parametrize("columns", [60, 80])
def test_the_mnist_program(tmp_path: Path, columns: int) -> None:
    path = install_command(tmp_path / "bin")
    session = run_in_terminal(
        ["hornbeam", "mnist", "--epochs", "1", "--train-samples", "600"], columns, tmp_path, env=path
    )
    assert session.status == 0, session.text
    assert_fits(session)
    assert "5,000 for validation" in " ".join(session.text.split())
    assert re.search(r"test accuracy [0-9.]+%, 95% interval", session.text)
    assert "model.explain()" not in session.text  # no model is at hand here
    steps = re.findall(r"^  (hornbeam .*)$", session.text[session.text.index("next:") :], re.M)
    assert [step.split()[1] for step in steps] == ["report", "inspect", "serve", "runs"]
    assert (
        tmp_path / _parser()[0].parse_args(steps[2].split()[1:]).models[0]
    ).exists()  # it serves until stopped
    if columns == 80:
        for step in steps[:2] + steps[3:]:  # they run as printed
            done = run_in_terminal(["sh", "-c", step.replace(" --open", "")], 80, tmp_path, env=path)
            assert done.status == 0, done.text


# -- results -------------------------------------------------------------------------------------------------


@COLUMNS
def test_what_a_program_prints(tmp_path: Path, columns: int) -> None:
    shutil.copy(PROGRAM, tmp_path / "program.py")
    session = run_in_terminal([sys.executable, "program.py"], columns, tmp_path)
    assert session.status == 0, session.text[-2000:]
    assert_fits(session)
    assert session.text.count("model.explain() says what each layer is for") == 1  # of two summaries
    for words in ("LeakWarning", "TestSetWarning", "doctor: rate_too_low", "Suspicious labels", "per kernel"):
        assert words in session.text


def words(text: str) -> set[str]:
    return {word.strip("─") for word in text.split() if "…" not in word} - {""}


@pytest.mark.parametrize(
    "command", ["inspect mnist.keras", "runs compare first second", "verify damaged.keras"]
)
def test_no_word_is_broken(folder: Path, command: str) -> None:
    """Narrow output has no word that wide output does not have."""
    narrow, wide = (run_in_terminal(hornbeam(*command.split()), c, folder).text for c in (60, 300))
    assert words(narrow) <= words(wide)


# -- texts as they look --------------------------------------------------------------------------------------

AT_60 = """\
Model "mnist"
────────────────────────────────────────────────────────────
layer (type)                        output     params  field
────────────────────────────────────────────────────────────
conv2d (Conv2D)                     26×26×32      288      3
batch_normalization (BatchNormal…)  26×26×32      128      3
activation (Activation)             26×26×32        0      3
conv2d_1 (Conv2D)                   24×24×32    9,216      5
batch_normalization_1 (BatchNorm…)  24×24×32      128      5
activation_1 (Activation)           24×24×32        0      5
"""
END_AT_60 = """\
dense_1 (Dense)                     10          1,290    all
────────────────────────────────────────────────────────────
198,058 parameters (773.7 KiB), 197,674 of them trained
one sample: 19.9 MFLOPs forward, 623.5 KiB of activations
field: receptive field, the input positions along each axis
  on which a value depends
hidden: FLOPs and memory of each layer;
  summary(line_length=87) shows them
model.explain() says what each layer is for"""
AT_80 = """\
Model "mnist"
─────────────────────────────────────────────────────────────────────────────
layer (type)                                output     params    FLOPs  field
─────────────────────────────────────────────────────────────────────────────
conv2d (Conv2D)                             26×26×32      288  389.4 k      3
batch_normalization (BatchNormalization)    26×26×32      128   43.5 k      3
"""
AT_120 = """\
Model "mnist"
───────────────────────────────────────────────────────────────────────────────────────
layer (type)                                output     params    FLOPs  field    memory
───────────────────────────────────────────────────────────────────────────────────────
conv2d (Conv2D)                             26×26×32      288  389.4 k      3  84.5 KiB
"""
SUMMARY = "from hornbeam.cli.mnist.training import build; build().summary()"


@pytest.mark.parametrize(("columns", "begin"), [(60, AT_60), (80, AT_80), (120, AT_120)])
def test_the_summary(tmp_path: Path, columns: int, begin: str) -> None:
    session = run_in_terminal([sys.executable, "-c", SUMMARY], columns, tmp_path)
    assert session.text.startswith(begin)
    if columns == 60:
        assert session.text.endswith(END_AT_60)
    assert_fits(session)


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colors_can_be_switched_off(tmp_path: Path, variable: dict[str, str]) -> None:
    colored = run_in_terminal([sys.executable, "-c", SUMMARY], 80, tmp_path)
    plain = run_in_terminal([sys.executable, "-c", SUMMARY], 80, tmp_path, env=variable)
    assert colored.screen.colors > 3
    assert plain.screen.colors == 0
    assert plain.text == colored.text


FIT = """
import numpy as np, hornbeam as hb
model = hb.Sequential([hb.Input((64,)), hb.layers.Dense(512), hb.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae", hb.metrics.RootMeanSquaredError(name="root_mean_squared_error")])
model.fit(np.ones((40000, 64)), np.ones((40000, 1)), batch_size=4, verbose=1)
"""


@COLUMNS
def test_the_live_bar_keeps_its_numbers(tmp_path: Path, columns: int) -> None:
    session = run_in_terminal([sys.executable, "-c", FIT], columns, tmp_path)
    assert_fits(session)
    drawn = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in session.sent.split("\r")]
    bars = [
        line for line in drawn if line.startswith(tuple("0123456789")) and "/10000" in line and ": " in line
    ]
    assert len(bars) > 2
    for line in bars[:-1]:
        assert len(line) < columns
        assert len(re.findall(r": -?[0-9]+\.[0-9]{4}(e-[0-9]+)?(?![0-9])", line)) == 3, line
        if columns > 60:
            assert "root_mean_squared_error" in line
    assert any("━" in line for line in bars) == (columns > 80)
