"""Write docs/gallery.md: the programs of examples/ by subject, each with what it printed.

    python -m tools.gallery             # run all programs, a few minutes
    python -m tools.gallery vae gan     # run these, keep the recorded outputs of the others

The programs of examples/keras run as in tests/examples, which compare their output with the page.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools import pages

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/gallery.md"
RUNNER = ROOT / "tests/helpers/example_side.py"

GROUPS = {
    "Begin": [
        "mnist_cnn",
        "mnist_convnet",
        "cs231n_loop",
        "two_inputs",
        "custom_train_step",
        "lstm_text",
        "tuned_digits",
    ],
    "Images": [
        "image_classification",
        "vision_transformer",
        "transfer_learning",
        "unet_segmentation",
        "grad_cam",
        "ocr_ctc",
        "siamese_contrastive",
        "metric_learning",
    ],
    "Text and sequences": [
        "text_transformer",
        "bidirectional_lstm",
        "seq2seq",
        "addition_rnn",
        "masking",
        "timeseries_classification",
        "timeseries_forecast",
    ],
    "Tables and graphs": ["structured_data", "multi_output", "graph_convolution"],
    "Generating": ["vae", "denoising_autoencoder", "gan", "wgan_gp"],
    "Ways to train": [
        "learning_rate_schedules",
        "custom_callbacks",
        "custom_layers",
        "training_loop",
        "distillation",
        "policy_gradient",
    ],
}

HEAD = """\
# Examples

Whole programs with the end of their output, written by `python -m tools.gallery`. Those under
`examples/keras` are plain Keras scripts that run unchanged, on data that they draw themselves;
[examples.md](../benchmarks/examples.md) compares their losses with those of Keras.
"""

LINES, COLUMNS = 8, 100
# Times of a run, which say nothing about the program.
_TIMES = re.compile(r"\d+/\d+ - [\d:.]+(?:s|ms|us)?(?: - [\d.]+(?:s|ms|us)/step)?(?: - |$)")
_CURVE = re.compile(r"^\w+ +[▁▂▃▄▅▆▇█]+ .* \.\.\. .*\n?", re.M)
_ENTRY = re.compile(r"^### (\w+)\n.*?```text\n(.*?)\n```$", re.M | re.S)


def program(name: str) -> Path:
    """Return the path of an example."""
    path = ROOT / f"examples/{name}.py"
    return path if path.exists() else ROOT / f"examples/keras/{name}.py"


def run(path: Path) -> tuple[str, dict[str, Any]]:
    """Run a program and return what it printed, and the series that its main() returned."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        if path.parent.name == "keras":
            arguments = ["-m", "hornbeam", "run", str(RUNNER), str(path), str(output)]
        else:
            arguments = [str(path)]
        environment = os.environ | {"COLUMNS": str(COLUMNS)}
        process = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=folder, env=environment
        )
        if process.returncode:
            raise RuntimeError(f"{path.name} failed:\n{process.stderr[-2000:]}")
        return process.stdout, json.loads(output.read_text())["result"] if output.exists() else {}


def shown(output: str) -> str:
    """Return the last lines of an output, without times."""
    lines = [_TIMES.sub("", line.rstrip()) for line in output.splitlines() if line.strip()]
    cut = [line if len(line) <= COLUMNS else line[: COLUMNS - 4] + " ..." for line in lines[-LINES:]]
    return "\n".join(["...", *cut] if len(lines) > LINES else cut)


def sparkline(values: list[float]) -> str:
    """Draw a series with block characters."""
    low, high = min(values), max(values)
    scale = 7 / (high - low) if high > low else 0.0
    return "".join("▁▂▃▄▅▆▇█"[round((value - low) * scale)] for value in values)


def curves(result: dict[str, Any]) -> list[str]:
    """Return a line with a sparkline for each of the first two series."""
    series = {name: values for name, values in result.items() if isinstance(values, list) and len(values) > 2}
    width = max((len(name) for name in series), default=0)
    return [
        f"{name:{width}} {sparkline(values[-40:])} {values[0]:.4g} ... {values[-1]:.4g}"
        for name, values in list(series.items())[:2]
    ]


def description(name: str) -> str:
    """Return the first paragraph of a program's docstring, in one line."""
    text = ast.get_docstring(ast.parse(program(name).read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def wrapped(text: str) -> str:
    lines = [""]
    for word in text.split():
        lines[-1] += f" {word}" if lines[-1] else word
        if len(lines[-1]) > COLUMNS:
            lines[-1] = lines[-1].rpartition(" ")[0]
            lines.append(word)
    return "\n".join(lines)


def entry(name: str, output: str) -> str:
    path = program(name).relative_to(ROOT)
    command = f"hornbeam run {path}" if path.parent.name == "keras" else f"python {path}"
    text = wrapped(f"{description(name).rstrip('.?!')}. [`{command}`](../{path})")
    return f"### {name}\n\n{text}\n\n```text\n{output}\n```\n"


def recorded() -> dict[str, str]:
    """Return the outputs on the page, by program."""
    return dict(_ENTRY.findall(PAGE.read_text(encoding="utf-8"))) if PAGE.exists() else {}


def difference(name: str, output: str) -> str:
    """Describe how an output of a program differs from the page in words; return "" if it does not."""
    return pages.difference(_CURVE.sub("", recorded()[name]), shown(output), about=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", nargs="*", help="names of programs; by default all of them")
    names = [name for group in GROUPS.values() for name in group]
    chosen = parser.parse_args().program or names
    outputs = recorded()
    for name in chosen:
        output, result = run(program(name))
        outputs[name] = "\n".join([shown(output), *curves(result)]).strip("\n")
        print(name)
    sections = [
        f"## {title}\n\n" + "\n".join(entry(name, outputs[name]) for name in group)
        for title, group in GROUPS.items()
    ]
    PAGE.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
