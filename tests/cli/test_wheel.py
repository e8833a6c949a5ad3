"""The wheel alone, in a fresh environment: what a person does with it, by the commands of the documents."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from hornbeam.cli.commands.link import FOLDER
from tests.helpers.browser import chromium, opened

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.posix,
    pytest.mark.skipif(not (ROOT / "Cargo.toml").exists(), reason="needs the sources"),
    pytest.mark.skipif(not (FOLDER / "hornbeam.h").exists(), reason="`make c-library` was not run"),
]
MAXIMUM_BYTES, MAXIMUM_BYTES_OF_C = 20e6, 3.7e6


def check_size(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        c_library = sum(x.compress_size for x in archive.infolist() if x.filename.startswith("hornbeam/_c/"))
    assert 0 < c_library < MAXIMUM_BYTES_OF_C
    assert wheel.stat().st_size - c_library < MAXIMUM_BYTES
    assert "abi3" in wheel.name


class Shell:
    """Runs commands as they are typed, in a folder, with an environment's programs first on the path."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.variables["PATH"] = f"{programs}{os.pathsep}{self.variables['PATH']}"

    def run(self, command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.variables, stdout=subprocess.PIPE, text=True
        )


def check_c_program(shell: Shell) -> None:
    shell.run("hornbeam link --example > digits.c")
    shell.run("cc digits.c $(hornbeam link) -o digits")
    assert shell.run("./digits mnist.hornbeam").startswith("7 (")


def check_server(shell: Shell) -> None:
    with shell.start("hornbeam serve mnist.hornbeam --port 0") as server:
        try:
            assert server.stdout is not None
            (address,) = re.findall(r"http://[\d.:]+", server.stdout.readline())
            digit = {"instances": [[[[0.0]] * 28] * 28]}
            body = json.dumps(digit).encode()
            with urllib.request.urlopen(f"{address}/v1/models/mnist:predict", body) as answer:
                (scores,) = json.load(answer)["predictions"]
            assert len(scores) == 10
            assert sum(scores) == pytest.approx(1, abs=1e-5)
        finally:
            server.terminate()


# The drawing of digits.c by two strokes of a pen.
SEVEN = ((0.27, 0.25), (0.73, 0.25), (0.47, 0.8))


def check_page(shell: Shell) -> None:
    with chromium() as browser:
        page, heard = opened(browser, (shell.folder / "mnist.html").as_uri(), "light", 1280)
        page.wait_for_selector(".outputs", timeout=60_000)
        frame = page.locator("canvas").first.bounding_box()
        points = [(frame["x"] + u * frame["width"], frame["y"] + v * frame["height"]) for u, v in SEVEN]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=20)
        page.mouse.up()
        page.wait_for_timeout(500)
        assert page.locator(".winner strong").inner_text() == "7"
        assert heard == []


def check_keras_backend(shell: Shell, wheel: Path) -> None:
    """Check that the variable is all that official Keras needs, once the wheel is installed."""
    with zipfile.ZipFile(wheel) as archive:
        start_files = [name for name in archive.namelist() if name.endswith(".pth")]
    assert [name.partition("/")[2] for name in start_files] == ["purelib/keras_hornbeam.pth"]
    if sys.version_info < (3, 11):  # Keras 3.15 needs 3.11
        return
    shell.run(f"python -m pip install --quiet '{wheel}[keras]'")
    program = "import keras; print(keras.backend.backend(), float(keras.ops.sum(keras.ops.ones(3))))"
    assert shell.run(f"KERAS_BACKEND=hornbeam python -c '{program}'").split() == ["hornbeam", "3.0"]


@pytest.mark.long
def test_train_serve_draw_and_link_from_the_wheel(tmp_path: Path) -> None:
    # As `make develop`, so that neither compiles the binding anew after the other.
    command = [sys.executable, "-m", "maturin", "build", "--release", "--quiet", "--out", str(tmp_path)]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    subprocess.run([*command, "--interpreter", sys.executable], cwd=ROOT, check=True, env=environment)
    (wheel,) = tmp_path.glob("*.whl")
    check_size(wheel)

    venv.create(tmp_path / "fresh", with_pip=True)
    shell = Shell(tmp_path, tmp_path / "fresh" / "bin")
    shell.run(f"python -m pip install --quiet '{wheel}[serve]'")
    shell.run("hornbeam doctor")
    shell.run("hornbeam course notebooks")
    pages = list((ROOT / "docs" / "course").glob("[0-9]*.md"))
    assert len(list((tmp_path / "notebooks").glob("*.ipynb"))) == len(pages) > 0
    shell.run("hornbeam mnist --epochs 1 --train-samples 20000 --output .")
    check_server(shell)
    if shutil.which("cc"):
        check_c_program(shell)
    check_page(shell)
    check_keras_backend(shell, wheel)
