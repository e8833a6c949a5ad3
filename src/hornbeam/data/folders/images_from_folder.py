"""`images_from_folder`: pictures of any sizes out of a folder, by a policy that says what it does to them."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam.config import standard_data_format
from hornbeam.data.folders.file_listing import encoded, list_files_below
from hornbeam.data.folders.image_decoding import COLORS, ENDINGS, Header, header, why
from hornbeam.data.folders.image_loader import Pictures, Recipe, check_bad, said
from hornbeam.data.folders.resize_plan import POLICIES, buckets, cost, found
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.prefetch import map_ordered_chunked
from hornbeam.data.splits.split import NAMES, Split, order_of, sizes_of, split_indices
from hornbeam.distribution.processes import say
from hornbeam.random import make_default_seed
from hornbeam.utils.images import resampling_filter

_MODES = ("int", "categorical", "binary", None)


class Labelled(NamedTuple):
    """Paths of pictures, what each is (class numbers int32, float32 targets, or None), and the classes."""

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None

    def rows(self, rows: np.ndarray) -> Labelled:
        """Some of them."""
        labels = None if self.labels is None else self.labels[rows]
        return Labelled([self.paths[row] for row in rows], labels, self.class_names)


def images_from_folder(
    directory: Any,
    size: Any = None,
    resize: str = "pad",
    *,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    validation: float | int | None = None,
    test: float | int | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    color_mode: str = "rgb",
    dtype: str = "float32",
    fill: int | Sequence[int] = 0,
    interpolation: str = "bilinear",
    draft: bool = True,
    sizes: int = 8,
    cache: bool = False,
    max_bad: float = 0.05,
    workers: int | None = None,
    data_format: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Pictures in `directory` as a Dataset of batches (pictures, labels), or a Split of such Datasets.

    PNG, JPEG, GIF, BMP, WebP and TIFF, turned upright as EXIF says, grey and coloured, transparent ones on a
    ground of `fill`, 16 bits of grey with their fractions. Pictures are (batch, height, width, channels) of
    `dtype` ("float32" or "uint8"), from 0 to 255. Threads decode and resize them, `workers` of them (None:
    one a processor; 0: none); batches are the same for any number.

    size: (height, width), or a number for both; None where all pictures have one size.
    resize: what is done to pictures of another shape. "pad": shrink until all of it goes in, fill up the rest
    with `fill`. "crop": cut the largest box of that shape out of the middle. "random_crop": out of a place
    that is drawn anew every pass, in training data; the middle in the others. "stretch": distort. "bucket":
    batches of like sizes, at most `sizes` different ones, with about as many pixels as `size` has (None: as
    the pictures have); a model with global pooling and Input((None, None, 3)) takes them. What that pads,
    cuts or distorts is said, and is in the Dataset's `report`.

    labels: "inferred": folders in `directory` are the classes. Or a table from path (relative to `directory`)
    to label, a dict or a .csv file with these two columns: strings are classes, whole numbers class numbers,
    other numbers targets; files that it does not name are left out. Or None. label_mode: "int" (int32),
    "categorical" (one-hot rows), "binary" (0.0 or 1.0 in a column). class_names: the classes, in the order of
    their numbers.

    validation, test: a fraction or number of pictures to set apart, with every class in proportion; then the
    result is a `data.Split` with `train`, `validation` and `test`. The same seed sets the same files apart
    (None here counts as 0), and shuffles every pass anew, in the same orders.

    Files that cannot be read are left out and named with the reason, in a warning and in the Dataset's
    `bad_files`: those without a picture's head now, those broken inside after the first pass. If more than
    the fraction `max_bad` of files is bad, it is a ValueError. `file_paths` and `class_names` tell the rest;
    `data.find_duplicates` takes the Datasets.

    cache: keep decoded pictures in memory, a byte a number (16 bits of grey: four), which the report says the
    sum of; from the second pass on no file is read. Not for "random_crop", which looks elsewhere every pass.
    draft: the decoder of JPEG shrinks by 2, 4 or 8 first where pictures are much larger, and the native
    engine resizes, to within 1 of 255, which is faster. False: as `PIL.Image.resize` of the whole picture,
    pixel for pixel.
    interpolation: "bilinear", "nearest", "box", "hamming", "bicubic" or "lanczos", all but "nearest" over as
    many pixels as shrinking needs. Needs the extra `image` (Pillow).

    >>> train, validation, test = hornbeam.data.images_from_folder(
    ...     "flowers", size=180, resize="crop", validation=0.1, test=0.1
    ... )  # doctest: +SKIP
    """
    recipe = _recipe(resize, color_mode, dtype, fill, interpolation, draft, data_format)
    if label_mode not in _MODES:
        raise ValueError(f"label_mode must be one of {_MODES}, got {label_mode!r}")
    if not 0 <= max_bad <= 1:
        raise ValueError(f"max_bad is a fraction from 0 to 1, got {max_bad!r}")
    wanted = None if size is None else _size(size)
    batch = None if batch_size is None else check_int("batch_size", batch_size, minimum=1)
    threads = None if workers is None else check_int("workers", workers, minimum=0)
    root = os.fspath(directory)
    listed = labelled(root, labels, label_mode, class_names, follow_links)
    bad: dict[str, str] = {}
    listed, headers = _readable(listed, bad, max_bad, root)
    actual = np.array([(h.width, h.height) for h in headers], np.int64)
    frames = _frames(actual, wanted, resize, check_int("sizes", sizes, minimum=1))
    kept = _kept(cache, recipe, headers)
    lines = [_counted(listed, root) + _others(root, labels), *_report(resize, actual, frames, headers)]
    if kept is not None:
        space = int(frames.prod(axis=1).sum()) * recipe.channels * np.dtype(kept).itemsize
        lines.append(f"kept in memory once decoded: {space / 1e6:,.0f} MB")
    drawn = make_default_seed() if seed is None else seed

    def dataset(rows: np.ndarray, trains: bool) -> Dataset:
        part = listed.rows(rows)
        policy = recipe if trains or resize != "random_crop" else recipe._replace(policy="crop")
        stage = Pictures(
            part.paths,
            _labels(part, label_mode),
            frames[rows],
            policy,
            batch,
            shuffle and trains,
            drawn,
            threads,
            bad,
            max_bad,
            kept,
        )
        made = Dataset(stage)
        made.file_paths, made.bad_files, made.report = part.paths, bad, "\n".join(lines)
        if part.class_names is not None:
            made.class_names = part.class_names
        return made

    made: Any
    if validation or test:
        made = _split(listed, validation, test, seed or 0, dataset, lines)
    else:
        made = dataset(np.arange(len(listed.paths)), True)
    if verbose:
        say("\n".join(lines))
    return made


def _recipe(
    resize: str,
    color_mode: str,
    dtype: str,
    fill: int | Sequence[int],
    interpolation: str,
    draft: bool,
    data_format: str | None,
) -> Recipe:
    """Checked. Raises ValueError for what is not there."""
    if resize not in POLICIES:
        hint = nearest(str(resize), POLICIES)
        raise ValueError(f"resize must be one of {', '.join(POLICIES)}, got {resize!r}.{hint}")
    if color_mode not in COLORS:
        raise ValueError(f"color_mode must be one of {', '.join(COLORS)}, got {color_mode!r}")
    if dtype not in ("float32", "uint8"):
        raise ValueError(f'dtype must be "float32" or "uint8", got {dtype!r}')
    channels = COLORS[color_mode][1]
    values: tuple[Any, ...] = tuple(fill) if isinstance(fill, (list, tuple)) else (fill,) * channels
    if len(values) != channels or not all(isinstance(v, int) and 0 <= v <= 255 for v in values):
        raise ValueError(f"fill must be a number from 0 to 255, or one for each channel, got {fill!r}")
    resampling_filter(interpolation)
    first = standard_data_format(data_format) == "channels_first"
    return Recipe(resize, color_mode, dtype, values, interpolation, bool(draft), first)


def _kept(cache: bool, recipe: Recipe, headers: list[Header]) -> str | None:
    """The dtype in which pictures are kept, None if they are not."""
    if not cache:
        return None
    if recipe.policy == "random_crop":
        raise ValueError('resize="random_crop" looks at another place every pass: leave cache away')
    deep = recipe.dtype == "float32" and any(h.kind == "16 bit" for h in headers)
    return "float32" if deep else "uint8"


def _size(size: Any) -> tuple[int, int]:
    """(height, width) or a number, as (width, height)."""
    sides = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be (height, width) or a number, got {size!r}")
    return check_int("the width", sides[1], minimum=1), check_int("the height", sides[0], minimum=1)


# -- files and labels --------------------------------------------------------------------------------------


def labelled(
    root: str, labels: Any, label_mode: str | None, class_names: Sequence[str] | None, follow_links: bool
) -> Labelled:
    """Files in a folder, sorted, and what they are. Raises ValueError, FileNotFoundError."""
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder {root!r}")
    if labels is None or label_mode is None:
        made = Labelled(list_files_below(root, ENDINGS, follow_links), None, None)
    elif isinstance(labels, str) and labels == "inferred":
        made = _by_folders(root, class_names, follow_links)
    else:
        made = _by_table(root, labels, class_names)
    if not made.paths:
        endings = ", ".join(ENDINGS)
        raise ValueError(f"no pictures ({endings}) were found in {root!r}{_hint(root, labels)}")
    if label_mode == "binary" and (made.class_names is None or len(made.class_names) != 2):
        raise ValueError(f'label_mode="binary" needs two classes, there are {made.class_names}')
    return made


def _hint(root: str, labels: Any) -> str:
    if isinstance(labels, str) and labels == "inferred" and list_files_below(root, ENDINGS, False):
        return ": they are not in folders of classes, so give labels=None or a table"
    return ""


def _by_folders(root: str, class_names: Sequence[str] | None, follow_links: bool) -> Labelled:
    there = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    names = there if class_names is None else list(class_names)
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(f"class_names has {missing[0]!r}, but the folders are {there}")
    paths = [list_files_below(os.path.join(root, name), ENDINGS, follow_links) for name in names]
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(part) for part in paths])
    return Labelled([path for part in paths for path in part], numbers, names)


def _by_table(root: str, table: Any, class_names: Sequence[str] | None) -> Labelled:
    rows = table if isinstance(table, Mapping) else _read_table(root, table)
    names = sorted(map(str, rows))
    paths = [os.path.join(root, name) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if not os.path.isfile(path)]
    if missing:
        raise ValueError(
            f"the table of labels names {len(missing):,} files that are not in {root!r}: {missing[:5]}. "
            "Paths are relative to that folder"
        )
    values = np.array([rows[name] for name in names])
    if values.dtype.kind in "US":
        kinds = sorted(set(values.tolist())) if class_names is None else list(class_names)
        unknown = sorted(set(values.tolist()) - set(kinds))
        if unknown:
            raise ValueError(f"the table has the class {unknown[0]!r}, but class_names are {kinds}")
        return Labelled(paths, np.array([kinds.index(v) for v in values.tolist()], np.int32), kinds)
    if values.dtype.kind in "iub":
        top = int(values.max(initial=-1)) + 1
        kinds = [str(n) for n in range(top)] if class_names is None else list(class_names)
        if values.min(initial=0) < 0 or len(kinds) < top:
            raise ValueError(
                f"class numbers must be 0 to {len(kinds) - 1}, got {int(values.min())} to {top - 1}"
            )
        return Labelled(paths, values.astype(np.int32), kinds)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError("labels in a table are strings or finite numbers, one for each file")
    return Labelled(paths, values.astype(np.float32), None)


def _read_table(root: str, table: Any) -> dict[str, Any]:
    """The first two columns of a .csv file: paths, and labels as numbers if all of them are some."""
    if not isinstance(table, (str, os.PathLike)) or not os.fspath(table).lower().endswith(".csv"):
        raise ValueError(
            f'labels must be "inferred" (from folders), None, a dict from path to label or the path of a '
            f".csv file, got {table!r:.60}"
        )
    with open(table, newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if any(len(line) < 2 for line in lines):
        raise ValueError(f"{os.fspath(table)!r} needs two columns: path and label")
    if lines and not os.path.isfile(os.path.join(root, lines[0][0])):  # names of the columns
        lines = lines[1:]
    texts = [line[1].strip() for line in lines]
    values: list[Any] = texts
    for kind in (int, float):
        try:
            values = [kind(text) for text in texts]
            break
        except ValueError:
            continue
    return dict(zip((line[0] for line in lines), values, strict=True))


def _labels(part: Labelled, label_mode: str | None) -> np.ndarray | None:
    made: np.ndarray | None = encoded(part.labels, part.class_names, label_mode)
    return made


def _readable(
    listed: Labelled, bad: dict[str, str], max_bad: float, root: str
) -> tuple[Labelled, list[Header]]:
    """The files that have a picture's head, and these; the others go into `bad`."""
    headers, kept = [], []
    # Waiting for a disk, not computing, is what several threads help with.
    for row, head in enumerate(map_ordered_chunked(_header, listed.paths, 4, 32)):
        if isinstance(head, str):
            bad[listed.paths[row]] = head
        else:
            headers.append(head)
            kept.append(row)
    check_bad(bad, len(listed.paths), max_bad)
    if not kept:
        raise ValueError(said(bad, f"were found in {root!r}, none of which can be read"))
    return listed.rows(np.array(kept)), headers


def _header(path: str) -> Header | str:
    try:
        return header(path)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they like about a broken file
        return why(error)


# -- sizes, parts and what is said of them -----------------------------------------------------------------


def _frames(actual: np.ndarray, wanted: tuple[int, int] | None, resize: str, most: int) -> np.ndarray:
    """The size that each picture gets."""
    if resize == "bucket":
        return buckets(actual, wanted, most)
    if wanted is None:
        kinds = np.unique(actual, axis=0)
        if len(kinds) > 1:
            raise ValueError(
                f"the pictures have {len(kinds):,} sizes, {found(actual, {'in all': len(actual)})}: give "
                'size=(height, width), or resize="bucket" for batches of like sizes'
            )
        wanted = int(kinds[0][0]), int(kinds[0][1])
    return np.tile(np.array(wanted, np.int64), (len(actual), 1))


def _counted(listed: Labelled, root: str) -> str:
    text = f"{len(listed.paths):,} pictures in {root}"
    if listed.class_names is None or listed.labels is None:
        return text
    numbers = np.bincount(listed.labels, minlength=len(listed.class_names))
    shown = [f"{name} {number:,}" for name, number in zip(listed.class_names, numbers, strict=True)]
    more = f", ... ({len(shown)} classes)" if len(shown) > 10 else ""
    return f"{text}: {', '.join(shown[:10])}{more}"


def _others(root: str, labels: Any) -> str:
    """How many files of other kinds there are, which nobody asked about: a format may be among them that is
    not read, such as HEIC."""
    if labels is not None and not (isinstance(labels, str) and labels == "inferred"):
        return ""
    names = (Path(path).name for path in list_files_below(root, ("",), False))
    kinds = Counter(
        Path(name).suffix.lower() or "without an ending"
        for name in names
        if not name.startswith(".") and not name.lower().endswith(ENDINGS)
    )
    if not kinds:
        return ""
    shown = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(5))
    return f" (and {kinds.total():,} files of other kinds, left alone: {shown})"


def _report(resize: str, actual: np.ndarray, frames: np.ndarray, headers: list[Header]) -> list[str]:
    kinds, times = np.unique(frames, axis=0, return_counts=True)
    target = f"{kinds[0][0]} x {kinds[0][1]}"
    if len(kinds) > 1:
        shown = [f"{w} x {h} ({n:,})" for (w, h), n in zip(kinds.tolist(), times.tolist(), strict=True)]
        target = f"{len(kinds)} sizes: {', '.join(shown)}"
    return [
        f"sizes (width x height): {found(actual, Counter(h.kind for h in headers))}",
        f'resize="{resize}" to {target}: {cost(resize, actual, frames)}',
    ]


def _split(listed: Labelled, validation: Any, test: Any, seed: int, dataset: Any, lines: list[str]) -> Split:
    """Training, validation and test Datasets, every class in proportion."""
    count = len(listed.paths)
    classes = None if listed.class_names is None else listed.labels
    parts = split_indices(count, sizes_of(count, validation, test), classes, order_of(seed))
    rows = dict(zip(NAMES, parts, strict=True))
    shown = ", ".join(f"{len(part):,} {name}" for name, part in rows.items() if len(part))
    how = "drawn" if classes is None else "drawn, every class in proportion"
    lines.append(f"{count:,} pictures: {shown}; {how} by seed {seed}")
    made = (dataset(part, name == "train") if len(part) else None for name, part in rows.items())
    return Split(next(made), next(made), next(made), rows, lines[-1])
