"""Requests for models over HTTP: `hornbeam serve` beside other servers, with wrk as the client.

python benchmarks/serving.py [--rounds 3] [--seconds 5] [--peer NAME=PYTHON:SCRIPT ...]

A peer is a script of benchmarks/peers/serving_*.py and the Python of its environment. Each side gets the
same JSON, `{"instances": [...]}`. For each workload sides take turns, each in a fresh process; medians of the
rounds.
Needs wrk, and onnx here to export the peers' models.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hornbeam as hb

LAYERS = hb.layers
# wrk's requests: the body is read from a file.
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Inference-Header-Content-Length"] = {}
wrk.body = io.open("{}", "rb"):read("*a")
"""


@dataclass(frozen=True)
class Workload:
    """Requests of so many samples for a model, from so many connections."""

    name: str
    model: str
    rows: int
    connections: tuple[int, ...]


WORKLOADS = (
    Workload("one digit", "digits", 1, (1, 16, 256)),
    Workload("32 digits", "digits", 32, (1, 16)),
    Workload("ResNet-20, one image", "resnet20", 1, (1, 16, 256)),
)


@dataclass(frozen=True)
class Side:
    """A server: the arguments of its command, where MODEL, PORT and THREADS are replaced, and its path."""

    name: str
    command: tuple[str, ...]
    path: str
    body: str = ".json"


def hornbeam_sides() -> list[Side]:
    """JSON, as the peers get it, and binary tensors of the Open Inference Protocol."""
    serve = ("-m", "hornbeam", "serve", "m={MODEL}.hornbeam", "--port", "{PORT}", "--max-queue", "4096")
    command = (sys.executable, *serve)
    return [
        Side("hornbeam", command, "/v1/models/m:predict"),
        Side("hornbeam, binary", command, "/v2/models/m/infer", ".binary"),
    ]


def peer_side(text: str) -> Side:
    name, _, rest = text.partition("=")
    python, _, script = rest.rpartition(":")
    suffix = ".keras" if "keras" in script else ".onnx"
    return Side(name, (python, script, "{MODEL}" + suffix, "{PORT}", "{THREADS}"), "/predict")


# -- models --------------------------------------------------------------------------------------------------


def digits() -> hb.Model:
    """The CNN of README.md."""
    layers = [
        hb.Input((28, 28), name="image"),
        LAYERS.Reshape((28, 28, 1)),
        LAYERS.Conv2D(32, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.Flatten(),
        LAYERS.Dense(10, activation="softmax"),
    ]
    return hb.Sequential(layers)


def resnet20() -> hb.Model:
    """The net for CIFAR-10 of He et al. (2015), arXiv:1512.03385."""

    def convolved(x: hb.KerasTensor, filters: int, size: int, stride: int) -> hb.KerasTensor:
        x = LAYERS.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
        return LAYERS.BatchNormalization()(x)

    inputs = hb.Input((32, 32, 3))
    x = LAYERS.ReLU()(convolved(inputs, 16, 3, 1))
    for filters in (16, 32, 64):
        for block in range(3):
            stride = 2 if filters > 16 and block == 0 else 1
            y = LAYERS.ReLU()(convolved(x, filters, 3, stride))
            y = convolved(y, filters, 3, 1)
            x = LAYERS.ReLU()(LAYERS.Add()([convolved(x, filters, 1, stride) if stride > 1 else x, y]))
    return hb.Model(inputs, LAYERS.Dense(10, activation="softmax")(LAYERS.GlobalAveragePooling2D()(x)))


def write_models(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for build, shape in ((digits, (28, 28)), (resnet20, (32, 32, 3))):
        hb.utils.set_random_seed(0)
        model, name = build(), build.__name__
        model.save(folder / f"{name}.keras")
        model.export(folder / f"{name}.hornbeam", format="hornbeam", verbose=False)
        model.export(folder / f"{name}.onnx", format="onnx", verbose=False)
        for rows in (1, 32):
            # Like handwriting: most pixels are 0, the others have a few digits.
            values = rng.integers(0, 256, (rows, *shape)) * (rng.random((rows, *shape)) < 0.2)
            rounded = np.round(values / 255, 4).tolist()
            array = np.array(rounded, "float32")
            write_request(folder / f"{name}_{rows}.json", json.dumps({"instances": rounded}).encode())
            write_request(folder / f"{name}_{rows}.binary", binary_body(model.inputs[0].name, array))


def binary_body(name: str, array: np.ndarray) -> bytes:
    size = {"binary_data_size": array.nbytes}
    tensor = {"name": name, "datatype": "FP32", "shape": array.shape, "parameters": size}
    request = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    return json.dumps(request).encode() + b"\n" + array.tobytes()


def write_request(path: Path, body: bytes) -> None:
    """Write a body, and the script by which wrk sends it."""
    path.write_bytes(body)
    length = header_length(path)
    script = LUA.format(f'"{length}"' if length else "nil", path)
    path.with_suffix(f"{path.suffix}.lua").write_text(script)


def header_length(body: Path) -> int:
    """Return the length of the JSON before binary tensors, or 0 for plain JSON."""
    return body.read_bytes().index(b"\n") + 1 if body.suffix == ".binary" else 0


# -- measurement ---------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Results of wrk, and the processor time of the server per request."""

    per_second: float
    p50: float
    p99: float
    errors: int
    cpu_us: float


@contextmanager
def running(side: Side, model: Path, body: Path, threads: int) -> Iterator[tuple[int, int, float]]:
    """Start a side; give its port, its process, and the seconds to its first answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {"MODEL": model, "PORT": port, "THREADS": threads}
    command = [part.format(**values) for part in side.command]
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "HORNBEAM_THREADS": str(threads)},
    ) as process:
        try:
            while not answers(port, side.path, body):
                if process.poll() is not None or time.perf_counter() - start > 120:
                    raise SystemExit(f"{side.name} does not answer: {' '.join(command)}")
                time.sleep(0.005)
            yield port, process.pid, time.perf_counter() - start
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):  # workers of LitServe go on without it
                os.killpg(process.pid, signal.SIGKILL)


def answers(port: int, path: str, body: Path) -> bool:
    data = body.read_bytes()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Content-Length: {len(data)}"]
    if length := header_length(body):
        lines.append(f"Inference-Header-Content-Length: {length}")
    else:
        lines.append("Content-Type: application/json")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + data)
            return b"200 OK" in connection.recv(65536)
    except OSError:
        return False


def family(process: int) -> list[int]:
    """The process and all its descendants."""
    children = [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [process, *(pid for child in children for pid in family(child))]


def memory(process: int) -> float:
    """Resident megabytes of a process and its children; pages they share are divided among them."""
    proportional = 0
    for pid in family(process):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        proportional += int(re.findall(r"Pss:\s+(\d+) kB", text)[0])
    return proportional / 1024


def processor_time(process: int) -> float:
    ticks = 0
    for pid in family(process):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(port: int, process: int, path: str, script: Path, connections: int, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s"]
    before = processor_time(process)
    done = subprocess.run(
        [*command, str(script), f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    )
    used = processor_time(process) - before
    text = done.stdout
    count = int(re.findall(r"(\d+) requests in", text)[0])
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    errors += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    return Load(
        float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]),
        milliseconds(text, "50"), milliseconds(text, "99"), errors, used / max(count, 1) * 1e6,
    )  # fmt: skip


def milliseconds(text: str, percentile: str) -> float:
    ((number, unit),) = re.findall(rf"\s{percentile}%\s+([\d.]+)(us|ms|s)\b", text)
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of all engines")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON:SCRIPT")
    parser.add_argument("--workload", choices=[each.name for each in WORKLOADS], help="only this one")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")
    sides = [*hornbeam_sides(), *map(peer_side, args.peer)]
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder))
        for workload in [each for each in WORKLOADS if args.workload in (None, each.name)]:
            measure(workload, sides, Path(folder), args)


def measure(workload: Workload, sides: list[Side], folder: Path, args: argparse.Namespace) -> None:
    loads: dict[tuple[str, int], list[Load]] = {}
    starts: dict[str, list[float]] = {side.name: [] for side in sides}
    sizes: dict[str, list[float]] = {side.name: [] for side in sides}
    request = folder / f"{workload.model}_{workload.rows}"
    for _ in range(args.rounds):
        for side in sides:
            body = request.with_suffix(side.body)
            with running(side, folder / workload.model, body, args.threads) as (port, process, seconds):
                starts[side.name].append(seconds)
                for connections in workload.connections:
                    script = request.with_suffix(f"{side.body}.lua")
                    load(port, process, side.path, script, connections, 1)  # to warm up
                    measured = load(port, process, side.path, script, connections, args.seconds)
                    loads.setdefault((side.name, connections), []).append(measured)
                sizes[side.name].append(memory(process))
    print(f"\n## {workload.name}\n")
    print("| connections | side | requests/s | p50, ms | p99, ms | processor time, us | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (name, connections), rounds in sorted(loads.items(), key=lambda item: item[0][1]):
        middle = {
            field: statistics.median(getattr(each, field) for each in rounds)
            for field in ("per_second", "p50", "p99", "cpu_us")
        }
        print(
            f"| {connections} | {name} | {middle['per_second']:,.0f} | {middle['p50']:.2f} | "
            f"{middle['p99']:.2f} | {middle['cpu_us']:.0f} | {sum(each.errors for each in rounds)} |"
        )
    print("\n| side | first answer, s | memory after, MB |\n| --- | --- | --- |")
    for side in sides:
        first, size = statistics.median(starts[side.name]), statistics.median(sizes[side.name])
        print(f"| {side.name} | {first:.2f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
