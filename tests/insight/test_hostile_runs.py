"""Runs of others: no link leads out of their folder, and nothing in it is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hornbeam.errors import RunError
from hornbeam.insight import read_run
from hornbeam.insight.runs import compare_runs, list_runs
from hornbeam.insight.runs.steering import read_notes, request_stop, stop_requested, write_notes
from hornbeam.serving.watch.watched import WatchedRuns
from tests.helpers.run_folders import write_run

pytestmark = pytest.mark.posix

SECRET = '{"epoch": 1, "seconds": 1, "logs": {"private": 1}}\nmore\n'


def link_to_a_secret(file: Path) -> None:
    secret = file.parents[2] / "secret"
    secret.write_text(SECRET)
    file.unlink(missing_ok=True)
    file.symlink_to(secret)


def link_to_zeros(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to("/dev/zero")


def pipe(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@pytest.mark.parametrize("become", [link_to_a_secret, link_to_zeros, pipe])
@pytest.mark.parametrize("name", ["progress.json", "history.jsonl", "notes.txt", "run.json", "model.json"])
def test_a_hostile_run_hides_and_shows_nothing(
    tmp_path: Path, name: str, become: Callable[[Path], None]
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    write_run(folder, "good", 1)
    become(write_run(folder, "hostile", 1) / name)
    runs = WatchedRuns(folder)
    runs.refresh()
    assert "good" in {record["run"] for record in runs.records}
    shown = [repr(runs.records), list_runs(folder).text]
    try:
        shown.append(compare_runs(read_run(folder / "hostile"), read_run(folder / "good")).text)
    except RunError as error:
        shown.append(str(error))
    assert not any("private" in text for text in shown), shown


def test_notes_are_written_through_no_link(tmp_path: Path) -> None:
    run = write_run(tmp_path, "one", 1)
    for target in (tmp_path / "secret", tmp_path / "missing"):
        link_to = run / "notes.txt"
        link_to.unlink(missing_ok=True)
        link_to.symlink_to(target)
        if target.name == "secret":
            target.write_text("private")
        with pytest.raises(OSError, match=r"notes\.txt is a link or no file: copy what it leads to"):
            read_notes(run)
        with pytest.raises(OSError, match="is a link"):
            write_notes(run, "new", "")
    assert (tmp_path / "secret").read_text() == "private"
    assert not (tmp_path / "missing").exists()


def test_a_stop_is_requested_through_no_link(tmp_path: Path) -> None:
    run = write_run(tmp_path, "one", 1)
    (run / "stop").symlink_to(tmp_path / "missing")
    request_stop(run)
    assert stop_requested(run)
    assert not (tmp_path / "missing").exists()
    assert [change.name for change in WatchedRuns(tmp_path).refresh()] == ["one"]
