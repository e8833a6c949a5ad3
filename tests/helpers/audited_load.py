"""Load the files listed in argv and say, as a JSON line for each, what came of it and what the interpreter
did.

Run as a program of its own, since an audit hook cannot be taken out again and a crash must not take the tests
along.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WATCHED = (
    "open", "exec", "compile", "import", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.putenv",
    "os.remove",
    "os.rename", "os.mkdir", "subprocess.Popen", "socket.", "ctypes.", "marshal.loads", "pickle.find_class",
    "urllib.Request", "shutil.", "tempfile.", "code.__new__", "function.__new__",
)  # fmt: skip

events: list[str] = []
recording = False


def hook(event: str, args: tuple) -> None:
    if recording and event.startswith(WATCHED):
        events.append(f"{event} {args[:1]!r:.200}")


def peak_bytes() -> int:
    """Largest resident size since the last reset."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


def callers(hb: Any, model: Any) -> dict[str, list[Callable[[str], Any]]]:
    """Return the calls that a file is tried with, by its ending: loading first."""
    load, inspect, verify = hb.saving.load_model, hb.saving.inspect_model, hb.saving.verify_model

    def arrays(path: str) -> Any:
        return load(path, weights_only=True)

    return {
        ".keras": [load, inspect, verify, arrays],
        ".h5": [load, inspect, verify, arrays],
        ".npz": [model.load_weights, inspect],
        ".safetensors": [model.load_weights, inspect],
        ".pth": [model.load_weights, inspect],
        ".onnx": [load, arrays],
    }


def main(warm_up: str, paths: list[str]) -> None:
    global recording
    import warnings

    import hornbeam as hb
    from hornbeam.errors import UnknownObjectError

    good = os.path.join(warm_up, "good.keras")
    calls = callers(hb, hb.saving.load_model(good))
    for name in sorted(os.listdir(warm_up)):  # imports what is needed, compiles the engine's small graphs
        for call in calls[os.path.splitext(name)[1]]:
            call(os.path.join(warm_up, name))
    sys.addaudithook(hook)
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")
        before, start, outcome = peak_bytes(), time.process_time(), ["loaded", ""]
        events.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What the first one says counts; the others may find nothing wrong.
            for number, call in enumerate(calls[os.path.splitext(path)[1]]):
                recording = True
                try:
                    call(path)
                except Exception as error:
                    recording = False
                    known = isinstance(error, (hb.saving.ModelFileError, UnknownObjectError))
                    if number == 0 or not known:
                        outcome = [type(error).__name__, str(error)]
                recording = False
        took = time.process_time() - start
        peak = peak_bytes() - before
        print(
            json.dumps({"path": path, "outcome": outcome, "events": events, "seconds": took, "peak": peak}),
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
