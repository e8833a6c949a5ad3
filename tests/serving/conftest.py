"""One server for the tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.helpers.served_models import Server, running, write_model

if TYPE_CHECKING:
    import httpx

# The libraries of the extra `serve`, and a client.
_NEEDED = ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client", "PIL", "httpx")
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the models of `tests.helpers.served_models`."""
    folder = tmp_path_factory.mktemp("served")
    models = [
        write_model(folder / f"{name}.hornbeam", name)
        for name in ("scaled", "two_inputs", "words", "positive")
    ]
    models.append(write_model(folder / "digits.hornbeam", "digits", labels=["dark", *"12345678", "bright"]))
    with running(folder, models, max_body=1 << 20) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    import httpx

    with httpx.Client(base_url=server.address) as opened:
        yield opened
