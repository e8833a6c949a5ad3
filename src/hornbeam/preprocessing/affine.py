"""Affine maps and brightness of single images, by SciPy and Pillow on the host, for ImageDataGenerator."""

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
    """Rotate, shift, shear and zoom an image around its center.

    Args:
        x: Array of one image, with rows, columns and channels in the order of its data format.
        theta: Rotation in degrees, counterclockwise.
        tx: Shift to the left in pixels.
        ty: Shift upwards in pixels.
        shear: Shear angle in degrees.
        zx: Width of the part that fills the image, as a fraction of its width: below 1 enlarges.
        zy: Height of that part, as a fraction of the height.
        channel_axis: Integer, the axis of the channels.
        fill_mode: How SciPy fills points outside of the image: "constant", "nearest", "reflect" or "wrap".
        cval: Value of these points for "constant".
        order: Integer, the order of the spline that interpolates.

    Returns:
        Array of the shape of x; x itself if nothing changes.

    Raises:
        ImportError: If SciPy is missing and something changes.
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
    # The matrix maps points of the result to points of x, in (x, y), SciPy's in (row, column). The center has
    # the order (row, column) all along, as in Keras, which moves it where images are not square.
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
    """Multiply the brightness of an image, in 8 bits as Pillow does.

    Args:
        x: Array of one image. Values beyond 0 ... 255 are scaled to this range and back.
        factor: Number >= 0: 0 makes the image black, 1 leaves it as it is.
        data_format: Order of its axes.

    Returns:
        Array of the shape of x.

    Raises:
        ImportError: If Pillow is missing.
    """
    from PIL import ImageEnhance

    low, high = x.min(), x.max()
    outside = low < 0 or high > 255
    image: Any = array_to_img(x, data_format=data_format, scale=bool(outside))
    adjusted = img_to_array(ImageEnhance.Brightness(image).enhance(factor), data_format=data_format)
    return adjusted / 255 * (high - low) + low if outside else adjusted
