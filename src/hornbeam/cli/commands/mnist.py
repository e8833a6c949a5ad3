"""`hornbeam mnist`: train a small net on the bundled digits and report on it."""

from __future__ import annotations

import argparse

from hornbeam.cli.arguments import add_engine_option, choose_engine, integer, positive_int, print_error
from hornbeam.errors import CertificateError

HELP = "train a good small net on the bundled MNIST digits and report on it"
DESCRIPTION = (
    "Train a small convolutional net on the bundled digits with a validation set and early "
    "stopping, evaluate once on the test set, and save the model and a figure of the most confident "
    "errors."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_engine_option(parser)
    parser.add_argument("--epochs", type=positive_int, default=5, help="largest number of epochs (default 5)")
    parser.add_argument(
        "--batch-size", type=positive_int, default=128, help="samples in a batch (default 128)"
    )
    parser.add_argument(
        "--seed", type=integer, default=0, help="seed of weights, shuffles and dropout (default 0)"
    )
    parser.add_argument("--train-samples", type=positive_int, help="number of training digits (default: all)")
    parser.add_argument(
        "--output", default="mnist-run", help="folder for the model and the figure (default mnist-run)"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="folder in which the run is recorded (default runs)"
    )
    parser.add_argument(
        "--certificate", metavar="FILE.cert", help="write a certificate of the training (see hornbeam verify)"
    )
    parser.add_argument("--no-record", action="store_true", help="do not record the run")
    parser.add_argument(
        "--speedrun",
        action="store_true",
        help="train a tiny net for a fixed number of updates, evaluate once on the test digits, and print "
        "the accuracy and the seconds since the process was started (aim: 99%% in 5 s on two cores). "
        "Only --engine, --seed, --train-samples and --validate are used besides",
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="with --speedrun: hold out 5,000 training digits, and evaluate on them instead of the test "
        "digits. The recipe was chosen by this alone",
    )


def run(args: argparse.Namespace) -> int:
    """Train and report."""
    if not choose_engine(args.engine):
        return 2
    if args.speedrun:
        if args.certificate is not None:
            print_error("hornbeam mnist", "--speedrun writes no certificate; leave one of the two out")
            return 2
        from hornbeam.cli.mnist import speedrun

        return speedrun.run(seed=args.seed, validate=args.validate, train_samples=args.train_samples)
    from hornbeam.cli.mnist import training

    try:
        return training.run(
            epochs=args.epochs,
            batch_size=args.batch_size,
            seed=args.seed,
            train_samples=args.train_samples,
            output=args.output,
            runs=None if args.no_record else args.runs,
            certificate=args.certificate,
        )
    except CertificateError as error:
        print_error("hornbeam mnist", error)
        return 2
