"""The ONNX Runtime engine: a graph becomes one ONNX model, gradients and optimizer inside, run by a session.

`set_engine("onnxruntime")` runs on the CPU, as `"onnxruntime:cpu"` does; `"onnxruntime:openvino"` runs on
that provider, see `PROVIDERS`. Buffers are `OrtValue`s in the CPU's memory. The models are written by
`onnx/emitter/`.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import _native
from hornbeam.engines.base import BindingExecutable, Buffer, Executable
from hornbeam.engines.table import TableEngine, missing_package, require_version
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import where
from hornbeam.ir.primitive import graph_cost
from hornbeam.ir.types import numpy_dtype
from hornbeam.onnx.emitter.emit import OPSET, Emitter
from hornbeam.onnx.emitter.kernels import onnx_type
from hornbeam.onnx.emitter.table import MAKERS, TABLE

try:
    import onnxruntime
except ImportError as error:
    raise missing_package("onnxruntime", "ONNX Runtime", error, extra="onnx") from error

# Device -> the provider that computes there, and the package with it, which takes the place of onnxruntime.
PROVIDERS = {
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "dml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "migraphx": ("MIGraphXExecutionProvider", "onnxruntime-migraphx"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "qnn": ("QNNExecutionProvider", "onnxruntime-qnn"),
    "rocm": ("ROCMExecutionProvider", "onnxruntime-rocm"),
}
# Packages with providers are released later: what they need, and the version of operators that they know.
_VERSION, _PROVIDER_VERSION, _PROVIDER_OPSET = "1.32", "1.22", 20

# Each session has threads of its own. One pool for all would be the process's, and ONNX Runtime then refuses
# the sessions that the user's code creates with pools of their own, which is the default.
_THREADS = _native.threads()
# FLOPs or bytes of a graph from which it gets more than one thread: creating threads takes longer than
# running a smaller one, and each cached executable keeps its threads.
_PARALLEL_WORK = 1 << 20
# One memory arena for all sessions.
onnxruntime.create_and_register_allocator(
    onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    ),
    onnxruntime.OrtArenaCfg(0, -1, -1, -1),
)

# Operations without an ONNX operator or formula.
UNSUPPORTED = {(name, "float64") for name in ("erf", "erf_inv")}
_BUFFERS = {"tensor(float)": "float32", "tensor(double)": "float64"}


class OrtExecutable(BindingExecutable):
    """A graph as one session.

    Args:
        graph: The graph.
        provider: Name of the provider; nodes that it does not take run on the CPU.
    """

    def __init__(self, graph: Graph, provider: str | None = None) -> None:
        model = Emitter(TABLE, MAKERS, OPSET if provider is None else _PROVIDER_OPSET).model(graph)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = _THREADS if max(graph_cost(graph)) >= _PARALLEL_WORK else 1
        options.inter_op_num_threads = 1
        # Threads that wait busily for the next operation take the cores from those of other sessions.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        # Folding would compute the random numbers of initializers when the session is created, and keep all
        # intermediate values in memory.
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=[*([] if provider is None else [provider]), "CPUExecutionProvider"],
            disabled_optimizers=["ConstantFolding"],
        )
        self._inputs = [x.name for x in model.graph.input]
        self._outputs = [x.name for x in model.graph.output]

    def assignment(self) -> list[Any]:
        """Return ONNX Runtime's list of parts of the graph: the provider of each, and its nodes."""
        return self._session.get_provider_graph_assignment_info()

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Compute the outputs; see `Executable.run`. Donated buffers are not overwritten."""
        return self._session.run_with_ort_values(self._outputs, dict(zip(self._inputs, inputs, strict=True)))

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `Executable.run_steps`. Batches are gathered by NumPy."""
        arrays = [_array(buffer) for buffer in data]
        current, logs = list(state), []
        for rows in indices:
            outputs = self.run([*current, *(_buffer(x[rows]) for x in arrays)])
            current = outputs[: len(current)]
            logs.append([_array(x) for x in outputs[len(current) :]])
        return current, [_buffer(np.stack(column)) for column in zip(*logs, strict=True)]


class OrtEngine(TableEngine):
    """Engine of ONNX Runtime.

    Args:
        device: "cpu", which None means, or a key of `PROVIDERS`.

    Raises:
        RuntimeError: For another device.
        ImportError: If ONNX Runtime is too old, or the installed package lacks the provider.
    """

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.table = {**TABLE, **MAKERS}
        self.name = f"onnxruntime:{device}" if device else "onnxruntime"
        self._provider: str | None = None
        installed, needed = onnxruntime.__version__, _VERSION
        if device in PROVIDERS:
            self._provider, package = PROVIDERS[device]
            needed = _PROVIDER_VERSION
            if self._provider not in onnxruntime.get_available_providers():
                raise ImportError(
                    f"the installed ONNX Runtime {installed} has no {self._provider}: pip uninstall "
                    f"onnxruntime, then pip install {package}, on a system that it supports"
                )
        elif device not in (None, "cpu"):
            raise RuntimeError(
                f"the onnxruntime engine runs on the devices cpu, {', '.join(PROVIDERS)}, got {device!r}"
            )
        require_version("onnxruntime", "ONNX Runtime", installed, needed, extra="onnx")

    @property
    def threads(self) -> int:
        """Number of threads of one run."""
        return _THREADS

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return OrtExecutable(graph, self._provider)

    def placement(self) -> dict[str, Counter[str]]:
        """Return which provider computes what, of all graphs that the engine has compiled and keeps.

        Returns:
            Name of a provider -> number of nodes by operator. The CPU's are those that the device's
            provider did not take.

        Raises:
            RuntimeError: Below ONNX Runtime 1.24, which does not tell.

        Example:
            >>> engine = hb.engines.get_engine("onnxruntime:openvino")  # doctest: +SKIP
            >>> engine.placement()  # after model.predict(x)  # doctest: +SKIP
            {'OpenVINOExecutionProvider': Counter({'Gemm': 2, 'Relu': 1})}
        """
        if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
            raise RuntimeError(f"placement() needs ONNX Runtime 1.24 or later, got {onnxruntime.__version__}")
        placed: dict[str, Counter[str]] = {}
        for executable in [x for x in self._executables.values() if isinstance(x, OrtExecutable)]:
            for part in executable.assignment():
                placed.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
        return placed

    def check(self, graph: Graph) -> None:
        """Check as `TableEngine.check`, and for unsupported dtypes."""
        super().check(graph)
        for node in graph.nodes:
            dtype = node.inputs[0].dtype if node.name in ("erf", "erf_inv") else ""
            if (node.name, dtype) in UNSUPPORTED:
                raise MissingPrimitiveError(
                    f"the {self.name} engine does not compute {node.name!r} of {dtype}{where(node)}"
                )

    def put(self, array: np.ndarray) -> Buffer:
        return _buffer(np.asarray(array))

    def get(self, buffer: Buffer) -> np.ndarray:
        array = _array(buffer)
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """Return whether ONNX Runtime computes in a dtype: 16-bit floats are computed in float32."""
        return dtype in ("float32", "float64")


def _buffer(array: np.ndarray) -> Buffer:
    """Create an OrtValue on an array's memory."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    make = onnxruntime.OrtValue.ortvalue_from_numpy
    if array.dtype == numpy_dtype("bfloat16"):
        make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        return make(array.view(np.uint16), onnx_type("bfloat16"))
    return make(array)


def _array(buffer: Buffer) -> np.ndarray:
    """Return an OrtValue's memory as an array, which keeps it alive."""
    kind = buffer.data_type()
    dtype = numpy_dtype(_BUFFERS.get(kind) or kind[len("tensor(") : -1])
    shape = buffer.shape()
    size = int(np.prod(shape)) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    memory = (ctypes.c_ubyte * size).from_address(buffer.data_ptr())
    memory.owner = buffer  # type: ignore[attr-defined]
    return np.frombuffer(memoryview(memory), np.uint8).view(dtype).reshape(shape)
