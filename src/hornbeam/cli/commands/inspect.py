"""`hornbeam inspect`: show the contents of a model's file."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hornbeam.cli.arguments import print_error

if TYPE_CHECKING:
    from hornbeam.saving.inspection import Inspection

HELP = "show the contents of a model's file: layers, arrays, requirements; nothing is built"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "file",
        help=".keras, .weights.h5, .h5, .safetensors, .npz, .pth, .pt, .bin, .onnx, .hornbeam, or a folder",
    )
    parser.add_argument(
        "--drawing", metavar="FILE", help="of an .onnx file: draw its operators to a .svg, .png or .pdf file"
    )


def run(args: argparse.Namespace) -> int:
    """Print the contents."""
    from hornbeam.errors import ModelFileError
    from hornbeam.saving import inspect_model

    try:
        inspection = inspect_model(args.file)
        print(inspection)
        if args.drawing:
            _draw(inspection, args.drawing)
    except (ModelFileError, FileNotFoundError, ValueError, ImportError) as error:
        print_error("hornbeam inspect", error)
        return 1
    return 0


def _draw(inspection: Inspection, path: str) -> None:
    from hornbeam.visualization.model_graph import ModelGraph, operator_boxes

    if inspection.graph is None:
        raise ValueError(
            f"{inspection.path} is no .onnx file: draw other models by utils.plot_model(model, {path!r})"
        )
    ModelGraph(os.path.basename(inspection.path), operator_boxes(inspection.graph)).save(path)
