"""Exported ONNX files beside PyTorch's of the same nets: nodes, time in onnxruntime, and the largest error.

    python benchmarks/onnx_export.py [NETS] [--rounds 15] [--opset 20] [--json FILE]

Needs hornbeam, onnx, onnxruntime, onnxscript, torch and torchvision in one environment. The nets are those of
`benchmarks/nets`, and torchvision's beside `hornbeam.applications`; weights are random. Both files take
batches of any size. Sessions of both, and `predict_on_batch`, take turns on one image (or sequence); figures
are medians: processor time on one thread, wall time on two. PyTorch's file is written by its exporter as it
is by default, with its optimizer; PyTorch's nets get the softmax or sigmoid that ours end with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision

import hornbeam as hb
import hornbeam.as_keras  # the nets import keras

sys.path.insert(0, str(Path(__file__).parent / "nets"))
import keras_models
import torch_models
from turns import medians

BOTH = (
    "resnet50_224", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vit_tiny", "gpt_4", "bert_small",
    "unet_64", "wavenet", "lstm_2", "tabular", "lenet5", "mnist",
)  # fmt: skip
APPLICATIONS = {
    "densenet121": ("DenseNet121", "densenet121", 224),
    "mobilenet_v3_large": ("MobileNetV3Large", "mobilenet_v3_large", 224),
    "vgg16": ("VGG16", "vgg16", 224),
    "inception_v3": ("InceptionV3", "inception_v3", 299),
}


def application(ours: str, theirs: str, size: int) -> tuple[Any, Any]:
    """Our model and torchvision's, with weights that are not trained."""
    model = getattr(hb.applications, ours)(weights=None, input_shape=(size, size, 3))
    options = {"init_weights": False} if theirs == "inception_v3" else {}
    return model, getattr(torchvision.models, theirs)(weights=None, **options)


def pair(name: str) -> tuple[Any, Any, list[np.ndarray], list[np.ndarray]]:
    """Our model, PyTorch's, and inputs of one sample for both."""
    rng = np.random.default_rng(0)
    if name in APPLICATIONS:
        model, module = application(*APPLICATIONS[name])
        size = APPLICATIONS[name][2]
        x = rng.standard_normal((1, size, size, 3)).astype("float32")
        return model, module, [x], [np.ascontiguousarray(np.moveaxis(x, -1, 1))]
    net = keras_models.NETS[name](1)
    module, inputs = torch_models.NETS[name](1)[:2]
    ours = net.x if isinstance(net.x, list) else [net.x]
    theirs = [x.numpy() for x in (inputs if isinstance(inputs, tuple) else (inputs,))]
    return net.model, module, ours, theirs


class Whole(torch.nn.Module):
    """A module with our model's last activation, and with its inputs as arguments."""

    def __init__(self, module: Any, activation: str, axis: int) -> None:
        super().__init__()
        self.module, self.activation, self.axis = module, activation, axis

    def forward(self, *inputs: Any) -> Any:
        y = self.module(inputs if len(inputs) > 1 else inputs[0])
        return torch.softmax(y, self.axis) if self.activation == "softmax" else torch.sigmoid(y)


def export_torch(module: Any, inputs: list[np.ndarray], file: Path, opset: int) -> None:
    module = module.eval()
    # A batch of one would be taken for a fixed size.
    arguments = tuple(torch.from_numpy(np.concatenate([x, x])) for x in inputs)
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        module,
        arguments,
        str(file),
        dynamo=True,
        opset_version=opset,
        dynamic_shapes=(tuple({0: batch} for _ in inputs),),
        verbose=False,
        external_data=False,
    )


def session(file: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options)


def caller(file: Path, inputs: list[np.ndarray], threads: int) -> Callable[[], Any]:
    """A function that computes the outputs of the file."""
    run = session(file, threads)
    names = [(x.name, x.type) for x in run.get_inputs()]
    dtypes = {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(float)": "float32"}
    fed = {name: x.astype(dtypes[kind]) for (name, kind), x in zip(names, inputs, strict=True)}
    return lambda: run.run(None, fed)


def measured(name: str, folder: Path, rounds: int, opset: int) -> dict[str, Any]:
    """Figures of one net."""
    model, module, ours, theirs = pair(name)
    own, other = folder / "ours.onnx", folder / "torch.onnx"
    model.export(own, format="onnx", verbose=False, opset_version=opset)
    activation = model.layers[-1].activation.__name__
    # Transformers have the channels last.
    module = Whole(module, activation, 1 if name in ("unet_64", "wavenet") else -1)
    with torch.no_grad():
        export_torch(module, theirs, other, opset)
    for file in (own, other):
        onnx.checker.check_model(str(file), full_check=True)
    nodes = [len(onnx.load(file).graph.node) for file in (own, other)]
    x = ours if len(ours) > 1 else ours[0]
    expected = np.asarray(model.predict_on_batch(x))
    error = np.abs(caller(own, ours, 1)()[0] - expected).max() / np.abs(expected).max()
    row: dict[str, Any] = {"net": name, "nodes": nodes[0], "torch nodes": nodes[1], "error": float(error)}
    sides = [caller(own, ours, 1), caller(other, theirs, 1)]
    row["ms 1"] = medians(sides, rounds, time.process_time)
    sides = [caller(own, ours, 2), caller(other, theirs, 2), lambda: np.asarray(model.predict_on_batch(x))]
    row["ms 2"] = medians(sides, rounds)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    lines = [
        "| net | nodes | PyTorch's | ratio | 1 thread, ms | PyTorch's | ratio "
        "| 2 threads, ms | PyTorch's | ratio | predict, ms | error |",
        "| " + " | ".join(["---"] * 12) + " |",
    ]
    for row in rows:
        (a, b), (c, d, e) = row["ms 1"], row["ms 2"]
        n, m = row["nodes"], row["torch nodes"]
        lines.append(
            f"| {row['net']} | {n} | {m} | {n / m:.2f} | {a:.2f} | {b:.2f} | {a / b:.2f} | {c:.2f} | {d:.2f} "
            f"| {c / d:.2f} | {e:.2f} | {row['error']:.0e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NETS", help=", ".join((*BOTH, *APPLICATIONS)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--opset", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.nets or (*BOTH, *APPLICATIONS):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(name, Path(folder), args.rounds, args.opset))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
