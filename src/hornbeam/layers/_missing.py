"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_FOREIGN = (
    "layers that hold another framework's code are not there: a graph is made of primitives, which every "
    "engine runs. Export the weights and rebuild the layer, or put the model into the other framework "
    "(hornbeam.interop.torch_module, jax_function)"
)

_MISSING_BY_REASON = {
    _FOREIGN: "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
}

MISSING: dict[str, str] = {name: why for why, names in _MISSING_BY_REASON.items() for name in names.split()}
