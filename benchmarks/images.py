"""Images per second from a folder of JPEG files: Hornbeam, Keras on TensorFlow, torchvision's ImageFolder.

    PYTHONPATH=src python benchmarks/images.py --tensorflow .venv-tf/bin/python --torch .venv-torch/bin/python

All sides read the same files into float32 batches of 32 images of 224 x 224, shuffled. Runs alternate, each
in a separate process: a warm-up pass, then two timed ones, the better of which counts; medians of runs.
torchvision runs with 0, 1, 2 and 4 workers, with Pillow and with its own decoder; its best counts.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BATCH, SIDE, PASSES = 32, 224, 2


def write_images(root: Path, count: int, width: int, height: int) -> None:
    """Write JPEG files (quality 90) with structure on all scales, like photos: the finer, the weaker."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(count):
        size = (width, height) if index % 2 else (height, width)
        total = np.zeros((size[1], size[0], 3), np.float32)
        cells, strength = 3, 110.0
        while cells < max(size):
            noise = rng.integers(0, 256, (cells * size[1] // max(size) + 1, cells, 3)).astype("uint8")
            grown = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
            total += (np.asarray(grown, np.float32) - 127.5) * (strength / 127.5)
            cells, strength = cells * 3, strength * 0.45
        folder = root / f"class{index % 5}"
        folder.mkdir(exist_ok=True)
        Image.fromarray((total + 127.5).clip(0, 255).astype("uint8")).save(
            folder / f"{index:05}.jpg", quality=90
        )


def rate(run: Callable[[], Iterator[int]]) -> float:
    """Return the images per second of the best pass, after a warm-up."""
    best = 0.0
    for number in range(1 + PASSES):
        started, count = time.perf_counter(), 0
        for batch in run():
            count += batch
        if number:
            best = max(best, count / (time.perf_counter() - started))
    return best


def sizes(batches: Any) -> Iterator[int]:
    """Return the sizes of the batches."""
    return (len(labels) for _, labels in batches)


def ours(root: str) -> dict[str, float]:
    import hornbeam as hb

    def measured(resize: str, **settings: Any) -> float:
        dataset = hb.data.images_from_folder(root, SIDE, resize, batch_size=BATCH, verbose=False, **settings)
        return rate(lambda: sizes(dataset.as_numpy_iterator()))

    return {
        "ours, stretch": measured("stretch"),
        "ours, pad": measured("pad"),
        "ours, crop": measured("crop"),
        "ours, stretch, every pixel decoded": measured("stretch", draft=False),
        "ours, stretch, kept in memory": measured("stretch", cache=True),
    }


def keras(root: str) -> dict[str, float]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    def measured(**settings: Any) -> float:
        dataset = keras.utils.image_dataset_from_directory(
            root, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False, **settings
        )
        return rate(lambda: sizes(dataset))

    return {
        "Keras, stretch": measured(),
        "Keras, pad": measured(pad_to_aspect_ratio=True),
        "Keras, crop": measured(crop_to_aspect_ratio=True),
    }


def torchvision(root: str) -> dict[str, float]:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    pillow = v2.Compose([v2.Resize((SIDE, SIDE)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    tensors = v2.Compose([v2.Resize((SIDE, SIDE)), v2.ToDtype(torch.float32, scale=True)])
    sides = {
        "Pillow": ImageFolder(root, pillow),
        "its own decoder": ImageFolder(root, tensors, loader=lambda p: decode_image(p, ImageReadMode.RGB)),
    }
    rates = {}
    for name, files in sides.items():
        for workers in (0, 1, 2, 4):
            loader = DataLoader(
                files, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
            )
            rates[f"torchvision, {name}, {workers} workers"] = rate(functools.partial(sizes, loader))
    return rates


SIDES = {"ours": ours, "keras": keras, "torchvision": torchvision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensorflow", help="a Python that has Keras and TensorFlow")
    parser.add_argument("--torch", help="a Python that has torchvision and Pillow")
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--size", default="500x375", help="size of the files; every other one is rotated")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.folder)))
        return
    pythons = {"ours": sys.executable, "keras": options.tensorflow, "torchvision": options.torch}
    width, height = map(int, options.size.split("x"))
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.files, width, height)
        total = sum(path.stat().st_size for path in Path(folder).rglob("*.jpg"))
        print(f"{options.files} files of {width} x {height}, {total / options.files / 1e3:.0f} kB each")
        for _ in range(options.runs):
            for side, python in pythons.items():
                if python is None:
                    continue
                process = subprocess.run(
                    [python, __file__, "--side", side, "--folder", folder], capture_output=True, text=True
                )
                if process.returncode:
                    raise SystemExit(f"{side} failed:\n{process.stderr[-2000:]}")
                for name, value in json.loads(process.stdout.splitlines()[-1]).items():
                    rates.setdefault(name, []).append(value)
    for name, values in rates.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:45} {statistics.median(values):9,.0f} per second ({spread})")


if __name__ == "__main__":
    main()
