"""Load a file, and print the outcome, the seconds, and the MiB by which the process grew at most."""

from __future__ import annotations

import resource
import sys
import time

import hornbeam as hb

_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10


def main(path: str, warm: str) -> None:
    hb.saving.load_model(warm)  # imports
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        hb.saving.load_model(path)
        outcome = "loaded"
    except hb.errors.ModelFileError as error:
        outcome = str(error).replace("\n", " ")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / _UNIT
    print(f"{time.process_time() - started:.2f}\t{grown:.0f}\t{outcome}")


if __name__ == "__main__":
    main(*sys.argv[1:])
