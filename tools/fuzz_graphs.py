"""Compile mutated texts of graphs, one after the other, to test the decoder of the native engine:

    python tools/fuzz_graphs.py --count 100000 --seed 0

No file reaches it, only graphs that were traced. Each text must compile or be an error, never a panic.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import _native, layers
from hornbeam.engines import native

VALUES: list[Any] = [
    None, True, -1, 0, 1, 3.5, 2**31, 2**63 - 1, 2**64, -(2**63), "", "x", "float32", [], {}, [-1], [1, 2, 3],
    [2**62, 2**62],
]  # fmt: skip


class RecordingEngine:
    """The module of the engine, keeping the texts that are compiled."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, list[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(_native, name)

    def compile(self, text: str, constants: list[Any], profile: bool = False) -> Any:
        self.texts.append((text, constants))
        return _native.compile(text, constants, profile)


def corpus() -> list[tuple[str, list[Any]]]:
    """The graphs of a training: its step, the longest, first."""
    recording: Any = RecordingEngine()
    native._native = recording
    parts = [layers.Conv2D(2, 3, activation="relu"), layers.BatchNormalization(), layers.Reshape((4, 8))]
    parts += [layers.LSTM(3), layers.Dropout(0.3), layers.Dense(2)]
    model = hb.Sequential([hb.Input((6, 6, 1)), *parts])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 6, 6, 1), "float32"), np.ones((4, 2), "float32"), verbose=0)
    native._native = _native
    return sorted(recording.texts, key=lambda entry: -len(entry[0]))


def locations(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in (
        list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    ):
        yield value, key
        yield from locations(value[key])


def mutated(text: str, draw: np.random.Generator) -> str:
    if draw.random() < 0.3:
        data = bytearray(text.encode())
        for _ in range(draw.integers(1, 5)):
            data[draw.integers(len(data))] = draw.integers(32, 127)
        return data.decode()
    graph = json.loads(text)
    for _ in range(draw.integers(1, 3)):
        positions = list(locations(graph))
        container, key = positions[draw.integers(len(positions))]
        container[key] = copy.deepcopy(VALUES[draw.integers(len(VALUES))])
    return json.dumps(graph)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    graphs, outcomes = corpus(), Counter[str]()
    for number in range(args.count):
        draw = np.random.default_rng([args.seed, number])
        text, constants = graphs[0 if draw.random() < 0.5 else draw.integers(len(graphs))]
        try:
            _native.compile(mutated(text, draw), constants)
            outcomes["compiled"] += 1
        except (ValueError, NotImplementedError) as error:
            outcomes["refused" if str(error) else "refused without a word"] += 1
        except BaseException as error:  # a panic is no Exception
            outcomes["bad"] += 1
            print(f"text {number}: {type(error).__name__}: {error!s:.300}")
    print(dict(outcomes))
    return int(set(outcomes) != {"compiled", "refused"})


if __name__ == "__main__":
    sys.exit(main())
