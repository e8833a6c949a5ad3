"""Broken and hostile clients: mutated bodies, what is not HTTP, ten thousand connections, a long run."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hornbeam.errors import ModelFileError
from hornbeam.serving.application import Application
from hornbeam.serving.metrics import Metrics
from hornbeam.serving.repository import Repository, Source
from hornbeam.serving.settings import Settings
from tests.helpers.served_models import Server, load_json, running, write_model

INFER = "/v2/models/m/infer"
PREDICT = "/v1/models/m:predict"
BODIES = {
    INFER: {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]},
    PREDICT: {"instances": [[1, 2, 3]]},
}
ODD = [None, True, -1, 0, 2**70, 1e300, "", "x", [], {}, [[]], [None], {"": 0}, "\ud800"]


def mutations(rng: random.Random, body: Any) -> Iterator[bytes]:
    """Yield bodies that differ from a valid one in a few bytes, or in one value."""
    text = json.dumps(body).encode()
    while True:
        raw = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw))
            if rng.random() < 0.5:
                raw[at] = rng.randrange(256)
            else:
                raw[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        yield bytes(raw)
        copy = json.loads(text)
        node, parents = copy, []
        while isinstance(node, (dict, list)) and node:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            parents.append((node, key))
            node = node[key]
            if rng.random() < 0.3:
                break
        node, key = parents[-1]
        node[key] = rng.choice(ODD)
        yield json.dumps(copy).encode("utf-8", "surrogatepass")


async def answer(application: Application, path: str, body: bytes) -> tuple[int, bytes]:
    """Send a request to the application without a server; return the status and the body."""
    sent: list[Any] = []
    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("count", [1_000, pytest.param(50_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", [INFER, PREDICT])
def test_mutated_bodies_are_answered_or_refused_with_a_sentence(
    tmp_path: Path, path: str, count: int
) -> None:
    source = Source.parse(str(write_model(tmp_path / "m.hornbeam", "scaled")))
    rng = random.Random(0)

    async def run() -> set[int]:
        statuses = set()
        with ThreadPoolExecutor(1) as executor:
            settings, metrics = Settings(), Metrics()
            repository = Repository([source], metrics, settings.batch, executor, load_json)
            application = Application(repository, settings, metrics)
            for body, _ in zip(mutations(rng, BODIES[path]), range(count), strict=False):
                status, content = await answer(application, path, body)
                statuses.add(status)
                if status == 200:
                    check_answer(path, json.loads(body), json.loads(content))
                else:
                    assert status == 400, (body, content)
                    assert json.loads(content)["error"]
        return statuses

    assert asyncio.run(run()) == {200, 400}


def check_answer(path: str, request: dict[str, Any], content: dict[str, Any]) -> None:
    """An answer is twice the numbers of the request: nothing else passed for them."""
    if path == INFER:
        ((values,), (results,)) = (
            [tensor["data"] for tensor in tensors] for tensors in (request["inputs"], content["outputs"])
        )
    else:
        values = request["instances"] if "instances" in request else request["inputs"]
        results = content["predictions"] if "predictions" in content else content["outputs"]
    assert flat(results) == pytest.approx([2 * value for value in flat(values)], rel=1e-6)


def flat(values: Any) -> list[float]:
    if isinstance(values, list):
        return [number for value in values for number in flat(value)]
    assert type(values) in (int, float)
    return [values]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, [write_model(tmp_path / "m.hornbeam", "scaled")]) as server:
        yield server


def address_of(server: Server) -> tuple[str, int]:
    host, port = server.address.removeprefix("http://").split(":")
    return host, int(port)


def is_well(server: Server) -> bool:
    reply = httpx.post(server.address + INFER, json=BODIES[INFER])
    return bool(reply.json()["outputs"][0]["data"] == [2, 4, 6])


@pytest.mark.parametrize("count", [30, pytest.param(3_000, marks=pytest.mark.slow)])
def test_bytes_that_are_not_http(started: Server, count: int) -> None:
    rng = random.Random(0)
    body = json.dumps(BODIES[INFER]).encode()
    valid = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (INFER.encode(), len(body))
    for _ in range(count):
        data = bytearray(valid + body)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(valid))] = rng.randrange(256)
        with socket.create_connection(address_of(started), timeout=5) as connection:
            connection.sendall(data if rng.random() < 0.7 else rng.randbytes(rng.randint(1, 400)))
            connection.shutdown(socket.SHUT_WR)
            reply = connection.recv(65536)
        assert not reply or reply.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), (bytes(data), reply)
    assert is_well(started)


@pytest.mark.slow
@pytest.mark.linux
def test_ten_thousand_connections(started: Server) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_500:
        pytest.skip(f"the system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    body = json.dumps(BODIES[INFER]).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def one(gate: asyncio.Semaphore, all_open: asyncio.Event, left: list[int]) -> bytes:
        async with gate:  # the kernel queues 2,048 that are not accepted yet
            reader, writer = await asyncio.open_connection(*address_of(started))
        left[0] -= 1
        if not left[0]:
            all_open.set()
        await all_open.wait()
        writer.write(head + body)
        status = await reader.readline()
        writer.close()
        return status.split()[1]

    async def all_at_once() -> list[bytes]:
        left = [10_000]
        gate, all_open = asyncio.Semaphore(500), asyncio.Event()
        return await asyncio.gather(*(one(gate, all_open, left) for _ in range(left[0])))

    try:
        statuses = asyncio.run(all_at_once())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(statuses) == 10_000
    assert set(statuses) <= {b"200", b"429"}
    assert statuses.count(b"200") >= 1_024
    assert is_well(started)


def resident(server: Server) -> float:
    for line in httpx.get(server.address + "/metrics").text.splitlines():
        if line.startswith("process_resident_memory_bytes"):
            return float(line.split()[1]) / 1e6
    raise AssertionError("no line about the memory")


@pytest.mark.slow
@pytest.mark.linux
def test_memory_does_not_grow_over_many_requests(started: Server) -> None:
    body = json.dumps(BODIES[INFER]).encode()
    request = (
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )

    def send(count: int) -> None:
        with socket.create_connection(address_of(started), timeout=60) as connection:
            reader = connection.makefile("rb")
            for _ in range(count // 10):
                connection.sendall(request * 10)
                for _ in range(10):
                    assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
                    length = 0
                    while (line := reader.readline()) != b"\r\n":
                        if line.startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    assert b"[2.0,4.0,6.0]" in reader.read(length)

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(send, [5_000] * 4))
        before = resident(started)
        list(executor.map(send, [25_000] * 4))
    assert resident(started) - before < 3


@pytest.mark.slow
def test_the_description_holds_for_generated_requests(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    # JSON Schema cannot say that there are as many values as the product of the sizes.
    command = ["schemathesis.cli", "run", f"{server.address}/openapi.json", "--max-examples", "100"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--exclude-checks", "positive_data_acceptance", "--seed", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("replacements", [2, 3])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path, replacements: int) -> None:
    path, reads = write_model(tmp_path / "m.hornbeam", "scaled"), 0

    def load(file: Path) -> Any:
        nonlocal reads
        reads += 1
        model = load_json(file)
        if reads <= replacements:
            os.utime(file, ns=(reads, reads))
        return model

    with ThreadPoolExecutor(1) as executor:
        arguments = [Source.parse(str(path))], Metrics(), Settings().batch, executor, load
        if replacements < 3:
            assert Repository(*arguments).models["m"].versions
        else:
            with pytest.raises(ModelFileError, match="changed each of 3 times that it was read"):
                Repository(*arguments)
    assert reads == 3
