"""The PyTorch engine: graphs run operation by operation on PyTorch's kernels, on CPUs and GPUs.

`set_engine("torch")` uses a GPU if PyTorch sees one, else the CPU; `"torch:cpu"`, `"torch:cuda:1"` and
`"torch:mps"` select the device (see `devices.py`). Buffers are `torch.Tensor`s. PyTorch stores unsigned
integers of more than 8 bits but hardly computes with them: inside a graph uint16 is carried by int32 and
uint32 by int64; uint64 is not supported.
"""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.terminal import command
from hornbeam._internal.typing import SupportsDLPack
from hornbeam._internal.warn import warn_user
from hornbeam.engines.base import BindingExecutable, Buffer, Executable, MeshEngine
from hornbeam.engines.host import HostCalls
from hornbeam.engines.mesh import Job, Mesh
from hornbeam.engines.table import STRUCTURE, Table, TableEngine, missing_package, require_version
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import run, where
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType, numpy_dtype

try:
    import torch
    import torch.distributed as dist
except ImportError as error:
    raise missing_package("torch", "PyTorch", error) from error
require_version("torch", "PyTorch", torch.__version__, "2.3")

from hornbeam.engines.torch.arrays import INDEX, REDUCE, SHAPE, creation  # noqa: E402
from hornbeam.engines.torch.compiling import compiled, runs_before  # noqa: E402
from hornbeam.engines.torch.devices import CPU, backend, explained, lacking, on_cpu, select  # noqa: E402
from hornbeam.engines.torch.elementwise import (  # noqa: E402
    BINARY,
    CARRIERS,
    UNARY,
    Tensor,
    carried,
    is_zero,
    keep_or_zero,
    torch_dtype,
)
from hornbeam.engines.torch.host import TorchHost  # noqa: E402
from hornbeam.engines.torch.linalg import LINALG  # noqa: E402
from hornbeam.engines.torch.random import random_bits  # noqa: E402
from hornbeam.engines.torch.recurrent import RECURRENT  # noqa: E402
from hornbeam.engines.torch.reuse import in_place_functions  # noqa: E402
from hornbeam.engines.torch.rows import ROWS  # noqa: E402
from hornbeam.engines.torch.windows import CONTRACT  # noqa: E402

_BFLOAT16 = numpy_dtype("bfloat16")


class TorchExecutable(BindingExecutable):
    """A graph that runs node by node, or compiled after enough runs (see `compiling.py`)."""

    def __init__(self, engine: TorchEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._outputs = [torch_dtype(node.dtype) for node in graph.outputs]
        # Other devices cache freed memory themselves.
        self._in_place = in_place_functions(graph) if engine.device.type == "cpu" else {}
        self._runs_left = math.inf if engine.is_partial else runs_before(graph)
        self._program: Callable[[Sequence[Buffer]], Sequence[Buffer]] | None = None

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Compute the outputs; see `Executable.run`. Donated buffers are not overwritten."""
        if self._program is None:
            self._runs_left -= 1
            if self._runs_left < 0:
                self._compile(inputs)
        with torch.no_grad():
            if self._program is not None:
                return list(self._program(inputs))
            return self._walk(lambda node: self._in_place.get(node) or self._engine.lower(node), *inputs)

    def _walk(self, lower: Callable[[Node], Any], *inputs: Buffer) -> list[Buffer]:
        values = run(self._graph, self._engine.entered(inputs), lower)
        return self._engine.left(values, self._outputs)

    def _compile(self, inputs: Sequence[Buffer]) -> None:
        self._runs_left = math.inf

        def walk(bits: Any, *xs: Buffer) -> list[Buffer]:
            return self._walk(lambda n: bits if n.name == "random_bits" else self._engine.lower(n), *xs)

        try:
            self._program = compiled(walk, inputs)
        except Exception as error:
            warn_user(
                f"torch.compile failed, so the graph still runs node by node ({type(error).__name__}: "
                f"{str(error)[:300]}). HORNBEAM_TORCH_COMPILE=0 switches compiling off."
            )

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `Executable.run_steps`. Batches are gathered on the device."""
        current, logs = list(state), []
        for rows in torch.from_numpy(np.ascontiguousarray(indices)).to(self._engine.device):
            outputs = self.run([*current, *(x[rows.to(x.device)] for x in data)])
            current = outputs[: len(current)]
            logs.append(outputs[len(current) :])
        return current, [torch.stack(column) for column in zip(*logs, strict=True)]


class TorchEngine(TableEngine):
    """Engine of PyTorch on one device.

    Attributes:
        device: The device.
        is_partial: True if the device may lack operations or dtypes.

    Raises:
        RuntimeError: If PyTorch does not see the device.
    """

    library = "torch"
    host = TorchHost()

    def __init__(
        self,
        device: str | None = None,
        make_mesh_engine: Callable[[TorchEngine, Mesh], MeshEngine] | None = None,
    ) -> None:
        super().__init__()
        self._make_mesh_engine = make_mesh_engine
        self.name = f"torch:{device}" if device else "torch"
        self.device = select(device)
        self.is_partial = self.device.type not in ("cpu", "cuda", "meta")
        self._lacked = lacking(self.device)
        self._created_on_cpu = creation(CPU)
        self._has_told = False
        self.table = {**TABLE, **creation(self.device), **_control(self.evaluate)}
        self.table["host_call"] = HostCalls()
        self._mesh_engines: dict[Mesh, MeshEngine] = {}

    @property
    def threads(self) -> int:
        """Number of threads of one run."""
        return torch.get_num_threads()

    @property
    def process(self) -> tuple[int, int]:
        """See `Engine.process`."""
        joined = dist.is_available() and dist.is_initialized()
        return (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)

    def devices(self, kind: str | None = None) -> list[str]:
        """List one device per process; see `Engine.devices`."""
        own_kind = "cpu" if self.device.type == "cpu" else "gpu"
        if kind not in (None, own_kind, "cpu"):
            raise RuntimeError(f"the {self.name} engine runs on {own_kind}, it has no {kind}")
        return [f"{kind or own_kind}:{number}" for number in range(self.process[1])]

    def join(self, job: Job) -> None:
        """Join a job; see `Engine.join`. Uses gloo on CPUs, NCCL or XCCL on GPUs, one GPU per process by
        local index."""
        if dist.is_initialized():
            if None not in (job.index, job.count) and self.process != (job.index, job.count):
                raise RuntimeError(
                    f"this process already has rank {self.process[0]} of {self.process[1]}, it cannot "
                    f"become rank {job.index} of {job.count}"
                )
            return
        if job.address is None or job.index is None or job.count is None:
            raise ValueError(
                "the torch engine needs the coordinator's address, the number of processes and the rank of "
                f"this one: start them by `{command('launch')}` or torchrun, or pass arguments to "
                "initialize()"
            )
        kind, own = self.device.type, backend(self.device.type)
        if kind in ("cuda", "xpu") and self.device.index is None:
            getattr(torch, kind).set_device(job.local if job.local is not None else job.index)
        # torchrun runs a store of its own, which is found by its environment variables alone.
        named = ":".join(os.environ.get(f"MASTER_{part}", "") for part in ("ADDR", "PORT"))
        method = "env://" if named == job.address and "RANK" in os.environ else f"tcp://{job.address}"
        backends = f"cpu:gloo,{kind}:{own}" if own else "gloo"
        dist.init_process_group(backends, init_method=method, rank=job.index, world_size=job.count)

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """See `Engine.exchange`."""
        if self.process[1] == 1:
            return array[None]
        raw = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())
        gathered = [torch.empty_like(raw) for _ in range(self.process[1])]
        dist.all_gather(gathered, raw)
        return np.stack([x.numpy().view(array.dtype).reshape(array.shape) for x in gathered])

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        if mesh not in self._mesh_engines:
            if self._make_mesh_engine is None:
                return super().on_mesh(mesh)
            self._mesh_engines[mesh] = self._make_mesh_engine(self, mesh)
        return self._mesh_engines[mesh]

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return TorchExecutable(self, graph)

    def check(self, graph: Graph) -> None:
        """Check as `TableEngine.check`, and for uint64."""
        super().check(graph)
        for node in (*graph.inputs, *graph.nodes):
            types = node.type if isinstance(node.type, tuple) else (node.type,)
            if any(t.dtype == "uint64" for t in types):
                raise MissingPrimitiveError(
                    f"the {self.name} engine does not compute with uint64{where(node)}"
                )

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """Return the function for a node: on the CPU, once said, for a dtype that the device lacks."""
        fn = self._function(node)
        if fn is None or not self.is_partial or node.name in _WITHOUT_KERNELS:
            return fn
        types = (x.type if isinstance(x.type, tuple) else (x.type,) for x in (node, *node.inputs))
        lacked = {t.dtype for group in types for t in group if t.dtype not in CARRIERS} & self._lacked
        if not lacked:
            return explained(fn, node, self.device)
        if not self._has_told:
            self._has_told = True
            warn_user(
                f"{self.device.type} has no {lacked.pop()}, so {node.name!r}{where(node)} runs on the CPU, "
                "as does all else of that dtype"
            )
        return on_cpu(self._created_on_cpu.get(node.name, fn), self._home)

    def _home(self, dtype: torch.dtype) -> torch.device:
        """Return where values of a dtype are kept."""
        return CPU if str(dtype).removeprefix("torch.") in self._lacked else self.device

    def entered(self, inputs: Sequence[Buffer]) -> list[Tensor]:
        """Return buffers as values inside a graph."""
        if not self._lacked:
            return [carried(x) for x in inputs]
        return [y.to(self._home(y.dtype)) for y in map(carried, inputs)]

    def left(self, values: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> list[Buffer]:
        """Return values inside a graph as buffers."""
        if self._lacked:
            values = [x.to(self._home(dtype)) for x, dtype in zip(values, dtypes, strict=True)]
        return [x.to(dtype).contiguous() for x, dtype in zip(values, dtypes, strict=True)]

    def _function(self, node: Node) -> Callable[..., Any] | None:
        """Return the table's function for a node; results of carried unsigned dtypes wrap around."""
        fn = super().lower(node)
        if node.name == "select" and self.device.type == "cpu" and is_zero(node.inputs[2]):
            return keep_or_zero
        if fn is None or not isinstance(node.type, TensorType) or node.type.dtype not in CARRIERS:
            return fn
        if node.name in _IN_RANGE:
            return fn
        return _wrapping(fn, (1 << 8 * np.dtype(node.type.dtype).itemsize) - 1)

    def put(self, array: np.ndarray) -> Buffer:
        array = np.ascontiguousarray(array).reshape(array.shape)
        bits = array.view(np.int16) if array.dtype == _BFLOAT16 else array
        with warnings.catch_warnings():  # about read-only arrays, which are never written to
            warnings.simplefilter("ignore", UserWarning)
            tensor = torch.from_numpy(bits)
        tensor = tensor.view(torch.bfloat16) if bits is not array else tensor
        return tensor.to(self._home(tensor.dtype))

    def borrow(self, x: SupportsDLPack) -> Buffer:
        """See `Engine.borrow`."""
        tensor = torch.from_dlpack(x.detach() if isinstance(x, torch.Tensor) else x)
        return tensor.to(self._home(tensor.dtype))

    def get(self, buffer: Buffer) -> np.ndarray:
        tensor = buffer.cpu()
        half = tensor.dtype == torch.bfloat16
        array = (tensor.view(torch.int16) if half else tensor).numpy()
        array = array.view(_BFLOAT16) if half else array.view()
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """Return whether PyTorch computes in a dtype: on CPUs if oneDNN has instructions for it."""
        if dtype in ("float32", "float64") or self.device.type != "cpu":
            return dtype not in self._lacked
        return dtype == "bfloat16" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


# Operations whose results never leave the range of the carried dtype.
_IN_RANGE = frozenset(
    {"and", "broadcast", "concatenate", "constant", "or", "random_bits", "reshape", "select", "shift_right"}
    | {"slice", "transpose", "xor"}
)
# Structure and control flow, which follow their values, and functions of other libraries.
_WITHOUT_KERNELS = frozenset({*STRUCTURE, "cond", "while_loop", "scan", "host_call"})


@functools.cache
def _wrapping(fn: Callable[..., Tensor], mask: int) -> Callable[..., Tensor]:
    return lambda *args, **params: fn(*args, **params) & mask


def _control(walk: Callable[[Graph, Sequence[Tensor]], list[Tensor]]) -> Table:
    """Build control flow in Python, which reads conditions from the device."""

    def cond(pred: Tensor, *operands: Tensor, true_graph: Graph, false_graph: Graph) -> tuple[Tensor, ...]:
        return tuple(walk(true_graph if bool(pred) else false_graph, operands))

    def while_loop(*values: Tensor, cond_graph: Graph, body_graph: Graph) -> tuple[Tensor, ...]:
        count = len(body_graph.outputs)
        carry, fixed = list(values[:count]), values[count:]
        while bool(walk(cond_graph, (*carry, *fixed))[0]):
            carry = walk(body_graph, (*carry, *fixed))
        return tuple(carry)

    def scan(
        *values: Tensor, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Tensor, ...]:
        carry, fixed = values[:carries], values[carries + sequences :]
        steps = [x.unbind(0) for x in values[carries : carries + sequences]]
        rows: list[tuple[Tensor, ...]] = []
        for step in reversed(range(length)) if reverse else range(length):
            results = walk(body, (*carry, *(x[step] for x in steps), *fixed))
            rows.append((*results[carries:], *carry))
            carry = tuple(results[:carries])
        if reverse:
            rows.reverse()
        return (*carry, *(torch.stack(column) for column in zip(*rows, strict=True)))

    return {"cond": cond, "while_loop": while_loop, "scan": scan}


TABLE: Table = {
    **UNARY, **BINARY, **SHAPE, **REDUCE, **INDEX, **CONTRACT, **LINALG, **STRUCTURE, **RECURRENT, **ROWS,
    "random_bits": random_bits,
}  # fmt: skip
