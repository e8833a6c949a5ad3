"""Searches in a database that several machines share; a PostgreSQL server of the machine runs for them."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hornbeam as hb

pytest.importorskip("optuna", reason="Optuna is not installed: pip install optuna")
pytest.importorskip("psycopg", reason="a driver is not installed: pip install 'psycopg[binary]'")

TRIALS = 24
# A worker on the machine sys.argv[2], with short times, that writes what each trial was asked.
PROGRAM = """
import json, socket, sys, time
socket.gethostname = lambda: sys.argv[2]
import hornbeam as hb
from hornbeam.tuning import database
database.INTERVAL, database.GRACE = 1, 4

def function(hp):
    x = hp.Float("x", -1, 1, default=0.5)
    print("begun", flush=True)
    time.sleep(float(sys.argv[4]))
    return -x * x

result = hb.tuning.tune(function, objective=("quality", "max"), trials=int(sys.argv[3]), storage=sys.argv[1],
                        seeds=0, verbose=False)
print(json.dumps([[t.number, t.values["x"], t.state] for t in result.trials]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start PostgreSQL on a free port; return the URL of an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The server does not run as root, whose folders it could not enter.
    as_user = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    created = subprocess.run(
        [*as_user, "mktemp", "-d", "/tmp/hornbeam-pg-XXXXXX"], capture_output=True, text=True
    )
    if created.returncode:
        pytest.skip(f"no user for the server: {created.stderr}")
    folder = created.stdout.strip()
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
    control = [*as_user, str(Path(initdb).with_name("pg_ctl")), "-D", f"{folder}/data", "-w", "-s"]
    try:
        command = [*as_user, initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "tester"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
        subprocess.run([*control, "-l", f"{folder}/log", "-o", options, "start"], check=True, cwd="/")
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}"
        subprocess.run([*control, "-m", "fast", "stop"], check=True, cwd="/")
    finally:
        subprocess.run([*as_user, "rm", "-rf", folder], check=True, cwd="/")


def new_database(server: str, name: str) -> str:
    import psycopg

    with psycopg.connect(server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{server}/{name}"


def worker(tmp_path: Path, url: str, machine: str, trials: int, seconds: float) -> subprocess.Popen[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), url, machine, str(trials), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})


def results(process: subprocess.Popen[str]) -> list[Any]:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def test_a_database_that_does_not_answer() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://user:secret@127.0.0.1:{closed.getsockname()[1]}/search"
        with pytest.raises(ConnectionError, match=r"user:\*\*\*@127.*does not answer, or refuses") as raised:
            hb.tuning.tune(lambda hp: 0.0, objective=("q", "max"), storage=url, seeds=0, verbose=False)
    assert "secret" not in str(raised.value)


@pytest.mark.slow
def test_machines_that_begin_at_once_share_the_trials(server: str, tmp_path: Path) -> None:
    url = new_database(server, "shared")  # without tables: all workers want to create them
    workers = [worker(tmp_path, url, f"machine{i}", TRIALS, 0.2) for i in range(3)]
    begun = sum(process.communicate(timeout=300)[0].count("begun") for process in workers)
    assert [process.returncode for process in workers] == [0, 0, 0]
    assert begun == TRIALS
    trials = results(worker(tmp_path, url, "another", TRIALS, 0))
    assert [number for number, _, _ in trials] == list(range(1, TRIALS + 1))
    assert Counter(state for _, _, state in trials) == {"complete": TRIALS}


@pytest.mark.slow
def test_the_trial_of_a_machine_that_is_gone_is_repeated(server: str, tmp_path: Path) -> None:
    url = new_database(server, "killed")
    gone = worker(tmp_path, url, "gone", TRIALS, 60)
    assert gone.stdout is not None
    assert gone.stdout.readline() == "begun\n"
    gone.send_signal(signal.SIGKILL)
    gone.communicate()
    time.sleep(5)
    trials = results(worker(tmp_path, url, "alive", 3, 0))
    assert [number for number, _, _ in trials] == [1, 2, 3]
    assert trials[0][1] == 0.5  # the defaults, under its number


@pytest.mark.slow
def test_a_long_trial_of_another_machine_is_left_alone(server: str, tmp_path: Path) -> None:
    url = new_database(server, "long")
    long = worker(tmp_path, url, "slow", 1, 25)  # much longer than a machine is waited for
    assert long.stdout is not None
    assert long.stdout.readline() == "begun\n"
    time.sleep(6)
    assert [number for number, _, _ in results(worker(tmp_path, url, "alive", 3, 0))] == [2, 3]
    assert long.poll() is None
    long.communicate(timeout=60)
    assert long.returncode == 0
    assert [number for number, _, _ in results(worker(tmp_path, url, "alive", 3, 0))] == [1, 2, 3]
