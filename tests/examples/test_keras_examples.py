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
from tools import gallery

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
    assert gallery.difference(name, done.stdout) == ""


def test_all_programs_are_recorded() -> None:
    assert sorted(example_results.recorded()) == example_results.programs()


def test_there_are_at_least_25_programs() -> None:
    assert len(example_results.programs()) >= 25


def test_the_gallery_shows_every_example() -> None:
    names = [name for group in gallery.GROUPS.values() for name in group]
    programs = [path.stem for path in (gallery.ROOT / "examples").rglob("*.py")]
    assert sorted(names) == sorted(programs)
    outputs = gallery.recorded()
    page = gallery.PAGE.read_text(encoding="utf-8")
    assert all(gallery.entry(name, outputs[name]) in page for name in names)


def test_times_are_cut_from_outputs() -> None:
    lines = [
        "Epoch 1/5 - 20/20 - 157ms - 8ms/step - accuracy: 0.1",
        "Epoch 2/5 - 1688/1688 - 1:11 - 2ms/step - loss: 1",
    ]
    assert gallery.shown("\n".join([*lines, "16/16 - 2ms - 100us/step"])).split("\n") == [
        "Epoch 1/5 - accuracy: 0.1",
        "Epoch 2/5 - loss: 1",
        "",
    ]


def test_curves_are_no_output() -> None:
    curves = gallery.curves({"loss": [3.0, 2.0, 1.0], "scores": [0.5]})
    assert curves == ["loss █▅▁ 3 ... 1"]
    assert gallery._CURVE.sub("", "Epoch 1\n" + curves[0]) == "Epoch 1\n"
