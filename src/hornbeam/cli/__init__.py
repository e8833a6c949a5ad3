"""The command line: `hornbeam run`, `hornbeam mnist`, `hornbeam bench`, `hornbeam runs`, ..."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hornbeam import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `hornbeam` command; returns the exit status."""
    args = _parser().parse_args(argv)
    # A script chooses later: the engine's library may bring the real Keras.
    if args.action not in (_run, _launch) and not _choose(getattr(args, "engine", None)):
        return 2
    return int(args.action(args) or 0)


def _choose(engine: str | None) -> bool:
    """Make an engine the one that runs everything; False, and a line that says why, if that cannot be."""
    from hornbeam.engines import set_engine

    try:
        if engine:
            set_engine(engine)
    except (ValueError, ImportError, RuntimeError) as error:
        print(f"hornbeam: --engine {engine}: {error}", file=sys.stderr)
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    from hornbeam.cli.bench.command import add_arguments as add_bench_arguments

    parser = argparse.ArgumentParser(
        prog="hornbeam", description="Deep learning that reads like Keras and runs on a plain computer."
    )
    parser.add_argument("--version", action="version", version=f"hornbeam {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a Keras script: `import keras` and `from tensorflow import keras` mean Hornbeam",
        description="Run a Keras script unchanged. What follows the script's name is passed on to it.",
    )
    _engine_option(run)
    run.add_argument("script")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="ARG")
    run.set_defaults(action=_run)

    launch = commands.add_parser(
        "launch",
        help="run a script in several processes that train one model together",
        description=(
            "Run a script in several processes. With hornbeam.distribution.DataParallel() or ModelParallel() "
            "they train one model together, on the jax or the torch engine. When one of them dies the others "
            "are stopped. What follows the script's name is passed on to it."
        ),
    )
    launch.add_argument("--nproc", type=_positive, default=1, help="processes on this machine (default 1)")
    launch.add_argument("--nodes", type=_positive, default=1, help="machines that run this (default 1)")
    launch.add_argument("--node", type=int, default=0, help="the number of this machine, from 0")
    launch.add_argument("--address", metavar="HOST:PORT", help="of machine 0, where the processes meet")
    launch.add_argument(
        "--keras",
        action="store_true",
        help="a Keras script: `import keras` means Hornbeam, as in `run`",
    )
    _engine_option(launch)
    launch.add_argument("script")
    launch.add_argument("args", nargs=argparse.REMAINDER, metavar="ARG")
    launch.set_defaults(action=_launch)

    mnist = commands.add_parser(
        "mnist",
        help="train a good small net on the bundled MNIST digits and report on it",
        description=(
            "Train a small convolutional net on the bundled digits with a held-out validation set and early "
            "stopping, "
            "look at the test set once, and save the model and a picture of the worst digits."
        ),
    )
    _engine_option(mnist)
    mnist.add_argument("--epochs", type=_positive, default=20, help="most epochs to train (default 20)")
    mnist.add_argument("--batch-size", type=_positive, default=128, help="samples in an update (default 128)")
    mnist.add_argument("--seed", type=int, default=0, help="of weights, shuffles and dropout (default 0)")
    mnist.add_argument(
        "--train-samples", type=_positive, default=None, help="use fewer training digits, to try it out"
    )
    mnist.add_argument(
        "--output", default="mnist-run", help="folder for the model and the picture (default mnist-run)"
    )
    mnist.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where the run is recorded (default runs)"
    )
    mnist.add_argument("--no-record", action="store_true", help="record no run")
    mnist.add_argument(
        "--race",
        action="store_true",
        help="train a tiny net for a fixed number of updates, look at the test digits once, and print the "
        "accuracy and the seconds since the process was started (aim: 99%% in 5 s on two cores). Of the "
        "other options only --engine, --seed and --train-samples count",
    )
    mnist.add_argument(
        "--validate",
        action="store_true",
        help="with --race: hold 5,000 training digits out and look at them instead of the test digits. By "
        "this, and this alone, the recipe was chosen",
    )
    mnist.set_defaults(action=_mnist)

    bench = commands.add_parser(
        "bench",
        help="run everyday workloads, and compare with Keras and PyTorch if explanation where they are",
        description=(
            "Train everyday nets on made-up data, each run in a fresh process, and print medians; with "
            "peers, how many times better than the best of them."
        ),
    )
    add_bench_arguments(bench)
    bench.set_defaults(action=_bench)

    from hornbeam.cli.runs import add_commands

    add_commands(commands)

    inspect = commands.add_parser(
        "inspect",
        help="show what is in the file of a model: layers, arrays, what it would need; nothing is built",
    )
    inspect.add_argument("file", help=".keras, .weights.h5, .h5, .safetensors or .npz")
    inspect.set_defaults(action=_inspect)

    verify = commands.add_parser(
        "verify",
        help="read a whole file, compare checksums, and name what is damaged; status 1 if anything is",
    )
    verify.add_argument("file", nargs="+", help="as for inspect, checkpoints too")
    verify.set_defaults(action=_verify)

    convert = commands.add_parser(
        "convert",
        help="write a model, or its weights, in another format",
        description="The endings of the names say the formats: a .keras or .h5 model becomes a .keras file, "
        "or its weights .weights.h5, .safetensors or .npz. Classes of your own cannot be given here.",
    )
    convert.add_argument("source")
    convert.add_argument("target")
    convert.add_argument("--overwrite", action="store_true", help="replace the target if it exists")
    convert.set_defaults(action=_convert)

    doctor = commands.add_parser("doctor", help="show CPU features, threads, engines found and versions")
    doctor.set_defaults(action=_doctor)
    return parser


def _engine_option(parser: argparse.ArgumentParser) -> None:
    from hornbeam.engines import available

    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"what runs the work: {', '.join(available())}; torch:cuda:0 names a device (default: native)",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _run(args: argparse.Namespace) -> int:
    from hornbeam.compat import follow_backend, install, run_script

    if not os.path.isfile(args.script):
        print(f"hornbeam run: there is no script {args.script!r}", file=sys.stderr)
        return 2
    install()
    if not _choose(args.engine):
        return 2
    try:
        follow_backend(by_user=True)
    except (ValueError, ImportError) as error:
        print(f"hornbeam run: {error}", file=sys.stderr)
        return 2
    run_script(args.script, args.args)
    return 0


def _launch(args: argparse.Namespace) -> int:
    from hornbeam.distribution.launch import launch

    if not os.path.isfile(args.script):
        print(f"hornbeam launch: there is no script {args.script!r}", file=sys.stderr)
        return 2
    if not 0 <= args.node < args.nodes:
        print(f"hornbeam launch: --node counts from 0 to {args.nodes - 1}, got {args.node}", file=sys.stderr)
        return 2
    keras = ["-m", "hornbeam", "run"] if args.keras else []
    try:
        return launch(
            [sys.executable, *keras, args.script, *args.args],
            args.nproc,
            machines=args.nodes,
            machine=args.node,
            address=args.address,
            engine=args.engine,
        )
    except ValueError as error:
        print(f"hornbeam launch: {error}", file=sys.stderr)
        return 2


def _mnist(args: argparse.Namespace) -> int:
    if args.race:
        from hornbeam.cli import speedrun

        return speedrun.run(seed=args.seed, validate=args.validate, train_samples=args.train_samples)
    from hornbeam.cli.mnist import run

    return run(
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        train_samples=args.train_samples,
        output=args.output,
        runs=None if args.no_record else args.runs,
    )


def _bench(args: argparse.Namespace) -> int:
    from hornbeam.cli.bench.command import main

    return main(args)


def _inspect(args: argparse.Namespace) -> int:
    from hornbeam.saving import ModelFileError, inspect_model

    try:
        print(inspect_model(args.file))
    except (ModelFileError, FileNotFoundError, ValueError, ImportError) as error:
        print(f"hornbeam inspect: {error}", file=sys.stderr)
        return 1
    return 0


def _verify(args: argparse.Namespace) -> int:
    from hornbeam.saving import verify_model

    found = {name: verify_model(name) for name in args.file}
    for name, problems in found.items():
        print("\n".join([f"{name}: {'damaged' if problems else 'good'}", *(f"  {p}" for p in problems)]))
    return int(any(found.values()))


def _convert(args: argparse.Namespace) -> int:
    from hornbeam.saving import ModelFileError, load_model

    try:
        model = load_model(args.source)
        if args.target.endswith(".keras"):
            model.save(args.target, overwrite=args.overwrite)
        else:
            model.save_weights(args.target, overwrite=args.overwrite)
    except (ModelFileError, OSError, ValueError, ImportError) as error:
        print(f"hornbeam convert: {error}", file=sys.stderr)
        return 1
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from hornbeam.diagnostics.environment import report

    print(report())
    return 0
