"""Every program of examples/keras runs unchanged under `hornbeam run`, and its losses follow Keras's.

The results of Keras are recorded (`python benchmarks/examples.py --record` runs both sides again).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import example_results

# Run always; the others are `slow`.
SAMPLE = ("custom_layers", "multi_output", "training_loop", "wgan_gp")


def marked(name: str) -> object:
    return name if name in SAMPLE else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [marked(name) for name in example_results.programs()])
def test_losses_follow_keras_s(name: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    program = example_results.PROGRAMS / f"{name}.py"
    side = example_results.RUNNER
    done = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(side), str(program), str(output)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ours = json.loads(output.read_text())["result"]
    distance, index = example_results.farthest(name, ours, example_results.recorded()[name]["result"])
    assert distance <= 1, index


def test_all_programs_are_recorded() -> None:
    assert sorted(example_results.recorded()) == example_results.programs()


def test_there_are_at_least_25_programs() -> None:
    assert len(example_results.programs()) >= 25
