"""Frozen files with random changes, read and run by the C library: errors, never a crash or a panic.

HORNBEAM_C_LIBRARY names the folder of another library, such as one under AddressSanitizer:

    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=/tmp/asan cargo rustc --release \\
        -p hornbeam-capi --crate-type cdylib --target x86_64-unknown-linux-gnu
    HORNBEAM_C_LIBRARY=/tmp/asan/x86_64-unknown-linux-gnu/release pytest tests/embed/test_mutated_files.py
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.cli.commands.link import FOLDER

pytestmark = [
    pytest.mark.linux,
    pytest.mark.skipif(not (FOLDER / "hornbeam.h").exists(), reason="`make c-library` was not run"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc"),
]
VALUES: list[Any] = [
    None, True, -1, 0, 1, 3, 2.5, 2**31, 2**63 - 1, -(2**63), 2**64, "", "x", "float32", "=batch", [], {},
    [-1], [1, 2, 3], [2**62, 2**62],
]  # fmt: skip


def frozen_files(folder: Path) -> list[bytes]:
    """Files with convolutions, normalizations, recurrent layers, attention, embeddings."""
    image = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D()]
    image += [layers.DepthwiseConv2D(2), layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")]
    words = [layers.Embedding(7, 4), layers.LSTM(3, return_sequences=True), layers.GRU(3)]
    x = hb.Input((5, 4))
    attended = layers.MultiHeadAttention(2, 2)(x, x)
    table = layers.LayerNormalization()(attended) + x
    models = [
        hb.Sequential([hb.Input((8, 8, 2)), *image]),
        hb.Sequential([hb.Input((6,), dtype="int32"), *words]),
        hb.Model(x, layers.Flatten()(table)),
    ]
    contents = []
    for model in models:
        model.export(folder / "model.hornbeam", format="hornbeam", verbose=False)
        contents.append((folder / "model.hornbeam").read_bytes())
    return contents


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield value, key
        yield from places(value[key])


def changed_text(text: bytes, draw: np.random.Generator) -> bytes:
    if draw.random() < 0.3:
        data = bytearray(text)
        for _ in range(draw.integers(1, 5)):
            data[draw.integers(len(data))] = draw.integers(32, 127)
        return bytes(data)
    document = json.loads(text)
    for _ in range(draw.integers(1, 3)):
        keys = list(places(document))
        container, key = keys[draw.integers(len(keys))]
        container[key] = json.loads(json.dumps(VALUES[draw.integers(len(VALUES))]))
    return json.dumps(document).encode()


def mutated(file: bytes, draw: np.random.Generator) -> bytes:
    """Another graph, description or header under a checksum that fits; or bytes changed anywhere, or cut."""
    if draw.random() < 0.25:
        data = bytearray(file)
        for _ in range(draw.integers(1, 5)):
            data[draw.integers(len(data))] = draw.integers(256)
        return bytes(data[: len(data) - draw.integers(64) * draw.integers(2)])
    length = struct.unpack("<Q", file[:8])[0]
    header, body = json.loads(file[8 : 8 + length]), file[8 + length :]
    names = [name for name in header if name == "model" or name.startswith("graph/")]
    name = names[draw.integers(len(names))]
    begin, end = header[name]["data_offsets"]
    text = changed_text(body[begin:end], draw)
    header[name] = {"dtype": "U8", "shape": [len(text)], "data_offsets": [len(body), len(body) + len(text)]}
    # The format has no gaps: what was there becomes a tensor of its own.
    header["before"] = {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
    body += text
    header["__metadata__"]["crc32"] = f"{zlib.crc32(body):08x}"
    if draw.random() < 0.2:
        keys = [(container, key) for container, key in places(header) if key != "crc32"]
        container, key = keys[draw.integers(len(keys))]
        container[key] = VALUES[draw.integers(len(VALUES))]
    packed = json.dumps(header).encode()
    packed += b" " * (-len(packed) % 8)
    return struct.pack("<Q", len(packed)) + packed + body


@pytest.mark.parametrize(("seed", "count"), [(0, 300), pytest.param(1, 10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_errors(seed: int, count: int, tmp_path: Path) -> None:
    files, draw = frozen_files(tmp_path), np.random.default_rng(seed)
    with open(tmp_path / "files", "wb") as container:
        for number in range(count):
            data = files[number % 3] if number < 3 else mutated(files[number % 3], draw)
            container.write(struct.pack("<Q", len(data)) + data)
    source = Path(__file__).parent / "mutated_files.c"
    strict = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    library = os.environ.get("HORNBEAM_C_LIBRARY", str(FOLDER))
    flags = [f"-I{FOLDER}", f"-L{library}", f"-Wl,-rpath,{library}", "-lhornbeam"]
    subprocess.run(["cc", *strict, str(source), *flags, "-o", "mutated"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [tmp_path / "mutated", "files"], cwd=tmp_path, capture_output=True, text=True, timeout=count / 5 + 60
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    succeeded, *refused = map(int, done.stdout.splitlines()[-1].split())
    assert succeeded >= 9  # opened, found, run: at least the files without changes
    assert sum(refused) > count / 2
