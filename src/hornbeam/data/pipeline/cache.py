"""File cache of the elements of a complete pass: a zip of .npy and .json entries, read without pickle."""

from __future__ import annotations

import io
import itertools
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.typing import Tree
from hornbeam.data import elements as e
from hornbeam.data.npy import array_from_npy
from hornbeam.data.pipeline.stages import Stage
from hornbeam.errors import CorruptFileError
from hornbeam.ir.types import dtype_name, numpy_dtype

_INDEX = "index.json"


class FileCache(Stage):
    """Elements of the first complete pass, written to a file that later passes read.

    Later programs read it too.
    """

    name = "cache"

    def __init__(self, source: Stage, path: str) -> None:
        super().__init__(source)
        self.path = Path(path)
        self.path = self.path if self.path.suffix == ".npz" else self.path.with_name(self.path.name + ".npz")

    def samples_and_batch_size(self) -> tuple[int, int] | tuple[None, None]:
        return self.source.samples_and_batch_size()

    def run(self) -> Iterator[Any]:
        return _read(self.path) if self.path.exists() else self._run_and_write()

    def _run_and_write(self) -> Iterator[Any]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        count, structure = 0, None
        try:
            with zipfile.ZipFile(unfinished, "w") as file:
                for count, element in enumerate(self.source.run(), 1):
                    structure = _structure(element)
                    for part, value in enumerate(e.flatten_parts(element)):
                        _write(file, f"{count - 1}/{part}", value)
                    yield element
                file.writestr(_INDEX, json.dumps({"count": count, "form": structure}))
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def spec(self) -> Tree:
        return self.source.spec()


def _structure(element: Tree) -> Any:
    """Return the structure of an element in JSON: lists for tuples, dtype names for parts."""
    if isinstance(element, tuple):
        return [_structure(part) for part in element]
    if isinstance(element, dict):
        return {key: _structure(part) for key, part in element.items()}
    if e.is_pipeline(element):
        raise TypeError("windows cannot be cached in a file: flat_map them first")
    return None if element is None else "text" if e.is_text(element) else dtype_name(element.dtype)


def _write(file: zipfile.ZipFile, name: str, value: Any) -> None:
    if e.is_text(value):
        items = np.asarray(value, dtype=object)
        flat = [[t.decode("latin-1"), 1] if isinstance(t, bytes) else [t, 0] for t in items.reshape(-1)]
        file.writestr(name, json.dumps({"shape": items.shape, "items": flat}))
    elif value is not None:
        array = np.asarray(value)
        storable = array.view("uint16") if dtype_name(array.dtype) == "bfloat16" else array
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, storable, allow_pickle=False)
        file.writestr(name, buffer.getbuffer())


def _read(path: Path) -> Iterator[Any]:
    try:
        with zipfile.ZipFile(path) as file:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist()):
                raise ValueError("its entries are compressed")  # to any size
            index = json.loads(file.read(_INDEX))
            for number in range(index["count"]):
                yield _restore(index["form"], file, (f"{number}/{part}" for part in itertools.count()))
    except Exception as error:  # zipfile, JSON and NumPy raise many types for damaged files
        raise CorruptFileError(
            f"the cache {os.fspath(path)!r} cannot be read: {error!r:.200}. Delete it: the next pass "
            "writes it again"
        ) from error


def _restore(structure: Tree, file: zipfile.ZipFile, names: Iterator[str]) -> Tree:
    """Read the parts of an element from the next entries, and pack them as `structure`."""
    if isinstance(structure, list):
        return tuple(_restore(item, file, names) for item in structure)
    if isinstance(structure, dict):
        return {key: _restore(item, file, names) for key, item in structure.items()}
    return _read_part(file, next(names), structure)


def _read_part(file: zipfile.ZipFile, name: str, dtype: str | None) -> Any:
    if dtype is None:
        return None
    if dtype == "text":
        content = json.loads(file.read(name))
        items = [text.encode("latin-1") if is_bytes else text for text, is_bytes in content["items"]]
        return e.stack_parts(items).reshape(content["shape"]) if content["shape"] else items[0]
    array = array_from_npy(file.read(name)).copy()
    array = array.view(numpy_dtype(dtype)) if dtype == "bfloat16" else array
    return array if array.ndim else array[()]
