"""Cost of pipelines per element, in processor and wall time, with hornbeam.data or tf.data.

Run once for each side, with the Python of that side:

    python benchmarks/data.py hornbeam
    .venv-tf/bin/python benchmarks/data.py tensorflow
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

IMAGES = 200


def png(pixels: np.ndarray) -> bytes:
    """Encode an RGB image without a library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, 2)
    file.write(chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return file.getvalue()


def write_images(root: Path) -> None:
    """Write two folders of images of 320 x 240, smooth with some noise."""
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        folder = root / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        smooth = np.kron(rng.integers(0, 248, (24, 32, 3)), np.ones((10, 10, 1), int))
        (folder / f"{index}.png").write_bytes(
            png((smooth + rng.integers(0, 8, smooth.shape)).astype("uint8"))
        )


def pipelines(side: str, images: Path) -> Iterator[tuple[str, Any, int]]:
    """Yield name, dataset and number of elements of each pipeline."""
    x = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28), dtype="uint8")
    y = np.arange(len(x)) % 10
    if side == "tensorflow":
        import tensorflow as tf

        data, utils, cast, one_hot = tf.data, tf.keras.utils, tf.cast, tf.one_hot
        spec = {"output_signature": (tf.TensorSpec((28, 28), tf.uint8), tf.TensorSpec((), tf.int64))}
    else:
        import hornbeam as hb

        data, utils, cast, one_hot = hb.data, hb.utils, hb.ops.cast, hb.ops.one_hot
        spec = {}
    auto = data.AUTOTUNE

    def scale(x: Any, y: Any) -> Any:
        return cast(x, "float32") / 255.0, one_hot(y, 10)

    rows = data.Dataset.from_tensor_slices((x, y))
    some = rows.take(20_000)
    yield "rows, shuffle(60000), batch(32)", rows.shuffle(60_000).batch(32), 60_000
    yield (
        "rows, shuffle(60000), batch(128), map",
        rows.shuffle(60_000).batch(128).map(scale, auto).prefetch(auto),
        60_000,
    )
    yield "rows, map, batch(128)", some.map(scale, auto).batch(128).prefetch(auto), 20_000
    yield (
        "rows, map, cache, shuffle, batch(128)",
        some.map(scale, auto).cache().shuffle(20_000).batch(128),
        20_000,
    )
    generator = data.Dataset.from_generator(lambda: zip(x[:10_000], y[:10_000], strict=True), **spec)
    yield "generator, batch(128)", generator.batch(128), 10_000
    windows = data.Dataset.range(5_000).window(20, shift=1, drop_remainder=True)
    yield "window(20), flat_map(batch)", windows.flat_map(lambda w: w.batch(20)), 4_981
    series = np.random.default_rng(0).random((20_000, 8), "float32")
    yield (
        "timeseries_dataset_from_array, 24 steps",
        utils.timeseries_dataset_from_array(series, np.arange(20_000), 24, batch_size=64),
        19_977,
    )
    folder = utils.image_dataset_from_directory(images, image_size=(180, 180), seed=1, verbose=False)
    yield "image_dataset_from_directory, 180 x 180", folder, IMAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("hornbeam", "tensorflow"))
    side = parser.parse_args().side
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder))
        for name, dataset, count in pipelines(side, Path(folder)):
            clock, processor = [], []
            for _ in range(4):  # the best of four passes; the first one is a warm-up
                started = time.perf_counter(), time.process_time()
                for _ in dataset.as_numpy_iterator():
                    pass
                clock.append(time.perf_counter() - started[0])
                processor.append(time.process_time() - started[1])
            each, rate = min(processor) / count * 1e6, count / min(clock)
            print(f"{side:10}  {name:42} {each:9.2f} us of processor time per element {rate:12,.0f} a second")


if __name__ == "__main__":
    main()
