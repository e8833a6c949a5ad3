"""Memory and time of a training step under a memory budget, beside PyTorch with and without checkpointing.

python benchmarks/memory.py --net gpt --batch 16 --torch PYTHON
python benchmarks/memory.py --net resnet --largest 2GB --torch PYTHON

Every figure is of a fresh process with one thread: the growth of its peak of resident memory, from before the
model is built, and the least time of a step. Nets: a GPT of 12 layers (width 256, 8 heads, 128 tokens, 8,000
words, Adam) and ResNet-50 (96x96, 100 classes, SGD with momentum).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from hornbeam.training.memory_budget import check_memory_budget

LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY, SIDE, CLASSES = 12, 256, 8, 128, 8000, 96, 100
TORCH = Path(__file__).parent / "peers" / "torch_memory.py"
# Fractions of the bytes that the step takes beside weights and states.
FRACTIONS = (0.75, 0.5, 0.35, 0.25, 0.2)


def gpt() -> Any:
    import hornbeam as hb
    from hornbeam import layers, ops

    x = inputs = hb.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH)(x) + layers.Embedding(LENGTH, WIDTH)(ops.arange(LENGTH))
    for _ in range(LAYERS):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, use_causal_mask=True)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        y = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(WIDTH)(y))])
    model = hb.Model(inputs, layers.Dense(VOCABULARY)(layers.LayerNormalization()(x)))
    model.compile("adam", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def resnet() -> Any:
    import hornbeam as hb

    model = hb.applications.ResNet50(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    model.compile(hb.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def worker(net: str, batch: int, budget: str, steps: int) -> None:
    """Train some steps and print the peak of memory, the time of a step and the plan as JSON."""
    import time

    import numpy as np

    import hornbeam as hb

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    hb.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    before = peak()
    if net == "gpt":
        model = gpt()
        x = y = rng.integers(0, VOCABULARY, (batch, LENGTH)).astype("int32")
    else:
        model = resnet()
        x = rng.normal(size=(batch, SIDE, SIDE, 3)).astype("float32")
        y = rng.integers(0, CLASSES, batch)
    times = []

    class Timer(hb.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            times.append(time.perf_counter() - self.started)

    limit = {} if budget == "none" else {"memory_budget": int(budget)}
    try:
        history = model.fit(x, y, batch_size=batch, epochs=steps, verbose=0, callbacks=[Timer()], **limit)
    except MemoryError as error:
        print(json.dumps({"error": str(error)}))
        return
    plan = history.memory_plan
    figures = {"planned": plan.bytes, "more": plan.more_operations} if plan is not None else {}
    print(json.dumps({"bytes": peak() - before, "seconds": min(times), **figures}))


def measured(command: list[str]) -> dict[str, Any]:
    """Run a process with one thread and return the JSON that it prints last."""
    environment = {**os.environ, "HORNBEAM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode:
        return {"error": (run.stderr or f"exit status {run.returncode}").strip().splitlines()[-1]}
    return json.loads(run.stdout.splitlines()[-1])


def ours(net: str, batch: int, budget: int | None, steps: int) -> dict[str, Any]:
    text = "none" if budget is None else str(budget)
    return measured([sys.executable, __file__, "--worker", net, str(batch), text, str(steps)])


def theirs(python: str, net: str, batch: int, mode: str, steps: int) -> dict[str, Any]:
    return measured([python, str(TORCH), net, str(batch), mode, str(steps)])


def row(name: str, figures: dict[str, Any]) -> str:
    if "error" in figures:
        return f"| {name} | {figures['error']} | | | |"
    planned = f"{figures['planned'] / 1e6:,.0f}" if "planned" in figures else ""
    more = f"{figures['more']:.1%}" if "more" in figures else ""
    return (
        f"| {name} | {figures['bytes'] / 1e6:,.0f} | {planned} | {figures['seconds'] * 1e3:,.0f} | {more} |"
    )


def table(net: str, batch: int, steps: int, python: str | None) -> None:
    """Print one batch with smaller and smaller budgets."""
    print(f"\n{net}, batch {batch}\n\n| | peak, MB | planned, MB | ms per step | more operations |")
    print("|---|---|---|---|---|")
    wide = ours(net, batch, 10**12, steps)
    print(row("hornbeam", wide), flush=True)
    for fraction in FRACTIONS:
        budget = int(wide["planned"] * fraction)
        print(
            row(f"hornbeam, memory_budget {budget / 1e6:,.0f} MB", ours(net, batch, budget, steps)),
            flush=True,
        )
    if python is not None:
        for mode in ("plain", "checkpoint"):
            print(row(f"PyTorch, {mode}", theirs(python, net, batch, mode, steps)), flush=True)


def largest(net: str, limit: int, steps: int, python: str | None) -> None:
    """Print the largest batches, in steps of 8, whose process grows by at most `limit` bytes."""
    print(f"\n{net}, largest batch in {limit / 1e9:g} GB\n\n| | batch | samples/s |\n|---|---|---|")
    # What the kernels pack and the process itself needs, beside the plan.
    budget = limit - 100 * 10**6
    sides: dict[str, Any] = {
        "hornbeam": lambda batch, steps: ours(net, batch, None, steps),
        "hornbeam, memory_budget": lambda batch, steps: ours(net, batch, budget, steps),
    }
    if python is not None:
        for mode in ("plain", "checkpoint"):
            sides[f"PyTorch, {mode}"] = lambda batch, steps, mode=mode: theirs(
                python, net, batch, mode, steps
            )
    for name, run in sides.items():
        low, high = 0, 8
        while (figures := run(high, 2)).get("bytes", limit + 1) <= limit:
            low, high = high, 2 * high
        while high - low > max(8, low // 32):
            middle = (low + high) // 16 * 8
            figures = run(middle, 2)
            low, high = (middle, high) if figures.get("bytes", limit + 1) <= limit else (low, middle)
        figures = run(low, steps)
        print(f"| {name} | {low} | {low / figures['seconds']:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=["gpt", "resnet"], default="gpt")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--largest", help="search the largest batch that fits into this size")
    parser.add_argument("--torch", help="Python with PyTorch")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        net, batch, budget, steps = options.worker
        worker(net, int(batch), budget, int(steps))
    elif options.largest:
        limit = check_memory_budget(options.largest)
        assert limit is not None
        largest(options.net, limit, options.steps, options.torch)
    else:
        table(options.net, options.batch, options.steps, options.torch)


if __name__ == "__main__":
    main()
