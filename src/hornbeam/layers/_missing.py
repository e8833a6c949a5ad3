"""Keras's layers that are absent on purpose, and the reasons."""

from __future__ import annotations

MISSING: dict[str, str] = {
    "TFSMLayer": (
        "It is not in this version of Hornbeam: "
        "a SavedModel is code of TensorFlow with its variables, and no code from a file is ever run. "
        "Convert the model to another framework instead (hornbeam.interop.tf_module, model.export), "
        "or wrap a module of another framework in a layer (TorchModuleWrapper, JaxLayer, FlaxLayer)"
    ),
}
