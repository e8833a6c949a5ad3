"""HORNBEAM_AUTOTUNE: choices are measured once, remembered, and obeyed."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import numpy as np
import hornbeam as hb
from hornbeam import ops
x = np.random.default_rng(0).normal(size=(4, 12, 12, 16)).astype("float32")
w = np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype("float32")
print(np.asarray(ops.conv(x, w)).tobytes().hex())
"""


def run(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "HORNBEAM_AUTOTUNE": str(file)},
        capture_output=True,
        text=True,
    )


def remembered(file: Path) -> dict[str, str]:
    (choices,) = json.loads(file.read_text()).values()
    return choices


def test_choices_are_measured_once_and_obeyed(tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    assert run(file).returncode == 0
    ((shape, algorithm),) = remembered(file).items()
    assert algorithm in ("winograd", "direct")
    outputs = {}
    for choice in ("winograd", "direct"):
        machine = next(iter(json.loads(file.read_text())))
        file.write_text(json.dumps({machine: {shape: choice}}))
        outputs[choice] = run(file).stdout
        assert remembered(file) == {shape: choice}
    # They round otherwise, so the file did decide.
    assert outputs["winograd"] != outputs["direct"]


def test_a_file_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    file.write_text("winograd")
    done = run(file)
    assert done.returncode != 0
    assert "ValueError: HORNBEAM_AUTOTUNE" in done.stderr
    assert "tuned.json" in done.stderr
    assert file.read_text() == "winograd"
