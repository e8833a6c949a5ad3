"""Exported ONNX files beside PyTorch's of the same nets: not more nodes than 1.3 times theirs, nor slower."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("onnx", "onnxruntime", "onnxscript", "torch", "torchvision"):
    pytest.importorskip(package)

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "onnx_export.py"
NETS = (
    "bert_small", "densenet121", "efficientnet_b0", "gpt_4", "inception_v3", "lenet5", "lstm_2",
    "mobilenet_v2", "mobilenet_v3_large", "resnet50_224", "unet_64", "vit_tiny", "wavenet",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_as_small_and_as_fast(net: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    # A process of its own, since the script lets `import keras` mean Hornbeam.
    subprocess.run(
        [sys.executable, str(SCRIPT), net, "--rounds", "15", "--json", str(figures)], check=True, timeout=900
    )
    (row,) = json.loads(figures.read_text())
    assert row["nodes"] <= 1.3 * row["torch nodes"]
    assert row["error"] < 1e-5
    ours, theirs = row["ms 1"]
    assert ours <= 1.1 * theirs
