"""Models in int8 beside float32: Hornbeam, ONNX Runtime, OpenVINO and PyTorch.

    HORNBEAM_THREADS=1 python benchmarks/int8.py [tutorial resnet20 mobilenet_v2 transformer] [--rounds 9]

Needs hornbeam, onnx and onnxruntime in one environment; openvino and torch are measured if installed.
All sides have one thread and take turns; a figure is the least processor time of a call, in milliseconds.
ONNX Runtime quantizes the file that Hornbeam exports, with the same sample data (QDQ, weights for each
channel); OpenVINO runs both of its files. PyTorch converts a ResNet-20 of its own on its x86 back end.

Nets that are trained see MNIST, the tutorial net and ResNet-20 as 28x28 images of one channel; the rest have
random weights, and their accuracy is not reported.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import hornbeam as hb
from hornbeam import layers

MANY = 256
TRAINED = ("tutorial", "resnet20")


def tutorial() -> hb.Model:
    """Keras's tutorial net for MNIST."""
    return hb.Sequential(
        [
            hb.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def resnet20() -> hb.Model:
    """ResNet-20 (He et al. 2015)."""

    def convolved(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    inputs = hb.Input((28, 28, 1))
    x = layers.ReLU()(convolved(inputs, 16))
    for filters in (16, 32, 64):
        for number in range(3):
            strides = 2 if filters > 16 and number == 0 else 1
            inner = convolved(layers.ReLU()(convolved(x, filters, strides=strides)), filters)
            aside = convolved(x, filters, 1, strides) if strides == 2 else x
            x = layers.ReLU()(layers.Add()([inner, aside]))
    x = layers.GlobalAveragePooling2D()(x)
    return hb.Model(inputs, layers.Dense(10, activation="softmax")(x))


def mobilenet_v2() -> hb.Model:
    """MobileNetV2 for images of 96x96."""
    return hb.applications.MobileNetV2(input_shape=(96, 96, 3), weights=None)


def transformer() -> hb.Model:
    """Two blocks of attention over 64 steps of 128 features."""
    inputs = x = hb.Input((64, 128))
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 32)(x, x))
        inner = layers.Dense(128)(layers.Dense(512, activation="relu")(x))
        x = layers.LayerNormalization()(x + inner)
    x = layers.GlobalAveragePooling1D()(x)
    return hb.Model(inputs, layers.Dense(10, activation="softmax")(x))


NETS = {f.__name__: f for f in (tutorial, resnet20, mobilenet_v2, transformer)}


class Batches(CalibrationDataReader):
    """Sample data in batches of 32, for ONNX Runtime."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        self.batches = iter([{name: x[i : i + 32]} for i in range(0, len(x), 32)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def onnx_files(model: hb.Model, x: np.ndarray, folder: Path) -> dict[str, Path]:
    """Export a float model, and let ONNX Runtime quantize it."""
    paths = {form: folder / f"{form}.onnx" for form in ("float32", "int8")}
    model.export(paths["float32"], format="onnx", verbose=False)
    prepared = folder / "prepared.onnx"
    quant_pre_process(str(paths["float32"]), str(prepared), skip_symbolic_shape=True)
    name = onnxruntime.InferenceSession(prepared).get_inputs()[0].name
    options = {"quant_format": QuantFormat.QDQ, "per_channel": True}
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(str(prepared), str(paths["int8"]), Batches(name, x), **options, **types)
    return paths


def onnxruntime_side(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino_side(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda x: request.infer([x])[0]


def torch_sides(model: hb.Model, x: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """ResNet-20 in PyTorch, in float32 and on the x86 back end, with random weights: for time alone."""
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, fuse_fx, prepare_fx

    nn = torch.nn
    torch.set_num_threads(1)

    def convolved(channels: int, filters: int, size: int = 3, stride: int = 1) -> Any:
        convolution = nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(filters))

    class Block(nn.Module):
        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            self.first, self.second = convolved(channels, filters, 3, stride), convolved(filters, filters)
            self.aside = convolved(channels, filters, 1, stride) if stride != 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            inner = self.second(torch.relu(self.first(x)))
            return torch.relu(inner + self.aside(x))

    parts, channels = [convolved(1, 16), nn.ReLU()], 16
    for filters in (16, 32, 64):
        for number in range(3):
            parts.append(Block(channels, filters, 2 if filters > 16 and number == 0 else 1))
            channels = filters
    module = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()
    module = module.to(memory_format=torch.channels_last)

    def tensor(x: np.ndarray) -> Any:
        return torch.from_numpy(x).permute(0, 3, 1, 2)  # channels last in memory

    torch.backends.quantized.engine = "x86"
    observed = prepare_fx(module, get_default_qconfig_mapping("x86"), (tensor(x[:1]),))
    with torch.inference_mode():
        observed(tensor(x))
    forms = {"float32": fuse_fx(module), "int8": convert_fx(observed)}

    def side(form: Any) -> Callable[[np.ndarray], np.ndarray]:
        def run(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return form(tensor(x)).numpy()

        return run

    return {f"PyTorch {name}": side(form) for name, form in forms.items()}


def sides_of(name: str, model: hb.Model, small: hb.Model, x: np.ndarray, folder: Path) -> dict[str, Any]:
    """Return functions from inputs to outputs, by their names."""
    sides: dict[str, Any] = {
        "Hornbeam float32": model.predict_on_batch,
        "Hornbeam int8": small.predict_on_batch,
    }
    files = onnx_files(model, x, folder)
    for library, side in (("ONNX Runtime", onnxruntime_side), ("OpenVINO", openvino_side)):
        for form, path in files.items():
            try:
                sides[f"{library} {form}"] = side(path)
            except ImportError as error:
                print(f"{library} is not measured: {error}")
    if name == "resnet20":
        try:
            sides |= torch_sides(model, x)
        except ImportError as error:
            print(f"PyTorch is not measured: {error}")
    return sides


def processor_times(sides: dict[str, Any], x: np.ndarray, rounds: int, calls: int) -> dict[str, float]:
    """Return the least processor time of a call of each side, in milliseconds. The sides take turns."""
    least = dict.fromkeys(sides, float("inf"))
    for side in sides.values():
        side(x)
    for _ in range(rounds):
        for name, side in sides.items():
            for _ in range(calls):
                start = time.process_time()
                side(x)
                least[name] = min(least[name], 1000 * (time.process_time() - start))
    return least


def data(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs and labels to train with and to test with; random ones for nets that are not trained."""
    if name in TRAINED:
        (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
        x, x_test = (part[..., None].astype("float32") / 255 for part in (x, x_test))
        return x, y, x_test, y_test
    shape = NETS[name]().input_shape[1:]
    x = np.random.default_rng(0).normal(size=(2 * MANY, *shape)).astype("float32")
    return x, np.zeros(len(x)), x, np.zeros(len(x))


def measure(name: str, rounds: int, samples: int, epochs: int) -> dict[str, Any]:
    """Train a net if it is to be, quantize it, and measure all sides."""
    hb.utils.set_random_seed(0)
    x, y, x_test, y_test = data(name)
    model = NETS[name]()
    model.compile(hb.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if name in TRAINED:
        model.fit(x[:samples], y[:samples], 64, epochs, verbose=0)
    validation = (x_test, y_test) if name in TRAINED else None
    result = hb.quantization.calibrate(model, x[:128], validation, batch_size=MANY)
    figures: dict[str, Any] = {"report": result.as_dict()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sides = sides_of(name, model, result.model, x[:128], folder)
        for form, ours in (("float32", model), ("int8", result.model)):
            ours.export(folder / f"{form}.hornbeam", format="hornbeam", verbose=False)
        figures["bytes"] = {
            path.name: path.stat().st_size
            for path in sorted(folder.iterdir())
            if path.name != "prepared.onnx"
        }
        figures["ms for 1"] = processor_times(sides, x_test[:1], rounds, 10)
        figures[f"ms for {MANY}"] = processor_times(sides, x_test[:MANY], rounds, 1)
    if name in TRAINED:
        figures["accuracy"] = {
            side: float(
                np.mean(
                    [
                        (run(x_test[i : i + 500]).argmax(1) == y_test[i : i + 500]).mean()
                        for i in range(0, len(x_test), 500)
                    ]
                )
            )
            for side, run in sides.items()
            if not side.startswith("PyTorch")
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("nets", nargs="*", default=list(NETS), metavar="NET", help=", ".join(NETS))
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side")
    parser.add_argument("--samples", type=int, default=12_000, help="images to train with")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    if os.environ.get("HORNBEAM_THREADS") != "1":
        parser.error("set HORNBEAM_THREADS=1: the other sides have one thread")
    for name in arguments.nets:
        figures = measure(name, arguments.rounds, arguments.samples, arguments.epochs)
        print(json.dumps({name: figures}, indent=1), flush=True)


if __name__ == "__main__":
    main()
