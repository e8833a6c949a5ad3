"""`hornbeam convert`: write a model, or its weights, in another format."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hornbeam.cli.arguments import print_error

if TYPE_CHECKING:
    from hornbeam.models import Model


HELP = "write a model, or its weights, in another format"
DESCRIPTION = (
    "The suffixes choose the formats: a model (.keras, .h5, .onnx) becomes a .keras or .h5 "
    "file, .onnx or .tflite for inference elsewhere, or its weights .weights.h5, .safetensors or .npz. "
    "Models with custom classes cannot be converted: load them in a program and call model.export()."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", help="a model: .keras, .h5, .onnx, or a folder of save(zipped=False)")
    parser.add_argument("target", help=".keras, .h5, .onnx, .tflite, .weights.h5, .safetensors or .npz")
    parser.add_argument("--overwrite", action="store_true", help="replace the target if it exists")


def run(args: argparse.Namespace) -> int:
    """Read the source and write the target."""
    import warnings

    from hornbeam.errors import LegacyFormatWarning, ModelFileError
    from hornbeam.saving import load_model

    try:
        model = load_model(args.source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LegacyFormatWarning)  # the command asks for this format
            _write(model, args.target, args.overwrite)
    except (ModelFileError, OSError, ValueError, NotImplementedError, ImportError) as error:
        print_error("hornbeam convert", error)
        return 1
    return 0


# Formats of `model.export` by suffix.
_EXPORTS = {".onnx": "onnx", ".tflite": "litert"}


def _write(model: Model, target: str, overwrite: bool) -> None:
    suffix = os.path.splitext(target)[1]
    if suffix in _EXPORTS:
        if os.path.exists(target) and not overwrite:
            raise FileExistsError(f"{target} exists: pass --overwrite to replace it")
        model.export(target, format=_EXPORTS[suffix], verbose=False)
    elif target.endswith((".weights.h5", ".safetensors", ".npz")):
        model.save_weights(target, overwrite=overwrite)
    else:
        model.save(target, overwrite=overwrite)
