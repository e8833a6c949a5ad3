"""`hornbeam tune` on scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hornbeam.cli import main
from hornbeam.cli.script_trials import parse_parameter
from hornbeam.tuning.hyperparameters import Parameter

pytest.importorskip("optuna", reason="Optuna is not installed: pip install optuna")

SCRIPT = """
import argparse
import keras
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--units", type=int, default=1)
parser.add_argument("--lr", type=float, default=1e-4)
parser.add_argument("--fail", action="store_true")
args = parser.parse_args()
if args.fail:
    raise SystemExit("no such data")
x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
model = keras.Sequential([keras.layers.Dense(args.units, "relu"), keras.layers.Dense(2, "softmax")])
model.compile(keras.optimizers.Adam(args.lr), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=3, validation_split=0.25)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("units=32,64", Parameter("units", (32, 64), default=32)),
        ("rate=0.5,x", Parameter("rate", (0.5, "x"), default=0.5)),
        ("depth=1..4", Parameter("depth", (), 1, 4, None, False, 1)),
        ("size=16..64/16", Parameter("size", (), 16, 64, 16, False, 16)),
        ("rate=0.1..0.5", Parameter("rate", (), 0.1, 0.5, None, False, 0.1)),
        ("lr=log:1e-4..1e-1", Parameter("lr", (), 1e-4, 1e-1, None, True, 1e-4)),
        ("lr=log:1..100", Parameter("lr", (), 1.0, 100.0, None, True, 1.0)),
    ],
)
def test_parameters(text: str, parameter: Parameter) -> None:
    assert parse_parameter(text) == parameter


@pytest.mark.parametrize("text", ["units", "=3", "units=", "2x=1,2", "lr=log:0..1", "n=4..1"])
def test_wrong_parameters(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=VALUES|needs"):
        parse_parameter(text)


def test_a_script_is_tuned(script: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [
        "tune", str(script), "--param", "units=4,16", "--param", "lr=log:1e-3..1e-1", "--trials", "4",
        "--objective", "val_accuracy", "--seeds", "2", "--jobs", "2",
        "--storage", str(tmp_path / "s.journal"),
        "--page", str(tmp_path / "s.html"),
    ]  # fmt: skip
    assert main(command) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "trial 1/4: 0." in out
    assert "confirming the winner and the defaults with 2 seeds: 4 trainings best of 4" in out
    assert "default settings" in out
    assert "best of 4 trials: units=" in out
    assert "It is better than the default settings by 2 seeds" in out or "cannot tell" in out
    assert "the interval is over seeds alone" in out
    assert (tmp_path / "s.html").exists()
    # The repeated command has nothing left to do but the confirmation.
    assert main([*command, "--seeds", "0"]) == 0
    assert "trial" not in capfd.readouterr().out.partition("best of")[0]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--objective", "val_f1_score"], 1, "'val_f1_score' is not among the logs of fit"),
        (["--args=--fail"], 1, "train.py, line 12 with --fail: SystemExit: no such data"),
        (["--seeds", "1"], 2, "one run tells nothing of the variance"),
        (["--param", "units=1,2"], 2, "two --param have one name"),
    ],
)
def test_mistakes(
    arguments: list[str], status: int, message: str, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(script), "--param", "units=4,8", "--trials", "2", *arguments]) == status
    assert message in " ".join(capfd.readouterr().err.split())


def test_an_option_without_a_default_is_said(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script.write_text(SCRIPT.replace(", default=1e-4", ""))
    assert main(["tune", str(script), "--param", "lr=0.1,0.2", "--trials", "2"]) == 1
    error = " ".join(capfd.readouterr().err.split())
    assert "train.py, line 16: TypeError: " in error
    assert "It ran without --lr, with its own settings: each option needs a default" in error


def test_settings_that_are_the_best_already_are_confirmed_alone(
    script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.write_text(SCRIPT.replace("default=1e-4", "default=0.05"))
    command = ["tune", str(script), "--param", "lr=1e-9,1e-8", "--trials", "3", "--seeds", "2"]
    assert main(command) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "confirming the winner, which has the defaults, with 2 seeds: 2 trainings" in out
    assert "No trial was better than the default settings: loss 0." in out
    assert "interval" not in out
