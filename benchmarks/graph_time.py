"""Measure how long large graphs take to trace, compile and run the first time.

    python benchmarks/graph_time.py [--nodes 15000 30000 60000 120000] [--kind loop chain tree fit]

Prints the processor seconds of each part. `loop` is an unrolled recurrent loop and its gradients, `chain` a
residual net of as many weights as steps with SGD, `tree` a sum by halves of as many products, `fit` the
training step of a functional model with Adam. Every graph is measured in a process of its own, because nodes
and executables are cached.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import hornbeam as hb
from hornbeam import _native, layers, ops
from hornbeam.core.jit import trace_function
from hornbeam.engines import current_engine
from hornbeam.engines.native import encode
from hornbeam.ir.graph import Graph
from hornbeam.ir.trace import gc_paused
from hornbeam.ir.types import TensorType
from hornbeam.training.packing import make_batch

WIDTH = 8
# Traces a graph that has been prepared.
Trace = Callable[[], Graph]


def sgd(loss: Callable[..., hb.Tensor], weights: list[hb.Variable]) -> hb.Tensor:
    """Update weights by the gradients of a loss, and return it."""
    value, gradients = hb.value_and_grad(loss, argnums=tuple(range(len(weights))))(*weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign(weight - 0.01 * gradient)
    return value


def loop(steps: int) -> Trace:
    weights = [hb.Variable(np.eye(WIDTH, dtype="float32")) for _ in range(2)]

    def step(x: hb.Tensor) -> hb.Tensor:
        def loss(w: hb.Tensor, u: hb.Tensor) -> hb.Tensor:
            h = ops.zeros((4, WIDTH))
            for t in range(steps):
                h = ops.tanh(ops.matmul(x[:, t], w) + ops.matmul(h, u))
            return ops.sum(h)

        return sgd(loss, weights)

    return lambda: trace_function(step, [TensorType((4, steps, WIDTH), "float32")]).graph


def chain(depth: int) -> Trace:
    weights = [hb.Variable(np.eye(WIDTH, dtype="float32")) for _ in range(depth)]

    def step(x: hb.Tensor) -> hb.Tensor:
        def loss(*weights: hb.Tensor) -> hb.Tensor:
            h = x
            for w in weights:
                h = ops.tanh(ops.matmul(h, w)) + h
            return ops.sum(h)

        return sgd(loss, weights)

    return lambda: trace_function(step, [TensorType((16, WIDTH), "float32")]).graph


def tree(leaves: int) -> Trace:
    weights = [hb.Variable(np.eye(WIDTH, dtype="float32")) for _ in range(leaves)]

    def step(x: hb.Tensor) -> hb.Tensor:
        def loss(*weights: hb.Tensor) -> hb.Tensor:
            values = [ops.matmul(x, w) for w in weights]
            while len(values) > 1:
                pairs = zip(values[::2], values[1::2], strict=False)
                values = [ops.tanh(a + b) for a, b in pairs] + values[len(values) // 2 * 2 :]
            return ops.sum(values[0])

        return sgd(loss, weights)

    return lambda: trace_function(step, [TensorType((16, WIDTH), "float32")]).graph


def fit(depth: int) -> Trace:
    inputs = x = hb.Input((WIDTH,))
    for _ in range(depth):
        x = layers.add([x, layers.Dense(WIDTH, activation="relu")(x)])
    model = hb.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    batch = make_batch(np.zeros((16, WIDTH), "float32"), np.zeros(16, "int64"))
    return lambda: model._hb_trainer.compiled_step("train", batch.signature()).traced.step_graph


# Nodes of a step for one more in the argument, about.
KINDS: dict[str, tuple[Callable[[int], Trace], int]] = {
    "loop": (loop, 16),
    "chain": (chain, 12),
    "tree": (tree, 11),
    "fit": (fit, 36),
}


def measure(kind: str, nodes: int) -> None:
    """Print a row of the table: processor seconds of one graph of about so many nodes."""
    times = [time.process_time()]

    def lap() -> None:
        times.append(time.process_time())

    make, per_step = KINDS[kind]
    trace = make(nodes // per_step)
    lap()
    graph = trace()
    lap()
    constants: list[_native.Buffer] = []
    with gc_paused():
        text = encode(graph, constants)
    lap()
    executable = _native.compile(text, constants)
    lap()
    engine = current_engine()
    inputs = [engine.put(np.zeros(x.shape, x.dtype)) for x in graph.inputs]
    executable.run(inputs)
    lap()
    seconds = [end - start for start, end in itertools.pairwise(times)]
    per_node = sum(seconds[1:]) / len(graph.nodes) * 1e6
    numbers = " | ".join([f"{x:.2f}" for x in (*seconds, sum(seconds[1:]))])
    print(f"| {kind} | {len(graph.nodes):,} | {numbers} | {per_node:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time that large graphs take before their first number.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[15_000, 30_000, 60_000, 120_000])
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return measure(options.kind[0], options.nodes[0])
    print(
        "| graph | nodes | build, s | trace, s | encode, s | compile, s | first run, s | without build, s "
        "| a node, us |\n" + "|---" * 9 + "|",
        flush=True,
    )
    for kind in options.kind:
        for nodes in options.nodes:
            command = [sys.executable, __file__, "--one", "--kind", kind, "--nodes", str(nodes)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
