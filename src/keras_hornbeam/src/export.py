"""Exports of Keras's models by Hornbeam: ONNX files and SavedModels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from keras.src.backend.common import KerasVariable
from keras.src.export.export_utils import get_input_signature
from keras.src.utils import io_utils

import hornbeam
from hornbeam.export import ExportArchive


class HornbeamExportArchive(ExportArchive):
    """Writer of a SavedModel, see `keras.export.ExportArchive`; it needs TensorFlow."""

    def track(self, resource: Any) -> None:
        """Add the variables of a layer or model."""
        if not hasattr(resource, "variables") or not hasattr(resource, "built"):
            raise ValueError(f"track() takes a layer or a model of Keras, got {resource!r}")
        if not resource.built:
            raise ValueError(
                f"The layer {resource.name!r} is not built: call it on data, or build(shape), first"
            )
        for variable in resource.variables:
            self._tf_variable(variable._value)

    def add_variable_collection(self, name: str, variables: Sequence[Any]) -> None:
        """Add variables as a list attribute of the loaded artifact."""
        values = [v._value if isinstance(v, KerasVariable) else v for v in variables]
        super().add_variable_collection(name, values)

    def track_and_add_endpoint(
        self, name: str, resource: Any, input_signature: Any, **kwargs: Any
    ) -> Callable[..., Any]:
        """Track a layer or model, and add an endpoint that calls it for inference."""
        self.track(resource)
        return self.add_endpoint(name, _inference(resource), input_signature, **kwargs)


def _inference(resource: Any) -> Callable[..., Any]:
    if getattr(resource, "_call_has_training_arg", False):
        return lambda *inputs: resource(*inputs, training=False)
    return resource


class InferenceModel(hornbeam.Model):
    """A model of Keras for the exports of Hornbeam."""

    def __init__(self, model: Any) -> None:
        super().__init__(name=model.name)
        self._call = _inference(model)
        self._hb_file_names = [getattr(model, f"{kind}_names", None) for kind in ("input", "output")]
        self.built = True

    @property
    def input_names(self) -> Any:
        """Names of the inputs in the file, None if the model has none."""
        return self._hb_file_names[0]

    @property
    def output_names(self) -> Any:
        """Names of the outputs in the file, None if the model has none."""
        return self._hb_file_names[1]

    def call(self, *inputs: Any) -> Any:
        """Compute the outputs of the model for inference."""
        return self._call(*inputs)


def export_onnx(
    model: Any,
    filepath: str | os.PathLike[str],
    verbose: bool | None = None,
    input_signature: Any = None,
    opset_version: int | None = None,
) -> None:
    """Write the inference of a model as an ONNX file, see `keras.Model.export`."""
    if opset_version is not None:
        raise ValueError("opset_version cannot be chosen with the hornbeam backend")
    signature = get_input_signature(model) if input_signature is None else input_signature
    InferenceModel(model).export(filepath, format="onnx", input_signature=signature, verbose=False)
    if verbose is not False:
        io_utils.print_msg(f"Saved artifact at '{filepath}'.")


NumpyExportArchive = HornbeamExportArchive


def replace_export_onnx(module: Any) -> None:
    """Let Keras write ONNX files by Hornbeam."""
    module.export_onnx = export_onnx
