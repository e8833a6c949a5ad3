"""`hornbeam serve`: answer requests for models over HTTP."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from hornbeam.cli.arguments import port_number, positive_int, prepare_serving, print_error

if TYPE_CHECKING:
    from hornbeam.serving.settings import Settings

# The variable that sets the token: the arguments of a process can be read by others.
TOKEN = "HORNBEAM_TOKEN"


HELP = "answer requests for models over HTTP, with a page to try them"
DESCRIPTION = (
    "Serves models by the Open Inference Protocol v2 and as TensorFlow Serving does, with "
    "a page to try them. A file that is replaced is loaded again. On other addresses than this "
    f"computer's own, requests need a bearer token: that of {TOKEN}, or one that is printed."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a file (.hornbeam, .keras, .h5, .onnx), a folder with files named by version (1.keras, "
        "2.keras), or NAME=PATH",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address (default: %(default)s, this computer alone)"
    )
    parser.add_argument(
        "--port", type=port_number, default=8000, help="port, 0 for a free one (default: %(default)s)"
    )
    for option, convert, default, metavar, purpose in _limits():
        parser.add_argument(option, type=convert, default=default, metavar=metavar, help=purpose)
    parser.add_argument("--log-requests", action="store_true", help="log each request, not only refused ones")


def _limits() -> list[tuple[str, Callable[[str], float], float, str, str]]:
    """Return the option, type, default, unit and description of each limit."""
    return [
        ("--max-batch", positive_int, 32, "N", "samples of a batch (default: %(default)s)"),
        (
            "--max-wait-ms", _not_negative, 0.0, "MS",
            "time that a request waits for others to form a batch with (default: 0, those that arrive "
            "together or while a batch runs)",
        ),
        (
            "--parallel", positive_int, 1, "N",
            "batches of a model that run at once (default: 1, which uses all processors)",
        ),
        (
            "--max-queue", positive_int, 1024, "N",
            "samples that wait for a model; more are refused with 429 (default: %(default)s)",
        ),
        (
            "--max-requests", positive_int, 1024, "N",
            "requests in progress; more are refused with 429 (default: %(default)s)",
        ),
        ("--max-body-mb", _positive, 16.0, "MB", "size of a request (default: %(default)g)"),
        (
            "--timeout", _positive, 30.0, "SECONDS",
            "time for a request to arrive and to be answered (default: %(default)g)",
        ),
        (
            "--reload-seconds", _not_negative, 1.0, "SECONDS",
            "time between two looks at the files, 0 for none (default: %(default)g)",
        ),
    ]  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Serve until the process is stopped."""
    if not prepare_serving("hornbeam serve"):
        return 1
    from hornbeam.serving.loading import load
    from hornbeam.serving.repository import Source
    from hornbeam.serving.server import serve

    settings = _settings(args)
    try:
        sources = [Source.parse(text) for text in args.models]
        serve(sources, settings, load, on_ready=lambda url: _announce(url, settings))
    except (OSError, ValueError, NotImplementedError, ImportError) as error:
        print_error("hornbeam serve", error)
        return 1
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from hornbeam.serving.batcher import BatchLimits
    from hornbeam.serving.settings import MEGABYTE, Settings, is_loopback

    token = os.environ.get(TOKEN)
    if token is None and not is_loopback(args.host):
        token = secrets.token_urlsafe(24)
    return Settings(
        host=args.host,
        port=args.port,
        token=token,
        batch=BatchLimits(args.max_batch, args.max_wait_ms / 1000, args.max_queue, args.parallel),
        max_body=int(args.max_body_mb * MEGABYTE),
        max_requests=args.max_requests,
        timeout=args.timeout,
        reload_seconds=args.reload_seconds,
        log_requests=args.log_requests,
    )


def _announce(url: str, settings: Settings) -> None:
    """Print the address of the page; a browser keeps what follows # to itself."""
    token = f"#token={settings.token}" if settings.token and TOKEN not in os.environ else ""
    print(f"Try the models: {url}/{token}", flush=True)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return value
