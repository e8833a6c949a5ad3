"""Matrix products of NumPy (OpenBLAS) on one thread, on the shapes of the crate's benches/gemm.rs.

`python benchmarks/gemm_openblas.py` prints microseconds and GFLOP/s: the best of many calls, in thread time.
"""

from __future__ import annotations

import os
import time

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - the threads are counted when it is loaded

PLAIN, LEFT, RIGHT = (False, False), (True, False), (False, True)
SHAPES = [
    (1, 256, 256, 256, PLAIN),
    (1, 1024, 1024, 1024, PLAIN),
    (1, 128, 128, 9216, PLAIN),
    (1, 128, 9216, 128, RIGHT),
    (1, 9216, 128, 128, LEFT),
    (1, 128, 512, 784, PLAIN),
    (1, 784, 512, 128, LEFT),
    (1, 128, 512, 512, PLAIN),
    (1, 128, 512, 512, RIGHT),
    (1, 512, 512, 128, LEFT),
    (1, 2560, 512, 128, PLAIN),
    (1, 128, 512, 2560, LEFT),
    (1, 2560, 128, 512, RIGHT),
    (1, 1, 128, 9216, PLAIN),
    (1, 1, 512, 784, PLAIN),
    (1, 1, 1024, 1024, RIGHT),
    (1, 8, 512, 784, PLAIN),
    (1, 32, 512, 784, PLAIN),
    (1, 8, 1024, 1024, PLAIN),
    (8, 64, 64, 64, PLAIN),
    (8, 64, 64, 64, RIGHT),
    (1, 128, 10, 128, PLAIN),
    (1, 128, 128, 10, RIGHT),
    (1, 128, 10, 128, LEFT),
    (1, 512, 1, 512, PLAIN),
]


def main() -> None:
    rng = np.random.default_rng(0)

    def matrices(batch: int, rows: int, cols: int, transposed: bool) -> np.ndarray:
        shape = (batch, cols, rows) if transposed else (batch, rows, cols)
        values = rng.uniform(-1, 1, shape).astype(np.float32)
        return values.transpose(0, 2, 1) if transposed else values

    for batch, m, n, k, (left, right) in SHAPES:
        a, b = matrices(batch, m, k, left), matrices(batch, k, n, right)
        c = np.empty((batch, m, n), np.float32)
        best, end = float("inf"), time.monotonic() + 0.5
        calls = max(1, int(1e-3 / (2 * batch * m * n * k / 5e10)))
        while time.monotonic() < end:
            start = time.thread_time()
            for _ in range(calls):
                np.matmul(a, b, out=c)
            best = min(best, (time.thread_time() - start) / calls)
        marks = ["'" if t else "" for t in (left, right)]
        name = f"{f'{batch} x ' if batch > 1 else ''}a{marks[0]} b{marks[1]} {m}x{n}x{k}"
        print(f"{name:28} {best * 1e6:9.1f} us {2 * batch * m * n * k / best / 1e9:7.1f} GFLOP/s")


if __name__ == "__main__":
    main()
