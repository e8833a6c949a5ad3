"""tf.config: this machine as a CPU without accelerators."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "PhysicalDevice",
    "enable_op_determinism",
    "functions_run_eagerly",
    "get_visible_devices",
    "gpu_device_name",
    "is_built_with_cuda",
    "is_gpu_available",
    "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly",
    "set_inter_op_parallelism_threads",
    "set_intra_op_parallelism_threads",
    "set_jit",
    "set_memory_growth",
    "set_soft_device_placement",
    "set_visible_devices",
]  # fmt: skip


class PhysicalDevice(NamedTuple):
    """A device by name and type."""

    name: str
    device_type: str


_CPU = PhysicalDevice("/physical_device:CPU:0", "CPU")


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The processor; no GPU and no TPU."""
    return [_CPU] if device_type in (None, "CPU") else []


list_logical_devices = list_physical_devices
get_visible_devices = list_physical_devices


def gpu_device_name() -> str:
    """Empty: there is no GPU."""
    return ""


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """False."""
    return False


def is_built_with_cuda() -> bool:
    """False."""
    return False


def set_memory_growth(device: Any, enable: bool) -> None:
    """Accepted: only GPUs have memory of their own."""


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Accepted: the processor is all there is."""


def set_soft_device_placement(enabled: bool) -> None:
    """Accepted: the processor is all there is."""


def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """Accepted: HORNBEAM_THREADS says how many threads work."""


set_inter_op_parallelism_threads = set_intra_op_parallelism_threads


def set_jit(enabled: Any) -> None:
    """Accepted: tf.function compiles anyway."""


def enable_op_determinism() -> None:
    """Accepted: results are the same on every run anyway."""


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Whether tf.function runs line by line from here on."""
    from hornbeam.compat.tensorflow import function

    function.run_eagerly = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """What `run_functions_eagerly` was told."""
    from hornbeam.compat.tensorflow import function

    return function.run_eagerly
