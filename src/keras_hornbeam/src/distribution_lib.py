"""`keras.distribution` on the one device of this process."""

from __future__ import annotations

from typing import Any

_DEVICE = "cpu:0"


def list_devices(device_type: str | None = None) -> list[str]:
    """Return the names of the devices of a type."""
    return [_DEVICE] if device_type in (None, "cpu") else []


def get_device_count(device_type: str | None = None) -> int:
    """Return the number of devices of a type."""
    return len(list_devices(device_type))


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Accept one process.

    Raises:
        NotImplementedError: For more processes.
    """
    if (num_processes or 1) > 1 or "," in (job_addresses or ""):
        raise NotImplementedError(
            "the hornbeam backend trains in one process: for several use KERAS_BACKEND=jax or tensorflow"
        )


def num_processes() -> int:
    """Return 1."""
    return 1


def process_id() -> int:
    """Return 0, the number of the only process."""
    return 0


def distribute_tensor(tensor: Any, layout: Any) -> Any:
    """Return the tensor, which is on the one device with all its parts."""
    _to_backend_layout(layout)
    return tensor


def _to_backend_mesh(device_mesh: Any) -> Any:
    """Return a mesh of one device as it is."""
    if device_mesh.devices.size > 1:
        raise NotImplementedError(
            f"the hornbeam backend has one device, {_DEVICE}; {device_mesh} has {device_mesh.devices.size}"
        )
    return device_mesh


def _to_backend_layout(layout: Any) -> Any:
    """Return a layout on such a mesh as it is."""
    if layout.device_mesh is None:
        raise ValueError(f"the layout {layout} has no device mesh")
    _to_backend_mesh(layout.device_mesh)
    return layout
