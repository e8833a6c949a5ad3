"""Write tests/golden/onnx: models exported by both exporters of PyTorch, their outputs, and gradients.

Needs torch, onnx and onnxscript:

    python tools/golden_onnx.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden/onnx"


class Block(nn.Module):
    """Two convolutions and a way round them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        self.around = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.around(x))


class ResNet(nn.Module):
    """A residual network for small images."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Block(8, 8, 1),
            Block(8, 12, 2),
        )
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(self.pool(self.body(x)), 1))


class Transformer(nn.Module):
    """One block of a transformer on tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 16), nn.Parameter(torch.randn(1, 12, 16) * 0.1)
        self.block = nn.TransformerEncoderLayer(
            16, 4, 24, batch_first=True, activation="gelu", norm_first=True
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.tokens(x) + self.places[:, : x.shape[1]]).mean(1))


class Recurrent(nn.Module):
    """Two layers of LSTM in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def export(model: nn.Module, x: torch.Tensor, path: Path, newer: bool) -> None:
    """The file that one of the exporters writes, without the notes on where nodes come from."""
    names = {"input_names": ["x"], "output_names": ["y"]}
    if newer:
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(model, (x,), path, dynamo=True, dynamic_shapes=shapes, external_data=False, **names)
    else:
        torch.onnx.export(
            model,
            (x,),
            path,
            dynamo=False,
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
            opset_version=17,
            **names,
        )
    graph_file = onnx.load(path)
    for node in graph_file.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph_file.graph.metadata_props[:], graph_file.graph.value_info[:]
    onnx.save(graph_file, path)


def main() -> None:
    """Write all of them."""
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    models = {
        "resnet": (ResNet(), torch.randn(3, 3, 16, 16)),
        "transformer": (Transformer(), torch.randint(0, 20, (3, 12))),
        "recurrent": (Recurrent(), torch.randn(3, 5, 4)),
    }
    for name, (model, x) in models.items():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_var, 0.5, 2.0)
                nn.init.normal_(part.running_mean, 0, 0.3)
        model.eval()
        for newer in (False, True):
            export(model, x, FOLDER / f"{name}_{'dynamo' if newer else 'script'}.onnx", newer)
        y = model(x)
        labels = torch.arange(3) % y.shape[-1]
        nn.functional.cross_entropy(y, labels).backward()
        head = model.head
        np.savez(
            FOLDER / f"{name}.npz",
            x=x.numpy(),
            y=y.detach().numpy(),
            labels=labels.numpy(),
            kernel=head.weight.grad.numpy(),
            bias=head.bias.grad.numpy(),
        )


if __name__ == "__main__":
    main()
