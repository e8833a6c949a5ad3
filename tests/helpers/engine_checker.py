"""The program by which `hornbeam devices` checks an engine, with engines that hang, crash or are wrong."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

from hornbeam import engines
from hornbeam.diagnostics import devices
from hornbeam.engines.reference import ReferenceEngine


class Wrong(ReferenceEngine):
    """Shows numbers that are 1% too large."""

    name = "wrong"

    def get(self, buffer: Any) -> np.ndarray:
        value = super().get(buffer)
        return value * value.dtype.type(1.01) if value.dtype == np.float32 else value


class Slow(ReferenceEngine):
    name = "slow"


def broken(device: str | None = None) -> engines.Engine:
    raise RuntimeError("the driver is too old\nand more lines")


def absent(device: str | None = None) -> engines.Engine:
    raise ImportError("no such library")


def hanging(device: str | None = None) -> engines.Engine:
    print("loading the driver", flush=True)
    time.sleep(600)
    raise AssertionError("this process should have been killed")


def crashing(device: str | None = None) -> engines.Engine:
    os._exit(3)


FAKES = {
    "wrong": Wrong, "slow": Slow, "broken": broken, "absent": absent, "hanging": hanging, "crashing": crashing
}  # fmt: skip

if __name__ == "__main__":
    for each, make in FAKES.items():
        engines.register(each, make)
    devices.main(sys.argv[1])
