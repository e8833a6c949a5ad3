"""`hornbeam launch` with scripts that compute nothing: variables, output, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hornbeam
from hornbeam.cli import main

SOURCES = Path(hornbeam.__file__).parents[1]

pytestmark = pytest.mark.posix


def launch(tmp_path: Path, script: str, *options: str) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(script)
    return subprocess.Popen(
        [sys.executable, "-m", "hornbeam", "launch", *options, str(path), "--rate", "1"],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_process_knows_its_number(tmp_path: Path) -> None:
    job = launch(
        tmp_path,
        "import os, sys\n"
        "names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'HORNBEAM_ENGINE')\n"
        "print(*(os.environ[name] for name in names), *sys.argv[1:])\n"
        "print('bad', file=sys.stderr)\n",
        *("--nproc", "2", "--nodes", "3", "--node", "1", "--address", "10.0.0.1:99", "--engine", "jax"),
    )
    out, err = job.communicate(timeout=60)
    assert job.returncode == 0
    assert sorted(out.splitlines()) == [
        f"[{rank}] {rank} {rank - 2} 6 10.0.0.1 99 jax --rate 1" for rank in (2, 3)
    ]
    assert sorted(err.splitlines()) == ["[2] bad", "[3] bad"]


def test_a_bad_end_is_the_end_of_the_job(tmp_path: Path) -> None:
    script = "import os, sys, time\nif os.environ['RANK'] == '0': sys.exit(3)\ntime.sleep(100)\n"
    job = launch(tmp_path, script, "--nproc", "3")
    began = time.monotonic()
    _, err = job.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert job.returncode == 3
    assert "process 0 ended with exit status 3; the others were stopped" in err


def test_processes_that_do_not_want_to_end_are_made_to(tmp_path: Path) -> None:
    script = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        "if os.environ['RANK'] == '1':\n"
        "    time.sleep(1); os.abort()\n"
        "time.sleep(100)\n"
    )
    job = launch(tmp_path, script, "--nproc", "2")
    out, err = job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGABRT
    assert "process 1 was killed by signal 6 (SIGABRT)" in err
    for line in out.splitlines():
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[1]), 0)


def test_who_stops_the_launcher_stops_its_processes(tmp_path: Path) -> None:
    job = launch(
        tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)\n", "--nproc", "1"
    )
    assert job.stdout is not None
    pid = int(job.stdout.readline().split()[1])
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=30)
    assert job.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "no script"),
        (["--nodes", "2", "--node", "2", "--address", "a:1"], "counts from 0 to 1"),
        (["--nodes", "2"], "need --address"),
    ],
)
def test_mistakes_of_a_launch(
    options: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    if options:
        script.write_text("")
    assert main(["launch", *options, str(script)]) == 2
    assert text in capsys.readouterr().err
