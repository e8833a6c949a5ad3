"""A server (served_models.py) from its start to its stop: limits, tokens, reload, metrics, logs, signals."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.helpers.served_models import Server, running, write_model

ROW = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)


def answer_of(address: str, body: bytes, head: str, *, wait: float = 0.0) -> bytes:
    """Send bytes as they are, and return all that comes until the server closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(wait)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


# -- what is asked for ---------------------------------------------------------------------------------------


def test_paths_that_do_not_exist_and_wrong_methods(client: httpx.Client) -> None:
    answer = client.get("/v3")
    assert answer.status_code == 404
    assert "/docs" in answer.json()["error"]
    assert client.get("/v2/models/none").status_code == 404
    assert "['1']" in client.get("/v2/models/scaled/versions/2").json()["error"]
    answer = client.get("/v2/models/scaled/infer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert client.delete("/v2").status_code == 405


@pytest.mark.parametrize(
    "path", ["/v1/models/scale:predict", "/v2/models/scale/infer", "/models/scale/upload"]
)
def test_a_question_to_a_misspelt_model_names_the_models(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={"instances": [[1.0]]})
    assert answer.status_code == 404
    assert re.match(r"no model is named 'scale': here are \[.*'scaled'", answer.json()["error"])
    answer = client.post(path.replace("scale", "scaled/versions/2"), json={"instances": [[1.0]]})
    assert answer.status_code == 404
    assert "'2'" in answer.json()["error"]


def test_the_description_lists_each_model(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert "/v1/models/two_inputs:predict" in document["paths"]
    assert "/models/digits/upload" in document["paths"]
    assert "/models/scaled/upload" not in document["paths"]
    example = document["paths"]["/v2/models/scaled/infer"]["post"]["requestBody"]["content"]
    body = example["application/json"]["example"]
    assert client.post("/v2/models/scaled/infer", json=body).is_success


def test_metrics_count_requests_and_batches(client: httpx.Client) -> None:
    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        (line,) = [line for line in lines if line.startswith('hornbeam_batch_rows_sum{model="scaled"}')]
        return float(line.split()[1])

    before = count()
    client.post("/v2/models/scaled/infer", json=ROW)
    assert count() == before + 1
    assert 'hornbeam_requests_total{model="scaled",protocol="v2",status="200"}' in client.get("/metrics").text


def test_refusals_are_logged_as_json(server: Server, client: httpx.Client) -> None:
    client.post("/v2/models/scaled/infer", content=b"{")
    events = [event for event in server.events() if event["event"] == "request refused"]
    assert events[-1]["status"] == 400
    assert "not JSON" in events[-1]["reason"]


def test_pages_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/web/../pages.py").status_code == 404
    assert client.get("/web/%2e%2e/kinds.py").status_code == 404


# -- limits --------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused(server: Server, client: httpx.Client) -> None:
    answer = client.post("/v2/models/scaled/infer", content=b" " * (1 << 20) + b"{}")
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["error"]
    chunks = (b" " * 65536 for _ in range(20))
    assert client.post("/v2/models/scaled/infer", content=chunks).status_code == 413
    head = f"POST /v2/models/scaled/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**9}\r\n\r\n"
    assert b"413" in answer_of(server.address, b"{", head)


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v2/models/scaled/infer", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_what_is_not_http_gets_a_sentence(server: Server) -> None:
    assert b"not HTTP/1.1" in answer_of(server.address, b"", "\x16\x03\x01 hello\r\n\r\n")


def test_other_hosts_are_refused(client: httpx.Client) -> None:
    """A name that an attacker's DNS resolves to 127.0.0.1."""
    assert client.get("/v2", headers={"Host": "attacker.example:8000"}).status_code == 403
    for name in ("localhost", "127.0.0.1:9", "[::1]:8000"):
        assert client.get("/v2", headers={"Host": name}).is_success


PATHS = ["/v2/models/scaled/infer", "/v1/models/scaled:predict", "/models/scaled/upload"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Content-Type": "application/x-www-form-urlencoded"},
        {"Origin": "http://localhost:9", "Sec-Fetch-Site": "same-site"},  # another server of this computer
    ],
)
def test_pages_of_other_servers_get_no_answer(
    client: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, content=b"{}", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"] == (
        f"{headers['Origin']} is another page: pages of other servers need a server with a token"
    )


def test_our_page_and_programs_are_answered(server: Server, client: httpx.Client) -> None:
    for headers in (
        {"Origin": server.address, "Sec-Fetch-Site": "same-origin"},
        {"Origin": server.address},  # an old browser
        {"Origin": "https://public.example", "Sec-Fetch-Site": "same-origin"},  # through a proxy
        {"Content-Type": "application/x-www-form-urlencoded"},  # curl -d
        {"Content-Type": "text/plain;charset=UTF-8"},  # fetch outside of browsers
        {},
    ):
        answer = client.post(PATHS[1], content=b'{"instances": [[1, 2, 3]]}', headers=headers)
        assert answer.is_success, answer.text


@pytest.mark.parametrize("name", ["Host", "Authorization"])
def test_headers_that_decide_come_once(server: Server, name: str) -> None:
    head = f"GET /v2 HTTP/1.1\r\nHost: localhost\r\n{name}: localhost\r\n{name}: localhost\r\n\r\n"
    answer = answer_of(server.address, b"", head)
    assert b"400 Bad Request" in answer
    assert b"comes twice" in answer


def test_slow_clients_are_closed(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled")
    with running(tmp_path, [model], timeout=0.5) as server:
        post = "POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        assert b"408" in answer_of(server.address, b"{", post)
        assert b"408" in answer_of(server.address, b"", "POST /v2/mod")
        assert b"408" in answer_of(server.address, b"", "")
        assert b"431" in answer_of(server.address, b"", f"GET / HTTP/1.1\r\nX: {'x' * 70_000}")
        assert httpx.post(f"{server.address}/v2/models/m/infer", json=ROW).is_success


def test_requests_beyond_the_limit_are_refused_and_those_before_answered(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", delay=0.3)
    with running(tmp_path, [model], max_requests=4) as server:
        answers: list[httpx.Response] = []
        path = f"{server.address}/v2/models/m/infer"
        threads = [
            threading.Thread(target=lambda: answers.append(httpx.post(path, json=ROW))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] * 4 + [429] * 4
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)


def test_an_answer_that_takes_too_long_is_a_429(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", delay=1.0)
    with running(tmp_path, [model], timeout=0.2) as server:
        answer = httpx.post(f"{server.address}/v2/models/m/infer", json=ROW)
        assert answer.status_code == 429
        assert "no answer within 0.2 s" in answer.json()["error"]


def test_a_token(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled")
    with running(tmp_path, [model], token="secret") as server:
        path = f"{server.address}/v2/models/m/infer"
        answer = httpx.post(path, json=ROW)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.post(path, json=ROW, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert httpx.post(path, json=ROW, headers={"Authorization": "Bearer secret"}).is_success
        assert httpx.get(f"{server.address}/metrics").status_code == 401
        assert httpx.get(f"{server.address}/v2/models/m").status_code == 401
        assert httpx.get(f"{server.address}/v2/health/ready").is_success
        assert httpx.get(f"{server.address}/").is_success


# -- reload --------------------------------------------------------------------------------------------------


def predictions(server: Server, path: str = "/v1/models/m") -> list[list[float]]:
    answer = httpx.post(f"{server.address}{path}:predict", json={"instances": [[1, 2, 3]]})
    return answer.json()["predictions"] if answer.is_success else []


def test_a_replaced_file_is_loaded_and_a_broken_one_is_not(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", factor=2)
    with running(tmp_path, [model], reload_seconds=0.05) as server:
        assert predictions(server) == [[2, 4, 6]]
        write_model(model, "scaled", factor=3)
        wait_for(lambda: predictions(server) == [[3, 6, 9]])
        model.write_text("broken")
        wait_for(lambda: any(event["event"] == "model refused" for event in server.events()))
        assert predictions(server) == [[3, 6, 9]]
        write_model(model, "scaled", factor=float("nan"))
        wait_for(lambda: "is not finite" in server.log.read_text())
        assert predictions(server) == [[3, 6, 9]]
        model.unlink()
        time.sleep(0.2)
        assert predictions(server) == [[3, 6, 9]]
        write_model(model, "scaled", factor=5)
        wait_for(lambda: predictions(server) == [[5, 10, 15]])


def test_requests_during_a_reload_are_all_answered_by_one_version_or_the_other(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", factor=2)
    with running(tmp_path, [model], reload_seconds=0.05) as server:
        answers: list[list[list[float]]] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answers.append(predictions(server))

        thread = threading.Thread(target=ask)
        thread.start()
        write_model(model, "scaled", factor=3)
        wait_for(lambda: answers and answers[-1] == [[3, 6, 9]])
        stop.set()
        thread.join()
        assert all(answer in ([[2, 4, 6]], [[3, 6, 9]]) for answer in answers)


def test_versions_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    write_model(folder / "1.hornbeam", "scaled", factor=1)
    write_model(folder / "2.hornbeam", "scaled", factor=2)
    with running(tmp_path, [folder], reload_seconds=0.05) as server:
        assert predictions(server) == [[2, 4, 6]]
        assert predictions(server, "/v1/models/m/versions/1") == [[1, 2, 3]]
        write_model(folder / "10.hornbeam", "scaled", factor=10)
        wait_for(lambda: predictions(server) == [[10, 20, 30]])
        (folder / "1.hornbeam").unlink()
        wait_for(lambda: predictions(server, "/v1/models/m/versions/1") == [])
        assert httpx.get(f"{server.address}/v2/models/m").json()["versions"] == ["2", "10"]


# -- stop ----------------------------------------------------------------------------------------------------


@pytest.mark.posix
def test_requests_in_progress_are_answered_before_the_server_stops(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", delay=1.0)
    with running(tmp_path, [model]) as server:
        answers: list[list[list[float]]] = []
        thread = threading.Thread(target=lambda: answers.append(predictions(server)))
        thread.start()
        wait_for(lambda: "hornbeam_open_requests 1.0" in httpx.get(f"{server.address}/metrics").text)
        server.process.terminate()
        assert server.process.wait(10) == 0
        thread.join()
        assert answers == [[[2, 4, 6]]]
        assert server.events()[-1]["event"] == "server stopped"


def test_a_client_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled", delay=0.1)
    body = json.dumps(ROW).encode()
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with running(tmp_path, [model]) as server:
        host, port = server.address.removeprefix("http://").split(":")
        for length in (len(head) // 2, len(head), len(head) + 10, len(head) + len(body)):
            connection = socket.create_connection((host, int(port)))
            # The connection is reset, as by a client that the system ends.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall((head.encode() + body)[:length])
            time.sleep(0.02)
            connection.close()
        assert predictions(server) == [[2, 4, 6]]
        wait_for(lambda: "hornbeam_open_requests 0.0" in httpx.get(f"{server.address}/metrics").text)
        assert not [event for event in server.events() if event["level"] == "error"]


# -- connections ---------------------------------------------------------------------------------------------


def raw(path: str, body: dict[str, object] | None = None, *headers: str, version: str = "1.1") -> bytes:
    """Return the bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/{version}", "Host: localhost", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    infer = raw("/v2/models/scaled/infer", ROW)
    requests = [
        infer,
        raw("/v2"),
        infer,
        infer,
        raw("/v2/models/scaled"),
        infer,
        raw("/v3", None, "Connection: close"),
    ]
    replies = answer_of(server.address, b"".join(requests), "").split(b"HTTP/1.1 ")[1:]
    assert [reply[:3] for reply in replies] == [b"200"] * 6 + [b"404"]
    assert [b'"model_name"' in reply for reply in replies] == [
        True, False, True, True, False, True, False,
    ]  # fmt: skip


def test_connections_are_closed_as_the_client_asks(server: Server) -> None:
    path = "/v2/models/scaled/infer"
    for request in (raw(path, ROW, "Connection: close"), raw(path, ROW, version="1.0")):
        reply = answer_of(server.address, request, "")
        assert reply.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in reply


def test_a_body_in_pieces_and_one_in_chunks(server: Server) -> None:
    request = raw("/v2/models/scaled/infer", ROW, "Connection: close")
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for at in range(0, len(request), 29):
            connection.sendall(request[at : at + 29])
            time.sleep(0.002)
        assert b"[2.0,4.0,6.0]" in connection.makefile("rb").read()
    pieces = iter([json.dumps(ROW).encode()[:20], json.dumps(ROW).encode()[20:]])
    assert httpx.post(f"{server.address}/v2/models/scaled/infer", content=pieces).is_success


def test_a_client_that_reads_no_answers_stops_being_read(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.hornbeam", "scaled")
    request = raw("/v2/models/m/infer", ROW)
    with running(tmp_path, [model], timeout=1.0) as server:
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.setblocking(False)
            sent, end = 0, time.monotonic() + 2
            with suppress(ConnectionError):  # the server gives up
                while time.monotonic() < end:
                    try:
                        sent += connection.send(request * 100)
                    except BlockingIOError:  # the server takes no more
                        time.sleep(0.01)
        assert sent < 50_000_000
        assert httpx.post(f"{server.address}/v2/models/m/infer", json=ROW).is_success
