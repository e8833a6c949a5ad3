"""Known nets beside the peers: seconds of a training step or a prediction, of every side in turn.

    python benchmarks/nets [NETS] --peer torch=PYTHON --peer torch-compile=PYTHON --peer tensorflow=PYTHON
    python benchmarks/nets mobilenet_v2 --predict 1 --peer onnxruntime=PYTHON --peer openvino=PYTHON

Names of peers: tensorflow and jax (Keras on them), torch, torch-compile, onnxruntime, openvino (the ONNX file
that Hornbeam exports). Each side is one process for each net, which has all CPUs that this process may use
(`taskset`). After a warm-up the sides take turns for --rounds rounds; a figure is the median. "start" is the
time from the start of the process to the end of its first step, compilation included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import util
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Samples and steps of a turn: about two seconds of two cores.
NETS = {
    "resnet50_96": (16, 4),
    "resnet50_224": (8, 2),
    "mobilenet_v2": (16, 3),
    "efficientnet_b0": (8, 3),
    "convnext_tiny": (4, 2),
    "vit_tiny": (16, 3),
    "gpt_4": (16, 4),
    "gpt_12": (4, 2),
    "bert_small": (16, 3),
    "unet_64": (16, 4),
    "unet_256": (4, 3),
    "dcgan": (64, 4),
    "wavenet": (4, 4),
    "lstm_2": (32, 6),
    "tabular": (512, 60),
    "lenet5": (128, 20),
    "mnist": (128, 20),
}
FOR_PREDICTION = ("resnet50_224", "mobilenet_v2", "efficientnet_b0", "bert_base", "mnist")


class Side:
    """A process that makes steps when asked to."""

    measure = "step"

    def __init__(self, name: str, command: list[str], **environment: str) -> None:
        self.name, self.steps, self.memory = name, [], 0.0
        threads = str(len(os.sched_getaffinity(0)))
        environment |= {"NETS_START": str(time.time()), "BENCH_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": threads, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.start = self._answer()["start"]
        self._answer()  # it is warm: the next side starts alone

    def _answer(self) -> dict[str, float]:
        for line in self.process.stdout or ():
            if line.startswith("{"):
                return dict(json.loads(line))
        raise SystemExit(f"{self.name} ended: {' '.join(map(str, self.process.args))}")

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.steps.append(answer[self.measure])
        self.memory = answer["memory"]
        time.sleep(0.3)  # until its idle threads have stopped to wait actively

    def end(self) -> None:
        self.process.communicate()


def started(name: str, python: str, net: str, mode: str, batch: int, steps: int, file: Path) -> Side:
    """Start the side of a library."""
    work = [net, mode, str(batch), str(steps)]
    keras = [str(HERE / "keras_side.py"), *work]
    if name == "hornbeam":
        return Side(name, [python, "-m", "hornbeam", "run", *keras])
    if name in ("tensorflow", "jax"):
        return Side(name, [python, *keras], KERAS_BACKEND=name)
    if name.startswith("torch"):
        options = ["--compile"] if name == "torch-compile" else []
        return Side(name, [python, str(HERE / "torch_side.py"), *work, *options])
    if not file.exists():
        run = [python, "-m", "hornbeam", "run", *keras, "--export", str(file)]  # the peer has ONNX
        source = Path(str(util.find_spec("hornbeam").origin)).parent.parent  # type: ignore[union-attr]
        environment = {**os.environ, "NETS_START": "0", "PYTHONPATH": str(source)}
        subprocess.run(run, check=True, env=environment, stdout=subprocess.DEVNULL)
    return Side(name, [python, str(HERE / "onnx_side.py"), *work, "--file", str(file), "--runtime", name])


def compared(
    net: str, mode: str, batch: int, steps: int, peers: dict[str, str], rounds: int
) -> dict[str, Any]:
    """Return the figures of all sides of a net."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            started(name, python, net, mode, batch, steps, Path(folder, "net.onnx"))
            for name, python in peers.items()
        ]
        for _ in range(rounds):
            for side in sides:
                side.step()
        for side in sides:
            side.end()
    return {
        side.name: {
            "step": statistics.median(side.steps),
            "memory": side.memory,
            "start": side.start,
            "all": side.steps,
        }
        for side in sides
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row["sides"]))
    heads = ["net", "batch", *(f"{name}, ms" for name in names), "times the best", "memory", "start"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        sides = row["sides"]
        steps = [f"{sides[name]['step'] * 1e3:.4g}" if name in sides else "–" for name in names]
        peers = [side for name, side in sides.items() if name != "hornbeam"]
        last = ["", "", ""]
        if peers:
            best = min(peers, key=lambda side: side["step"])
            ratio = f"{best['step'] / sides['hornbeam']['step']:.2f}"
            least = min(side["memory"] for side in peers)
            memory = f"{sides['hornbeam']['memory']:.0f} of {least:.0f} MiB"
            soonest = min(side["start"] for side in peers)
            last = [ratio, memory, f"{sides['hornbeam']['start']:.1f} of {soonest:.1f} s"]
        lines.append([row["net"], str(row["batch"]), *steps, *last])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nets", nargs="*")
    parser.add_argument(
        "--predict", type=int, metavar="BATCH", help="predictions for BATCH samples, not training"
    )
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="steps of a turn")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--processor", action="store_true", help="processor time: for one CPU of a busy machine"
    )
    options = parser.parse_args()
    Side.measure = "processor" if options.processor else "step"
    peers = {"hornbeam": sys.executable, **dict(peer.split("=", 1) for peer in options.peer)}
    rows = []
    for net in options.nets or (FOR_PREDICTION if options.predict else NETS):
        batch, steps = NETS.get(net, (1, 4))
        if options.predict:
            batch, steps = options.predict, (20 if options.predict == 1 else 4)
        mode = "predict" if options.predict else "train"
        sides = compared(net, mode, batch, options.steps or steps, peers, options.rounds)
        rows.append({"net": net, "batch": batch, "sides": sides})
        print(table(rows[-1:]), flush=True)
        if options.json:
            options.json.write_text(
                json.dumps({"threads": len(os.sched_getaffinity(0)), "rows": rows}, indent=1)
            )
    print("\n" + table(rows))


main()
