"""`hornbeam serve`: answer requests for models over HTTP."""

from __future__ import annotations

import argparse
import os
import secrets
from typing import TYPE_CHECKING

from hornbeam.cli.arguments import port_number, positive_int, print_error

if TYPE_CHECKING:
    from hornbeam.serving.settings import Settings

# The variable that sets the token: the arguments of a process can be read by others.
TOKEN = "HORNBEAM_TOKEN"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="answer requests for models over HTTP, with a page to try them",
        description="Serves models by the Open Inference Protocol v2 and as TensorFlow Serving does, with "
        "a page to try them. A file that is replaced is loaded again. On other addresses than this "
        f"computer's own, requests need a bearer token: that of {TOKEN}, or one that is printed.",
    )
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
    parser.add_argument(
        "--max-batch",
        type=positive_int,
        default=32,
        metavar="N",
        help="samples of a batch (default: %(default)s)",
    )
    parser.add_argument(
        "--max-wait-ms",
        type=_not_negative,
        default=0.0,
        metavar="MS",
        help="time that a request waits for others to form a batch with (default: 0, those that arrive "
        "together or while a batch runs)",
    )
    parser.add_argument(
        "--parallel",
        type=positive_int,
        default=1,
        metavar="N",
        help="batches of a model that run at once (default: 1, which uses all processors)",
    )
    parser.add_argument(
        "--max-queue",
        type=positive_int,
        default=1024,
        metavar="N",
        help="samples that wait for a model; more are refused with 429 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-requests",
        type=positive_int,
        default=1024,
        metavar="N",
        help="requests in progress; more are refused with 429 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-body-mb",
        type=_positive,
        default=16.0,
        metavar="MB",
        help="size of a request (default: %(default)g)",
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="time for a request to arrive and to be answered (default: %(default)g)",
    )
    parser.add_argument(
        "--reload-seconds",
        type=_not_negative,
        default=1.0,
        metavar="SECONDS",
        help="time between two looks at the files, 0 for none (default: %(default)g)",
    )
    parser.add_argument("--log-requests", action="store_true", help="log each request, not only refused ones")
    return parser


def run(args: argparse.Namespace) -> int:
    """Serve until the process is stopped."""
    from hornbeam._internal.extras import install_command

    try:
        from hornbeam.serving import logs
        from hornbeam.serving.loading import load
        from hornbeam.serving.repository import Source
        from hornbeam.serving.server import serve
    except ModuleNotFoundError as error:
        print_error("hornbeam serve", f"{error}: {install_command('serve')}")
        return 1
    logs.configure()
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
