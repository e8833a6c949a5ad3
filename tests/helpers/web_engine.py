"""The engine in WebAssembly, run by Node, with the interface of an engine: for tests and measurements."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam
from hornbeam.engines import get_engine
from hornbeam.engines.base import Bound, Buffer, Engine
from hornbeam.engines.native import encode
from hornbeam.export.frozen import FrozenArchive
from hornbeam.ir.graph import Graph
from hornbeam.ir.types import TensorType, dtype_name, numpy_dtype

NODE = shutil.which("node")
FOLDER = Path(hornbeam.__file__).parent / "web"
WORKER = Path(__file__).parents[1] / "web" / "worker.mjs"


class WebModel:
    """A frozen model in the worker."""

    def __init__(self, engine: WebEngine, data: bytes) -> None:
        self.engine = engine
        about, _ = engine.ask({"action": "load"}, [data])
        self.number, self.signatures, self.metadata = about["model"], about["signatures"], about["metadata"]

    def run(
        self, inputs: Mapping[str, np.ndarray], signature: str = "predict", rounds: int = 1
    ) -> tuple[dict[str, np.ndarray], list[float]]:
        """The outputs by name, and the milliseconds of each round."""
        described = [
            {"name": name, "dtype": dtype_name(x.dtype), "shape": x.shape} for name, x in inputs.items()
        ]
        message = {"action": "run", "model": self.number, "signature": signature, "rounds": rounds}
        reply, parts = self.engine.ask(
            {**message, "inputs": described}, [x.tobytes() for x in inputs.values()]
        )
        outputs = {
            about["name"]: np.frombuffer(part, numpy_dtype(about["dtype"])).reshape(about["shape"])
            for about, part in zip(reply["outputs"], parts, strict=True)
        }
        return outputs, reply["times"]


class WebExecutable:
    """A graph as a frozen model with one signature."""

    def __init__(self, engine: WebEngine, graph: Graph) -> None:
        self.model = WebModel(engine, GraphArchive(graph).to_bytes({}))

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        outputs, _ = self.model.run({str(i): x for i, x in enumerate(inputs)})
        return list(outputs.values())

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        return lambda inputs: self.run([*weights, *inputs])

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        raise NotImplementedError


class WebEngine(Engine):
    """The module in a Node process."""

    name = "web"
    multiplies_int8 = True

    def __init__(self, module: Path = FOLDER / "engine.wasm.gz") -> None:
        super().__init__()
        assert NODE is not None
        command = [NODE, str(WORKER), str(FOLDER / "engine.js"), str(module)]
        self.worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.close()
        self.worker.wait(timeout=10)
        self.worker.stdout.close()

    def ask(self, message: dict[str, Any], parts: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a message and arrays; return the reply and the arrays that came with it."""
        assert self.worker.stdin is not None
        texts = [json.dumps({**message, "parts": len(parts)}).encode(), *parts]
        self.worker.stdin.write(b"".join(struct.pack("<I", len(part)) + part for part in texts))
        self.worker.stdin.flush()
        reply = json.loads(self._part())
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply, [self._part() for _ in reply.get("outputs", ())]

    def _part(self) -> bytes:
        assert self.worker.stdout is not None
        (length,) = struct.unpack("<I", self.worker.stdout.read(4))
        return self.worker.stdout.read(length)

    def compile(self, graph: Graph) -> WebExecutable:
        return WebExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        return array

    def get(self, buffer: Buffer) -> np.ndarray:
        array: np.ndarray = buffer
        return array


class GraphArchive(FrozenArchive):
    """A graph as a frozen model. Its inputs and outputs are named by their numbers."""

    def __init__(self, graph: Graph) -> None:
        engine = get_engine("native")
        self._tensors, self._names = {}, {}
        constants: list[Any] = []
        text = encode(graph, constants).encode()
        self._tensors["graph/predict"] = ("uint8", (len(text),), text)
        names = [self._tensor("constant", engine.get(constant)) for constant in constants]
        inputs, outputs = (
            _specs([node.tensor_type() for node in nodes]) for nodes in (graph.inputs, graph.outputs)
        )
        self.signatures = {
            "predict": {"inputs": inputs, "outputs": outputs, "weights": [], "constants": names}
        }


def _specs(types: Sequence[TensorType]) -> list[dict[str, Any]]:
    return [{"name": str(i), "dtype": t.dtype, "shape": list(t.shape)} for i, t in enumerate(types)]
