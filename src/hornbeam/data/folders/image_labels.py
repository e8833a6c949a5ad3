"""Images of a folder with their labels: by subfolder, by a dict, or by a .csv file."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam.data.folders.file_listing import LabeledFiles, class_folders, list_files_below
from hornbeam.data.folders.image_decoding import ENDINGS


def find_labeled_files(
    root: str, labels: Any, label_mode: str | None, class_names: Sequence[str] | None, follow_links: bool
) -> LabeledFiles:
    """List the images in a folder, sorted, with their labels. Raises ValueError, FileNotFoundError."""
    if not os.path.isdir(root):
        raise FileNotFoundError(f"folder {root!r} does not exist")
    if labels is None or label_mode is None:
        files = LabeledFiles(list_files_below(root, ENDINGS, follow_links), None, None)
    elif isinstance(labels, str) and labels == "inferred":
        files = _by_folder(root, class_names, follow_links)
    else:
        files = _by_table(root, labels, class_names)
    if not files.paths:
        raise ValueError(f"no images ({', '.join(ENDINGS)}) in {root!r}{_hint(root, labels)}")
    if label_mode == "binary" and (files.class_names is None or len(files.class_names) != 2):
        raise ValueError(f'label_mode="binary" needs two classes, got {files.class_names}')
    return files


def _hint(root: str, labels: Any) -> str:
    if isinstance(labels, str) and labels == "inferred" and list_files_below(root, ENDINGS, False):
        return ": its images are not in folders of classes, so set labels=None or a table"
    return ""


def _by_folder(root: str, class_names: Sequence[str] | None, follow_links: bool) -> LabeledFiles:
    names = class_folders(root, class_names)
    paths = [list_files_below(os.path.join(root, name), ENDINGS, follow_links) for name in names]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(part) for part in paths])
    return LabeledFiles([path for part in paths for path in part], labels, names)


def _by_table(root: str, table: Any, class_names: Sequence[str] | None) -> LabeledFiles:
    rows = table if isinstance(table, Mapping) else _read_csv(root, table)
    names = sorted(map(str, rows))
    paths = [os.path.join(root, name) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if not os.path.isfile(path)]
    if missing:
        raise ValueError(
            f"the table of labels names {len(missing):,} files that are not in {root!r}: {missing[:5]}. "
            "Paths must be relative to that folder"
        )
    values = np.array([rows[name] for name in names])
    if values.dtype.kind in "US":
        classes = sorted(set(values.tolist())) if class_names is None else list(class_names)
        unknown = sorted(set(values.tolist()) - set(classes))
        if unknown:
            raise ValueError(f"the table has the class {unknown[0]!r}, but class_names are {classes}")
        return LabeledFiles(paths, np.array([classes.index(v) for v in values.tolist()], np.int32), classes)
    if values.dtype.kind in "iub":
        count = int(values.max(initial=-1)) + 1
        classes = [str(n) for n in range(count)] if class_names is None else list(class_names)
        if values.min(initial=0) < 0 or len(classes) < count:
            raise ValueError(
                f"class indices must be 0 to {len(classes) - 1}, got {int(values.min())} to {count - 1}"
            )
        return LabeledFiles(paths, values.astype(np.int32), classes)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError("labels in a table must be strings or finite numbers, one for each file")
    return LabeledFiles(paths, values.astype(np.float32), None)


def _read_csv(root: str, table: Any) -> dict[str, Any]:
    """Read paths and labels from the first two columns; labels are numbers if all of them are."""
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
    for number in (int, float):
        try:
            values = [number(text) for text in texts]
            break
        except ValueError:
            continue
    return dict(zip((line[0] for line in lines), values, strict=True))
