"""Write the files of tests/golden/pytorch with PyTorch, from the arrays that `expected` returns."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.ir.types import numpy_dtype

NAMES = ("archive.pth", "legacy.pth", "checkpoint.pth")
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def expected(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file."""
    square = np.arange(12, dtype="float32").reshape(3, 4)
    if name == "checkpoint.pth":
        return {"weight": square, "bias": np.array([1.5, -2.0, 3.0], "float32")}
    arrays = {kind: np.array([0, 1, 0, 3]).astype(numpy_dtype(kind)) for kind in DTYPES}
    views = {
        "square": square,
        "turned": square.T,
        "part": square[1:, ::2],
        "spread": np.ones((2, 3), "float32"),
    }
    return {**arrays, **views, "scalar": np.array(7, "int64"), "nothing": np.zeros((0, 3), "float32")}


def write(folder: Path) -> None:
    """Write all files."""
    import torch

    torch.save(_tensors(), folder / "archive.pth")
    torch.save(_tensors(), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    layer = torch.nn.Linear(4, 3)
    values = {key: torch.from_numpy(array) for key, array in expected("checkpoint.pth").items()}
    layer.load_state_dict(values)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    layer.load_state_dict(values)
    best: dict[str, Any] = {"epoch": 3, "best": 0.75, "name": "linear", "sizes": torch.Size([3, 4])}
    rest = {"optimizer": optimizer.state_dict(), "device": torch.device("cpu"), "dtype": torch.float32}
    torch.save({**best, **rest, "state_dict": layer.state_dict()}, folder / "checkpoint.pth")


def _tensors() -> Any:
    import torch

    arrays = expected("archive.pth")
    tensors = OrderedDict((kind, torch.tensor([0, 1, 0, 3]).to(getattr(torch, kind))) for kind in DTYPES)
    square = torch.from_numpy(arrays["square"])
    tensors["square"], tensors["turned"], tensors["part"] = square, square.t(), square[1:, ::2]
    tensors["spread"] = torch.ones(1).expand(2, 3)
    tensors["scalar"], tensors["nothing"] = torch.tensor(7), torch.nn.Parameter(torch.zeros(0, 3))
    return tensors
