"""Batches of images from files: threads decode, resize and write straight into the batch.

A batch is divided into tasks of a few files each, which threads take one after the other. The result does not
depend on the number of threads. A pass depends on the seed and its number alone, including the random
positions of `random_crop`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hornbeam import _native
from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.config import standard_data_format
from hornbeam.data.elements import TensorSpec
from hornbeam.data.folders.image_decoding import COLORS, ImageFile, copy_pixels, decode_error, resize_box
from hornbeam.data.folders.resize_plan import POLICIES
from hornbeam.data.pipeline.prefetch import map_ordered
from hornbeam.data.pipeline.stages import Stage, is_peeking
from hornbeam.random import host_bits, host_key, host_permutation
from hornbeam.utils.images import resampling_filter

# Maximum number of files in a task.
FILES_PER_TASK = 8
# Batches that are computed ahead.
BATCHES_AHEAD = 2
_MAX_LISTED = 100
_CENTER = (0.5, 0.5)


class LoaderConfig(NamedTuple):
    """Settings that turn a file into pixels."""

    policy: str
    color_mode: str
    dtype: str
    fill: tuple[int, ...]
    interpolation: str
    draft: bool
    channels_first: bool

    @classmethod
    def checked(
        cls,
        policy: str,
        color_mode: str,
        dtype: str,
        fill: int | Sequence[int],
        interpolation: str,
        draft: bool,
        data_format: str | None,
    ) -> LoaderConfig:
        """Check arguments of a user. Raises ValueError that names the invalid one."""
        if policy not in POLICIES:
            hint = nearest(str(policy), POLICIES)
            raise ValueError(f"resize must be one of {', '.join(POLICIES)}, got {policy!r}.{hint}")
        if color_mode not in COLORS:
            raise ValueError(f"color_mode must be one of {', '.join(COLORS)}, got {color_mode!r}")
        if dtype not in ("float32", "uint8"):
            raise ValueError(f'dtype must be "float32" or "uint8", got {dtype!r}')
        channels = COLORS[color_mode][1]
        values: tuple[Any, ...] = tuple(fill) if isinstance(fill, (list, tuple)) else (fill,) * channels
        if len(values) != channels or not all(isinstance(v, int) and 0 <= v <= 255 for v in values):
            raise ValueError(f"fill must be a number from 0 to 255, or one for each channel, got {fill!r}")
        resampling_filter(interpolation)
        channels_first = standard_data_format(data_format) == "channels_first"
        return cls(policy, color_mode, dtype, values, interpolation, bool(draft), channels_first)

    @property
    def channels(self) -> int:
        return COLORS[self.color_mode][1]

    @property
    def background(self) -> tuple[int, ...]:
        """Color behind transparent pixels."""
        return self.fill * 3 if self.channels == 1 else self.fill[:3]

    def empty_batch(self, count: int, size: tuple[int, int]) -> np.ndarray:
        """Allocate a batch, channels last (a view, where they are first)."""
        width, height = size
        if self.channels_first:
            return np.empty((count, self.channels, height, width), self.dtype).transpose(0, 2, 3, 1)
        return np.empty((count, height, width, self.channels), self.dtype)

    def load(self, path: str, center: tuple[float, float], target: np.ndarray) -> None:
        """Load the image in a file into an array (height, width, channels)."""
        size = target.shape[1], target.shape[0]
        with ImageFile(path) as file:
            image_size = file.size
            plan = POLICIES[self.policy](*image_size, size, center)
            min_size = plan.min_size(image_size) if self.draft else None
            image = file.decode(self.color_mode, min_size, self.background)
        plan = plan.rescale(image_size, file.box_after_decoding(image.size))
        (left, top), (width, height) = plan.offset, plan.inner
        if plan.inner != size:
            target[:top] = target[top + height :] = self.fill
            target[:, :left] = target[:, left + width :] = self.fill
        if self.draft:
            resized = resize_box(image, plan.inner, plan.box, self.interpolation)
        else:
            resized = image.resize(plan.inner, resampling_filter(self.interpolation), box=plan.box)
        copy_pixels(resized, target[top : top + height, left : left + width])


class Batch:
    """Batch that is being filled: pixels, row numbers, and the errors by position."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, centers: Any) -> None:
        self.pixels, self.rows, self.centers = pixels, rows, centers
        self.errors: dict[int, str] = {}


class Task(NamedTuple):
    """Some positions of a batch; last: they are its final ones."""

    batch: Batch
    positions: range
    last: bool


class UnreadableFiles:
    """Reasons by path of files that cannot be read, shared by the Datasets of a folder.

    max_fraction: fraction of the files above which they are an error.
    """

    def __init__(self, max_fraction: float) -> None:
        self.reasons: dict[str, str] = {}
        self.max_fraction = max_fraction

    def check(self, reasons: Mapping[str, str], count: int) -> None:
        """Raise ValueError if more than the allowed fraction of `count` files cannot be read."""
        if len(reasons) > self.max_fraction * count:
            problem = (
                f"{len(reasons):,} of {count:,} files cannot be read, more than max_bad="
                f"{self.max_fraction:g} allows"
            )
            raise ValueError(
                f"{list_reasons(problem, reasons)}\nRepair or delete them, or raise max_bad to allow for more"
            )


@dataclass
class ImageFiles:
    """Files of one Dataset: paths, labels (None or one row for each), and target sizes (width, height)."""

    paths: list[str]
    labels: np.ndarray | None
    sizes: np.ndarray


class ImageBatches(Stage):
    """Batches (images, labels) from files.

    batch_size: None for single images. workers: number of threads, None for one a processor. cache_dtype:
    dtype in which decoded images are cached in memory, None for no cache.
    """

    name = "images_from_folder"

    def __init__(
        self,
        files: ImageFiles,
        config: LoaderConfig,
        batch_size: int | None,
        shuffle: bool,
        seed: int,
        workers: int | None,
        unreadable: UnreadableFiles,
        cache_dtype: str | None = None,
    ) -> None:
        super().__init__()
        self.paths, self.labels, self.sizes = files.paths, files.labels, files.sizes
        self.config, self.batch_size, self.reshuffles, self.seed = config, batch_size, shuffle, seed
        self.workers = _native.available_cpus() if workers is None else workers
        self.unreadable = unreadable
        self.passes = 0
        distinct = np.unique(self.sizes, axis=0)
        self.buckets = [np.flatnonzero((self.sizes == size).all(axis=1)) for size in distinct]
        self._cache: list[np.ndarray | None] | None = (
            None if cache_dtype is None else [None] * len(self.paths)
        )
        self._cache_dtype = cache_dtype

    # -- properties ----------------------------------------------------------------------------------------

    def count(self) -> int:
        size = self.batch_size or 1
        return sum(-(-len(rows) // size) for rows in self.buckets)

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        if self.batch_size is None or len(self.buckets) > 1:
            return None, None
        return len(self.paths), self.batch_size

    def spec(self) -> Tree:
        width, height = self.sizes[0].tolist() if len(self.buckets) == 1 else (None, None)
        shape: tuple[int | None, ...] = (height, width, self.config.channels)
        if self.config.channels_first:
            shape = (shape[2], height, width)
        specs = [TensorSpec(shape, self.config.dtype)]
        if self.labels is not None:
            specs.append(TensorSpec(self.labels.shape[1:], self.labels.dtype.name))
        if self.batch_size is not None:
            specs = [spec.batch(None) for spec in specs]
        return specs[0] if self.labels is None else tuple(specs)

    def shuffles(self) -> Iterator[Any]:
        yield self

    # -- one pass ------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Any]:
        number, workers = self.passes, self.workers
        if is_peeking.get():
            number, workers = 0, 0
        else:
            self.passes += 1
        tasks = self._tasks(number)
        if workers:
            size = self.batch_size or 1
            depth = BATCHES_AHEAD * -(-size // self._task_size(size)) + workers
            done: Iterable[Task] = map_ordered(self._run_task, tasks, workers, depth)
        else:
            done = map(self._run_task, tasks)
        batches = self._readable(done)
        if len(self.buckets) == 1 and self.batch_size is not None:
            batches = rebatch(batches, self.batch_size)
        for pixels, rows in batches:
            if self.config.channels_first:
                pixels = pixels.transpose(0, 3, 1, 2)
            element = pixels if self.labels is None else (pixels, self.labels[rows])
            if self.batch_size is None:
                element = pixels[0] if self.labels is None else (pixels[0], self.labels[rows[0]])
            yield element

    def _batch_rows(self, number: int) -> Iterator[np.ndarray]:
        """Return the rows of each batch of a pass. Batches of several sizes are mixed."""
        shuffled, size = self.reshuffles and not is_peeking.get(), self.batch_size or 1
        batches: list[np.ndarray] = []
        for index, rows in enumerate(self.buckets):
            if shuffled:
                rows = rows[host_permutation(self.seed, len(rows), number, index)]
            batches += [rows[start : start + size] for start in range(0, len(rows), size)]
        if shuffled and len(self.buckets) > 1:
            order = host_permutation(self.seed, len(batches), number, len(self.buckets))
            batches = [batches[index] for index in order]
        return iter(batches)

    def _task_size(self, batch_size: int) -> int:
        """Return the number of files of a task: so few that all workers share a batch."""
        return max(min(batch_size // max(self.workers, 1), FILES_PER_TASK), 1)

    def _tasks(self, number: int) -> Iterator[Task]:
        for index, rows in enumerate(self._batch_rows(number)):
            centers = None
            if self.config.policy == "random_crop":
                words = host_bits(host_key(self.seed, number, index), 2 * len(rows))
                centers = (words.reshape(-1, 2) / 2**32).tolist()
            width, height = self.sizes[rows[0]].tolist()
            batch = Batch(self.config.empty_batch(len(rows), (width, height)), rows, centers)
            step = self._task_size(len(rows))
            for start in range(0, len(rows), step):
                positions = range(start, min(start + step, len(rows)))
                yield Task(batch, positions, positions.stop == len(rows))

    def _run_task(self, task: Task) -> Task:
        """Load the files of a task, and return it."""
        batch = task.batch
        for position in task.positions:
            try:
                self._load(batch, position)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise arbitrary errors for damaged files
                batch.errors[position] = decode_error(error)
        return task

    def _load(self, batch: Batch, position: int) -> None:
        """Load one image into the batch, from the cache if it holds it."""
        row, target = batch.rows[position], batch.pixels[position]
        if self._cache is None:
            center = _CENTER if batch.centers is None else batch.centers[position]
            self.config.load(self.paths[row], center, target)
            return
        image = self._cache[row]
        if image is None:
            image = np.empty(target.shape, self._cache_dtype)
            self.config.load(self.paths[row], _CENTER, image)
            self._cache[row] = image
        target[...] = image

    def _readable(self, tasks: Iterable[Task]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pixels and rows of complete batches, without unreadable files."""
        failed: dict[str, str] = {}
        known = frozenset(self.unreadable.reasons)
        for batch in (task.batch for task in tasks if task.last):
            if not batch.errors:
                yield batch.pixels, batch.rows
                continue
            for position, reason in sorted(batch.errors.items()):
                failed[self.paths[batch.rows[position]]] = reason
            self.unreadable.reasons.update(failed)
            self.unreadable.check(failed, len(self.paths))
            valid = [position for position in range(len(batch.rows)) if position not in batch.errors]
            if valid:
                yield batch.pixels[valid], batch.rows[valid]
        new = {path: reason for path, reason in failed.items() if path not in known}
        if new and not is_peeking.get():
            heading = f"skipped {len(new):,} unreadable image{'s' * (len(new) != 1)}"
            warn_user(list_reasons(heading, new))


def rebatch(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Regroup samples into batches of `size`, the last one smaller.

    Complete batches pass unchanged until one has lost samples.
    """
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for batch in batches:
        if not pending and len(batch[1]) == size:
            yield batch
            continue
        pending.append(batch)
        count += len(batch[1])
        if count >= size:
            pixels, rows = (np.concatenate(column) for column in zip(*pending, strict=True))
            yield pixels[:size], rows[:size]
            pending, count = [(pixels[size:], rows[size:])], count - size
            if not count:
                pending = []
    if count:
        pixels, rows = (np.concatenate(column) for column in zip(*pending, strict=True))
        yield pixels, rows


def list_reasons(heading: str, reasons: Mapping[str, str]) -> str:
    """Return a heading, and a line with path and reason for each file."""
    lines = [f"{heading}:"]
    lines += [f"  {path}: {reason}" for path, reason in itertools.islice(reasons.items(), _MAX_LISTED)]
    if len(reasons) > _MAX_LISTED:
        lines.append(f"  and {len(reasons) - _MAX_LISTED:,} more: bad_files has all of them")
    return "\n".join(lines)
