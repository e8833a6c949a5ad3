"""How a picture gets into another size: what is cut off, filled up or distorted, and by how much.

Geometry alone. Cutting and filling are those of Pillow's `ImageOps.fit` and `ImageOps.pad`, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# Sides of buckets are multiples of so many pixels.
STEP = 32


class Frame(NamedTuple):
    """A way into a size: a box of the picture (left, upper, right, lower), the size it is brought to, and
    where that lies in the frame (x, y). Widths come first."""

    box: tuple[float, float, float, float]
    inner: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    def least(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size that a whole picture of `size` has at the scale of the frame, rounded up."""
        left, top, right, bottom = self.box
        wide, high = self.inner[0] / (right - left), self.inner[1] / (bottom - top)
        return int(np.ceil(size[0] * wide - 1e-9)), int(np.ceil(size[1] * high - 1e-9))

    def within(self, size: tuple[int, int], whole: tuple[float, float, float, float]) -> Frame:
        """The same way for a picture of `size` that was decoded smaller, and fills the box `whole` now."""
        wide, high = (whole[2] - whole[0]) / size[0], (whole[3] - whole[1]) / size[1]
        left, top, right, bottom = self.box
        box = (
            whole[0] + left * wide,
            whole[1] + top * high,
            # Rounding must not carry it over the edge.
            min(whole[0] + right * wide, whole[2]),
            min(whole[1] + bottom * high, whole[3]),
        )
        return self._replace(box=box)


def stretched(width: int, height: int, size: tuple[int, int], centre: tuple[float, float]) -> Frame:
    """All of the picture, on all of the frame."""
    return Frame((0, 0, width, height), size)


def padded(width: int, height: int, size: tuple[int, int], centre: tuple[float, float]) -> Frame:
    """All of the picture, in the middle, as large as goes in without distortion."""
    inner = size
    if width / height > size[0] / size[1]:
        inner = size[0], max(round(height / width * size[0]), 1)
    elif width / height < size[0] / size[1]:
        inner = max(round(width / height * size[1]), 1), size[1]
    offset = round((size[0] - inner[0]) * 0.5), round((size[1] - inner[1]) * 0.5)
    return Frame((0, 0, width, height), inner, offset)


def cut(width: int, height: int, size: tuple[int, int], centre: tuple[float, float]) -> Frame:
    """The largest box of the frame's shape. centre: 0 for its leftmost or uppermost place, 1 for the last."""
    ratio = size[0] / size[1]
    wide: float = width
    high: float = height
    if width / height > ratio:
        wide = ratio * height
    elif width / height < ratio:
        high = width / ratio
    left, top = (width - wide) * centre[0], (height - high) * centre[1]
    return Frame((left, top, left + wide, top + high), size)


POLICIES: dict[str, Callable[[int, int, tuple[int, int], tuple[float, float]], Frame]] = {
    "pad": padded,
    "crop": cut,
    "stretch": stretched,
    "random_crop": cut,
    "bucket": cut,
}


# -- buckets ---------------------------------------------------------------------------------------------


def buckets(sizes: np.ndarray, size: tuple[int, int] | None, most: int) -> np.ndarray:
    """For pictures of `sizes`, rows (width, height), the size that each gets: few sizes near to their own.

    size: they get about as many pixels as this has; None: about as many as they have. Sides are multiples of
    STEP. While there are more than `most` sizes, the rarest becomes that which is nearest to it.
    """
    scale = np.ones(len(sizes)) if size is None else np.sqrt(size[0] * size[1] / sizes.prod(axis=1))
    wanted = np.maximum(np.rint(sizes * scale[:, None] / STEP), 1).astype(np.int64) * STEP
    kinds, number, counts = np.unique(wanted, axis=0, return_inverse=True, return_counts=True)
    becomes, places = np.arange(len(kinds)), np.log(kinds)
    left = counts.copy()
    while (left > 0).sum() > most:
        rare = np.where(left > 0, left, left.sum() + 1).argmin()
        away = np.abs(places - places[rare]).sum(axis=1)
        away[(left == 0) | (np.arange(len(kinds)) == rare)] = np.inf
        near = away.argmin()
        left[near] += left[rare]
        left[rare] = 0
        becomes[becomes == rare] = near
    return kinds[becomes[number.reshape(-1)]]


# -- what it costs -----------------------------------------------------------------------------------------


def cost(policy: str, sizes: np.ndarray, wanted: np.ndarray) -> str:
    """How much a policy pads, cuts or distorts pictures of `sizes` on their way to `wanted`, in words."""
    ratios = (sizes[:, 0] / sizes[:, 1]) / (wanted[:, 0] / wanted[:, 1])
    unlike = np.maximum(ratios, 1 / ratios)
    lost = 1 - 1 / unlike
    spared = {"pad": "nothing is cut off or distorted", "stretch": "nothing is cut off or filled up"}
    rest = spared.get(policy, "nothing is filled up or distorted")
    if not (unlike > 1.005).any():
        text = "all have the shape that is wanted: nothing is filled up, cut off or distorted"
    elif policy == "stretch":
        text = f"distorted by a factor of {unlike.mean():.2f} on average, {unlike.max():.2f} at most; {rest}"
    else:
        what = "of a frame is filled up" if policy == "pad" else "of a picture is cut off"
        text = f"{lost.mean():.0%} {what} on average, {lost.max():.0%} at most; {rest}"
    larger = (np.maximum(*(wanted / sizes).T) > 1.0).mean()
    return text + (f"; {larger:.0%} of the pictures are smaller and get enlarged" if larger else "")


def found(sizes: np.ndarray, counts: dict[str, Any]) -> str:
    """The sizes there are, in words. counts: numbers of pictures by kind."""
    kinds, times = np.unique(sizes, axis=0, return_counts=True)
    kinds_text = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
    if len(kinds) == 1:
        return f"all {_shown(kinds[0])} ({kinds_text})"
    by_area = np.argsort(kinds.prod(axis=1), kind="stable")
    often = times.argmax()
    return (
        f"{len(kinds):,} sizes from {_shown(kinds[by_area[0]])} to {_shown(kinds[by_area[-1]])}, "
        f"most often {_shown(kinds[often])} ({times[often] / len(sizes):.0%}) ({kinds_text})"
    )


def _shown(size: Any) -> str:
    """A size as one says it, width first."""
    return f"{size[0]} x {size[1]}"
