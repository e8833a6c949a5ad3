"""Options that several commands have, and their errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hornbeam._internal.naming import nearest
from hornbeam._internal.terminal import paint, print_wrapped, program, uses_color


class Parser(argparse.ArgumentParser):
    """Parser that suggests the nearest option for an unknown one, and whose lines fit the terminal."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return namespace, unknown

    def _unknown(self, words: Sequence[str]) -> str:
        option = words[0].partition("=")[0]
        if not option.startswith("-"):
            return f"unexpected argument {words[0]!r}"
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        hint = nearest(option, known) or f" The options are {', '.join(known)}."
        return f"no option {option}.{hint}"

    def error(self, message: str) -> NoReturn:
        """Print a message, and exit with status 2."""
        name = f"hornbeam{self.prog.removeprefix(program())}"
        print_error(name, message)
        if "Did you mean" not in message:
            print_wrapped(f"{self.prog} --help describes the command.", sys.stderr)
        raise SystemExit(2)


def print_error(command: str, text: object) -> None:
    """Print a message on stderr, after the command that it is about."""
    head = paint(f"{command}:", "bad", uses_color(sys.stderr))
    print_wrapped(f"{head} {text}", sys.stderr, indent="  ")


def run_folder(name: str) -> Path:
    """Return the folder of a run that is given by its path, or by its name in `runs`."""
    named = Path("runs", name)
    return named if named.is_dir() and not Path(name).exists() else Path(name)


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`."""
    from hornbeam.engines import available

    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"engine: {', '.join(available())}; torch:cuda:0 names a device (default: native)",
    )


def choose_engine(name: str | None) -> bool:
    """Make an engine the current one; print a line and return False if that fails."""
    from hornbeam.engines import set_engine

    try:
        if name:
            set_engine(name)
    except (ValueError, ImportError, RuntimeError) as error:
        print_error("hornbeam", f"--engine {name}: {error}")
        return False
    return True


def prepare_serving(command: str) -> bool:
    """Set up the log of a server; print a line and return False if the extra `serve` is not installed."""
    from hornbeam._internal.extras import install_command

    try:
        import hornbeam.serving.server  # noqa: F401
        from hornbeam.serving import logs
    except ModuleNotFoundError as error:
        print_error(command, f"{error}: {install_command('serve')}")
        return False
    logs.configure()
    return True


def integer(text: str, low: int | None = None, high: int | None = None) -> int:
    """Convert an argument to an integer, of the range from `low` to `high`."""
    wanted = "an integer" if low is None else f"an integer of at least {low}"
    if high is not None:
        wanted = f"an integer from {low} to {high}"
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}") from None
    if (low is not None and value < low) or (high is not None and value > high):
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {value}")
    return value


def positive_int(text: str) -> int:
    """Convert an argument to an integer of at least 1."""
    return integer(text, 1)


def port_number(text: str) -> int:
    """Convert an argument to a port, 0 for a free one."""
    return integer(text, 0, 65535)
