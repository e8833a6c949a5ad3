"""Geometry of resizing: which box of an image is kept, and how much is cropped, padded or distorted.

Cropping and padding are those of Pillow's `ImageOps.fit` and `ImageOps.pad`, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

# Sides of buckets are multiples of this number of pixels.
STEP = 32


class ResizePlan(NamedTuple):
    """Box of the image (left, upper, right, lower), the size it is resized to, and its offset (x, y).

    Widths come first. The offset is that of the resized box in the target.
    """

    box: tuple[float, float, float, float]
    inner: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    def min_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the complete image of `size` at the scale of the plan, rounded up."""
        left, top, right, bottom = self.box
        x_scale, y_scale = self.inner[0] / (right - left), self.inner[1] / (bottom - top)
        return int(np.ceil(size[0] * x_scale - 1e-9)), int(np.ceil(size[1] * y_scale - 1e-9))

    def rescale(self, size: tuple[int, int], bounds: tuple[float, float, float, float]) -> ResizePlan:
        """Return the plan for an image of `size` that was decoded smaller, and now covers `bounds`."""
        x_scale, y_scale = (bounds[2] - bounds[0]) / size[0], (bounds[3] - bounds[1]) / size[1]
        left, top, right, bottom = self.box
        box = (
            bounds[0] + left * x_scale,
            bounds[1] + top * y_scale,
            # Rounding must not exceed the bounds.
            min(bounds[0] + right * x_scale, bounds[2]),
            min(bounds[1] + bottom * y_scale, bounds[3]),
        )
        return self._replace(box=box)


Size = tuple[int, int]
Center = tuple[float, float]


def stretch(width: int, height: int, size: Size, center: Center) -> ResizePlan:
    """Plan to distort the complete image to the target's shape."""
    return ResizePlan((0, 0, width, height), size)


def pad(width: int, height: int, size: Size, center: Center) -> ResizePlan:
    """Plan to fit the complete image into the middle of the target, without distortion."""
    inner = size
    if width / height > size[0] / size[1]:
        inner = size[0], max(round(height / width * size[0]), 1)
    elif width / height < size[0] / size[1]:
        inner = max(round(width / height * size[1]), 1), size[1]
    offset = round((size[0] - inner[0]) * 0.5), round((size[1] - inner[1]) * 0.5)
    return ResizePlan((0, 0, width, height), inner, offset)


def crop(width: int, height: int, size: Size, center: Center) -> ResizePlan:
    """Plan to crop the largest box of the target's shape.

    center: position of the box, from 0 (leftmost, uppermost) to 1 (rightmost, lowermost).
    """
    ratio = size[0] / size[1]
    crop_width: float = width
    crop_height: float = height
    if width / height > ratio:
        crop_width = ratio * height
    elif width / height < ratio:
        crop_height = width / ratio
    left, top = (width - crop_width) * center[0], (height - crop_height) * center[1]
    return ResizePlan((left, top, left + crop_width, top + crop_height), size)


POLICIES: dict[str, Callable[[int, int, Size, Center], ResizePlan]] = {
    "pad": pad,
    "crop": crop,
    "stretch": stretch,
    "random_crop": crop,
    "bucket": crop,
}


# -- buckets ---------------------------------------------------------------------------------------------


def assign_buckets(sizes: np.ndarray, size: Size | None, max_buckets: int) -> np.ndarray:
    """Return a target size for each image, few sizes close to the images' own.

    sizes: rows (width, height). size: targets have about as many pixels as this size; None: about as many as
    the images. Sides are multiples of STEP. While there are more than `max_buckets` sizes, the rarest is
    merged into the nearest other one.
    """
    scale = np.ones(len(sizes)) if size is None else np.sqrt(size[0] * size[1] / sizes.prod(axis=1))
    rounded = np.maximum(np.rint(sizes * scale[:, None] / STEP), 1).astype(np.int64) * STEP
    buckets, index, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    merged_into, log_sides = np.arange(len(buckets)), np.log(buckets)
    members = counts.copy()
    while (members > 0).sum() > max_buckets:
        rarest = np.where(members > 0, members, members.sum() + 1).argmin()
        distance = np.abs(log_sides - log_sides[rarest]).sum(axis=1)
        distance[(members == 0) | (np.arange(len(buckets)) == rarest)] = np.inf
        nearest = distance.argmin()
        members[nearest] += members[rarest]
        members[rarest] = 0
        merged_into[merged_into == rarest] = nearest
    return buckets[merged_into[index.reshape(-1)]]


# -- descriptions ------------------------------------------------------------------------------------------


def describe_resizing(policy: str, sizes: np.ndarray, targets: np.ndarray) -> str:
    """Describe how much a policy pads, crops or distorts images of `sizes` on their way to `targets`."""
    ratios = (sizes[:, 0] / sizes[:, 1]) / (targets[:, 0] / targets[:, 1])
    distortion = np.maximum(ratios, 1 / ratios)
    lost = 1 - 1 / distortion
    unaffected = {"pad": "nothing is cropped or distorted", "stretch": "nothing is cropped or padded"}
    rest = unaffected.get(policy, "nothing is padded or distorted")
    if not (distortion > 1.005).any():
        text = "all have the target's aspect ratio: nothing is padded, cropped or distorted"
    elif policy == "stretch":
        average, largest = distortion.mean(), distortion.max()
        text = f"distorted by a factor of {average:.2f} on average, {largest:.2f} at most; {rest}"
    else:
        effect = "of the target is padding" if policy == "pad" else "of an image is cropped"
        text = f"{lost.mean():.0%} {effect} on average, {lost.max():.0%} at most; {rest}"
    enlarged = (np.maximum(*(targets / sizes).T) > 1.0).mean()
    return text + (f"; {enlarged:.0%} of the images are smaller and are enlarged" if enlarged else "")


def describe_sizes(sizes: np.ndarray, counts: Mapping[str, int]) -> str:
    """Describe the sizes of images. counts: number of images by kind of pixels."""
    distinct, times = np.unique(sizes, axis=0, return_counts=True)
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
    if len(distinct) == 1:
        return f"all {_format_size(distinct[0])} ({kinds})"
    by_area = np.argsort(distinct.prod(axis=1), kind="stable")
    most_frequent = times.argmax()
    return (
        f"{len(distinct):,} sizes from {_format_size(distinct[by_area[0]])} to "
        f"{_format_size(distinct[by_area[-1]])}, most often {_format_size(distinct[most_frequent])} "
        f"({times[most_frequent] / len(sizes):.0%}) ({kinds})"
    )


def _format_size(size: np.ndarray) -> str:
    return f"{size[0]} x {size[1]}"
