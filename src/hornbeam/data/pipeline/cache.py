"""Elements of a whole pass, kept in a file: a zip of .npy and .json entries, read without pickle."""

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

from hornbeam.data import elements as e
from hornbeam.data.pipeline.stages import Stage
from hornbeam.ir.types import dtype_name, numpy_dtype

_INDEX = "index.json"


class FileCache(Stage):
    """The elements of the first whole pass, written to a file that later passes (of later programs too)
    read."""

    name = "cache"

    def __init__(self, source: Stage, path: str) -> None:
        super().__init__(source)
        self.path = Path(path)
        self.path = self.path if self.path.suffix == ".npz" else self.path.with_name(self.path.name + ".npz")

    def run(self) -> Iterator[Any]:
        return _read(self.path) if self.path.exists() else self._writing()

    def _writing(self) -> Iterator[Any]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        count, form = 0, None
        try:
            with zipfile.ZipFile(unfinished, "w") as file:
                for count, element in enumerate(self.source.run(), 1):
                    form = _form(element)
                    for part, value in enumerate(e.parts_of(element)):
                        _write(file, f"{count - 1}/{part}", value)
                    yield element
                file.writestr(_INDEX, json.dumps({"count": count, "form": form}))
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def spec(self) -> Any:
        return self.source.spec()


def _form(element: Any) -> Any:
    if isinstance(element, tuple):
        return [_form(part) for part in element]
    if isinstance(element, dict):
        return {key: _form(part) for key, part in element.items()}
    if e.is_pipeline(element):
        raise TypeError("windows cannot be kept in a file: flat_map them first")
    return None if element is None else "text" if e.is_text(element) else dtype_name(element.dtype)


def _write(file: zipfile.ZipFile, name: str, value: Any) -> None:
    if e.is_text(value):
        items = np.asarray(value, dtype=object)
        flat = [[t.decode("latin-1"), 1] if isinstance(t, bytes) else [t, 0] for t in items.reshape(-1)]
        file.writestr(name, json.dumps({"shape": items.shape, "items": flat}))
    elif value is not None:
        array = np.asarray(value)
        words = array.view("uint16") if dtype_name(array.dtype) == "bfloat16" else array
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, words, allow_pickle=False)
        file.writestr(name, buffer.getbuffer())


def _read(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as file:
        index = json.loads(file.read(_INDEX))
        for number in range(index["count"]):
            parts = itertools.count()
            yield _restored(
                index["form"], lambda form, n=number, parts=parts: _part(file, f"{n}/{next(parts)}", form)
            )


def _restored(form: Any, part: Any) -> Any:
    if isinstance(form, list):
        return tuple(_restored(item, part) for item in form)
    if isinstance(form, dict):
        return {key: _restored(item, part) for key, item in form.items()}
    return part(form)


def _part(file: zipfile.ZipFile, name: str, form: str | None) -> Any:
    if form is None:
        return None
    if form == "text":
        held = json.loads(file.read(name))
        items = [text.encode("latin-1") if is_bytes else text for text, is_bytes in held["items"]]
        return e.stacked(items).reshape(held["shape"]) if held["shape"] else items[0]
    array = np.lib.format.read_array(io.BytesIO(file.read(name)), allow_pickle=False)
    array = array.view(numpy_dtype(form)) if form == "bfloat16" else array
    return array if array.ndim else array[()]
