"""`hornbeam watch`: a live page of recorded runs."""

from __future__ import annotations

import argparse
import secrets
import webbrowser

from hornbeam.cli.arguments import port_number, prepare_serving, print_error

# Where RunRecorder records.
_FOLDER = "runs"


HELP = "follow recorded runs on a live page"
DESCRIPTION = (
    "Shows the runs in a folder, their curves and their differences on a page that this "
    "computer alone can open, and follows trainings in other processes. With --control the page also "
    "writes notes and stops trainings; it then needs the token in the address that is printed."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "folder", nargs="?", help=f"folder of runs (default: {_FOLDER}, also before the first training)"
    )
    parser.add_argument(
        "--port", type=port_number, default=8080, help="port, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument("--control", action="store_true", help="write notes and stop trainings from the page")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    """Show the page until the process is stopped."""
    if not prepare_serving("hornbeam watch"):
        return 1
    from hornbeam.errors import RunError
    from hornbeam.serving.watch.server import watch
    from hornbeam.serving.watch.watched import WatchedRuns

    folder = args.folder or _FOLDER
    token = secrets.token_urlsafe(24) if args.control else None

    def announce(url: str) -> None:
        address = f"{url}/{f'#token={token}' if token else ''}"
        print(f"Runs in {folder}: {address}", flush=True)
        if args.open and not webbrowser.open(address):
            print_error("hornbeam watch", "no browser could be opened; open the address above")

    try:
        watch(WatchedRuns(folder, awaited=args.folder is None), args.port, token, on_ready=announce)
    except (RunError, OSError) as error:
        hint = ". --port 0 takes a free one" if isinstance(error, OSError) else ""
        print_error("hornbeam watch", f"{error}{hint}")
        return 1
    return 0
