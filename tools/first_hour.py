"""Replay the first hour of a newcomer: terminal, notebook, editor and mistakes, in a fresh environment.

    python tools/first_hour.py                            # build and install a wheel, replay, print counts
    python tools/first_hour.py --wheel dist/hornbeam.whl  # replay an existing wheel
    python tools/first_hour.py --sources FOLDER           # replay a folder that holds a compiled package
    python tools/first_hour.py --json after.json --before before.json

Each finding is something that confuses: a line that the terminal wraps, an object that a notebook shows
twice or not at all, a right line that the editor underlines or a wrong one that it does not, a mistake whose
message lacks the remedy, a traceback that shows frames of the library. Needs tmux, and an index of packages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers.editor_mistakes import MISTAKES as EDITOR_MISTAKES  # noqa: E402

WIDTHS = (60, 80, 120)
KINDS = (
    "failed command",
    "wrapped line",
    "doubled output",
    "unreadable output",
    "failed cell",
    "false error",
    "mistake not underlined",
    "unhelpful message",
    "library frame",
)

# Commands in the order in which a newcomer runs them, and words that the screen must show.
COMMANDS = (
    ("hornbeam", "mnist"),
    ("hornbeam mist", "mnist"),
    ("hornbeam doctor", "engine"),
    ("hornbeam mnist --epochs 2 --train-samples 6000", "accuracy"),
    ("hornbeam runs", "accuracy"),
    ("hornbeam inspect mnist-run/mnist.keras", "Hornbeam"),
    ("hornbeam verify mnist-run/mnist.keras", "."),
    ("hornbeam report --help", "report"),
    ("python program.py", "accuracy"),
    ("python explain.py", "conv2d"),
)
EXPLAIN = """\
import hornbeam as hb
(x, y), _ = hb.datasets.mnist.load_data()
model = hb.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10)
model.summary()
net = hb.Sequential([hb.Input((28, 28, 1)), hb.layers.Conv2D(8, 3), hb.layers.Flatten(), hb.layers.Dense(10)])
net.summary()
print(net.explain())
print(hb.data.look(x[:2000], y[:2000]))
"""

# Cells whose last line shows one object.
CELLS = (
    "%load_ext hornbeam",
    "import keras; keras.layers.Dense(3)",
    """
    import hornbeam as hb
    (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
    x, x_test = x[:2000, ..., None] / 255.0, x_test[:500, ..., None] / 255.0
    y, y_test = y[:2000], y_test[:500]
    hb.data.look(x, y)
    """,
    """
    model = hb.Sequential([hb.Input((28, 28, 1)), hb.layers.Conv2D(8, 3, activation="relu"),
                           hb.layers.MaxPooling2D(), hb.layers.Flatten(),
                           hb.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model
    """,
    "history = model.fit(x, y, epochs=2, validation_split=0.1, verbose=0)\nhistory",
    "model.explain()",
    "history.explain()",
    "model.profile(x[:32], y[:32])",
    "hb.ops.ones((2, 3))",
    "hb.lr_find(model, x, y, verbose=0)",
    "hb.data.Dataset.from_tensor_slices((x, y)).batch(32)",
    "hb.optimizers.Adam(1e-3)",
    "hb.utils.plot_model(model)",
    "model.layers[0]",
    "hb.Variable(1.0)",
)

# Mistakes as scripts, and a pattern that the end of the error output must match.
MISTAKES = (
    ("hb.Sequential(L.Dense(3), L.Dense(2))", r"\[\.\.\.\]|list"),
    (
        "class M(hb.Model):\n    def call(self, x):\n        return L.Dense(2)(x)\n"
        "m = M(); m.compile('sgd', 'mse'); m.fit(x, np.ones((32, 2)), verbose=0)",
        r"__init__",
    ),
    ("class M(L.Layer):\n    def call(self, x):\n        x + 1\nM()(x)", r"M\.call\(\) returned None"),
    ("hb.Sequential([L.LSTM(4), L.LSTM(4)])(np.ones((2, 5, 3)))", r"return_sequences=True"),
    ("net(3).fit(image(3, 32, 32), y, verbose=0)", r"channels"),
    (
        "m = hb.Sequential([L.Dense(1)]); m.compile('sgd', 'mse', metrics=['accuracy'])\n"
        "m.fit(x, np.linspace(0, 1, 32), verbose=0)",
        r"accuracy.*(class|regression)",
    ),
    ("net(1).fit(image(28, 28, 1) * 255, y, verbose=0)", r"255"),
    ("hb.grad(lambda w: np.log(w))(hb.ops.ones(()))", r"hornbeam\.ops\.log|ops\.log"),
    ("m = net(1); m.compile('sgd', 'crossentropy')", r"categorical_crossentropy"),
    ("m = net(1); m.compile('sgd', 'mse', metrics=['acuracy'])", r"'accuracy'"),
    ("L.Dropout(p=0.5)", r"rate"),
    ("L.Conv2D(out_channels=3, kernel_size=3)", r"filters"),
    ("net(1).fit(image(28, 28, 1), y, epoch=3)", r"epochs"),
    ("net(1).compile(optimiser='sgd')", r"optimizer"),
    ("hb.callbacks.EarlyStopping(patence=3)", r"patience"),
    ("hb.optimizers.adam", r"Adam"),
    ("hb.losses.CrossEntropy", r"SparseCategoricalCrossentropy|CategoricalCrossentropy"),
    ("hb.ops.cat", r"concatenate"),
    ("hb.callbacks.ModelCheckpont", r"ModelCheckpoint"),
    ("net(1).parameters()", r"trainable_weights|trainable_variables|weights"),
    ("net(1).state_dict()", r"get_weights|save"),
    ("hb.ops.ones(3).backward()", r"grad"),
    (
        "hb.set_engine('cuda') if hasattr(hb, 'set_engine') else hb.config.set_engine('cuda')",
        r"torch:cuda|jax",
    ),
    (
        "class W(L.Layer):\n    def build(self, s):\n        self.w = self.add_weight(s[-1], 3)\nW()(x)",
        r"tuple|shape",
    ),
    ("net(1).fit([[1, 2], [3, 4]], [0, 1])", r"array|rows|list|shape \(None, 2\)"),
    ("net(1).fit([np.ones((60, 60)), np.ones((64, 64))], [0, 1])", r"size|shape"),
    ("net(1).fit(image(28, 28, 1), hb.utils.to_categorical(y, 10))", r"sparse_categorical|categorical_cross"),
    ("hb.layers.Dens(3)", r"Dense"),
    ("hb.models.load_model('nothing.keras')", r"nothing\.keras"),
)
PREAMBLE = """\
import numpy as np
import hornbeam as hb
L = hb.layers
x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
y = np.arange(32) % 10
def image(*shape):
    return np.random.default_rng(0).uniform(0, 1, (32, *shape)).astype("float32")
def net(channels):
    m = hb.Sequential([L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(10, activation="softmax")])
    m.compile("sgd", "sparse_categorical_crossentropy")
    return m
"""


@dataclass
class Finding:
    """Something that confuses: its kind, the command, cell or line, and what was seen."""

    kind: str
    where: str
    seen: str


class Newcomer:
    """A fresh virtual environment with the package, and an empty folder to work in."""

    def __init__(self, folder: Path, wheel: Path | None, sources: Path | None) -> None:
        self.home = folder / "work"
        self.home.mkdir(parents=True)
        self.python = folder / "venv/bin/python"
        run([sys.executable, "-m", "venv", str(folder / "venv")])
        extras = ["ipykernel", "nbclient", "basedpyright"]
        if sources is None:
            self.pip(str(wheel or build_wheel(folder)), *extras)
        else:
            self.pip("numpy", "ml_dtypes", "rich", "h5py", *extras)
            (site,) = folder.glob("venv/lib/python*/site-packages")
            (site / "hornbeam.pth").write_text(f"{sources.resolve()}\n")
            command = folder / "venv/bin/hornbeam"
            command.write_text(
                f"#!{self.python}\nimport sys\nfrom hornbeam.cli import main\nsys.exit(main())\n"
            )
            command.chmod(0o755)
        self.path = f"{folder / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        (program,) = re.findall(r"^```python\n(.*?)^```$", readme, re.M | re.S)
        (self.home / "program.py").write_text(program)
        (self.home / "explain.py").write_text(EXPLAIN)

    def pip(self, *packages: str) -> None:
        run([str(self.python), "-m", "pip", "install", "--quiet", *packages])


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def build_wheel(folder: Path) -> Path:
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)])
    (wheel,) = folder.glob("hornbeam*.whl")
    return wheel


# Terminal


def terminal(newcomer: Newcomer, width: int) -> Iterator[Finding]:
    """Run the commands in tmux, and count the lines that it had to wrap."""
    for number, (command, words) in enumerate(COMMANDS):
        (newcomer.home / "c").write_text(f"{command}\n")
        session = f"first-hour-{os.getpid()}-{width}-{number}"
        tmux = ["tmux", "-L", session]
        shell = (
            f"cd {newcomer.home} && PATH={newcomer.path} TERM=screen-256color exec bash --norc --noprofile"
        )
        run([*tmux, "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", "50", shell])
        try:
            run([*tmux, "send-keys", "PS1='$ '; clear; . ./c; echo status=$?", "Enter"])
            screen = wait_for_status(tmux)
            joined = capture(tmux, "-J")
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True)
        body = re.split(r"\n(?=status=)", screen)[0]
        for line in joined:
            if len(line.rstrip()) > width:
                yield Finding("wrapped line", f"{command} at {width} columns", line.rstrip())
        if not re.search(words, body):
            yield Finding("failed command", f"{command} at {width} columns", body[-300:])


def capture(tmux: list[str], *options: str) -> list[str]:
    return run([*tmux, "capture-pane", "-p", "-S", "-", *options]).stdout.splitlines()


def wait_for_status(tmux: list[str]) -> str:
    for _ in range(600):
        time.sleep(0.5)
        text = "\n".join(capture(tmux))
        if re.search(r"^status=\d", text, re.M):
            return text
    raise TimeoutError("a command did not end within five minutes")


# Notebook

DRIVER = """\
import json, sys
import nbformat
from nbclient import NotebookClient
cells = json.load(open("cells.json"))
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(notebook, timeout=300, kernel_name="python3", allow_errors=True).execute()
json.dump([cell.outputs for cell in notebook.cells], open("outputs.json", "w"))
"""


def notebook(newcomer: Newcomer) -> Iterator[Finding]:
    """Run the cells in a kernel, and look at the outputs of each."""
    cells = [textwrap.dedent(cell).strip() for cell in CELLS]
    (newcomer.home / "cells.json").write_text(json.dumps(cells))
    run([str(newcomer.python), "-c", DRIVER], cwd=newcomer.home)
    outputs = json.loads((newcomer.home / "outputs.json").read_text())
    for cell, shown in zip(cells, outputs, strict=True):
        where = cell.splitlines()[-1]
        errors = [output["evalue"] for output in shown if output["output_type"] == "error"]
        objects = [output["data"] for output in shown if "data" in output]
        if errors:
            yield Finding("failed cell", where, errors[0])
        elif len(objects) > 1:
            yield Finding("doubled output", where, f"{len(objects)} outputs")
        for data in objects:
            text = data.get("text/plain", "")
            if set(data) == {"text/plain"} and (" object at 0x" in text or len(text) > 1000):
                yield Finding("unreadable output", where, text[:100])


# Editor


def editor(newcomer: Newcomer) -> Iterator[Finding]:
    """Check programs of the documents with Pyright."""
    folder = newcomer.home / "editor"
    folder.mkdir()
    for name in ("mnist", "subclassing"):
        (folder / f"{name}.py").write_text((ROOT / f"tests/structure/typed_programs/{name}.py").read_text())
    (folder / "program.py").write_text((newcomer.home / "program.py").read_text())
    (folder / "mistakes.py").write_text(EDITOR_MISTAKES)
    settings = {"typeCheckingMode": "standard", "reportIncompatibleMethodOverride": "none"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [
        str(newcomer.python),
        "-m",
        "basedpyright",
        "--outputjson",
        "--pythonpath",
        str(newcomer.python),
    ]
    report = json.loads(subprocess.run([*command, "."], cwd=folder, capture_output=True, text=True).stdout)
    underlined = set()
    for message in report["generalDiagnostics"]:
        if message["severity"] != "error":
            continue
        name, line = Path(message["file"]).stem, message["range"]["start"]["line"] + 1
        if name == "mistakes":
            underlined.add(line)
        else:
            yield Finding("false error", f"{name}.py:{line}", message["message"].splitlines()[0])
    for line, code in enumerate(EDITOR_MISTAKES.splitlines(), 1):
        if line > 1 and line not in underlined:
            yield Finding("mistake not underlined", f"mistakes.py:{line}", code)


# Messages


def messages(newcomer: Newcomer) -> Iterator[Finding]:
    """Run the mistakes as scripts, and look for the remedy at the end of what they print."""
    for code, remedy in MISTAKES:
        (newcomer.home / "mistake.py").write_text(PREAMBLE + code + "\n")
        process = subprocess.run(
            [str(newcomer.python), "mistake.py"], cwd=newcomer.home, capture_output=True, text=True
        )
        where = code.splitlines()[-1]
        end = "\n".join(process.stderr.splitlines()[-6:])
        if not re.search(remedy, end, re.S):
            yield Finding("unhelpful message", where, end[-200:] or "nothing")
        frames = re.findall(r'File "[^"]*hornbeam/[^"]*", line', process.stderr)
        if len(frames):
            yield Finding("library frame", where, f"{len(frames)} frames")


def replay(newcomer: Newcomer) -> list[Finding]:
    findings = [*editor(newcomer), *messages(newcomer), *notebook(newcomer)]
    for width in WIDTHS:
        findings += terminal(newcomer, width)
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay the first hour of a newcomer.")
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--sources", type=Path)
    parser.add_argument("--json", type=Path, help="write the findings into this file")
    parser.add_argument("--before", type=Path, help="findings to compare with")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
        findings = replay(Newcomer(Path(folder), args.wheel, args.sources))
    if args.json:
        args.json.write_text(json.dumps([asdict(finding) for finding in findings], indent=1))
    for finding in findings:
        print(f"{finding.kind}: {finding.where}\n    {finding.seen!r}")
    now = Counter(finding.kind for finding in findings)
    before = Counter(each["kind"] for each in json.loads(args.before.read_text())) if args.before else None
    for kind in KINDS:
        print(f"{kind:24}" + (f"{before[kind]:6}" if before is not None else "") + f"{now[kind]:6}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
