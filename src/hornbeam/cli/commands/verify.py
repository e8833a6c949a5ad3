"""`hornbeam verify`: check files of models for damage, and certificates of trainings."""

from __future__ import annotations

import argparse

from hornbeam._internal.terminal import columns, folded, paint, print_wrapped, uses_color
from hornbeam.cli.arguments import print_error

HELP = (
    "read a whole file, compare checksums, and name damaged parts; make the training of a certificate again"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", nargs="+", help="as for inspect, checkpoints too; a certificate (.cert)")
    certificate = parser.add_argument_group("for a certificate (docs/certificate.md)")
    certificate.add_argument(
        "--data", metavar="FILE.npz", help="arrays x and y, x_val and y_val, x_test and y_test"
    )
    certificate.add_argument(
        "--program",
        metavar="SCRIPT.py",
        help="run this script to train again; only if you trust it. With arguments in quotes: "
        "'train.py --seed 3', 'hornbeam mnist --certificate m.cert'",
    )
    certificate.add_argument(
        "--steps",
        type=_fraction,
        default=1.0,
        metavar="2%|all",
        help="make that much of the training again, drawn at random (default: all)",
    )
    certificate.add_argument("--model", metavar="FILE.keras", help="compare the weights of this file")
    certificate.add_argument("--states", metavar="FOLDER", help="states that were saved with the certificate")
    certificate.add_argument("--key", metavar="FILE.pem", help="public key that must have signed it")


def _fraction(text: str) -> float:
    if text == "all":
        return 1.0
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a percentage such as 2%, or all, got {text!r}")
    return value


def run(args: argparse.Namespace) -> int:
    """Print the state of each file."""
    certificates = [name for name in args.file if name.endswith(".cert")]
    files = [name for name in args.file if not name.endswith(".cert")]
    wrong = _verify_files(files) if files else False
    for name in certificates:
        wrong = _verify_certificate(name, args) or wrong
    return int(wrong)


def _verify_files(names: list[str]) -> bool:
    """Return whether a file is damaged."""
    from hornbeam.saving import verify_model
    from hornbeam.saving.inspection import has_checksum

    problems = {name: verify_model(name) for name in names}
    colored = uses_color()
    for name, lines in problems.items():
        state = paint("damaged", "bad", colored) if lines else paint("good", "good", colored)
        if not lines and not has_checksum(name):
            state += " (no checksum in this file: only what cannot be read would show)"
        print_wrapped("\n".join([f"{name}: {state}", *(f"  {line}" for line in lines)]), indent="    ")
    return any(problems.values())


def _verify_certificate(name: str, args: argparse.Namespace) -> bool:
    """Return whether a certificate does not hold, or cannot be checked."""
    from hornbeam.certificate import verify
    from hornbeam.errors import CertificateError, ModelFileError

    try:
        result = verify(name, args.data, args.program, args.steps, args.model, args.states, args.key)
    except (CertificateError, ModelFileError, OSError, ImportError) as error:
        print_error("hornbeam verify", error)
        return True
    print(folded(str(result), columns(), "    "))
    return not result.holds
