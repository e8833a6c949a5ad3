"""Images in columns of bytes, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam.data.folders.image_decoding import COLORS, ImageFile, copy_pixels, decode_error, resize_box
from hornbeam.utils.images import pillow


class ImageDecoder:
    """Function from the bytes of an image file to its pixels, uint8 (height, width, channels).

    image_size: (height, width) to which images are stretched, None for the size of each. reads_paths: a value
    may be the path of a file in place of its bytes.
    """

    def __init__(
        self, color_mode: str, image_size: tuple[int, int] | None, reads_paths: bool = False
    ) -> None:
        if color_mode not in COLORS:
            raise ValueError(f"color_mode must be one of {list(COLORS)}.{nearest(str(color_mode), COLORS)}")
        self.color_mode, self.reads_paths = color_mode, reads_paths
        self.size = None
        if image_size is not None:
            height, width = (check_int("image_size", side, minimum=1) for side in image_size)
            self.size = width, height
        pillow()  # raises here, not at the first image

    def __call__(self, value: Any) -> np.ndarray:
        """Decode a value. Raises ValueError with the reason."""
        try:
            with ImageFile(self._file(value)) as file:
                image = file.decode(self.color_mode, self.size, (255, 255, 255), keep_16_bits=False)
                if self.size is not None:
                    image = resize_box(image, self.size, file.box_after_decoding(image.size), "bilinear")
        except Exception as error:  # Pillow raises errors of many types for damaged files
            raise ValueError(f"expected an image: {decode_error(error)}") from error
        size = image.size if self.size is None else self.size
        pixels = np.empty((size[1], size[0], COLORS[self.color_mode][1]), np.uint8)
        copy_pixels(image, pixels)
        return pixels

    def _file(self, value: Any) -> str | bytes:
        if isinstance(value, dict):  # the form of Hugging Face
            path = value.get("path")
            value = path if value.get("bytes") is None and self.reads_paths else value.get("bytes")
            if value is None:
                raise ValueError(f"got the path {path!r} without the bytes of the file")
        if isinstance(value, bytes) or (isinstance(value, str) and self.reads_paths):
            return value
        raise ValueError(f"got {type(value).__name__} in place of the bytes of a file")
