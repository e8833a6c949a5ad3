"""Models for tests of `hornbeam serve`, in NumPy, and a server of them as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spec:
    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Pair:
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]


@dataclass
class NumpyModel:
    """A function with a signature; it keeps the numbers of rows that it was run with."""

    signature: Pair
    function: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    batches: list[int] = field(default_factory=list)

    @property
    def signatures(self) -> Mapping[str, Pair]:
        return {"predict": self.signature}

    def run(self, inputs: dict[str, np.ndarray], signature: str = "predict") -> dict[str, np.ndarray]:
        time.sleep(self.delay)
        self.batches.append(len(next(iter(inputs.values()))))
        return self.function(**inputs)


def scaled(factor: float = 2.0, *, delay: float = 0.0) -> NumpyModel:
    """Multiply rows of three numbers by a factor."""
    signature = Pair((Spec("x", "float32", (None, 3)),), (Spec("y", "float32", (None, 3)),))
    return NumpyModel(signature, lambda x: {"y": x * np.float32(factor)}, delay=delay)


def two_inputs() -> NumpyModel:
    """Add an integer to each row, and return two outputs."""
    signature = Pair(
        (Spec("x", "float32", (None, 2)), Spec("n", "int64", (None,))),
        (Spec("sum", "float32", (None, 2)), Spec("odd", "bool", (None,))),
    )
    return NumpyModel(signature, lambda x, n: {"sum": (x + n[:, None]).astype("float32"), "odd": n % 2 == 1})


def digits(labels: list[str] | None = None) -> NumpyModel:
    """Return ten probabilities from an image: the mean of its pixels decides between 0 and 9."""
    signature = Pair((Spec("image", "float32", (None, 28, 28)),), (Spec("class", "float32", (None, 10)),))

    def function(image: np.ndarray) -> dict[str, np.ndarray]:
        mean = image.mean((1, 2))
        return {"class": np.stack([1 - mean, *[0 * mean] * 8, mean], 1).astype("float32")}

    return NumpyModel(signature, function, {"labels": labels} if labels else {})


def words() -> NumpyModel:
    """Return the sum of the numbers of a text's words."""
    signature = Pair((Spec("text", "int64", (None, 4)),), (Spec("sum", "int64", (None,)),))
    kind = {"kind": "text", "vocabulary": ["", "[UNK]", "good", "bad"]}
    return NumpyModel(signature, lambda text: {"sum": text.sum(1)}, {"preprocessing": {"text": kind}})


def positive() -> NumpyModel:
    """Return the probability that a text is good, by a sigmoid: the mean of its known words."""
    model = words()
    signature = Pair(model.signature.inputs, (Spec("score", "float32", (None, 1)),))
    metadata = {**model.metadata, "labels": ["bad", "good"]}
    return NumpyModel(
        signature, lambda text: {"score": (text == 2).any(1, keepdims=True).astype("float32")}, metadata
    )


MODELS = {"scaled": scaled, "two_inputs": two_inputs, "digits": digits, "words": words, "positive": positive}


def load_json(path: Path) -> NumpyModel:
    """Read a test's model: a JSON file with the name of one of `MODELS`, and its arguments."""
    description = json.loads(path.read_text())
    return MODELS[description.pop("model")](**description)


def write_model(path: Path, model: str, **arguments: Any) -> Path:
    """Write a file that `load_json` reads; the server takes it by its suffix."""
    path.write_text(json.dumps({"model": model, **arguments}))
    return path


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    def events(self) -> list[dict[str, Any]]:
        """Return what it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def running(folder: Path, models: list[Path], **settings: Any) -> Iterator[Server]:
    """Serve models in a process, and stop it by SIGTERM."""
    log = folder / "log.jsonl"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, __file__, json.dumps({"reload_seconds": 0.0, **settings}), *map(str, models)],
            stdout=subprocess.PIPE, stderr=stream, text=True,
        )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, log.read_text()
            yield Server(process, address, log)
        finally:
            process.terminate()
            process.wait(30)


def main() -> None:
    """Serve the models named by the arguments, tests' or saved folders; print the address."""
    from hornbeam.serving import loading, logs
    from hornbeam.serving.batcher import BatchLimits
    from hornbeam.serving.repository import Source
    from hornbeam.serving.server import serve
    from hornbeam.serving.settings import Settings

    options = json.loads(sys.argv[1])
    options["batch"] = BatchLimits(**options.pop("batch", {}))
    logs.configure()
    serve(
        [Source.parse(text) for text in sys.argv[2:]],
        Settings(port=0, **options),
        lambda path: loading.load(path) if path.is_dir() else load_json(path),
        on_ready=lambda url: print(url, flush=True),
    )


if __name__ == "__main__":
    main()
