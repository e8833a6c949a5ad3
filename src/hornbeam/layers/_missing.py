"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_FOREIGN = (
    "a SavedModel is code of TensorFlow's whose variables are inside of it, and no code from a file is ever "
    "run. Put the model into another framework instead (hornbeam.interop.tf_module, model.export), or hold "
    "another framework's code in a layer (TorchModuleWrapper, JaxLayer, FlaxLayer)"
)

_MISSING_BY_REASON = {
    _FOREIGN: "TFSMLayer",
}

MISSING: dict[str, str] = {name: why for why, names in _MISSING_BY_REASON.items() for name in names.split()}
