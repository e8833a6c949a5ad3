"""`audio_dataset_from_directory`: folders of .wav files as a Dataset."""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from math import gcd

import numpy as np

from hornbeam._internal.extras import required
from hornbeam._internal.validation import check_int
from hornbeam.data.folders.file_listing import FileFilter
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Dataset | list[Dataset]:
    """Load the .wav files (PCM) in a folder, a subfolder for each class, as a Dataset of (audio, labels).

    Audio is float32 (batch, samples, channels) from -1 to 1. The Dataset has the attributes `class_names` and
    `file_paths`.

    Args:
        directory: Folder with the files.
        labels: "inferred" from the names of the subfolders, None, or a class index for each file, in the
            order of sorted paths.
        label_mode: "int" (int32, (batch,)), "categorical" (one-hot rows), "binary" (0.0 or 1.0, (batch, 1)),
            or None for audio alone.
        class_names: Subfolders to read, in the order of their class indices; all, sorted, if None.
        batch_size: Number of files in a batch; None for single files.
        sampling_rate: Samples a second to resample to (needs SciPy); that of each file if None.
        output_sequence_length: Number of samples to truncate or pad (with silence) to; None pads to the
            longest of a batch.
        ragged: Not supported, must be False.
        shuffle: Whether every pass has a new order.
        seed: Seed of the order and the split.
        validation_split: Fraction of the files that is held out for validation.
        subset: "training", "validation", or "both" for a list of two Datasets.
        follow_links: Whether to follow symbolic links to folders.
        verbose: Whether to print the number of files and classes.

    Returns:
        A Dataset, or a list of two for subset="both".

    Raises:
        FileNotFoundError: If `directory` does not exist.
        ValueError: If an argument is invalid, no file is found, or a file is not PCM.

    Example:
        >>> audio = hornbeam.utils.audio_dataset_from_directory("speech", batch_size=16)  # doctest: +SKIP
    """
    if ragged:
        raise ValueError("ragged=True is not supported: batches are padded to their longest item")
    rate = None if sampling_rate is None else check_int("sampling_rate", sampling_rate, minimum=1)
    length = output_sequence_length
    if length is not None:
        length = check_int("output_sequence_length", length, minimum=1)

    def finish(dataset: Dataset) -> Dataset:
        dataset = dataset.prefetch(AUTOTUNE)
        if batch_size is None:
            return dataset
        return dataset.padded_batch(batch_size) if length is None else dataset.batch(batch_size)

    return FileFilter(
        directory, labels, label_mode, class_names, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    ).load((".wav",), lambda path: _read_wav(path, rate, length), finish)  # fmt: skip


def _read_wav(path: str, rate: int | None, length: int | None) -> np.ndarray:
    """Read a file as float32 (samples, channels)."""
    try:
        with wave.open(path) as file:
            channels, width, file_rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is not a WAV file of integers (PCM): {error}") from error
    audio = _decode_samples(data, width).reshape(-1, channels)
    if rate is not None and rate != file_rate:
        audio = _resample(audio, file_rate, rate)
    if length is None:
        return audio
    padded = np.zeros((length, channels), np.float32)
    padded[: len(audio)] = audio[:length]
    return padded


def _decode_samples(data: bytes, width: int) -> np.ndarray:
    """Convert samples of 1 (unsigned) to 4 bytes to floats from -1 to 1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:  # the upper bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    numbers = np.frombuffer(data, "<i2" if width == 2 else "<i4")
    return (numbers / 2.0 ** (8 * width - 1)).astype(np.float32)


def _resample(audio: np.ndarray, file_rate: int, rate: int) -> np.ndarray:
    with required("another sampling_rate needs SciPy", "audio"):
        from scipy.signal import resample_poly
    common = gcd(file_rate, rate)
    return resample_poly(audio, rate // common, file_rate // common, axis=0).astype(np.float32)
