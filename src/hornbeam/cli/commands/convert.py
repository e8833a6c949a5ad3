"""`hornbeam convert`: write a model, or its weights, in another format."""

from __future__ import annotations

import argparse

from hornbeam.cli.arguments import print_error


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert",
        help="write a model, or its weights, in another format",
        description="The suffixes choose the formats: a .keras or .h5 model becomes a .keras file, or its "
        "weights .weights.h5, .safetensors or .npz. Models with custom classes cannot be converted.",
    )
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--overwrite", action="store_true", help="replace the target if it exists")
    return parser


def run(args: argparse.Namespace) -> int:
    """Read the source and write the target."""
    from hornbeam.errors import ModelFileError
    from hornbeam.saving import load_model

    try:
        model = load_model(args.source)
        if args.target.endswith(".keras"):
            model.save(args.target, overwrite=args.overwrite)
        else:
            model.save_weights(args.target, overwrite=args.overwrite)
    except (ModelFileError, OSError, ValueError, ImportError) as error:
        print_error("hornbeam convert", error)
        return 1
    return 0
