"""Generate the seeds of the fuzz targets: graphs of training steps and operations in the wire format.

    python fuzz/make_seeds.py

Writes fuzz/seeds. Run it when the format or the primitives change. Findings of fuzzers stay in fuzz/found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import Variable, layers, ops, random
from hornbeam.engines import native

HERE = Path(__file__).parent
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.fuzz_graphs import RecordingEngine  # noqa: E402

# Longer texts are mutated too slowly.
MAX_LENGTH = 24_000

MODELS: dict[str, tuple[tuple[int, ...], list[Callable[[], Any]]]] = {
    "conv": ((4, 4, 1), [lambda: layers.Conv2D(2, 3, activation="relu"), layers.Flatten]),
    "conv_pool": (
        (6, 6, 1),
        [lambda: layers.Conv2D(2, 3, activation="relu"), layers.MaxPooling2D, layers.Flatten],
    ),
    "conv_transpose": (
        (3, 3, 1),
        [lambda: layers.Conv2DTranspose(1, 2, strides=2), layers.GlobalAveragePooling2D],
    ),
    "depthwise": (
        (4, 4, 2),
        [
            lambda: layers.DepthwiseConv2D(3, padding="same"),
            lambda: layers.AveragePooling2D(2),
            layers.Flatten,
        ],
    ),
    "conv1d_grouped": ((6, 2), [lambda: layers.Conv1D(4, 3, groups=2, strides=2), layers.Flatten]),
    "conv3d": ((3, 3, 3, 1), [lambda: layers.Conv3D(1, 2), layers.Flatten]),
    "batch_norm": ((3,), [layers.BatchNormalization]),
    "layer_norm": ((3, 4), [layers.LayerNormalization, layers.Flatten]),
    "lstm": ((3, 2), [lambda: layers.LSTM(2)]),
    "gru": ((3, 2), [lambda: layers.GRU(2, go_backwards=True)]),
    "simple_rnn": ((3, 2), [lambda: layers.SimpleRNN(2)]),
    "dropout": ((4,), [lambda: layers.Dropout(0.3), lambda: layers.GaussianNoise(0.1)]),
    "embedding": ((3,), [lambda: layers.Embedding(5, 2), layers.Flatten]),
    "softmax": ((3,), [lambda: layers.Dense(3, activation="softmax")]),
    "gelu": ((3,), [lambda: layers.Dense(3, activation="gelu"), lambda: layers.Dense(2, activation="tanh")]),
}


def training_steps() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield a training step of each small model."""
    for name, (shape, parts) in MODELS.items():
        optimizer = "adam" if name in ("batch_norm", "softmax") else "sgd"

        def fit(shape: tuple[int, ...] = shape, parts: Any = parts, optimizer: str = optimizer) -> None:
            model = hb.Sequential([hb.Input(shape), *(part() for part in parts), layers.Dense(2)])
            model.compile(optimizer, "mse")
            model.fit(np.ones((2, *shape), "float32"), np.ones((2, 2), "float32"), batch_size=2, verbose=0)

        yield f"fit_{name}", fit

    def attention() -> None:
        inputs = hb.Input((3, 4))
        attended = layers.MultiHeadAttention(2, 2, dropout=0.1)(inputs, inputs, use_causal_mask=True)
        model = hb.Model(inputs, layers.Dense(1)(layers.Flatten()(attended)))
        model.compile("sgd", "mse")
        model.fit(np.ones((2, 3, 4), "float32"), np.ones((2, 1), "float32"), verbose=0)

    def classes() -> None:
        model = hb.Sequential([hb.Input((3,)), layers.Dense(4)])
        loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, metrics=["accuracy"])
        model.fit(np.ones((2, 3), "float32"), np.ones((2,), "int32"), verbose=0)

    def bfloat16() -> None:
        inputs = hb.Input((3,))
        model = hb.Model(inputs, layers.Dense(2, dtype="mixed_bfloat16", activation="relu")(inputs))
        model.compile("sgd", "mse")
        model.fit(np.ones((2, 3), "float32"), np.ones((2, 2), "float32"), verbose=0)

    yield from (("fit_attention", attention), ("fit_classes", classes), ("fit_bfloat16", bfloat16))


def operations() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield operations that no small training step contains."""
    x = np.arange(12, dtype="float32").reshape(3, 4)
    square = np.eye(3, dtype="float32") * 2 + 0.5
    table: dict[str, Callable[[hb.Tensor], Any]] = {
        "sort": lambda t: (ops.sort(t, axis=1), ops.argsort(t, axis=0), ops.top_k(t, 2)),
        "cumulative": lambda t: (ops.cumsum(t, axis=1), ops.cumprod(t, axis=0)),
        "arg": lambda t: (
            ops.argmax(t, axis=1),
            ops.argmin(t, axis=0),
            ops.max(t),
            ops.min(t, axis=1),
            ops.prod(t),
        ),
        "logic": lambda t: ops.where(ops.logical_and(t > 2, t < 9), t, -t),
        "integers": lambda t: ops.bitwise_xor(ops.cast(t, "int32") // 3, ops.cast(t, "int32") % 5),
        "dtypes": lambda t: [
            ops.cast(t, name) for name in ("float16", "bfloat16", "float64", "uint8", "int64", "bool")
        ],
        "movement": lambda t: (
            ops.pad(ops.flip(t, 1), ((1, 2), (0, 1))),
            ops.concatenate([t[:, ::2], t[:, 1:3]], 1),
        ),
        "transposed": lambda t: ops.reshape(ops.transpose(ops.broadcast_to(t, (2, 3, 4)), (2, 0, 1)), (8, 3)),
        "index": lambda t: (
            ops.take(t, [2, 0, 5], axis=0),
            ops.slice(t, (ops.cast(t[0, 1], "int32"), 0), (2, 2)),
        ),
        "update": lambda t: (
            ops.slice_update(t, (1, 1), t[:2, :2]),
            ops.scatter_update(t, [[0, 1], [2, 2]], [5.0, 6.0]),
        ),
        "segments": lambda t: (ops.segment_sum(t, [0, 0, 1], 2), ops.segment_max(t, [0, 2, 2], 3)),
        "random": lambda t: (
            random.normal((2, 3), seed=1),
            random.uniform((5,), seed=2),
            random.randint((2,), 0, 9, seed=3),
        ),
        "einsum": lambda t: ops.einsum("ij,kj->ik", t, t),
        "sums": lambda t: (ops.mean(t, axis=0), ops.var(t, axis=1), ops.logsumexp(t), ops.norm(t)),
        "unary": lambda t: (
            ops.exp(t) + ops.sin(t) * ops.sqrt(t) - ops.erf(t),
            ops.round(t),
            ops.isfinite(t),
            ops.log1p(t),
        ),
        "softmax": lambda t: (ops.softmax(t), ops.log_softmax(t, axis=0)),
        "scan": lambda t: ops.scan(lambda c, r: (c + r, c * r), t[0], t),
        "while": lambda t: ops.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 2), (0, t)),
        "cond": lambda t: ops.cond(ops.sum(t) > 3, lambda: t * 2, lambda: t - 1),
        "map": lambda t: ops.vectorized_map(lambda r: ops.sum(r * r), t),
    }
    for name, function in table.items():
        yield f"op_{name}", lambda function=function: hb.jit(function)(ops.convert_to_tensor(x))
    linalg: dict[str, Callable[[hb.Tensor], Any]] = {
        "cholesky": ops.cholesky,
        "inv": ops.inv,
        "qr": ops.qr,
        "svd": ops.svd,
        "eigh": ops.eigh,
        "solve": lambda t: ops.solve(t, t),
        "lu": ops.lu_factor,
        "det": ops.det,
        "triangular": lambda t: ops.solve_triangular(t, t, lower=True),
    }
    for name, function in linalg.items():
        yield f"linalg_{name}", lambda function=function: hb.jit(function)(ops.convert_to_tensor(square))

    def state() -> None:
        variable = Variable(x)

        @hb.jit
        def step(t: hb.Tensor) -> hb.Tensor:
            variable.assign(variable * 0.5 + t)
            return ops.sum(variable)

        float(step(ops.convert_to_tensor(x)))

    yield "op_state", state


def with_constant() -> str:
    """Return a graph with a constant that is too large for the text, which small examples do not have."""
    constant, row = ["float32", [70]], ["float32", [2, 35]]
    nodes = [
        {"op": "constant", "in": [], "out": [constant], "params": {"buffer": 0}},
        {"op": "reshape", "in": [1], "out": [row]},
        {"op": "mul", "in": [0, 2], "out": [row]},
    ]
    return json.dumps({"inputs": [row], "nodes": nodes, "outputs": [3, 1]}, separators=(",", ":"))


def flatten(value: Any) -> Iterator[Any]:
    """Yield the tensors of nested lists and tuples."""
    for part in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(part, (list, tuple)):
            yield from flatten(part)
        elif part is not None:
            yield part


def main() -> None:
    folder = HERE / "seeds"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, make in [*training_steps(), *operations()]:
        recorder: Any = RecordingEngine()
        native._native = recorder
        hb.utils.set_random_seed(0)
        for part in flatten(make()):
            np.asarray(part)
        longest = max((text for text, _ in recorder.texts), key=len)
        assert len(longest) <= MAX_LENGTH, f"{name}: {len(longest)} bytes exceed the maximum of {MAX_LENGTH}"
        (folder / f"{name}.json").write_text(longest)
        print(f"{name:20} {len(longest):6}")
    (folder / "constant.json").write_text(with_constant())


if __name__ == "__main__":
    main()
