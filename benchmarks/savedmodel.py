"""SavedModels and StableHLO files beside Keras's own of the same nets: operations, times, and largest errors.

    python benchmarks/savedmodel.py [NETS] [--rounds 11] [--format saved_model|stablehlo] [--json FILE]

Needs hornbeam, keras, tensorflow and jax in one environment. The nets are those of `benchmarks/nets`, with
random weights. Keras's side is its `model.export` on TensorFlow, and `jax.export` of its model on JAX, with
the weights in the file. All files take batches of any size. Each side writes in a process of its own; one
process for each number of threads then loads both files, which take turns on one image (or sequence). Times
are medians: processor time on one thread, wall time on two.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from turns import medians

NETS = (
    "resnet50_224", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vit_tiny", "gpt_4", "bert_small",
    "unet_64", "wavenet", "lstm_2", "tabular", "lenet5",
)  # fmt: skip
HERE = Path(__file__).resolve()

# -- writing -------------------------------------------------------------------------------------------------


def built(name: str) -> Any:
    sys.path.insert(0, str(HERE.parent / "nets"))
    import keras_models

    return keras_models.NETS[name](1)


def write_ours(name: str, format: str, folder: Path) -> None:
    import hornbeam.as_keras  # noqa: F401 - the nets import keras

    net = built(name)
    kind = {"saved_model": "tf_saved_model"}.get(format, format)
    net.model.export(folder / "ours", format=kind, verbose=False)
    inputs = net.x if isinstance(net.x, list) else [net.x]
    expected = np.asarray(net.model.predict_on_batch(net.x))
    np.savez(folder / "data.npz", *inputs, expected=expected)


def write_keras(name: str, format: str, folder: Path) -> None:
    model = built(name).model
    if format == "saved_model":
        model.export(folder / "keras", format="tf_saved_model", verbose=False)
        return
    import jax
    import jax.export

    states = [[v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables)]

    def predict(*xs: Any) -> Any:
        return model.stateless_call(*states, xs if len(xs) > 1 else xs[0], training=False)[0]

    scope = jax.export.SymbolicScope()
    shapes = [", ".join(["batch", *map(str, x.shape[1:])]) for x in model.inputs]
    arguments = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), x.dtype)
        for shape, x in zip(shapes, model.inputs, strict=True)
    ]
    exported = jax.export.export(jax.jit(predict))(*arguments)
    (folder / "keras").mkdir()
    (folder / "keras" / "model.jax").write_bytes(exported.serialize())


# -- measuring -----------------------------------------------------------------------------------------------


def saved_model_operations(file: Path) -> Counter[str]:
    """Operations of the signature "serving_default", in whichever function they are.

    Arguments, constants, results and the calls of functions are not operations.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((file / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    functions = {f.signature.name: f for f in graph.library.function}
    counts: Counter[str] = Counter()
    seen: set[str] = set()

    def count(nodes: Any) -> None:
        for node in nodes:
            counts[node.op] += 1
            for attribute in node.attr.values():
                name = attribute.func.name
                if name in functions and name not in seen:
                    seen.add(name)
                    count(functions[name].node_def)

    signature = proto.meta_graphs[0].signature_def["serving_default"]
    producer = {node.name: node for node in graph.node}
    (output,) = {y.name.split(":")[0] for y in signature.outputs.values()}
    count([producer[output]])
    return counts


# What is no operation: constants, copies, reads of weights, and calls of functions.
_UNCOUNTED = (
    "Const", "Identity", "NoOp", "PartitionedCall", "ReadVariableOp", "StatefulPartitionedCall",
    "call", "constant",
)  # fmt: skip


def matching(inputs: list[np.ndarray], shape: Any, dtype: Any) -> np.ndarray:
    """The input that an argument of this shape takes."""
    (x,) = (x for x in inputs if x.shape[1:] == tuple(shape)[1:])
    return x.astype(dtype)


def load_saved_model(file: Path, inputs: list[np.ndarray], threads: int) -> Callable[[], Any]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(str(file))
    function = loaded.signatures["serving_default"]
    function.kept = loaded  # its variables live as long as it
    fed = {
        name: tf.constant(matching(inputs, spec.shape, spec.dtype.as_numpy_dtype))
        for name, spec in function.structured_input_signature[1].items()
    }
    return lambda: next(iter(function(**fed).values())).numpy()


def load_stablehlo(file: Path, inputs: list[np.ndarray], threads: int) -> Callable[[], Any]:
    import jax
    import jax.export

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    exported = jax.export.deserialize(bytearray((file / "model.jax").read_bytes()))
    fed = [jax.device_put(matching(inputs, a.shape, a.dtype)) for a in exported.in_avals]
    call = jax.jit(exported.call)
    return lambda: np.asarray(jax.tree.leaves(call(*fed))[0])


def stablehlo_operations(file: Path) -> Counter[str]:
    import jax.export

    exported = jax.export.deserialize(bytearray((file / "model.jax").read_bytes()))
    text = re.sub(r"dense<[^>]*>", "", str(exported.mlir_module()))
    return Counter(re.findall(r'^ *%\S+ = "?(?:(?:stablehlo|chlo|func)\.)?([a-z_]+)', text, re.M))


def measure(format: str, folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Operations, times, and the error of our file."""
    with np.load(folder / "data.npz") as data:
        expected = data["expected"]
        inputs = [data[f"arr_{i}"] for i in range(len(data.files) - 1)]
    saved = format == "saved_model"
    files = [folder / side for side in ("ours", "keras")]
    sides = [(load_saved_model if saved else load_stablehlo)(file, inputs, threads) for file in files]
    counts = [(saved_model_operations if saved else stablehlo_operations)(file) for file in files]
    error = np.abs(sides[0]() - expected).max() / np.abs(expected).max()
    clock = time.process_time if threads == 1 else time.perf_counter
    return {
        "operations": [sum(n for kind, n in c.items() if kind not in _UNCOUNTED) for c in counts],
        "kinds": [dict(c.most_common()) for c in counts],
        "error": float(error),
        "ms": medians(sides, rounds, clock),
    }


# -- the table -----------------------------------------------------------------------------------------------


def in_process(*arguments: Any, backend: str = "") -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend or "tensorflow"}
    command = [sys.executable, str(HERE), "--part", *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def measured(name: str, format: str, rounds: int) -> dict[str, Any]:
    """Figures of one net."""
    with tempfile.TemporaryDirectory() as folder:
        in_process("ours", name, format, folder)
        in_process("keras", name, format, folder, backend="tensorflow" if format == "saved_model" else "jax")
        row: dict[str, Any] = {"net": name}
        for threads in (1, 2):
            figures = json.loads(in_process(format, folder, threads, rounds).splitlines()[-1])
            row[f"ms {threads}"] = figures.pop("ms")
            row.update(figures)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    lines = [
        "| net | operations | Keras's | ratio | 1 thread, ms | Keras's | ratio "
        "| 2 threads, ms | Keras's | ratio | error |",
        "| " + " | ".join(["---"] * 11) + " |",
    ]
    for row in rows:
        (n, m), (a, b), (c, d) = row["operations"], row["ms 1"], row["ms 2"]
        lines.append(
            f"| {row['net']} | {n} | {m} | {n / m:.2f} | {a:.2f} | {b:.2f} | {a / b:.2f} | {c:.2f} "
            f"| {d:.2f} | {c / d:.2f} | {row['error']:.0e} |"
        )
    return "\n".join(lines)


def run_part(arguments: list[str]) -> None:
    """Write a side, or measure both: the work of a process of its own."""
    if arguments[0] in ("ours", "keras"):
        side, name, format, folder = arguments
        (write_ours if side == "ours" else write_keras)(name, format, Path(folder))
        return
    format, folder, threads, rounds = arguments
    print(json.dumps(measure(format, Path(folder), int(threads), int(rounds))))


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        run_part(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NETS", help=", ".join(NETS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--format", choices=("saved_model", "stablehlo"), default="saved_model")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.nets or NETS:
        rows.append(measured(name, args.format, args.rounds))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
