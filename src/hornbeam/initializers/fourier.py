"""Kernels of a convolution that computes a short-time Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam._internal.extras import install_command
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.initializers.initializer import MODULE, Initializer, Shape
from hornbeam.ir.types import ShapeError


@exported(MODULE, "stft", "STFTInitializer")
class STFT(Initializer):
    """Kernel (length, 1, terms) with which a 1D convolution is one part of a short-time Fourier transform.

    The number of terms must be the transform's length // 2 + 1; that length is the smallest power of two that
    holds the window.

    Args:
        side: "real" (cosines) or "imag" (negative sines).
        window: "hann", "hamming", another name that SciPy knows (extra `audio`), an array of `length`
            weights, or None.
        scaling: "density", "spectrum" or None: divide by the root of the sum of squares, or by the sum, of
            the window.
        periodic: Use a window that is one period of a periodic function.
    """

    def __init__(
        self,
        side: str = "real",
        window: str | Sequence[float] | np.ndarray | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f'side must be "real" or "imag", got {side!r}')
        if isinstance(window, str) and window not in _WINDOWS:
            _scipy_window(window, 1, periodic)
        if scaling not in ("density", "spectrum", None):
            raise ValueError(f'scaling must be "density", "spectrum" or None, got {scaling!r}')
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        length, _, terms = shape
        size = (terms - 1) * 2
        if terms != size // 2 + 1 or size < length:
            raise ShapeError(
                f"STFT: a kernel of shape {tuple(shape)} has too few terms for windows of {length}"
            )
        angles = -2.0 * np.pi * np.outer(np.arange(length), np.arange(terms)) / size
        values = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            window = self._window(length)
            scale = {"density": math.sqrt((window**2).sum()), "spectrum": np.abs(window).sum(), None: 1.0}[
                self.scaling
            ]
            values = values * (window / scale)[:, None]
        return as_tensor(values[:, None, :], dtype or floatx())

    def _window(self, length: int) -> np.ndarray:
        if not isinstance(self.window, str):
            weights = np.asarray(self.window, np.float64)
            if weights.shape != (length,):
                raise ShapeError(f"STFT: window must be {length} weights, got shape {weights.shape}")
            return weights
        if self.window not in _WINDOWS:
            return _scipy_window(self.window, length, self.periodic)
        turns = 2 * np.pi * np.arange(length) / (length if self.periodic else max(length - 1, 1))
        return 0.5 - 0.5 * np.cos(turns) if self.window == "hann" else 0.54 - 0.46 * np.cos(turns)

    def get_config(self) -> dict[str, Any]:
        window = self.window if self.window is None or isinstance(self.window, str) else list(self.window)
        return {"side": self.side, "window": window, "scaling": self.scaling, "periodic": self.periodic}


_WINDOWS = ("hann", "hamming")


def _scipy_window(name: str, length: int, periodic: bool) -> np.ndarray:
    """Return a window that SciPy knows by name."""
    try:
        from scipy.signal import get_window
    except ImportError as error:
        raise ImportError(f"window {name!r} needs SciPy: {install_command('audio')}") from error
    try:
        return np.asarray(get_window(name, length, periodic))
    except ValueError as error:
        raise ValueError(
            f'window must be "hann", "hamming", a name that SciPy knows, or None: {error}'
        ) from None
