"""Affine maps and brightness of single images, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam.utils.images import array_to_img, img_to_array


def apply_affine(
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
    """Rotate, shift, shear and zoom an image around its center. Needs SciPy unless nothing changes.

    theta, shear: degrees. tx, ty: pixels down and right. zx, zy: zoom factors.
    """
    if not (theta or tx or ty or shear) and zx == zy == 1:
        return x
    with required("rotation, shift, shear and zoom need SciPy", "image"):
        from scipy.ndimage import affine_transform
    angle, slant = np.deg2rad(theta), np.deg2rad(shear)
    matrix = (
        np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
        @ np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
        @ np.diag([zx, zy, 1.0])
    )
    channels = np.moveaxis(x, channel_axis, 0)
    # The matrix is in (x, y) with rows as x; SciPy indexes (row, column).
    center = np.array(channels.shape[1:]) / 2 - 0.5
    to_center, from_center = np.eye(3), np.eye(3)
    to_center[:2, 2], from_center[:2, 2] = center, -center
    swap = [1, 0, 2]
    centered = (to_center @ matrix @ from_center)[swap][:, swap]
    mapped = [
        affine_transform(channel, centered[:2, :2], centered[:2, 2], order=order, mode=fill_mode, cval=cval)
        for channel in channels
    ]
    return np.moveaxis(np.stack(mapped), 0, channel_axis)


def adjust_brightness(x: np.ndarray, factor: float, data_format: str) -> np.ndarray:
    """Multiply the brightness of an image in 8 bits, in the range it had. Needs Pillow."""
    from PIL import ImageEnhance

    low, high = x.min(), x.max()
    outside = low < 0 or high > 255
    image: Any = array_to_img(x, data_format=data_format, scale=bool(outside))
    adjusted = img_to_array(ImageEnhance.Brightness(image).enhance(factor), data_format=data_format)
    return adjusted / 255 * (high - low) + low if outside else adjusted
