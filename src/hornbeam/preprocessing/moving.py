"""Single pictures turned, shifted, sheared, zoomed and lit differently, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.utils.images import array_to_img, img_to_array


def affine(
    x: np.ndarray,
    theta: float,
    tx: float,
    ty: float,
    shear: float,
    zx: float,
    zy: float,
    channel_axis: int,
    fill_mode: str,
    cval: float,
    order: int,
) -> np.ndarray:
    """A picture turned by `theta` degrees, shifted by (tx, ty) pixels down and right, sheared by `shear`
    degrees and zoomed by (zx, zy), all around its middle. Needs SciPy if there is anything to do."""
    if not (theta or tx or ty or shear) and zx == zy == 1:
        return x
    try:
        from scipy.ndimage import affine_transform
    except ImportError as error:
        raise ImportError(
            "turning, shifting, shearing and zooming need SciPy: pip install 'hornbeam[image]'"
        ) from error
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    matrix = (
        np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
        @ np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
        @ np.diag([zx, zy, 1.0])
    )
    channels = np.moveaxis(x, channel_axis, 0)
    # The matrix is in (x, y) with the rows as x; SciPy counts (row, column).
    middle = np.array(channels.shape[1:]) / 2 - 0.5
    to_middle, back = np.eye(3), np.eye(3)
    to_middle[:2, 2], back[:2, 2] = middle, -middle
    swap = [1, 0, 2]
    whole = (to_middle @ matrix @ back)[swap][:, swap]
    moved = [
        affine_transform(part, whole[:2, :2], whole[:2, 2], order=order, mode=fill_mode, cval=cval)
        for part in channels
    ]
    return np.moveaxis(np.stack(moved), 0, channel_axis)


def brighter(x: np.ndarray, factor: float, data_format: str) -> np.ndarray:
    """A picture in 8 bits with its brightness multiplied, in the range it had. Needs Pillow."""
    from PIL import ImageEnhance

    low, high = x.min(), x.max()
    stretched = low < 0 or high > 255
    picture: Any = array_to_img(x, data_format=data_format, scale=bool(stretched))
    made = img_to_array(ImageEnhance.Brightness(picture).enhance(factor), data_format=data_format)
    return made / 255 * (high - low) + low if stretched else made
