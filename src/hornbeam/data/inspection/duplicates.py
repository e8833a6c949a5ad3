"""Samples that are there more than once: the same bytes or pixels, or nearly the same picture.

Near ones are found in two steps. A difference hash of 64 bits (is each point of a 9 x 8 thumbnail darker than
the one to its right? N. Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013) gives candidates; a pair
counts if thumbnails of 16 x 16 then correlate, too. The hash alone would join pictures that share little but
a flat ground. Hashes within `distance` bits share one of distance + 1 pieces, so only those that do are
compared (M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hornbeam.core.tensor import Tensor
from hornbeam.data.folders.file_listing import list_files_below
from hornbeam.data.folders.image_decoding import ENDINGS, ImageFile, decode_error
from hornbeam.data.pipeline.prefetch import map_ordered_chunked
from hornbeam.utils.images import resampling_filter

# Bits by which hashes of near duplicates differ at most, and the least correlation of their thumbnails.
DISTANCE = 8
ALIKE = 0.98
# Thumbnails have so many points each way. The larger contrast of two is at most so many times the smaller;
# pictures whose contrast is below FLAT (of 255) are near if their means differ by less.
_SIDE = 16
_CONTRAST = 1.5
_FLAT = 2.0
# Smaller pictures are not looked at unasked: two digits of MNIST are often as alike as two copies of a photo.
_LEAST = 32
# Rows, pairs of hashes, and files that are worked on at a time.
_BLOCK = 1024
_PAIRS = 1 << 22
_PORTION = 32
# Files are looked at in this size: eight times the points of the hash.
_THUMBNAIL = (72, 64)
_SHOWN = 10


class Member(NamedTuple):
    """A sample: the part of the data it is in, its row there, and its path (or None)."""

    part: str
    row: int
    path: str | None = None

    def __str__(self) -> str:
        return self.path or (f"{self.part}[{self.row}]" if self.part else f"row {self.row}")


class Group(NamedTuple):
    """Samples that are one. kind: "exact" (same bytes or pixels) or "near" (some of them at least)."""

    kind: str
    members: tuple[Member, ...]

    @property
    def parts(self) -> list[str]:
        """The parts of the data that its samples are in."""
        return list(dict.fromkeys(member.part for member in self.members))


@dataclass(frozen=True)
class Duplicates:
    """What was found; printed, it is a report.

    groups: samples that are one, those in several parts first. samples: how many were looked at. bad: files
    that could not be read, and why.
    """

    groups: list[Group]
    samples: int
    bad: dict[str, str] = field(default_factory=dict)

    @property
    def across(self) -> list[Group]:
        """Groups with samples in more than one part: what is learned in one is asked in another."""
        return [group for group in self.groups if len(group.parts) > 1]

    def rows(self, part: str = "") -> np.ndarray:
        """Rows of a part to leave out (int64) so that each sample is there once: the first of a group stays.

        Parts count in the order in which they were given, so put first what is to be kept.
        """
        found = [m.row for group in self.groups for m in group.members[1:] if m.part == part]
        return np.array(sorted(found), np.int64)

    def __len__(self) -> int:
        return len(self.groups)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        kinds = Counter(group.kind for group in self.groups)
        again = sum(len(group.members) - 1 for group in self.groups)
        if not self.groups:
            yield f"{self.samples:,} samples, none of them twice."
        else:
            yield (
                f"{self.samples:,} samples, {again:,} of them again: {kinds['exact']:,} groups of the same "
                f"and {kinds['near']:,} of nearly the same, {len(self.across):,} in more than one part."
            )
        for group in self.groups[:_SHOWN]:
            where = "across " + " and ".join(group.parts) if len(group.parts) > 1 else group.parts[0]
            names = ", ".join(map(str, group.members[:_SHOWN]))
            more = len(group.members) - _SHOWN
            yield f"  {group.kind}{' ' + where if where else ''}: {names}{f' and {more:,} more' * (more > 0)}"
        if len(self.groups) > _SHOWN:
            yield f"  and {len(self.groups) - _SHOWN:,} groups more"
        for path, reason in self.bad.items():
            yield f"  cannot be read: {path}: {reason}"


def find_duplicates(
    data: Any, near: bool | None = None, distance: int = DISTANCE, alike: float = ALIKE
) -> Duplicates:
    """Samples that are in `data` more than once, within and across its parts.

    data: an array whose first axis counts samples; a folder of pictures, a list of paths, or a Dataset that
    has `file_paths`; or a dict of any of these, e.g. {"train": x_train, "test": x_test}.
    near: look for nearly the same pictures too (smaller, compressed again, brighter): files, and arrays of
    shape (n, height, width) or (n, height, width, 1, 3 or 4) from 8 x 8 on. None: from 32 x 32 on.
    distance: bits of 64 by which their hashes may differ. alike: least correlation of their thumbnails.

    Samples of arrays are the same if all their values are (NaN is NaN, 0.0 is -0.0), files if their bytes
    are; with `near` also if their pixels are, whatever the format. Files need the extra `image` (Pillow).

    Raises TypeError for other data, ValueError for parts that do not go together.

    >>> x = np.array([[1, 2], [3, 4], [1, 2]])
    >>> print(hornbeam.data.find_duplicates(x))
    3 samples, 1 of them again: 1 groups of the same and 0 of nearly the same, 0 in more than one part.
      exact: row 0, row 2
    """
    parts = data if isinstance(data, Mapping) else {"": data}
    if not 0 <= distance <= 63 or not 0 < alike <= 1:
        raise ValueError(
            f"distance is 0 to 63 bits and alike above 0 to 1, got distance={distance}, alike={alike}"
        )
    files = {name: paths for name, part in parts.items() if (paths := _paths_of(part)) is not None}
    if len(files) == len(parts):
        return duplicate_files(files, near is not False, distance, alike)
    if files:
        raise ValueError(f"parts are all files or all arrays, but {', '.join(files)} are files")
    return duplicate_rows(parts, near, distance, alike)


def _paths_of(part: Any) -> list[str] | None:
    """Paths of the files of a part, None if it is no files."""
    if hasattr(part, "file_paths"):
        return list(part.file_paths)
    if isinstance(part, (str, os.PathLike)):
        root = os.fspath(part)
        if not os.path.isdir(root):
            raise FileNotFoundError(f"there is no folder {root!r}")
        return list_files_below(root, ENDINGS, False)
    if isinstance(part, (list, tuple)) and part and all(isinstance(p, (str, os.PathLike)) for p in part):
        return [os.fspath(path) for path in part]
    return None


# -- arrays ------------------------------------------------------------------------------------------------


def duplicate_rows(
    parts: Mapping[str, Any], near: bool | None = None, distance: int = DISTANCE, alike: float = ALIKE
) -> Duplicates:
    """`find_duplicates` for arrays by the names of their parts, of one shape but for the first sizes."""
    arrays = {name: _array(part, name) for name, part in parts.items()}
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"samples must have one shape in all parts, got {shapes}")
    members = [Member(name, row) for name, array in arrays.items() for row in range(len(array))]
    common = np.result_type(*arrays.values())
    keys: dict[bytes, list[int]] = defaultdict(list)
    blocks = (
        array[start : start + _BLOCK] for array in arrays.values() for start in range(0, len(array), _BLOCK)
    )
    pictures = _are_pictures(next(iter(shapes.values())), 8 if near else _LEAST)
    if near and not pictures:
        raise ValueError(
            f"near duplicates are for pictures (n, height, width[, 1, 3 or 4]) of 8 x 8 or more, got samples "
            f"of shape {next(iter(shapes.values()))}: leave near away"
        )
    looks, number = [], 0
    for block in blocks:
        rows = np.ascontiguousarray(block, common)
        if common.kind == "f":
            rows = rows + common.type(0)  # -0.0 becomes 0.0
            rows[np.isnan(rows)] = np.nan
        flat = rows.reshape(len(rows), -1).view(np.uint8).reshape(len(rows), -1)
        for row in flat:
            keys[hashlib.blake2b(row.data, digest_size=16).digest()].append(number)
            number += 1
        if near is not False and pictures:
            looks.append(_looks(rows))
    same = [group for group in keys.values() if len(group) > 1]
    firsts = _firsts(same, number)
    pairs = _near_pairs(_joined(looks), np.flatnonzero(firsts), distance, alike) if looks else []
    return Duplicates(_groups(members, same, pairs), number)


def _array(part: Any, name: str) -> np.ndarray:
    array = part.numpy() if isinstance(part, Tensor) else np.asarray(part)
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        where = f"part {name!r} " if name else ""
        raise TypeError(
            f"{where}must be an array of numbers with a first axis of samples, a folder or a list of paths, "
            f"got {type(part).__name__} of dtype {array.dtype} and shape {array.shape}"
        )
    return array


def _are_pictures(shape: Sequence[int], least: int) -> bool:
    sized = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    return sized and min(shape[:2]) >= least


# -- files -------------------------------------------------------------------------------------------------


def duplicate_files(
    parts: Mapping[str, Sequence[str]],
    near: bool = True,
    distance: int = DISTANCE,
    alike: float = ALIKE,
    workers: int | None = None,
) -> Duplicates:
    """`find_duplicates` for paths of files by the names of their parts.

    A file that is no picture is still compared by its bytes. workers: threads, None for one a processor.
    """
    members = [Member(name, row, path) for name, paths in parts.items() for row, path in enumerate(paths)]
    keys: dict[bytes, list[int]] = defaultdict(list)
    thumbnails, looks, seen, bad = [], [], [], {}
    hash_file = functools.partial(_look_at, near=near)
    made = map_ordered_chunked(
        hash_file, [str(m.path) for m in members], workers or os.cpu_count() or 1, _PORTION
    )
    for number, (key, thumbnail, reason) in enumerate(made):
        if key is not None:
            keys[key].append(number)
        if thumbnail is not None:
            thumbnails.append(thumbnail)
            seen.append(number)
        if reason:
            bad[str(members[number].path)] = reason
        if len(thumbnails) == _PORTION or (thumbnails and number == len(members) - 1):
            looks.append(_looks(np.stack(thumbnails)))
            thumbnails = []
    same = [group for group in keys.values() if len(group) > 1]
    pairs: list[tuple[int, int]] = []
    if looks:
        rows = np.flatnonzero(_firsts(same, len(members))[seen])
        pairs = [(seen[a], seen[b]) for a, b in _near_pairs(_joined(looks), rows, distance, alike)]
        same += _same_pixels([str(m.path) for m in members], pairs)
    return Duplicates(_groups(members, same, pairs), len(members), bad)


def _look_at(path: str, near: bool) -> tuple[bytes | None, np.ndarray | None, str]:
    """The hash of a file, a thumbnail, and why there is none."""
    try:
        with open(path, "rb") as opened:
            key = _digest(opened)
        if not near:
            return key, None, ""
    except OSError as error:
        return None, None, decode_error(error)
    try:
        with ImageFile(path) as file:
            picture = file.decode("rgb", _THUMBNAIL, (0, 0, 0), keep_16_bits=False)
        return key, np.asarray(picture.resize(_THUMBNAIL, resampling_filter("box"))), ""
    except Exception as error:  # decoders raise whatever they like
        return key, None, decode_error(error)


def _digest(file: Any) -> bytes:
    made = hashlib.sha256()
    while block := file.read(1 << 20):
        made.update(block)
    return made.digest()


def _same_pixels(paths: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Those of near files whose pixels are all the same."""
    keys: dict[tuple[Any, bytes], list[int]] = defaultdict(list)
    for number in sorted({number for pair in pairs for number in pair}):
        with ImageFile(paths[number]) as file:
            pixels = np.asarray(file.decode("rgba"))
        keys[pixels.shape, hashlib.blake2b(pixels.tobytes()).digest()].append(number)
    return [group for group in keys.values() if len(group) > 1]


# -- what pictures look like -------------------------------------------------------------------------------


class Looks(NamedTuple):
    """Of n pictures: difference hashes (uint64), thumbnails of unit length around their mean, and the mean
    and the deviation of each, on a scale of 255."""

    hashes: np.ndarray
    thumbnails: np.ndarray
    means: np.ndarray
    deviations: np.ndarray


def difference_hashes(pictures: np.ndarray) -> np.ndarray:
    """A hash of 64 bits (uint64) of each picture: bit 8 * y + x says whether, in a thumbnail of 9 x 8, point
    (x, y) is darker than point (x + 1, y); 0 for flat ones. Pictures are (n, height, width[, channels]).

    >>> [int(h) for h in difference_hashes(np.stack([np.arange(9.0)[None].repeat(8, 0)] * 2))]
    [18446744073709551615, 18446744073709551615]
    """
    return _looks(np.asarray(pictures)).hashes


@functools.lru_cache(maxsize=64)
def _areas(size: int, wanted: int) -> np.ndarray:
    """Weights (wanted, size) that average a line of `size` points over areas."""
    edges = np.linspace(0, size, wanted + 1)
    places = np.arange(size)
    covered = np.minimum(places + 1, edges[1:, None]) - np.maximum(places, edges[:-1, None])
    return (np.maximum(covered, 0) * wanted / size).astype(np.float32)


def _looks(pictures: np.ndarray) -> Looks:
    values = pictures.astype(np.float32)
    if values.ndim == 3:
        values = values[..., None]
    # NaN and infinity have no look.
    values = np.nan_to_num(values[..., :3], posinf=0, neginf=0).transpose(0, 3, 1, 2)
    height, width = values.shape[2:]
    grey = values.mean(axis=1)
    points = _areas(height, 8) @ grey @ _areas(width, 9).T
    # Flat grounds are equal up to rounding: what differs by less is not "darker".
    scale = np.abs(points).max(axis=(1, 2), keepdims=True) * 1e-5
    bits = (points[:, :, :-1] + scale < points[:, :, 1:]).reshape(len(values), 64)
    hashes = np.packbits(bits, axis=1, bitorder="little").view("<u8").reshape(-1).astype(np.uint64)
    small = (_areas(height, _SIDE) @ values @ _areas(width, _SIDE).T).reshape(len(values), -1)
    means = small.mean(axis=1)
    small -= means[:, None]
    deviations = np.sqrt(np.square(small).mean(axis=1))
    lengths = np.linalg.norm(small, axis=1)
    small /= np.where(lengths > 0, lengths, 1)[:, None]
    top = 1.0 if pictures.dtype.kind == "f" and np.abs(values).max(initial=0) <= 1 else 255.0
    means, deviations = means * (255 / top), deviations * (255 / top)
    hashes[deviations < _FLAT] = 0  # nothing but noise
    return Looks(hashes, small, means, deviations)


def _joined(looks: Sequence[Looks]) -> Looks:
    return Looks(*(np.concatenate(column) for column in zip(*looks, strict=True)))


def _near_pairs(looks: Looks, rows: np.ndarray, distance: int, alike: float) -> list[tuple[int, int]]:
    """Pairs of those rows whose pictures look alike: enough to join all of a group, not each with each."""
    found: list[tuple[int, int]] = []
    joined = np.arange(len(looks.hashes))
    for left, right in _candidates(looks.hashes[rows], distance):
        for start in range(0, len(left), _BLOCK):
            a, b = rows[left[start : start + _BLOCK]], rows[right[start : start + _BLOCK]]
            apart = joined[a] != joined[b]
            a, b = a[apart], b[apart]
            good = _alike(looks, a, b, alike)
            for one, other in zip(a[good].tolist(), b[good].tolist(), strict=True):
                if joined[one] != joined[other]:
                    found.append((one, other))
                    joined[joined == joined[other]] = joined[one]
    return found


def _alike(looks: Looks, a: np.ndarray, b: np.ndarray, alike: float) -> np.ndarray:
    """Whether the pictures a[i] and b[i] look alike."""
    likeness = np.einsum("ij,ij->i", looks.thumbnails[a], looks.thumbnails[b])
    flat = (looks.deviations[a] < _FLAT) & (looks.deviations[b] < _FLAT)
    close = np.abs(looks.means[a] - looks.means[b]) < _FLAT
    low, high = np.sort([looks.deviations[a], looks.deviations[b]], axis=0)
    good: np.ndarray = np.where(flat, close, (likeness >= alike) & (high <= _CONTRAST * low))
    return good


def _candidates(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows whose hashes differ by at most `distance` bits, each at least once."""
    count, pieces = len(hashes), distance + 1
    edges = np.linspace(0, 64, pieces + 1).astype(np.uint64)
    shares = []
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        shares.append((hashes >> low) & mask)
    buckets = [_runs(share) for share in shares]
    work = sum(int((len(run) ** 2) // 2) for runs in buckets for run in runs)
    if work > count**2 // 2:  # pieces that most pictures share: compare all with all, once
        buckets = [[np.arange(count)]]
    for runs in buckets:
        for run in runs:
            yield from _close(hashes, run, distance)


def _runs(share: np.ndarray) -> list[np.ndarray]:
    """Rows with equal values, two or more of each."""
    order = np.argsort(share, kind="stable")
    cuts = np.flatnonzero(np.diff(share[order])) + 1
    return [run for run in np.split(order, cuts) if len(run) > 1]


def _close(hashes: np.ndarray, rows: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of `rows` whose hashes are close."""
    values = hashes[rows]
    each = max(_PAIRS // len(rows), 1)
    for start in range(0, len(rows), each):
        block = values[start : start + each, None]
        left, right = np.nonzero(_ones(block ^ values[None, start:]) <= distance)
        later = right > left
        if later.any():
            yield rows[start + left[later]], rows[start + right[later]]


def _ones(words: np.ndarray) -> np.ndarray:
    """The number of bits that are 1, of each word of 64."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    return _ONES[words.view(np.uint16)].reshape(*words.shape, 4).sum(axis=-1, dtype=np.uint8)


_ONES = np.array([bin(word).count("1") for word in range(1 << 16)], np.uint8)


# -- groups ------------------------------------------------------------------------------------------------


def _firsts(same: Iterable[Sequence[int]], count: int) -> np.ndarray:
    """Whether a sample is the first of those that are the same as it, as most are."""
    firsts = np.ones(count, bool)
    for group in same:
        firsts[list(group[1:])] = False
    return firsts


def _groups(members: Sequence[Member], same: list[list[int]], near: Iterable[tuple[int, int]]) -> list[Group]:
    """Samples that hang together by pairs. Those in several parts come first, then by their first sample."""
    root = list(range(len(members)))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    for group in same:
        for number in group[1:]:
            root[max(find(group[0]), find(number))] = min(find(group[0]), find(number))
    exact = {number: find(number) for group in same for number in group}
    for a, b in near:
        root[max(find(a), find(b))] = min(find(a), find(b))
    together: dict[int, list[int]] = defaultdict(list)
    for number in sorted({*exact, *(number for pair in near for number in pair)}):
        together[find(number)].append(number)
    made = []
    for numbers in together.values():
        one = len({exact.get(number, -1 - number) for number in numbers}) == 1
        made.append(Group("exact" if one else "near", tuple(members[number] for number in numbers)))
    return sorted(made, key=lambda group: len(group.parts) == 1)
