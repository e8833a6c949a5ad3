"""Follow the array x from `Model.fit` to the engine: the files that it passes through, in order.

    PYTHONPATH=src python tools/fit_walk.py            # this tree
    PYTHONPATH=OLD/src python tools/fit_walk.py        # another checkout, by the same rules

A stop is a run of calls in one file that receive x, or an object that holds it; a return is a stop in a file
that x has been in before. The walk ends where the engine copies x into a buffer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import hornbeam as hb

ROOT = str(Path(hb.__file__).parent)
# Objects that hold arrays, and their attributes.
HOLDERS = {"Batch": ("leaves",), "ArrayData": ("table", "arrays"), "Arrays": ("named",)}


def holds(value: Any, x: np.ndarray, depth: int = 0) -> bool:
    """Return whether a value is x, or a container or data object that holds it."""
    if value is x:
        return True
    if depth > 4:
        return False
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(holds(part, x, depth + 1) for part in value[:6])
    attributes = HOLDERS.get(type(value).__name__, ())
    return any(holds(getattr(value, name, None), x, depth + 1) for name in attributes)


class Walk:
    """Profile function that records the files of calls with x among their arguments."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.stops: list[str] = []
        self._frames: list[FrameType] = []
        self._ended = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if self._ended or not frame.f_code.co_filename.startswith(ROOT):
            return
        if event == "call" and self._receives_x(frame):
            self._frames.append(frame)
            self._stop(frame)
            self._ended = frame.f_code.co_name == "put" and "engines" in frame.f_code.co_filename
        elif event == "return" and self._frames and self._frames[-1] is frame:
            self._frames.pop()
            if self._frames:
                self._stop(self._frames[-1])

    def _receives_x(self, frame: FrameType) -> bool:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
        return any(holds(frame.f_locals.get(name), self.x) for name in code.co_varnames[:count])

    def _stop(self, frame: FrameType) -> None:
        name = Path(frame.f_code.co_filename).relative_to(ROOT).as_posix()
        if not self.stops or self.stops[-1] != name:
            self.stops.append(name)


def compiled_model() -> hb.Model:
    inputs = hb.Input((3,))
    model = hb.Model(inputs, hb.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    return model


def main() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    compiled_model().fit(x[:32], y[:32], verbose=0)  # so that imports are not part of the walk
    model, walk = compiled_model(), Walk(x)
    sys.setprofile(walk)
    try:
        model.fit(x, y, batch_size=32, verbose=0)
    finally:
        sys.setprofile(None)
    for number, name in enumerate(walk.stops, 1):
        again = " (return)" if name in walk.stops[: number - 1] else ""
        print(f"{number:3d} {name}{again}")
    files = len(set(walk.stops))
    print(f"{len(walk.stops)} stops in {files} files, {len(walk.stops) - files} returns")


if __name__ == "__main__":
    main()
