"""The MLX engine: graphs run on Apple's MLX, on the GPU of a Mac or on CPUs.

`set_engine("mlx")` uses MLX's default device, the GPU where there is one; `"mlx:cpu"` and `"mlx:gpu"` select
it. Buffers are `mx.array`s, in memory that CPU and GPU share. MLX evaluates lazily: a run builds a graph of
MLX and schedules it. On a GPU a training step is compiled (`mx.compile`), and any graph that runs again.

GPUs of Apple have no float64: what computes with it runs on the CPU, as do factorizations, integer products
and scatters of 8-byte numbers.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.typing import SupportsDLPack
from hornbeam.engines.base import BindingExecutable, Buffer, Executable
from hornbeam.engines.table import STRUCTURE, Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import TensorType, itemsize, numpy_dtype

try:
    import mlx.core as mx
except ImportError as error:
    raise missing_package("mlx", "MLX", error) from error
require_version("mlx", "MLX", mx.__version__, "0.32")

from hornbeam.engines.mlx.arrays import INDEX, REDUCE, SHAPE, as_mlx  # noqa: E402
from hornbeam.engines.mlx.control import control, random_bits, reads_values  # noqa: E402
from hornbeam.engines.mlx.elementwise import BINARY, UNARY, Array  # noqa: E402
from hornbeam.engines.mlx.linalg import LINALG  # noqa: E402
from hornbeam.engines.mlx.precision import by_numpy, from_reference  # noqa: E402
from hornbeam.engines.mlx.windows import CONTRACT  # noqa: E402

_BFLOAT16 = numpy_dtype("bfloat16")


class MlxExecutable(BindingExecutable):
    """A graph that runs node by node, or compiled (see `MlxEngine.compiles`)."""

    def __init__(self, engine: MlxEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._compiles = engine.compiles(graph)
        self._runs = 0

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Compute the outputs; see `Executable.run`. Donated buffers are not overwritten.

        The results are scheduled, so that any thread may read them: a lazy array belongs to its thread.
        """
        self._runs += 1
        with mx.stream(self._engine.device):
            compute = self._program if self._compiles and self._runs > 1 else self._compute
            outputs = compute(*inputs)
            mx.async_eval(outputs)
        return outputs

    def _compute(self, *inputs: Array) -> list[Array]:
        return self._engine.evaluate(self._graph, inputs)

    @functools.cached_property
    def _program(self) -> Callable[..., list[Array]]:
        return mx.compile(self._compute)

    @functools.cached_property
    def _step(self) -> Callable[..., tuple[list[Array], list[Array]]]:
        def step(state: list[Array], data: list[Array], rows: Array) -> tuple[list[Array], list[Array]]:
            outputs = self._compute(*state, *(self._engine.take(x, rows) for x in data))
            return outputs[: len(state)], outputs[len(state) :]

        return mx.compile(step) if self._compiles else step

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `Executable.run_steps`.

        Each step is scheduled without waiting for it. MLX reuses the memory of a state to which nothing else
        refers, and lets the loop wait when too many steps are queued.
        """
        current, logs = list(state), []
        with mx.stream(self._engine.device):
            for rows in mx.array(np.ascontiguousarray(indices, np.int32)):
                current, log = self._step(current, list(data), rows)
                mx.async_eval(current, log)
                logs.append(log)
            stacked = [self._engine.stack(column) for column in zip(*logs, strict=True)]
            mx.async_eval(stacked)
        return current, stacked


class MlxEngine(TableEngine):
    """Engine of MLX on one device.

    Raises:
        RuntimeError: If MLX does not see the device.
    """

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.name = f"mlx:{device}" if device else "mlx"
        self.device = mx.default_device() if device is None else _device(device)
        self.on_gpu = self.device.type == mx.gpu
        self.table = {**TABLE, **control(self.evaluate)}

    def devices(self, kind: str | None = None) -> list[str]:
        """See `Engine.devices`."""
        own_kind = "gpu" if self.on_gpu else "cpu"
        if kind not in (None, own_kind, "cpu"):
            raise RuntimeError(f"the {self.name} engine runs on {own_kind}, it has no {kind}")
        return [f"{kind or own_kind}:0"]

    def compiles(self, graph: Graph) -> bool:
        """Return whether `mx.compile` runs a graph: on a GPU, unless it reads values while it runs.

        On a CPU it calls a C++ compiler for every fused operation, for seconds. HORNBEAM_MLX_COMPILE=1
        compiles there too, 0 nowhere.
        """
        setting = os.environ.get("HORNBEAM_MLX_COMPILE", "auto")
        if setting not in ("0", "1", "auto"):
            raise ValueError(f"HORNBEAM_MLX_COMPILE must be 0, 1 or auto, got {setting!r}")
        return (setting == "1" or (setting == "auto" and self.on_gpu)) and not reads_values(graph)

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return MlxExecutable(self, graph)

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """Return the function for a node; on a GPU, in a stream of the CPU for what the GPU lacks."""
        if node.primitive is not None and by_numpy(node):
            return from_reference(node.primitive)
        if node.name in FUSED and node.dtype == "float64":  # these have the digits of float32
            return None
        fn = super().lower(node)
        return _on_cpu(fn) if fn is not None and self.on_gpu and _needs_cpu(node) else fn

    def take(self, x: Array, rows: Array) -> Array:
        """Gather rows of data."""
        return self._beside(mx.take, x)(x, rows, axis=0)

    def stack(self, xs: Sequence[Array]) -> Array:
        """Stack arrays."""
        return self._beside(mx.stack, xs[0])(list(xs))

    def _beside(self, fn: Callable[..., Array], x: Array) -> Callable[..., Array]:
        return _on_cpu(fn) if self.on_gpu and x.dtype == mx.float64 else fn

    def put(self, array: np.ndarray) -> Buffer:
        return as_mlx(array)

    def borrow(self, x: SupportsDLPack) -> Buffer:
        """See `Engine.borrow`."""
        return x if isinstance(x, mx.array) else mx.from_dlpack(x)

    def get(self, buffer: Buffer) -> np.ndarray:
        if buffer.dtype == mx.bfloat16:
            with mx.stream(mx.cpu):
                array = np.asarray(buffer.view(mx.uint16)).view(_BFLOAT16)
        else:
            array = np.asarray(buffer).view()
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`: GPUs have float16 and bfloat16, CPUs float64."""
        return dtype == "float32" or (dtype == "float64") != self.on_gpu


def _device(name: str) -> mx.Device:
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "gpu") or (index and not index.isdigit()):
        raise RuntimeError(f"MLX has the devices cpu and gpu, not {name}")
    device = mx.Device({"cpu": mx.cpu, "gpu": mx.gpu}[kind], int(index or 0))
    if not mx.is_available(device) or int(index or 0) >= mx.device_count(device.type):
        raise RuntimeError(f"MLX does not see the device {name}")
    return device


def _needs_cpu(node: Node) -> bool:
    types = [x.type for x in node.inputs] + list(node.type if isinstance(node.type, tuple) else (node.type,))
    dtypes = {t.dtype for t in types if isinstance(t, TensorType)}
    if node.name in LINALG or "float64" in dtypes:
        return True
    if node.name == "scatter":
        return itemsize(node.dtype) == 8
    return node.name == "dot_general" and not node.dtype.startswith(("float", "bfloat"))


@functools.cache
def _on_cpu(fn: Callable[..., Any]) -> Callable[..., Any]:
    def on_cpu(*args: Any, **params: Any) -> Any:
        with mx.stream(mx.cpu):
            return fn(*args, **params)

    return on_cpu


# Fused kernels. That of attention has no row sums of its softmax, which gradients need.
FUSED: Table = {
    "layer_norm": lambda x, gamma, beta, *, epsilon, **_: mx.fast.layer_norm(x, gamma, beta, epsilon),
    "rms_norm": lambda x, gamma, *, epsilon, **_: mx.fast.rms_norm(x, gamma, epsilon),
}

TABLE: Table = {
    **UNARY, **BINARY, **SHAPE, **REDUCE, **INDEX, **CONTRACT, **LINALG, **STRUCTURE, **FUSED,
    "random_bits": random_bits, "eig": from_reference(PRIMITIVES["eig"]),
}  # fmt: skip
