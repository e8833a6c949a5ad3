"""tf.io and tf.summary: files, images and event files. Arguments are TensorFlow's."""

from __future__ import annotations

import contextlib
import glob as _glob
import io as _io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any, SupportsFloat, SupportsInt

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.packages import install_command
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.messages import log_once
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.typing import DTypeLike, TensorLike

# Namespace -> its names.
NAMESPACES = {
    "io": (
        "decode_image decode_jpeg decode_png decode_raw encode_jpeg encode_png matching_files read_file "
        "write_file"
    ),
    "io.gfile": "GFile copy exists glob isdir listdir makedirs mkdir remove rmtree",
    "summary": (
        "SummaryWriter audio create_file_writer flush histogram image scalar text trace_export trace_off "
        "trace_on"
    ),
}


# -- tf.io ---------------------------------------------------------------------------------------------------


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _path(filename: TensorLike) -> Path:
    return Path(str(StringTensor(filename).texts()[()]))


def read_file(filename: TensorLike, name: str | None = None) -> StringTensor:
    """Return the bytes of a file."""
    return StringTensor(_path(filename).read_bytes())


def write_file(filename: TensorLike, contents: TensorLike, name: str | None = None) -> None:
    """Write bytes to a file."""
    _path(filename).write_bytes(StringTensor(contents).numpy())


def matching_files(pattern: TensorLike, name: str | None = None) -> StringTensor:
    """Return the sorted paths that match a pattern such as `data/*.png`."""
    return StringTensor(glob(str(StringTensor(pattern).texts()[()])))


def _pillow(use: str) -> ModuleType:
    """Return the module of Pillow. Raise ImportError if it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"{use} images needs Pillow: {install_command('image')}") from None
    return Image


def decode_image(
    contents: TensorLike, channels: int | None = None, dtype: DTypeLike = "uint8", name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:  # fmt: skip
    """Decode an image of any format that Pillow reads.

    Args:
        contents: Bytes of the file.
        channels: 1, 3 or 4. Those of the file if 0 or None.
        dtype: "uint8" for values from 0 to 255, a float dtype for values from 0 to 1.
        name: Ignored.
        expand_animations: Ignored.

    Returns:
        Tensor of shape (height, width, channels).

    Raises:
        ImportError: If Pillow is not installed.
    """
    with _pillow("decoding").open(_io.BytesIO(StringTensor(contents).numpy())) as image:
        palette = "RGBA" if "transparency" in image.info else "RGB"
        mode = _MODES[channels] if channels else palette if image.mode == "P" else image.mode
        array = np.array(image.convert(mode))
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    pixels = as_tensor(array)
    return pixels if str(dtype) == "uint8" else ops.cast(pixels, dtype) / 255


def decode_jpeg(
    contents: TensorLike, channels: int = 0, ratio: int = 1, name: str | None = None, **options: object
) -> Tensor:
    """Decode an image to uint8, shape (height, width, channels)."""
    return decode_image(contents, channels)


def decode_png(
    contents: TensorLike, channels: int = 0, dtype: DTypeLike = "uint8", name: str | None = None
) -> Tensor:
    """Decode an image, shape (height, width, channels)."""
    return decode_image(contents, channels, dtype)


def _encode(image: TensorLike, format: str, **options: object) -> StringTensor:
    array = np.asarray(image)
    buffer = _io.BytesIO()
    _pillow("encoding").fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(
        buffer, format, **options
    )
    return StringTensor(buffer.getvalue())


def encode_png(image: TensorLike, compression: int = -1, name: str | None = None) -> StringTensor:
    """Encode an image as PNG."""
    return _encode(image, "PNG")


def encode_jpeg(
    image: TensorLike, format: str = "", quality: int = 95, name: str | None = None, **options: object
) -> StringTensor:
    """Encode an image as JPEG."""
    return _encode(image, "JPEG", quality=quality)


def decode_raw(
    input_bytes: TensorLike, out_type: DTypeLike, little_endian: bool = True, name: str | None = None
) -> Tensor:
    """Interpret bytes as numbers."""
    array = np.frombuffer(StringTensor(input_bytes).numpy(), np.dtype(str(out_type)))
    return as_tensor(array if little_endian else array.byteswap())


# -- tf.io.gfile ---------------------------------------------------------------------------------------------


def GFile(name: str, mode: str = "r") -> IO[Any]:
    """Open a file."""
    return open(name, mode)


exists, mkdir, remove, rmtree = os.path.exists, os.mkdir, os.remove, shutil.rmtree


def isdir(path: str) -> bool:
    """Return True for a folder."""
    return Path(path).is_dir()


def glob(pattern: str) -> list[str]:
    """Return the sorted paths that match a pattern."""
    return sorted(_glob.glob(pattern))


def listdir(path: str) -> list[str]:
    """Return the sorted names in a folder."""
    return sorted(part.name for part in Path(path).iterdir())


def makedirs(path: str) -> None:
    """Create a folder and its parents."""
    Path(path).mkdir(parents=True, exist_ok=True)


def copy(src: str, dst: str, overwrite: bool = False) -> None:
    """Copy a file. Raise FileExistsError if `dst` exists, unless `overwrite` is True."""
    if Path(dst).exists() and not overwrite:
        raise FileExistsError(f"{dst} already exists. Pass overwrite=True to replace it.")
    shutil.copyfile(src, dst)


# -- tf.summary ----------------------------------------------------------------------------------------------


_writers: list[SummaryWriter] = []


class SummaryWriter:
    """Event file for TensorBoard. Inside `with writer.as_default():` the functions of tf.summary write to it.

    Args:
        logdir: Path of the folder.

    Raises:
        ImportError: If tensorboardX is not installed.
    """

    def __init__(self, logdir: str) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError("tf.summary needs tensorboardX: pip install tensorboardX") from error
        self.file = tensorboardX.SummaryWriter(str(logdir))
        self.step: SupportsInt | None = None

    @contextlib.contextmanager
    def as_default(self, step: SupportsInt | None = None) -> Iterator[SummaryWriter]:
        """Make this the default writer inside the block, with `step` as the default step."""
        outer_step, self.step = self.step, step
        _writers.append(self)
        try:
            yield self
        finally:
            _writers.remove(self)
            self.step = outer_step
            self.flush()

    def flush(self) -> None:
        """Write buffered events."""
        self.file.flush()

    def close(self) -> None:
        """Write buffered events and close the file."""
        self.file.close()


def create_file_writer(logdir: str, *args: object, **kwargs: object) -> SummaryWriter:
    """Create a writer of event files in a folder."""
    return SummaryWriter(logdir)


def trace_on(graph: bool = True, profiler: bool = False, profiler_outdir: object = None) -> None:
    """Say that there are no graphs of TensorFlow to write, and do nothing."""
    log_once("tf.summary.trace_on: there are no graphs of TensorFlow here, none is written")


def trace_export(name: str, step: SupportsInt | None = None, profiler_outdir: object = None) -> None:
    """Do nothing."""


def trace_off() -> None:
    """Do nothing."""


def _add(kind: str, name: str, data: TensorLike, step: SupportsInt | None, **options: object) -> bool:
    """Write an event. Return False without a default writer, as TensorFlow does."""
    if not _writers:
        return False
    writer = _writers[-1]
    step = writer.step if step is None else step
    if step is None:
        raise ValueError(f"tf.summary.{kind} needs a step, as an argument or by as_default(step=...)")
    getattr(writer.file, f"add_{kind}")(name, data, int(step), **options)
    return True


def scalar(
    name: str, data: SupportsFloat, step: SupportsInt | None = None, description: str | None = None
) -> bool:
    """Write a number."""
    return _add("scalar", name, float(data), step)


def histogram(
    name: str, data: TensorLike, step: SupportsInt | None = None, buckets: int | None = None,
    description: str | None = None,
) -> bool:  # fmt: skip
    """Write a histogram of values."""
    return _add("histogram", name, np.asarray(data), step)


def image(
    name: str, data: TensorLike, step: SupportsInt | None = None, max_outputs: int = 3,
    description: str | None = None,
) -> bool:  # fmt: skip
    """Write the first `max_outputs` images of a batch (count, height, width, channels)."""
    return _add("images", name, np.asarray(data)[:max_outputs], step, dataformats="NHWC")


def audio(
    name: str, data: TensorLike, sample_rate: SupportsInt, step: SupportsInt | None = None,
    max_outputs: int = 3, encoding: object = None, description: str | None = None,
) -> bool:  # fmt: skip
    """Write the first `max_outputs` sounds of a batch (count, samples, channels)."""
    sounds = np.asarray(data)[:max_outputs]
    written = [
        _add("audio", f"{name}/{i}", sound, step, sample_rate=int(sample_rate))
        for i, sound in enumerate(sounds)
    ]
    return all(written)


def text(
    name: str, data: TensorLike, step: SupportsInt | None = None, description: str | None = None
) -> bool:
    """Write a text."""
    return _add("text", name, str(StringTensor(data).texts()), step)


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> None:
    """Write buffered events, of one writer or of all default writers."""
    for open_writer in _writers if writer is None else [writer]:
        open_writer.flush()
