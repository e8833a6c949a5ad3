"""Cost of small operations: one prediction, one eager operation, one step of a small loop.

python benchmarks/latency.py        (HORNBEAM_THREADS=1 for one thread)

Minimum and median over many repeats, in microseconds of wall time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import hornbeam as hb
from hornbeam import layers, ops


def report(name: str, action: Callable[[], object], repeats: int = 2000) -> None:
    for _ in range(20):
        action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        action()
        times.append((time.perf_counter_ns() - start) / 1e3)
    print(f"| {name} | {min(times):.1f} | {statistics.median(times):.1f} |")


def tutorial() -> hb.Model:
    return hb.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main() -> None:
    rng = np.random.default_rng(0)
    print("| | least, us | median, us |\n|---|---|---|")
    model, digit = tutorial(), rng.random((1, 28, 28, 1), "float32")
    report("predict, tutorial, one digit", lambda: model.predict(digit, verbose=0))
    report("predict_on_batch, the same", lambda: model.predict_on_batch(digit))
    report("model(x), read, the same", lambda: np.asarray(model(digit)))

    a, b = (ops.convert_to_tensor(rng.random((10, 10), "float32")) for _ in range(2))
    report("a + b of (10, 10), not read", lambda: a + b)
    report("a + b, read by .numpy()", lambda: (a + b).numpy())
    report("a + b, read by np.asarray", lambda: np.asarray(a + b))
    for length in (10, 100):

        def chain(length: int = length) -> np.ndarray:
            x = a
            for _ in range(length):
                x = x * b
            return x.numpy()

        report(f"chain of {length} products, read", chain, 200)

    weights = hb.Variable(rng.random((100, 10), "float32"))
    gradient = ops.convert_to_tensor(rng.random((100, 10), "float32"))
    report("weights.assign_sub(0.1 * gradient)", lambda: weights.assign_sub(0.1 * gradient))
    x = rng.random((64, 100), "float32")
    state = [ops.convert_to_tensor(rng.random((100, 10), "float32"))]

    def descend() -> float:
        loss, grad = hb.value_and_grad(lambda w: ops.mean(ops.matmul(x, w) ** 2))(state[0])
        state[0] -= 0.01 * grad
        return float(loss)

    report("value_and_grad, weights -= step * grad, loss read", descend, 200)

    small = hb.Sequential([layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
    small.compile("adam", "mse", metrics=["mae"])
    batch = rng.random((32, 4), "float32")
    report("train_on_batch of a small net", lambda: small.train_on_batch(batch, batch[:, :1]), 500)


if __name__ == "__main__":
    main()
