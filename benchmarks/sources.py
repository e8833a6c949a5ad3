"""Datasets in shards: memory for larger ones, and samples/s beside tf.data, PyTorch and Hugging Face.

    python benchmarks/sources.py write FOLDER --gigabytes 20     # Parquet of random numbers
    python benchmarks/sources.py memory FOLDER                   # a pass of fit within 1 GiB
    python benchmarks/sources.py speed FOLDER --rounds 5         # sides in turn, each in a new process

All sides read the same files, which the page cache holds, in one process: batches of 64 as arrays of NumPy,
or as the library's tensors. They need pyarrow, datasets, webdataset, torch and tensorflow; a side whose
library is not installed is left out.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH = 64
WIDTH = 1024
GROUP_ROWS = 4096
GROUPS = 30
MEMORY = 1 << 30
SIDE = 128
BILINEAR = 2  # of Pillow
COLUMNS = [f"c{n}" for n in range(16)]


# -- data ----------------------------------------------------------------------------------------------------


def write_large(folder: Path, gigabytes: float) -> None:
    """Write rows of 1,024 random float32, which do not compress, and their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("x", pa.list_(pa.float32(), WIDTH)), ("y", pa.int64())])
    files = round(gigabytes * 1e9 / (GROUPS * GROUP_ROWS * WIDTH * 4))
    for file in range(files):
        rng = np.random.default_rng(file)
        with pq.ParquetWriter(
            folder / f"{file:03}.parquet", schema, compression="none", use_dictionary=False
        ) as w:
            for group in range(GROUPS):
                numbers = pa.array(rng.random(GROUP_ROWS * WIDTH, np.float32))
                rows = np.arange(GROUP_ROWS) + GROUP_ROWS * (GROUPS * file + group)
                w.write_table(
                    pa.table([pa.FixedSizeListArray.from_arrays(numbers, WIDTH), rows], schema=schema)
                )


def write_small(folder: Path) -> None:
    """Write what `speed` reads: Parquet and CSV tables of 16 numbers and a label, and JPEG files in tars."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for file in range(4):
        values = rng.random((25_000, len(COLUMNS)), np.float32)
        labels = rng.integers(0, 10, len(values))
        table = pa.table({**dict(zip(COLUMNS, values.T, strict=True)), "label": labels})
        pq.write_table(table, folder / f"{file}.parquet", row_group_size=5_000)
        with open(folder / f"{file}.csv", "w", newline="") as text:
            writer = csv.writer(text)
            writer.writerow([*COLUMNS, "label"])
            rows = zip(values[:10_000].tolist(), labels.tolist(), strict=False)
            writer.writerows([f"{value:.6f}" for value in row] + [label] for row, label in rows)
        with tarfile.open(folder / f"{file}.tar", "w") as archive:
            for number in range(150):
                coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
                jpeg = io.BytesIO()
                coarse.resize((256, 256), Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=90)
                for ending, content in (("jpg", jpeg.getvalue()), ("cls", str(number % 10).encode())):
                    info = tarfile.TarInfo(f"{file}{number:05}.{ending}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))


# -- memory --------------------------------------------------------------------------------------------------


def measure_memory(folder: Path) -> None:
    """Run a pass of `fit`, in a process that the system refuses more than 1 GiB of data."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    import hornbeam as hb

    def rows() -> Any:
        source = hb.data.from_parquet(folder, "x", "y", shuffle_shards=1)
        return source.shuffle(5000, seed=1).batch(256)

    size = sum(path.stat().st_size for path in folder.iterdir())
    model = hb.Sequential([hb.Input((WIDTH,)), hb.layers.Dense(1)])
    model.compile(hb.optimizers.SGD(1e-9), "mse")  # y are row numbers, up to millions
    data, start = rows(), time.perf_counter()
    model.fit(data, epochs=1, verbose=0)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size / 1e9:.1f} GB in {len(list(folder.iterdir()))} files, {len(data):,} batches of 256")
    print(f"one pass of fit in {seconds:.0f} s; peak of resident memory {peak:.0f} MiB")
    at = int(0.9 * len(data))
    start = time.perf_counter()
    next(rows()._stage.run_from(at))
    print(f"a new process would continue at batch {at:,} after {time.perf_counter() - start:.2f} s")


# -- speed ---------------------------------------------------------------------------------------------------


def hornbeam(kind: str, folder: Path) -> Iterator[Any]:
    from hornbeam import data

    if kind == "tar":
        source = data.from_webdataset(str(folder / "{0..3}.tar"), "jpg", "cls", image_size=(SIDE, SIDE))
    elif kind == "csv":
        source = data.from_csv(str(folder / "{0..3}.csv"), label="label")
    else:
        shuffled = kind == "parquet, shuffled"
        source = data.from_parquet(
            str(folder / "{0..3}.parquet"), label="label", shuffle_shards=1 if shuffled else False
        )
        source = source.shuffle(1000, seed=1) if shuffled else source
    return source.batch(BATCH).as_numpy_iterator()


def hugging_face(kind: str, folder: Path) -> Iterator[Any]:
    import datasets

    name = {"tar": "webdataset", "csv": "csv"}.get(kind, "parquet")
    ending = {"webdataset": "tar"}.get(name, name)
    files = [str(path) for path in sorted(folder.glob(f"*.{ending}"))]
    stream = datasets.load_dataset(name, data_files=files, split="train", streaming=True)
    if kind == "parquet, shuffled":
        stream = stream.shuffle(seed=1, buffer_size=1000)
    if kind == "tar":
        stream = stream.map(lambda row: {"x": row["jpg"].resize((SIDE, SIDE), BILINEAR), "y": row["cls"]})
        stream = stream.select_columns(["x", "y"])
        return (
            (np.stack([np.asarray(image) for image in batch["x"]]), np.array(batch["y"]))
            for batch in stream.iter(BATCH)
        )
    return stream.with_format("numpy").iter(BATCH)


def parquet_blocks(folder: Path, size: int) -> Iterator[Any]:
    """Yield blocks of rows, as a program of one's own reads them for a library without such a source."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(size):
            columns = {name: batch.column(name).to_numpy() for name in COLUMNS}
            yield columns, batch.column("label").to_numpy()


def csv_rows(folder: Path) -> Iterator[Any]:
    """Yield samples, as `parquet_blocks` does blocks."""
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="") as file:
            reader = csv.reader(file)
            next(reader)
            for row in reader:
                yield dict(zip(COLUMNS, map(float, row), strict=False)), int(row[-1])


def pytorch(kind: str, folder: Path) -> Iterator[Any]:
    import torch
    from torch.utils.data import DataLoader, IterableDataset

    if kind == "tar":
        import webdataset

        def decoded(sample: Any) -> Any:
            image, label = sample
            return np.array(image.resize((SIDE, SIDE), BILINEAR)), label

        files = [str(path) for path in sorted(folder.glob("*.tar"))]
        images = webdataset.WebDataset(files, shardshuffle=False).decode("pil").to_tuple("jpg", "cls")
        return iter(DataLoader(images.map(decoded), batch_size=BATCH, num_workers=2))

    class Rows(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            if kind == "csv":
                yield from csv_rows(folder)
            elif kind == "parquet":
                for x, y in parquet_blocks(folder, BATCH):
                    yield {name: torch.tensor(column) for name, column in x.items()}, torch.tensor(y)
            else:
                yield from shuffled(rows(parquet_blocks(folder, 1024)), 1000)

    return iter(DataLoader(Rows(), batch_size=None if kind == "parquet" else BATCH))


def rows(blocks: Iterator[Any]) -> Iterator[Any]:
    for x, y in blocks:
        for values, label in zip(zip(*x.values(), strict=True), y, strict=True):
            yield dict(zip(x, values, strict=True)), label


def shuffled(items: Iterator[Any], size: int) -> Iterator[Any]:
    """Yield items in random order, drawn from a buffer."""
    import random

    buffer = list(itertools.islice(items, size))
    for item in items:
        index = random.randrange(size)
        yield buffer[index]
        buffer[index] = item
    yield from buffer


def tensorflow(kind: str, folder: Path) -> Iterator[Any]:
    import tensorflow as tf

    if kind == "csv":
        names = [str(folder / f"{n}.csv") for n in range(4)]
        return iter(
            tf.data.experimental.make_csv_dataset(
                names, BATCH, label_name="label", num_epochs=1, shuffle=False, num_parallel_reads=1
            )
        )
    if kind == "tar":

        def files() -> Iterator[Any]:
            for path in sorted(folder.glob("*.tar")):
                with tarfile.open(path) as archive:
                    for member in archive:
                        content = archive.extractfile(member)
                        yield b"" if content is None else content.read()

        def decode(pair: Any) -> Any:
            image = tf.image.resize(tf.io.decode_jpeg(pair[0], 3), (SIDE, SIDE))
            return image, tf.strings.to_number(pair[1], tf.int64)

        encoded = tf.data.Dataset.from_generator(files, output_signature=tf.TensorSpec((), tf.string))
        return iter(encoded.batch(2).map(decode, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE))
    signature = (
        {name: tf.TensorSpec((None,), tf.float32) for name in COLUMNS},
        tf.TensorSpec((None,), tf.int64),
    )
    blocks = tf.data.Dataset.from_generator(lambda: parquet_blocks(folder, 1024), output_signature=signature)
    if kind == "parquet":
        return iter(blocks.rebatch(BATCH).prefetch(tf.data.AUTOTUNE))
    return iter(blocks.unbatch().shuffle(1000, seed=1).batch(BATCH).prefetch(tf.data.AUTOTUNE))


SIDES: dict[str, tuple[Callable[[str, Path], Iterator[Any]], list[str]]] = {
    "hornbeam": (hornbeam, ["hornbeam"]),
    "tf.data": (tensorflow, ["tensorflow"]),
    "DataLoader": (pytorch, ["torch"]),
    "Hugging Face": (hugging_face, ["datasets"]),
}
KINDS = ("parquet", "parquet, shuffled", "csv", "tar")
NEEDS = {("tar", "DataLoader"): ["webdataset"]}


def run_side(kind: str, side: str, folder: Path) -> None:
    """Print the samples per second of a pass, from its second batch: imports and compilation come before."""
    batches = SIDES[side][0](kind, folder)
    next(batches)
    start = time.perf_counter()
    number = sum(1 for _ in batches)
    print((number - 1) * BATCH / (time.perf_counter() - start))


def measure_speed(folder: Path, kinds: list[str], rounds: int) -> None:
    """Print the medians of all sides, which take turns."""
    if not folder.exists():
        write_small(folder)
    for kind in kinds or KINDS:
        sides = [
            side
            for side, (_, needs) in SIDES.items()
            if all(importlib.util.find_spec(name) for name in [*needs, *NEEDS.get((kind, side), [])])
        ]
        figures: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                command = [sys.executable, __file__, "side", str(folder), kind, side]
                done = subprocess.run(command, capture_output=True, text=True, timeout=600)
                if done.returncode:
                    raise RuntimeError(f"{side} failed on {kind}:\n{done.stderr[-2000:]}")
                figures[side].append(float(done.stdout.split()[-1]))
        medians = {side: statistics.median(speeds) for side, speeds in figures.items()}
        print(f"{kind}: " + ", ".join(f"{side} {speed:,.0f}" for side, speed in medians.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["write", "memory", "speed", "side"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.command == "write":
        write_large(options.folder, options.gigabytes)
    elif options.command == "memory":
        measure_memory(options.folder)
    elif options.command == "speed":
        measure_speed(options.folder, options.kinds, options.rounds)
    else:
        run_side(*options.kinds, options.folder)


if __name__ == "__main__":
    main()
