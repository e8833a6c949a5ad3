"""Load mutated files of every format, one after the other, in this process:

    python tools/fuzz_files.py --count 1000000 --seed 0

Each must be loaded or refused with a ModelFileError or UnknownObjectError, within seconds and within 4 times
its size + 256 MiB of memory. Files that break this are kept in --keep and named. After a
crash, --start continues after the last thousand that was printed.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam.errors import ModelFileError, UnknownObjectError
from hornbeam.saving import inspect_model, load_model, verify_model
from hornbeam.saving.checkpoint import read_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.paths import GOLDEN
from tools import golden_hornbeam

SECONDS, MEMORY = 10.0, 256 << 20
# Replacements of numbers and lengths.
EXTREMES = [b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xff" * 7 + b"\x7f", b"\x01", b"\x80", b""]
VALUES: list[Any] = [
    None, True, -1, 0, 1, 3.5, 10**9, 10**18, -(10**30), 1e308, float("inf"), float("nan"), "", "x", "Dense",
    "../../x", "relu", "float99", [], {}, [None], [1, 2, 3], [[]], {"class_name": "Dense", "config": {}},
]  # fmt: skip


def bases() -> list[dict[str, bytes]]:
    """The corpus: files of each format, which all get as many turns."""
    ours = next((GOLDEN / "hornbeam").iterdir())
    files = [[ours / n] for n in ("model.keras", "model.weights.h5", "model.npz", "model.safetensors")]
    files += [sorted((ours / "run").iterdir()), sorted(GOLDEN.glob("keras[12]/*.h5"))]
    files += [sorted((GOLDEN / "onnx").glob("*.onnx"))]
    return [{path.name: path.read_bytes() for path in paths} for paths in files]


def mutated(name: str, data: bytes, draw: np.random.Generator) -> bytes:
    """A file with a few changes: of bytes, of a member under a right checksum, or of a config's values."""
    if not name.endswith((".keras", ".npz")) or draw.random() < 0.2:
        return changed(data, draw)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    chosen = list(members)[draw.integers(len(members))]
    if chosen == "config.json" and draw.random() < 0.7:
        config = json.loads(members[chosen])
        for _ in range(draw.integers(1, 4)):
            replace_value(config, draw)
        members[chosen] = json.dumps(config).encode()
    else:
        members[chosen] = changed(members[chosen], draw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return buffer.getvalue()


def changed(data: bytes, draw: np.random.Generator) -> bytes:
    filled = np.flatnonzero(np.frombuffer(data, np.uint8))  # most of an HDF5 file is empty
    for _ in range(draw.integers(1, 7)):
        at = int(draw.integers(len(data) + 1)) if len(data) else 0
        if len(filled) and draw.random() < 0.5:
            at = int(filled[draw.integers(len(filled))])
        gone = int(draw.choice([0, 0, 1, 1, 2, 4, 8, 64, 512]))
        new = draw.bytes(int(draw.integers(9))) if draw.random() < 0.5 else EXTREMES[draw.integers(7)]
        same_length = draw.random() < 0.7
        data = data[:at] + new + data[at + (len(new) if same_length else gone) :]
    return data[: int(draw.integers(len(data) + 1))] if draw.random() < 0.1 else data


def replace_value(config: Any, draw: np.random.Generator) -> None:
    places: list[tuple[Any, Any]] = []
    parts = [config]
    while parts:
        part = parts.pop()
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], (dict, list)):
                parts.append(part[key])
    container, key = places[draw.integers(len(places))]
    if draw.random() < 0.8 or isinstance(container, list):
        container[key] = json.loads(json.dumps(VALUES[draw.integers(len(VALUES))]))
    else:
        del container[key]


def loaders() -> dict[str, list[Callable[[Path], Any]]]:
    """Return the calls that a file is tried with, by its ending."""
    model = golden_hornbeam.build()
    model.optimizer.build(model.trainable_variables)
    return {
        ".keras": [load_model, inspect_model, verify_model],
        "model.weights.h5": [model.load_weights, inspect_model, verify_model],
        ".weights.h5": [lambda path: read_checkpoint(model, path), inspect_model, verify_model],
        ".h5": [load_model, inspect_model, lambda path: load_model(path, weights_only=True)],
        ".npz": [model.load_weights, inspect_model],
        ".safetensors": [model.load_weights, inspect_model],
        ".onnx": [load_model, lambda path: load_model(path, weights_only=True)],
    }


def peak() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


def attempt(call: Callable[[Path], Any], path: Path) -> tuple[str, float, int]:
    """Return the outcome of a call, its seconds and its bytes. A hang ends the process with a traceback."""
    Path("/proc/self/clear_refs").write_text("5")
    signal.alarm(60)
    before, began = peak(), time.perf_counter()
    outcome = "loaded"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(path)
    except (ModelFileError, UnknownObjectError) as error:
        outcome = "refused" if len(str(error)) > 15 else f"said only {error}"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"
    signal.alarm(0)
    return outcome, time.perf_counter() - began, peak() - before


def fuzz(numbers: range, seed: int, folder: Path, keep: Path) -> tuple[Counter[str], list[str]]:
    """Outcomes of these files, and what was wrong with any."""
    corpus, tried = bases(), loaders()
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    faulthandler.register(signal.SIGALRM, chain=True)
    for number in numbers:
        draw = np.random.default_rng([seed, number])
        files = corpus[number % len(corpus)]
        name = list(files)[draw.integers(len(files))]
        content = mutated(name, files[name], draw)
        path = folder / name  # where it stays if the process ends
        path.write_bytes(content)
        calls = next(callables for ending, callables in tried.items() if name.endswith(ending))
        call = calls[int(draw.integers(len(calls)))]
        outcome, took, used = attempt(call, path)
        if took > SECONDS:  # a busy machine stalls, a slow file is slow again
            took = attempt(call, path)[1]
        outcomes[f"{Path(name).suffix} {outcome[:60]}"] += 1
        if outcome not in ("loaded", "refused") or took > SECONDS or used > 4 * len(content) + MEMORY:
            kept = keep / f"bad-{number}-{name}"
            kept.write_bytes(content)
            cost = f"{took:.1f} s, {used >> 20} MiB"
            problems.append(f"file {number} ({name}): {outcome}; {cost}, kept as {kept}")
    return outcomes, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    args = parser.parse_args()
    args.keep.mkdir(exist_ok=True)
    memory = Path("/dev/shm")  # where writing a file again waits for no disk
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    total: Counter[str] = Counter()
    bad: list[str] = []
    end = args.start + args.count
    for start in range(args.start, end, 1000):
        outcomes, problems = fuzz(range(start, min(start + 1000, end)), args.seed, folder, args.keep)
        total += outcomes
        bad += problems
        print(start, dict(total), *problems, sep="\n  ", flush=True)
    shutil.rmtree(folder)
    return int(bool(bad))


if __name__ == "__main__":
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    hb.utils.set_random_seed(0)
    sys.exit(main())
