"""tf.io: reading files, and pictures out of them (with pillow)."""

from __future__ import annotations

import io as _io
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow.host import StringTensor
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = [
    "decode_image", "decode_jpeg", "decode_png", "decode_raw", "encode_jpeg", "encode_png", "matching_files",
    "read_file", "write_file",
]  # fmt: skip

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _path(filename: Any) -> Path:
    return Path(str(StringTensor(filename).texts()[()]))


def read_file(filename: Any, name: str | None = None) -> StringTensor:
    """The bytes of a file."""
    return StringTensor(_path(filename).read_bytes())


def write_file(filename: Any, contents: Any, name: str | None = None) -> None:
    """Write bytes to a file."""
    _path(filename).write_bytes(StringTensor(contents).numpy())


def matching_files(pattern: Any, name: str | None = None) -> StringTensor:
    """Files that match a pattern such as `data/*.png`, in order."""
    from hornbeam.compat.tensorflow.gfile import glob

    return StringTensor(glob(str(StringTensor(pattern).texts()[()])))


def decode_image(
    contents: Any,
    channels: int | None = None,
    dtype: Any = "uint8",
    name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:
    """A picture of any format that pillow reads: (height, width, channels), 0 ... 255; floats from 0 to 1.

    channels: 1, 3 or 4; those of the file if 0 or None.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading pictures needs pillow: pip install hornbeam[image]") from None
    data = contents.numpy() if hasattr(contents, "numpy") else contents
    with Image.open(_io.BytesIO(data)) as picture:
        palette = "RGBA" if "transparency" in picture.info else "RGB"
        mode = _MODES[channels] if channels else palette if picture.mode == "P" else picture.mode
        array = np.array(picture.convert(mode))
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    made = as_tensor(array)
    return made if str(dtype) == "uint8" else ops.cast(made, dtype) / 255


def decode_jpeg(
    contents: Any, channels: int = 0, ratio: int = 1, name: str | None = None, **options: Any
) -> Tensor:
    """A picture as uint8 (height, width, channels)."""
    return decode_image(contents, channels)


def decode_png(contents: Any, channels: int = 0, dtype: Any = "uint8", name: str | None = None) -> Tensor:
    """A picture as uint8 (height, width, channels)."""
    return decode_image(contents, channels, dtype)


def _encoded(image: Any, format: str, **options: Any) -> StringTensor:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("writing pictures needs pillow: pip install hornbeam[image]") from None
    array = np.asarray(image)
    made = _io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(made, format, **options)
    return StringTensor(made.getvalue())


def encode_png(image: Any, compression: int = -1, name: str | None = None) -> StringTensor:
    """The bytes of a PNG file."""
    return _encoded(image, "PNG")


def encode_jpeg(
    image: Any, format: str = "", quality: int = 95, name: str | None = None, **options: Any
) -> StringTensor:
    """The bytes of a JPEG file."""
    return _encoded(image, "JPEG", quality=quality)


def decode_raw(
    input_bytes: Any, out_type: Any, little_endian: bool = True, name: str | None = None
) -> Tensor:
    """The numbers that bytes hold."""
    array = np.frombuffer(StringTensor(input_bytes).numpy(), np.dtype(str(out_type)))
    return as_tensor(array if little_endian else array.byteswap())
