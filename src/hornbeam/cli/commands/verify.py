"""`hornbeam verify`: check files of models for damage, and certificates of trainings."""

from __future__ import annotations

import argparse
import os
import sys

from hornbeam._internal.terminal import columns, folded, is_terminal, paint, print_wrapped, uses_color
from hornbeam.cli.arguments import print_error

HELP = (
    "read a whole file, compare checksums, and name damaged parts; make the training of a certificate again"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "file",
        nargs="+",
        help="as for inspect, checkpoints too; a certificate (.cert), or a folder of "
        "certificates, such as a class's homework",
    )
    certificate = parser.add_argument_group("for certificates (docs/certificate.md)")
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
    folders = [name for name in args.file if _has_certificates(name)]
    files = [name for name in args.file if name not in (*certificates, *folders)]
    wrong = _verify_files(files) if files else False
    for name in certificates:
        wrong = _verify_certificate(name, args) or wrong
    for name in folders:
        wrong = _verify_folder(name, args) or wrong
    return int(wrong)


def _has_certificates(name: str) -> bool:
    if not os.path.isdir(name):
        return False
    from hornbeam.certificate.submissions import certificates_of

    return bool(certificates_of(name))


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


def _verify_folder(folder: str, args: argparse.Namespace) -> bool:
    """Return whether a certificate of a folder does not hold, or cannot be checked; print a table of them."""
    from hornbeam.certificate import verify_folder
    from hornbeam.errors import CertificateError, ModelFileError
    from hornbeam.visualization.display import Document, Table

    if single := [name for name in ("program", "model", "states", "key") if getattr(args, name) is not None]:
        print_error("hornbeam verify", f"--{single[0]} is for one certificate, {folder} is a folder of them")
        return True
    submissions = []
    try:
        for one in verify_folder(folder, args.data, args.steps):
            submissions.append(one)
            if is_terminal(sys.stderr):
                print(
                    f"\r\x1b[K{len(submissions)}: {one.name} {one.state}", end="", file=sys.stderr, flush=True
                )
    except (CertificateError, ModelFileError, OSError) as error:  # of the data
        print_error("hornbeam verify", error)
        return True
    if is_terminal(sys.stderr):
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    metrics = list(dict.fromkeys(name for one in submissions for name in one.metrics))
    rows = [
        [
            one.name,
            one.state,
            *(f"{one.metrics[name]:.4g}" if name in one.metrics else "" for name in metrics),
            "; ".join(one.remarks),
        ]
        for one in submissions
    ]
    heads = ["certificate", "state", *metrics, "remarks"]
    Document([Table(folder, heads, rows, text_columns=["state"], folding=["remarks"])]).show()
    held = sum(one.state == "holds" for one in submissions)
    print_wrapped(
        f"{held} of {len(submissions)} hold. Never proven: that the data are honest, that the seed was not "
        "chosen, that nothing was tried before."
    )
    return held < len(submissions)
