"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_FOREIGN = "layers that hold another framework's code are not there: export the weights and rebuild the layer"

_MISSING_BY_REASON = {
    _FOREIGN: "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
}

MISSING: dict[str, str] = {name: why for why, names in _MISSING_BY_REASON.items() for name in names.split()}
