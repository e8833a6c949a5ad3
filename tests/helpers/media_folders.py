"""Folders of images, texts and sounds, and the ways in which tests read them."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
FITS: dict[str, dict[str, Any]] = {
    "grey": {"color_mode": "grayscale"},
    "rgba": {"color_mode": "rgba"},
    "cropped": {"crop_to_aspect_ratio": True},
    "padded": {"pad_to_aspect_ratio": True},
    "first": {"data_format": "channels_first"},
}
ORDERS: dict[str, dict[str, Any]] = {
    "sorted": {"shuffle": False},
    "shuffled": {"seed": 3},
    "training": {"seed": 3, "validation_split": 0.3, "subset": "training"},
    "validation": {"seed": 3, "validation_split": 0.3, "subset": "validation"},
    "two": {"shuffle": False, "class_names": ["c", "a"], "label_mode": "binary"},
    "one_hot": {"shuffle": False, "label_mode": "categorical"},
    "given": {"shuffle": False, "labels": [2, 0, 1, 0, 2, 1, 1, 0, 0, 2]},
    "none": {"shuffle": False, "labels": None},
}
WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {"sequence_length": 4},
    "strided": {"sequence_length": 3, "sequence_stride": 2, "sampling_rate": 3, "batch_size": 4},
    "part": {"sequence_length": 3, "start_index": 5, "end_index": 20, "batch_size": None},
}


def png(pixels: np.ndarray) -> bytes:
    """An 8-bit image (height, width, channels) as a file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def sound(samples: np.ndarray) -> bytes:
    """Samples (number, channels) of 16 bits as a .wav file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def make_folders(root: Path) -> None:
    """Ten images, texts and sounds in folders a, b and c, one of them inside of another."""
    rng = np.random.default_rng(7)
    for index in range(10):
        folder = root / "abc"[index % 3] / ("inside" if index == 4 else "")
        folder.mkdir(parents=True, exist_ok=True)
        size = rng.integers(4, 20, 2)
        (folder / f"p{index}.png").write_bytes(
            png(rng.integers(0, 256, (*size, (1, 3, 4)[index % 3]), dtype="uint8"))
        )
        (folder / f"t{index}.txt").write_bytes(f"text {index} \u00e9".encode())
        (folder / f"s{index}.wav").write_bytes(sound(rng.integers(-(2**15), 2**15, (5 + index, 1))))
    (root / "a" / "notes.md").write_text("not data")
    (root / ".hidden").mkdir()
