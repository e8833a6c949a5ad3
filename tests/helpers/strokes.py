"""Strokes of a pen along the middle of the lines of an image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Stroke = list[tuple[float, float]]

# The eight neighbors of a pixel, clockwise from the one above.
_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thinned(lines: np.ndarray) -> np.ndarray:
    """Return the skeleton of lines, one pixel wide (Zhang and Suen, 1984)."""
    lines = np.pad(lines, 1).astype(bool)
    while True:
        before = lines.copy()
        for first in (True, False):
            ring = np.stack([np.roll(lines, (-dy, -dx), (0, 1)) for dy, dx in _AROUND])
            count = ring.sum(0)
            changes = (~ring & np.roll(ring, -1, 0)).sum(0)
            up, right, down, left = ring[::2]
            inner = (up & right & down) | (right & down & left)
            outer = (up & right & left) | (up & down & left)
            ends = inner if first else outer
            lines = lines & ~((count >= 2) & (count <= 6) & (changes == 1) & ~ends)
        if (lines == before).all():
            return lines[1:-1, 1:-1]


def strokes_of(image: np.ndarray, zoom: int = 4) -> list[Stroke]:
    """Return strokes that draw an image: points (x, y) as fractions of its width and height.

    Args:
        image: Brightness from 0 to 255, of shape (height, width).
        zoom: Points for each pixel.
    """
    rows, columns = np.nonzero(thinned(ndimage.zoom(image.astype("float32"), zoom, order=1) > 110))
    every = set(zip(rows.tolist(), columns.tolist(), strict=True))
    left, height, width = set(every), image.shape[0] * zoom, image.shape[1] * zoom
    strokes: list[Stroke] = []
    # From the ends of lines first, so that strokes are long; each goes to a neighbor that has none yet.
    for begin in sorted(every, key=lambda pixel: (len(every.intersection(_neighbors(pixel))), pixel)):
        if begin not in left:
            continue
        path = [begin]
        left.discard(begin)
        while step := next((p for p in _neighbors(path[-1]) if p in left), None):
            path.append(step)
            left.discard(step)
        # Both ends reach into the lines that the stroke meets.
        for end in (0, -1):
            met = next((p for p in _neighbors(path[end]) if p in every and p not in path), None)
            if met:
                path.insert(0 if end == 0 else len(path), met)
        strokes.append([((x + 0.5) / width, (y + 0.5) / height) for y, x in [*path[:-1:3], path[-1]]])
    return strokes


def _neighbors(pixel: tuple[int, int]) -> list[tuple[int, int]]:
    # Those beside come before those across.
    return [(pixel[0] + dy, pixel[1] + dx) for dy, dx in (*_AROUND[::2], *_AROUND[1::2])]
