"""Color maps of images that are drawn without Matplotlib: colors between which numbers are interpolated."""

from __future__ import annotations

import numpy as np

# From the lowest to the highest value. "heat" follows cividis and "signed" the palette RdBu of ColorBrewer,
# which colour-blind readers can read.
_ANCHORS: dict[str, tuple[str, ...]] = {
    "grey": ("000000", "ffffff"),
    "grey_reversed": ("ffffff", "000000"),
    "blue": ("f7fbff", "c6dbef", "6baed6", "2171b5", "08306b"),
    "heat": ("00204d", "414d6b", "7c7b78", "bcaf6f", "ffea46"),
    "signed": ("053061", "4393c3", "f7f7f7", "d6604d", "67001f"),
}


def colored(values: np.ndarray, palette: str, low: float, high: float) -> np.ndarray:
    """Return numbers (rows, columns) as uint8 colors (rows, columns, 3); NaN gets the lowest color."""
    anchors = np.array([[int(color[i : i + 2], 16) for i in (0, 2, 4)] for color in _ANCHORS[palette]])
    places = np.linspace(0, 1, len(anchors))
    fractions = np.clip((np.nan_to_num(values.astype(np.float64)) - low) / ((high - low) or 1.0), 0, 1)
    channels = [np.interp(fractions, places, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def relative_luminance(color: np.ndarray) -> float:
    """Return the luminance of a uint8 color, from 0 (black) to 1 (white), by WCAG 2.2.

    Black texts have the higher contrast above 0.18, white ones below.
    """
    fractions = color[:3] / 255
    linear = np.where(fractions <= 0.04045, fractions / 12.92, ((fractions + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
