"""The contents of ONNX files, and errors that name the file; nothing is built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam.errors import ModelFileError
from hornbeam.onnx.reading.source import OnnxSource

# Limits of a file. Protocol Buffers are limited to 2 GiB; external data may be larger.
MAX_FILE_BYTES = (2 << 30) - 1


def onnx_arrays(filepath: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an ONNX file by their names; nothing is built. Raises what `load_onnx` raises."""
    path = os.fspath(filepath)
    with explained(path):
        return OnnxSource(bytes_of(path), path).arrays()


def inspect_onnx(filepath: str) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
    """The graph of an ONNX file, its inputs and outputs as text, and its arrays; nothing is built.

    Raises what `load_onnx` raises.
    """
    with explained(filepath):
        return OnnxSource(bytes_of(filepath), filepath).inspected()


def bytes_of(path: str) -> bytes:
    """The bytes of a file of a permitted size."""
    if not os.path.isfile(path):
        kind = "is a folder, not an .onnx file" if os.path.isdir(path) else "does not exist"
        raise FileNotFoundError(f"{path!r} {kind}")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path!r} has {size} bytes; an ONNX file has at most {MAX_FILE_BYTES}")
        return file.read(MAX_FILE_BYTES)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn errors into ModelFileErrors that name the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{path!r}: {error}") from None
    except Exception as error:
        raise ModelFileError(f"the model in {path!r} cannot be built: {error}") from error
