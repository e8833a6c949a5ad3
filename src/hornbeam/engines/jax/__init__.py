"""The JAX engine: XLA compiles whole graphs, for CPUs, GPUs and TPUs.

`set_engine("jax")` uses JAX's default device; `"jax:cpu"`, `"jax:gpu"` and `"jax:tpu:1"` select one. Buffers
are `jax.Array`s. JAX's settings (matmul precision, platforms, caches) apply; 64-bit dtypes are enabled for
our calls alone. `mesh.py` runs on several devices, of one or several processes.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from hornbeam._internal.typing import SupportsDLPack
from hornbeam.engines.base import BindingExecutable, Buffer, Executable, MeshEngine, exit_on_uncaught_error
from hornbeam.engines.host import HostCalls
from hornbeam.engines.mesh import Job, Mesh, job_from_environment
from hornbeam.engines.table import Table, TableEngine, missing_package, require_version
from hornbeam.ir.derived_graph import DerivedGraph
from hornbeam.ir.graph import Graph

try:
    import jax
    import jax.numpy as jnp
    from jax.experimental import multihost_utils
except ImportError as error:
    raise missing_package("jax", "JAX", error) from error
require_version("jax", "JAX", jax.__version__, "0.8")

from hornbeam.engines.jax.arrays import INDEX, REDUCE, SHAPE  # noqa: E402
from hornbeam.engines.jax.control import PLUMBING, control  # noqa: E402
from hornbeam.engines.jax.elementwise import BINARY, UNARY  # noqa: E402
from hornbeam.engines.jax.host import JaxHost  # noqa: E402
from hornbeam.engines.jax.linalg import LINALG  # noqa: E402
from hornbeam.engines.jax.recurrent import RECURRENT  # noqa: E402
from hornbeam.engines.jax.windows import CONTRACT  # noqa: E402

Array = Any


class JaxExecutable(BindingExecutable):
    """A graph as one XLA program for each set of donated inputs (in practice one)."""

    def __init__(self, engine: TableEngine, graph: Graph) -> None:
        self._graph = graph
        self._engine = engine
        self._programs: dict[tuple[int, ...], Callable[..., list[Array]]] = {}

    def _compute(self, *inputs: Array) -> list[Array]:
        return self._engine.evaluate(self._graph, inputs)

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Compute the outputs; see `Executable.run`. A buffer that is passed twice is not donated."""
        if not JaxEngine.is_traced:
            return self._run(inputs, donate)
        if any(isinstance(x, jax.core.Tracer) for x in inputs):
            with jax.enable_x64(True):
                return list(self._differentiable(*inputs))
        with jax.ensure_compile_time_eval():
            return self._run(inputs, donate)

    def _run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        argnums = donated(inputs, donate)
        program = self._programs.get(argnums)
        if program is None:
            program = self._programs[argnums] = jax.jit(self._compute, donate_argnums=argnums)
        with jax.enable_x64(True):
            return program(*inputs)

    @functools.cached_property
    def _differentiable(self) -> Callable[..., Sequence[Array]]:
        """The program for values that JAX traces. Custom gradients hold, in backward mode."""
        if not _has_own_gradient(self._graph):
            return self._compute
        derived = DerivedGraph(self._graph)
        count = len(self._graph.outputs)

        def forward(*inputs: Array) -> tuple[list[Array], Any]:
            values = self._engine.evaluate(derived.forward, inputs)
            return values[:count], (values[count:], inputs)

        def backward(residuals: Any, cotangents: list[Array]) -> tuple[Array, ...]:
            values, inputs = residuals
            grads = self._engine.evaluate(
                derived.backward, [*values, *(cotangents[i] for i in derived.outputs)]
            )
            by_input = dict(zip(derived.inputs, grads, strict=True))
            return tuple(
                by_input[i] if i in by_input else np.zeros(x.shape, jax.dtypes.float0)
                for i, x in enumerate(inputs)
            )

        program = jax.custom_vjp(self._compute)
        program.defvjp(forward, backward)
        return program

    @functools.cached_property
    def _step(self) -> Callable[..., tuple[list[Array], list[Array]]]:
        def step(state: list[Array], data: list[Array], rows: Array) -> tuple[list[Array], list[Array]]:
            outputs = self._compute(*state, *(x[rows] for x in data))
            return outputs[: len(state)], outputs[len(state) :]

        return jax.jit(step, donate_argnums=0)

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `Executable.run_steps`. JAX queues the steps."""
        with jax.enable_x64(True):
            current, logs = list(state), []
            for rows in indices:
                current, log = self._step(current, list(data), rows)
                logs.append(log)
            return current, [jnp.stack(column) for column in zip(*logs, strict=True)]


def _has_own_gradient(graph: Graph) -> bool:
    return any(
        node.name == "custom_gradient"
        or any(isinstance(value, Graph) and _has_own_gradient(value) for value in node.params.values())
        for node in graph.nodes
    )


def donated(inputs: Sequence[Buffer], donate: Sequence[bool] | None) -> tuple[int, ...]:
    """Return the indices of inputs to donate: marked so, and passed once."""
    if not donate:
        return ()
    times = Counter(map(id, inputs))
    return tuple(i for i, yes in enumerate(donate) if yes and times[id(inputs[i])] == 1)


class JaxEngine(TableEngine):
    """Engine of `jax.jit` on one device.

    Raises:
        RuntimeError: If JAX does not see the device.
    """

    library = "jax"
    host = JaxHost()
    # True once `allow_host_tracing` was called, on any engine of this class.
    is_traced = False

    def __init__(
        self,
        device: str | None = None,
        make_mesh_engine: Callable[[JaxEngine, Mesh], MeshEngine] | None = None,
    ) -> None:
        super().__init__()
        self._make_mesh_engine = make_mesh_engine
        self._device_name = device or ""
        self.name = f"jax:{device}" if device else "jax"
        self.table = {**TABLE, **control(self.evaluate), "host_call": HostCalls()}
        self._mesh_engines: dict[Mesh, MeshEngine] = {}
        if device:
            job = job_from_environment()
            if job is not None:  # JAX fixes the processes when it is asked for devices
                self.join(job)
            _ = self.device  # fails here if the device does not exist

    @functools.cached_property
    def device(self) -> Any:
        """The device of this process. Looked up late, since a job can be joined until then."""
        platform, _, index = self._device_name.partition(":")
        devices = jax.local_devices(backend=platform or None)
        if int(index or 0) >= len(devices):
            raise RuntimeError(f"JAX sees {len(devices)} devices of {platform}, not {self._device_name}")
        return devices[int(index or 0)]

    @property
    def process(self) -> tuple[int, int]:
        """See `Engine.process`."""
        return (jax.process_index(), jax.process_count()) if jax.distributed.is_initialized() else (0, 1)

    def devices(self, kind: str | None = None) -> list[str]:
        """List devices as "platform:id" in JAX's order; see `Engine.devices`."""
        return [f"{device.platform}:{device.id}" for device in jax.devices(kind)]

    def allow_host_tracing(self) -> None:
        """See `Engine.allow_host_tracing`."""
        JaxEngine.is_traced = True

    def join(self, job: Job) -> None:
        """Join a job; see `Engine.join`. Uses gloo on CPUs; on GPUs one GPU per process by local index."""
        if jax.distributed.is_initialized():
            if None not in (job.index, job.count) and self.process != (job.index, job.count):
                raise RuntimeError(
                    f"this process already has rank {self.process[0]} of {self.process[1]}, it cannot "
                    f"become rank {job.index} of {job.count}"
                )
            return
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(job.address, job.count, job.index, job.local)
        except ValueError:
            if job.address is None:  # JAX detects no job
                return
            raise
        except RuntimeError as error:
            if "before" not in str(error):
                raise
            raise RuntimeError(
                "it is too late to join a job: JAX has computed already. Call "
                "distribution.initialize() before anything else, variables and models included"
            ) from error
        exit_on_uncaught_error()

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """See `Engine.exchange`."""
        if self.process[1] == 1:
            return array[None]
        with jax.enable_x64(True):
            return np.asarray(multihost_utils.process_allgather(array))

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        if mesh not in self._mesh_engines:
            if self._make_mesh_engine is None:
                return super().on_mesh(mesh)
            self._mesh_engines[mesh] = self._make_mesh_engine(self, mesh)
        return self._mesh_engines[mesh]

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return JaxExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        # Not as part of a function that JAX traces: the buffer is kept.
        concrete = jax.ensure_compile_time_eval() if JaxEngine.is_traced else nullcontext()
        with jax.enable_x64(True), concrete:
            return jax.device_put(np.ascontiguousarray(array).reshape(array.shape), self.device)

    def borrow(self, x: SupportsDLPack) -> Buffer:
        """See `Engine.borrow`."""
        with jax.enable_x64(True):
            return jax.device_put(jnp.from_dlpack(x), self.device)

    def get(self, buffer: Buffer) -> np.ndarray:
        array = np.asarray(buffer)
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """Return whether XLA computes in a dtype: on CPUs it computes 16-bit floats in float32."""
        return dtype in ("float32", "float64") or self.device.platform != "cpu"


TABLE: Table = {
    **UNARY, **BINARY, **SHAPE, **REDUCE, **INDEX, **CONTRACT, **LINALG, **PLUMBING, **RECURRENT
}  # fmt: skip
