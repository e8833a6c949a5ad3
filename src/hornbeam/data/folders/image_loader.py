"""Batches of pictures out of files: threads decode, resize and write straight into the batch.

A batch is cut into pieces of a few files, which threads take one after the other; what they make does not
depend on how many there are. A pass through the files is one of the seed and its number alone, random places
of `random_crop` included.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from hornbeam.data.elements import TensorSpec
from hornbeam.data.folders.image_decoding import COLORS, PictureFile, resized, why, write
from hornbeam.data.folders.resize_plan import POLICIES
from hornbeam.data.pipeline.prefetch import map_ordered
from hornbeam.data.pipeline.stages import Stage, is_peeking
from hornbeam.random import host_bits, host_key, host_permutation
from hornbeam.utils.images import resampling_filter

# Files that a thread takes at a time, at most.
PIECE = 8
# Batches that are made ahead.
AHEAD = 2
_NAMED = 100
_MIDDLE = (0.5, 0.5)


class Recipe(NamedTuple):
    """How a file becomes pixels."""

    policy: str
    color_mode: str
    dtype: str
    fill: tuple[int, ...]
    interpolation: str
    draft: bool
    channels_first: bool

    @property
    def channels(self) -> int:
        return COLORS[self.color_mode][1]

    @property
    def ground(self) -> tuple[int, ...]:
        """What shines through transparent pictures."""
        return self.fill * 3 if self.channels == 1 else self.fill[:3]

    def empty(self, count: int, size: tuple[int, int]) -> np.ndarray:
        """A batch that is to be filled, channels last (a view, where they are first)."""
        width, height = size
        if self.channels_first:
            return np.empty((count, self.channels, height, width), self.dtype).transpose(0, 2, 3, 1)
        return np.empty((count, height, width, self.channels), self.dtype)

    def put(self, path: str, centre: tuple[float, float], into: np.ndarray) -> None:
        """The picture in a file into an array (height, width, channels)."""
        wanted = into.shape[1], into.shape[0]
        with PictureFile(path) as file:
            size = file.size
            frame = POLICIES[self.policy](*size, wanted, centre)
            least = frame.least(size) if self.draft else None
            picture = file.pixels(self.color_mode, least, self.ground)
        frame = frame.within(size, file.box(picture.size))
        (left, top), (width, height) = frame.offset, frame.inner
        if frame.inner != wanted:
            into[:top] = into[top + height :] = self.fill
            into[:, :left] = into[:, left + width :] = self.fill
        if self.draft:
            made = resized(picture, frame.inner, frame.box, self.interpolation)
        else:
            made = picture.resize(frame.inner, resampling_filter(self.interpolation), box=frame.box)
        write(made, into[top : top + height, left : left + width])


class Batch:
    """A batch that is being filled: the pixels, its rows, and of what failed, the place and the reason."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, centres: Any) -> None:
        self.pixels, self.rows, self.centres = pixels, rows, centres
        self.failed: dict[int, str] = {}


class Piece(NamedTuple):
    """Some places of a batch, and whether they are its last."""

    batch: Batch
    places: range
    last: bool


class Pictures(Stage):
    """Batches (pictures, labels) out of files.

    paths: of all files; labels: None, or an array with a row for each. sizes: of the frame that each file
    gets, (width, height) in rows. batch_size: None for single pictures. kept: None, or the dtype in which
    pictures stay in memory when they have been decoded. bad: what could not be read so far,
    path and reason; shared with whoever wants to know. max_bad: the fraction of files above which it is an
    error.
    """

    name = "images_from_folder"

    def __init__(
        self,
        paths: list[str],
        labels: np.ndarray | None,
        sizes: np.ndarray,
        recipe: Recipe,
        batch_size: int | None,
        shuffle: bool,
        seed: int,
        workers: int | None,
        bad: dict[str, str],
        max_bad: float,
        kept: str | None = None,
    ) -> None:
        super().__init__()
        self.paths, self.labels, self.sizes, self.recipe = paths, labels, sizes, recipe
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.workers = (os.cpu_count() or 1) if workers is None else workers
        self.bad, self.max_bad = bad, max_bad
        self.passes = 0
        self.buckets = [np.flatnonzero((sizes == size).all(axis=1)) for size in np.unique(sizes, axis=0)]
        self._memory: list[np.ndarray | None] | None = None if kept is None else [None] * len(paths)
        self._kept = kept

    # -- what it is ----------------------------------------------------------------------------------------

    def count(self) -> int:
        size = self.batch_size or 1
        return sum(-(-len(rows) // size) for rows in self.buckets)

    def spec(self) -> Any:
        one = len(self.buckets) == 1
        width, height = self.sizes[0].tolist() if one else (None, None)
        shape: tuple[int | None, ...] = (height, width, self.recipe.channels)
        if self.recipe.channels_first:
            shape = (shape[2], height, width)
        specs = [TensorSpec(shape, self.recipe.dtype)]
        if self.labels is not None:
            specs.append(TensorSpec(self.labels.shape[1:], self.labels.dtype.name))
        if self.batch_size is not None:
            specs = [spec.batch(None) for spec in specs]
        return specs[0] if self.labels is None else tuple(specs)

    def shuffles(self) -> Iterator[Any]:
        yield self

    # -- a pass --------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Any]:
        number, workers = self.passes, self.workers
        if is_peeking.get():
            number, workers = 0, 0
        else:
            self.passes += 1
        pieces = self._pieces(number)
        if workers:
            size = self.batch_size or 1
            depth = AHEAD * -(-size // self._piece(size)) + workers
            made: Iterable[Piece] = map_ordered(self._filled, pieces, workers, depth)
        else:
            made = map(self._filled, pieces)
        batches = self._sound(made)
        if len(self.buckets) == 1 and self.batch_size is not None:
            batches = refilled(batches, self.batch_size)
        for pixels, rows in batches:
            if self.recipe.channels_first:
                pixels = pixels.transpose(0, 3, 1, 2)
            element = pixels if self.labels is None else (pixels, self.labels[rows])
            if self.batch_size is None:
                element = pixels[0] if self.labels is None else (pixels[0], self.labels[rows[0]])
            yield element

    def _batches(self, number: int) -> Iterator[np.ndarray]:
        """Rows of each batch of a pass. Where there are several sizes, batches of all of them come mixed."""
        shuffled, size = self.shuffle and not is_peeking.get(), self.batch_size or 1
        listed: list[np.ndarray] = []
        for index, rows in enumerate(self.buckets):
            if shuffled:
                rows = rows[host_permutation(self.seed, len(rows), number, index)]
            listed += [rows[start : start + size] for start in range(0, len(rows), size)]
        if shuffled and len(self.buckets) > 1:
            listed = [listed[i] for i in host_permutation(self.seed, len(listed), number, len(self.buckets))]
        return iter(listed)

    def _piece(self, size: int) -> int:
        """Files of a piece: so few that all workers have some of a batch."""
        return max(min(size // max(self.workers, 1), PIECE), 1)

    def _pieces(self, number: int) -> Iterator[Piece]:
        for index, rows in enumerate(self._batches(number)):
            centres = None
            if self.recipe.policy == "random_crop":
                words = host_bits(host_key(self.seed, number, index), 2 * len(rows))
                centres = (words.reshape(-1, 2) / 2**32).tolist()
            width, height = self.sizes[rows[0]].tolist()
            batch = Batch(self.recipe.empty(len(rows), (width, height)), rows, centres)
            each = self._piece(len(rows))
            for start in range(0, len(rows), each):
                places = range(start, min(start + each, len(rows)))
                yield Piece(batch, places, places.stop == len(rows))

    def _filled(self, piece: Piece) -> Piece:
        """A piece with its files in place."""
        batch = piece.batch
        for place in piece.places:
            try:
                self._put(batch, place)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise whatever they like about a broken file
                batch.failed[place] = why(error)
        return piece

    def _put(self, batch: Batch, place: int) -> None:
        """A picture into its place in the batch: from memory, if it is there."""
        row, into = batch.rows[place], batch.pixels[place]
        if self._memory is None:
            centre = _MIDDLE if batch.centres is None else batch.centres[place]
            self.recipe.put(self.paths[row], centre, into)
            return
        kept = self._memory[row]
        if kept is None:
            kept = np.empty(into.shape, self._kept)
            self.recipe.put(self.paths[row], _MIDDLE, kept)
            self._memory[row] = kept
        into[...] = kept

    def _sound(self, pieces: Iterable[Piece]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pixels and rows of whole batches, without those that failed."""
        failed: dict[str, str] = {}
        known = frozenset(self.bad)
        for batch in (piece.batch for piece in pieces if piece.last):
            if not batch.failed:
                yield batch.pixels, batch.rows
                continue
            for place, reason in sorted(batch.failed.items()):
                failed[self.paths[batch.rows[place]]] = reason
            self.bad.update(failed)
            check_bad(failed, len(self.paths), self.max_bad)
            kept = [place for place in range(len(batch.rows)) if place not in batch.failed]
            if kept:
                yield batch.pixels[kept], batch.rows[kept]
        news = {path: reason for path, reason in failed.items() if path not in known}
        if news and not is_peeking.get():
            warnings.warn(said(news, "left out, which cannot be read"), stacklevel=2)


def refilled(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same samples in batches of `size`, the last one smaller. Whole ones pass as they are, until one has
    lost samples."""
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for batch in batches:
        if not waiting and len(batch[1]) == size:
            yield batch
            continue
        waiting.append(batch)
        count += len(batch[1])
        if count >= size:
            pixels, rows = (np.concatenate(column) for column in zip(*waiting, strict=True))
            yield pixels[:size], rows[:size]
            waiting, count = [(pixels[size:], rows[size:])], count - size
            if not count:
                waiting = []
    if count:
        pixels, rows = (np.concatenate(column) for column in zip(*waiting, strict=True))
        yield pixels, rows


def check_bad(bad: Mapping[str, str], count: int, most: float) -> None:
    """Raise ValueError if more than a fraction `most` of `count` files are bad."""
    if len(bad) > most * count:
        raise ValueError(
            said(bad, f"more than max_bad={most:g} of {count:,} files cannot be read")
            + "\nMend or delete them, or allow for more by max_bad"
        )


def said(bad: Mapping[str, str], what: str) -> str:
    """Paths and reasons, a line each."""
    lines = [f"{len(bad):,} picture{'s' * (len(bad) != 1)} {what}:"]
    lines += [f"  {path}: {reason}" for path, reason in itertools.islice(bad.items(), _NAMED)]
    if len(bad) > _NAMED:
        lines.append(f"  and {len(bad) - _NAMED:,} more: all of them are in bad_files")
    return "\n".join(lines)
