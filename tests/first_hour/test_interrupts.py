"""Ctrl-C: two lines say what is kept and how to go on; commands end with status 130 and no traceback."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.helpers.terminal import Session, hornbeam, run_in_terminal

pytestmark = pytest.mark.posix

SCRIPT = """
import sys
import numpy as np
import IMPORT

callbacks = {
    "none": [],
    "backup": [keras.callbacks.BackupAndRestore("kept")],
    "best": [keras.callbacks.ModelCheckpoint("best.keras", monitor="loss", save_best_only=True)],
}[sys.argv[1]]
model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(256), keras.layers.Dense(1)])
model.compile("adam", "mse")
try:
    model.fit(np.ones((20000, 32)), np.ones((20000, 1)), epochs=500, callbacks=callbacks)
except KeyboardInterrupt:
    print("the script caught KeyboardInterrupt")
    raise
"""


def in_third_epoch(text: str) -> bool:
    return "Epoch 3/500" in text


def interrupted(folder: Path, kept: str, columns: int = 80, under_run: bool = False) -> Session:
    script = folder / "train.py"
    script.write_text(SCRIPT.replace("IMPORT", "keras" if under_run else "hornbeam as keras"))
    command = hornbeam("run", "train.py", kept) if under_run else [sys.executable, "train.py", kept]
    return run_in_terminal(command, columns, folder, interrupt=in_third_epoch)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    ("kept", "content", "next_step"),
    [
        ("none", "nothing was saved.", "callbacks=[BackupAndRestore('backup')] in fit()"),
        ("backup", "the training is saved in kept/latest.weights.h5.", "The same fit() goes on from there."),
        ("best", "best.keras has the best weights, of epoch", "load_model('best.keras') and fit("),
    ],
)
def test_under_run(tmp_path: Path, kept: str, content: str, next_step: str, columns: int) -> None:
    session = interrupted(tmp_path, kept, columns, under_run=True)
    assert session.status == 130
    assert "Traceback" not in session.text
    assert session.screen.wrapped == []
    end = " ".join(session.text[session.text.index("Interrupted ") :].split())
    assert re.match(r"Interrupted (in|before the first update of) epoch [34] of 500", end)
    assert content in end
    assert next_step in end


def test_a_script_of_the_user_still_gets_the_interrupt(tmp_path: Path) -> None:
    session = interrupted(tmp_path, "none")
    assert session.status != 0
    assert "the script caught KeyboardInterrupt" in session.text
    assert session.text.index("Interrupted ") < session.text.index("the script caught")


def test_the_backup_is_resumed(tmp_path: Path) -> None:
    interrupted(tmp_path, "backup", under_run=True)
    session = interrupted(tmp_path, "backup", under_run=True)
    assert "resuming from 'kept/latest.weights.h5'" in session.text


@pytest.mark.parametrize("columns", [60, 80])
def test_the_mnist_program(tmp_path: Path, columns: int) -> None:
    session = run_in_terminal(
        hornbeam("mnist", "--train-samples", "4000"), columns, tmp_path, interrupt=lambda text: "ETA" in text
    )
    assert session.status == 130
    assert session.screen.wrapped == []
    assert "Traceback" not in session.text
    end = " ".join(session.text[session.text.index("Interrupted ") :].split())
    assert "epochs recorded in runs/" in end
    assert " -m hornbeam mnist starts from the beginning" in end


def test_other_commands_and_scripts(tmp_path: Path) -> None:
    (tmp_path / "sleep.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(60)\n")
    session = run_in_terminal(
        hornbeam("run", "sleep.py"), 80, tmp_path, interrupt=lambda text: "asleep" in text
    )
    assert session.status == 130
    assert "hornbeam run: interrupted" in session.text
    assert "Traceback" not in session.text
