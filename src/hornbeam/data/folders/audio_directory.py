"""`audio_dataset_from_directory`: folders of .wav files as a Dataset."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.data.folders.file_listing import Wanted
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
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
) -> Any:
    """The .wav files (PCM) in `directory`, a folder for each class, as a Dataset of batches (sounds, labels).

    Sounds are float32 (batch, samples, channels) from -1 to 1. output_sequence_length: samples to cut off or
    fill up to with silence; None fills up to the longest of a batch. sampling_rate: samples a second to
    convert to (needs SciPy), those of the file if None. ragged: not supported, there are no ragged tensors.
    The other arguments are those of `image_dataset_from_directory`.

    >>> sounds = hornbeam.utils.audio_dataset_from_directory("speech", batch_size=16)  # doctest: +SKIP
    """
    if ragged:
        raise ValueError("ragged=True is not supported: batches are filled up to the longest of them")
    rate = None if sampling_rate is None else check_int("sampling_rate", sampling_rate, minimum=1)
    length = (
        None
        if output_sequence_length is None
        else check_int("output_sequence_length", output_sequence_length, minimum=1)
    )

    def finish(dataset: Dataset) -> Dataset:
        dataset = dataset.prefetch(AUTOTUNE)
        if batch_size is None:
            return dataset
        return dataset.padded_batch(batch_size) if length is None else dataset.batch(batch_size)

    wanted = Wanted(
        directory,
        labels,
        label_mode,
        class_names,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
    )
    return wanted.datasets((".wav",), lambda path: _sound(path, rate, length), finish)


def _sound(path: str, rate: int | None, length: int | None) -> np.ndarray:
    """A file as float32 (samples, channels)."""
    try:
        with wave.open(path) as file:
            channels, width, own_rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file of whole numbers (PCM): {error}") from error
    sound = _samples(data, width).reshape(-1, channels)
    if rate is not None and rate != own_rate:
        sound = _at_rate(sound, own_rate, rate)
    if length is None:
        return sound
    made = np.zeros((length, channels), np.float32)
    made[: len(sound)] = sound[:length]
    return made


def _samples(data: bytes, width: int) -> np.ndarray:
    """Samples of 1 (unsigned) to 4 bytes, from -1 to 1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:  # as the upper bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    numbers = np.frombuffer(data, "<i2" if width == 2 else "<i4")
    return (numbers / 2.0 ** (8 * width - 1)).astype(np.float32)


def _at_rate(sound: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise ImportError("another sampling_rate needs SciPy: pip install 'hornbeam[audio]'") from error
    common = gcd(own_rate, rate)
    return resample_poly(sound, rate // common, own_rate // common, axis=0).astype(np.float32)
