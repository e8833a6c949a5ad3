"""`hornbeam inspect`: show the contents of a model's file."""

from __future__ import annotations

import argparse

from hornbeam.cli.arguments import print_error

HELP = "show the contents of a model's file: layers, arrays, requirements; nothing is built"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "file",
        help=".keras, .weights.h5, .h5, .safetensors, .npz, .pth, .pt, .bin, .onnx, .hornbeam, or a folder",
    )


def run(args: argparse.Namespace) -> int:
    """Print the contents."""
    from hornbeam.errors import ModelFileError
    from hornbeam.saving import inspect_model

    try:
        print(inspect_model(args.file))
    except (ModelFileError, FileNotFoundError, ValueError, ImportError) as error:
        print_error("hornbeam inspect", error)
        return 1
    return 0
