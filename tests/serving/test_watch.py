"""`hornbeam watch`: records, changes, requests."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from hornbeam.cli import main
from hornbeam.errors import RunError
from hornbeam.insight.runs.liveness import this_process
from hornbeam.insight.runs.steering import request_stop, stop_requested
from hornbeam.serving.listening import bind, signals_end_the_server
from hornbeam.serving.watch.watched import WatchedRuns
from tests.helpers.run_folders import append_epoch, names_of, write_run
from tests.helpers.watching import Watching, watching

HOSTILE = "</script><img src=x onerror=alert(1)>\ud800\u202e"


def settle(path: Path) -> None:
    """Give a folder a time at which no clock can be too coarse."""
    os.utime(path, (time.time() - 10, time.time() - 10))


# -- records and changes -----------------------------------------------------------------------------------


def test_what_is_shown_of_a_run(tmp_path: Path) -> None:
    path = write_run(tmp_path, "one", 3, seed=5)
    (path / "progress.json").write_text('{"epoch": 4, "step": 5, "seconds": 0.5}')
    (path / "notes.txt").write_text("a note")
    runs = WatchedRuns(tmp_path)
    (change,) = runs.refresh()
    record = change.record
    assert record is not None
    assert record["state"] == "running"
    assert (record["epoch"], record["planned_epochs"], record["seed"]) == (3, 10, 5)
    assert record["position"] == {"step": 5, "steps": 20, "seconds": 0.5}
    assert record["ends_at"] - record["last_sign"] == pytest.approx(7 * 2.0 - 0.5)
    assert (record["best_metric"], record["best_epoch"], record["larger_is_better"]) == (
        "val_accuracy",
        3,
        True,
    )
    assert record["metrics"]["loss"] == {"last": pytest.approx(1 / 8), "best": pytest.approx(1 / 8)}
    assert (record["command"], record["engine"], record["notes"]) == (
        "python train.py --seed 5",
        "native",
        "a note",
    )
    assert record["started"] == 1796012103
    assert len(change.epochs) == 3


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "running"),
        ({"status": "finished"}, "finished"),
        ({"status": "finished", "stopped": "on request"}, "stopped"),
        ({"process": {"pid": 1, "machine": "other"}}, "running"),
        ({"process": {**(this_process() or {}), "started": 1}}, "lost"),
    ],
)
def test_states(tmp_path: Path, facts: dict[str, Any], state: str) -> None:
    write_run(tmp_path, "one", **facts)
    runs = WatchedRuns(tmp_path)
    runs.refresh()
    assert [record["state"] for record in runs.records] == [state]


def test_what_json_lacks_is_no_change(tmp_path: Path) -> None:
    path = write_run(tmp_path, "one", 1)
    append_epoch(path, 2, {"loss": float("nan"), "val_accuracy": float("inf")})
    runs = WatchedRuns(tmp_path)
    assert len(runs.refresh()) == 1
    (path / "progress.json").write_text("not JSON")
    (change,) = runs.refresh()
    assert (change.first, change.epochs) == (2, [])
    append_epoch(path, 3, {"loss": float("nan")})
    (change,) = runs.refresh()
    assert (change.first, len(change.epochs)) == (2, 1)


def test_a_silent_run_is_lost(tmp_path: Path) -> None:
    path = write_run(tmp_path, "one", process=None)
    runs = WatchedRuns(tmp_path)
    assert len(runs.refresh()) == 1
    for file in path.iterdir():
        os.utime(file, (time.time() - 301, time.time() - 301))
    (change,) = runs.refresh()
    assert change.record is not None
    assert change.record["state"] == "lost"


def test_only_what_changed_is_told(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path, name, 2) for name in ("first", "second"))
    runs = WatchedRuns(tmp_path)
    assert [(change.name, len(change.epochs)) for change in runs.refresh()] == [("first", 2), ("second", 2)]
    assert runs.refresh() == []
    append_epoch(second, 3, {"loss": 0.1})
    (change,) = runs.refresh()
    assert (change.name, change.first, [line["epoch"] for line in change.epochs]) == ("second", 2, [3])
    write_run(tmp_path, "third")
    assert [change.name for change in runs.refresh()] == ["third"]
    shutil.rmtree(first)
    assert [(change.name, change.record) for change in runs.refresh()] == [("first", None)]
    assert names_of(runs.records) == ["second", "third"]


def test_epochs_that_a_resumed_training_repeats_are_told_again(tmp_path: Path) -> None:
    path = write_run(tmp_path, "one", 3)
    runs = WatchedRuns(tmp_path)
    runs.refresh()
    lines = (path / "history.jsonl").read_text().splitlines(keepends=True)
    (path / "history.new").write_text("".join(lines[:2]))
    os.replace(path / "history.new", path / "history.jsonl")
    append_epoch(path, 3, {"loss": 0.5})
    (change,) = runs.refresh()
    assert (change.first, len(change.epochs)) == (0, 3)


def test_finished_runs_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_run(tmp_path, "one", status="finished")
    settle(path)
    runs = WatchedRuns(tmp_path)
    runs.refresh()
    looked: list[str] = []
    monkeypatch.setattr(runs, "_read", lambda name, *rest: looked.append(name))
    runs.refresh()
    assert looked == []
    (path / "notes.txt").write_text("later")
    runs.refresh()
    assert looked == ["one"]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"fit": {"epochs": 1e999}}',
        '{"seed": 1' + "0" * 40 + "}",
        '{"fit": [1], "environment": 3}',
        "[" * 99_999,
    ],
)
def test_a_strange_run_hides_no_other(tmp_path: Path, content: str) -> None:
    write_run(tmp_path, "good")
    (write_run(tmp_path, "strange") / "run.json").write_text(content)
    runs = WatchedRuns(tmp_path)
    runs.refresh()
    assert "good" in names_of(runs.records)
    assert len(runs.records) + len(runs.errors) == 2
    json.dumps(runs.errors).encode()


def test_a_folder_that_goes_away_is_told(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one")
    runs = WatchedRuns(tmp_path / "runs")
    runs.refresh()
    shutil.rmtree(tmp_path / "runs")
    assert [change.record for change in runs.refresh()] == [None]
    assert "No such file" in runs.errors[0]


# -- requests ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    folder = tmp_path_factory.mktemp("watched")
    write_run(folder, "one", units=4)
    write_run(folder, "two", units=8)
    write_run(folder, "done", status="finished")
    with watching(folder, "--control") as started:
        yield started


def test_the_page_loads_nothing_from_elsewhere(controlled: Watching) -> None:
    answer = httpx.get(controlled.address)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("page.css", "watch.css", "watch.js", "curves.js"):
        assert httpx.get(f"{controlled.address}/web/{name}").status_code == 200
    assert httpx.get(f"{controlled.address}/web/serve.js").json() == {
        "error": "nothing is at /web/serve.js: the page is at /"
    }


def test_events_begin_with_all_runs_and_go_on_with_changes(controlled: Watching) -> None:
    with controlled.events() as events:
        kind, content = next(events)
        assert kind == "runs"
        assert {"one", "two", "done"} <= set(names_of(content["runs"]))
        assert content["control"] is True
        append_epoch(controlled.folder / "one", 4, {"loss": float("nan")})
        kind, content = next(events)
        assert (kind, content["record"]["run"], content["first"]) == ("run", "one", 3)
        assert content["epochs"] == [{"epoch": 4, "logs": {"loss": None}}]


def test_histories(controlled: Watching) -> None:
    answer = httpx.get(f"{controlled.address}/api/runs/two/history").json()
    assert answer["epochs"] == [1, 2, 3]
    assert answer["metrics"]["loss"] == pytest.approx([1, 1 / 2, 1 / 3])
    assert httpx.get(f"{controlled.address}/api/runs/..%2Fone/history").status_code == 404
    assert "no run is named 'x'" in httpx.get(f"{controlled.address}/api/runs/x/history").json()["error"]


def test_comparisons(controlled: Watching) -> None:
    answer = httpx.get(f"{controlled.address}/api/compare?run=one&run=two&run=done").json()
    rows = {name: values for name, *values in answer["rows"]}
    assert rows["model.layers.0.units"] == ["4", "8", "8"]
    refused = httpx.get(f"{controlled.address}/api/compare?run=one")
    assert (refused.status_code, refused.json()["error"]) == (400, "2 to 12 runs can be compared, got 1")


def test_another_name_of_this_computer_is_refused(controlled: Watching) -> None:
    answer = httpx.get(controlled.address, headers={"Host": "attacker.example"})
    assert (answer.status_code, answer.json()["error"]) == (
        403, "host 'attacker.example' is not this computer: use 127.0.0.1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "no valid token"),
        ({"Authorization": "Bearer wrong"}, 401, "no valid token"),
        ({"Authorization": "TOKEN", "Origin": "http://attacker.example"}, 403, "is another page"),
        ({"Authorization": "TOKEN", "Origin": "null"}, 403, "is another page"),
    ],
)
def test_changes_need_the_token_and_the_page(
    controlled: Watching, headers: dict[str, str], status: int, reason: str
) -> None:
    own = {key: value.replace("TOKEN", f"Bearer {controlled.token}") for key, value in headers.items()}
    for request in (("PUT", "notes", {"text": "x", "before": ""}), ("POST", "stop", None)):
        answer = controlled.send(*request, headers=own)
        assert answer.status_code == status
        assert reason in answer.json()["error"]
    assert not stop_requested(controlled.folder / "one")
    assert not (controlled.folder / "one" / "notes.txt").exists()


def test_notes_are_written(controlled: Watching) -> None:
    path = controlled.folder / "one" / "notes.txt"
    answer = controlled.send("PUT", "notes", {"text": "<b>good</b>\nü", "before": ""})
    assert answer.json() == {"notes": "<b>good</b>\nü"}
    assert path.read_text(encoding="utf-8") == "<b>good</b>\nü"
    conflict = controlled.send("PUT", "notes", {"text": "other", "before": ""})
    assert (conflict.status_code, path.read_text()) == (409, "<b>good</b>\nü")
    assert controlled.send("PUT", "notes", {"text": 3}).status_code == 400
    assert controlled.send("PUT", "notes", {"text": "x" * 200_000, "before": ""}).status_code == 413
    assert controlled.send("PUT", "notes", {"text": "", "before": "<b>good</b>\nü"}).status_code == 200
    assert not path.exists()


def test_a_stop_is_asked_for(controlled: Watching) -> None:
    assert controlled.send("POST", "stop", run="two").json() == {"stopping": True}
    assert stop_requested(controlled.folder / "two")
    refused = controlled.send("POST", "stop", run="done")
    assert (refused.status_code, refused.json()["error"]) == (409, "done does not run: it is finished")
    with controlled.events() as events:
        records = {record["run"]: record for record in next(events)[1]["runs"]}
    assert (records["two"]["stopping"], records["one"]["stopping"]) == (True, False)


def test_a_page_without_control_changes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "one", name=HOSTILE)
    with watching(tmp_path) as started:
        assert started.token is None
        answer = started.send("POST", "stop", headers={"Authorization": "Bearer None"})
        assert (answer.status_code, answer.json()["error"]) == (
            403, "this page is read-only: start it by hornbeam watch --control",
        )  # fmt: skip
        with started.events() as events:
            assert next(events)[1]["control"] is False
    assert not stop_requested(tmp_path / "one")


def test_a_server_with_an_open_page_ends_soon(tmp_path: Path) -> None:
    write_run(tmp_path, "one")
    with watching(tmp_path) as started, started.events() as events:
        next(events)
        begin = time.monotonic()
        started.process.terminate()
        assert started.process.wait(20) == 0
        assert time.monotonic() - begin < 5
        assert started.process.stderr is not None
        assert started.process.stderr.read() == ""


# -- the command ---------------------------------------------------------------------------------------------


def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path / "none")]) == 1
    assert "RunRecorder" in capsys.readouterr().err
    with pytest.raises(RunError, match="no folder"):
        WatchedRuns(tmp_path / "none")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["watch", str(tmp_path), "--port", str(port)]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert f"port {port} of 127.0.0.1" in error
    assert "--port 0 takes a free one" in error


def test_a_folder_is_awaited(tmp_path: Path) -> None:
    """`hornbeam watch` may be started before the first training, which makes the folder."""
    runs = WatchedRuns(tmp_path / "runs", awaited=True)
    assert runs.refresh() == []
    assert runs.errors == []
    write_run(tmp_path / "runs", "one")
    assert len(runs.refresh()) == 1
    shutil.rmtree(tmp_path / "runs")
    runs.refresh()
    assert "No such file" in runs.errors[0]


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    real = builtins.__import__

    def without_starlette(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "starlette":
            raise ModuleNotFoundError("No module named 'starlette'")
        return real(name, *args, **kwargs)

    for module in [name for name in sys.modules if name.startswith("hornbeam.serving.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_starlette)
    assert main(["watch", str(tmp_path)]) == 1
    assert "pip install" in capsys.readouterr().err


def test_watching_imports_no_layers() -> None:
    code = (
        "import sys, hornbeam.serving.watch.server\n"
        "print([m for m in ('hornbeam.layers', 'hornbeam.models', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stop_outlives_the_page(tmp_path: Path) -> None:
    """The request is a file: the training need not be reachable, and the server may end."""
    path = write_run(tmp_path, "one")
    request_stop(path)
    request_stop(path)
    assert stop_requested(path)


@pytest.mark.posix
def test_a_signal_before_uvicorn_listens_for_it_ends_the_server() -> None:
    server = uvicorn.Server(
        uvicorn.Config(lambda scope, receive, send: None, lifespan="off", log_config=None)
    )
    with bind("127.0.0.1", 0) as listener, signals_end_the_server(server):
        signal.raise_signal(signal.SIGTERM)
        assert server.should_exit
        server.run(sockets=[listener])  # which returns at once
