"""A model's inference for LiteRT (TensorFlow Lite), through TensorFlow's converter."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.export.saved_model import ExportArchive
from hornbeam.export.signature import signature_of
from hornbeam.layers import InputSpec
from hornbeam.saving.files import replace_file

if TYPE_CHECKING:
    from hornbeam.models import Model


def export_litert(model: Model, filepath: str | os.PathLike[str], input_signature: Tree = None) -> Path:
    """Write the inference of a model as a `.tflite` file, for phones and small devices.

    Args:
        model: A built model.
        filepath: The file; its name ends in `.tflite`.
        input_signature: Structure of InputSpecs that fixes all sizes. By default a batch is one row.

    Returns:
        The file.

    Raises:
        ImportError: If TensorFlow is not installed.
        ValueError: If the suffix is another one, or the model is not built.

    The converter raises its own errors for operations that LiteRT does not have.
    """
    target = Path(filepath)
    if target.suffix != ".tflite":
        raise ValueError(f"the name of a LiteRT file must end in .tflite, got {str(target)!r}")
    structure, specs = _fixed_specs(model, input_signature)
    fixed = tree.pack_sequence_as(structure, [InputSpec(shape=shape, dtype=dtype) for shape, dtype in specs])
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, fixed)
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        data = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"]).convert()
    with replace_file(target) as file:
        file.write(data)
    return target


def _fixed_specs(model: Model, input_signature: Tree) -> tuple[list[Any], list[tuple[tuple[int, ...], str]]]:
    """Return the signature, and shape and dtype of each input; an unknown first size is 1."""
    structure = signature_of(model) if input_signature is None else list(input_signature)
    fixed = []
    for spec in tree.flatten(structure):
        shape = tuple(spec.shape)
        if None in shape[1:]:
            raise ValueError(
                f"only the first size of an input may be unknown, got {shape}. Pass input_signature."
            )
        fixed.append(((1, *shape[1:]) if shape[:1] == (None,) else shape, str(spec.dtype or "float32")))
    return structure, fixed
