"""Spectrograms: STFTSpectrogram, with trainable kernels, and MelSpectrogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import PartialShape, ShapeLike, ShapeTree, Tree
from hornbeam._internal.validation import check_choice, check_int
from hornbeam._internal.warn import warn_user
from hornbeam.config import epsilon, standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.initializers import STFT
from hornbeam.ir.types import HornbeamTypeError, ShapeError, is_float
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.windows import window_output

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
# The mel scale of O'Shaughnessy 1987: 1127 ln(1 + f / 700 Hz).
MEL_BREAK, MEL_FACTOR = 700.0, 1127.0


@exported("keras.layers")
class STFTSpectrogram(TensorLayer):
    """Short-time Fourier transform of signals, by convolutions whose kernels may be trained.

    Shapes: x (batch, samples, channels), float -> (batch, frames, channels * (fft_length / 2 + 1)), or with
    `expand_dims` (batch, frames, frequencies, channels). With data_format="channels_first", x (batch,
    channels, samples) -> (batch, channels * frequencies, frames), or (batch, channels, frames, frequencies).

    Args:
        mode: Output, with S the transform: "log" ln|S|, "magnitude" |S|, "psd" |S|^2 with inner frequencies
            doubled, "real", "imag", "angle", or "stft" (real parts, then imaginary ones).
        frame_length: Number of samples in a frame.
        frame_step: Number of samples between frames, half of `frame_length` by default.
        fft_length: Length of the transform, the next power of two by default.
        window: Weights of samples in a frame: "hann", "hamming", another name of scipy, an array of size
            `frame_length`, or None.
        periodic: Whether the window is periodic instead of symmetric.
        scaling: "density", "spectrum" or None.
        padding: "valid" or "same".
        expand_dims: Whether frequencies are an axis of their own.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If a signal is shorter than a frame.
        HornbeamTypeError: If signals are integers.

    Example:
        >>> hornbeam.layers.STFTSpectrogram(frame_length=64)(np.ones((2, 256, 1), "float32")).shape
        (2, 7, 33)

    Source: Cheuk et al. 2020.
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: str | Sequence[float] | np.ndarray | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        owner = "STFTSpectrogram"
        self.mode = check_choice("mode", mode, MODES, where=owner)
        self.frame_length = check_int("frame_length", frame_length, minimum=1, where=owner)
        if (
            frame_step is not None
            and check_int("frame_step", frame_step, minimum=1, where=owner) > frame_length
        ):
            raise ValueError(
                f"{owner}: frame_step must be at most frame_length={frame_length}, got {frame_step}"
            )
        if (
            fft_length is not None
            and check_int("fft_length", fft_length, minimum=1, where=owner) < frame_length
        ):
            raise ValueError(
                f"{owner}: fft_length must be at least frame_length={frame_length}, got {fft_length}"
            )
        if fft_length is not None and fft_length & (fft_length - 1):
            warn_user(f"{owner}: fft_length={fft_length} is not a power of two")
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = window
        self.periodic = periodic
        self.scaling = check_choice("scaling", scaling, ("density", "spectrum", None), where=owner)
        self.padding = check_choice("padding", padding, ("valid", "same"), where=owner)
        self.expand_dims = expand_dims
        self.data_format = standard_data_format(data_format)
        self._step = frame_step or self.frame_length // 2
        size = fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        self._frequencies = size // 2 + 1
        self._parts = [part for part, other in (("real", "imag"), ("imag", "real")) if mode != other]
        self._initializers = [STFT(part, window, self.scaling, periodic) for part in self._parts]
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: PartialShape) -> None:
        shape = (self.frame_length, 1, self._frequencies)
        for part, initializer in zip(self._parts, self._initializers, strict=True):
            setattr(self, f"{part}_kernel", self.add_weight(shape, initializer, name=f"{part}_kernel"))

    def call(self, inputs: Tensor) -> Tensor:
        if not is_float(inputs.dtype):
            raise HornbeamTypeError(f"{self.describe()} takes signals of floats, got {inputs.dtype}")
        parts = [self._convolve(inputs, getattr(self, f"{part}_kernel")) for part in self._parts]
        return self._to_layout(self._combine(parts))

    def _convolve(self, x: Tensor, kernel: TensorLike) -> Tensor:
        """Compute one part of the transform: (batch, channels, frames, frequencies)."""
        if self.data_format == "channels_last":
            x = ops.transpose(x, (0, 2, 1))
        batch, channels, length = x.shape
        if self.padding == "valid" and length < self.frame_length:
            raise ShapeError(
                f"{self.describe()}: a signal of {length} samples is shorter than a frame of "
                f'{self.frame_length}. Use padding="same", or shorter frames'
            )
        signals = ops.reshape(x, (batch * channels, length, 1))
        kernel = ops.cast(kernel, x.dtype)
        frames = ops.conv(signals, kernel, self._step, self.padding, data_format="channels_last")
        return ops.reshape(frames, (batch, channels, *frames.shape[1:]))

    def _combine(self, parts: list[Tensor]) -> Tensor:
        """Combine the real and the imaginary part according to the mode."""
        if len(parts) == 1:
            return parts[0]
        real, imag = parts
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        if self.mode == "stft":
            return ops.concatenate([real, imag], axis=-1)
        power = ops.square(real) + ops.square(imag)
        if self.mode == "psd":
            return power + ops.pad(power[..., 1:-1], [(0, 0), (0, 0), (0, 0), (1, 1)])
        magnitude = ops.sqrt(ops.maximum(power, epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, epsilon()))

    def _to_layout(self, x: Tensor) -> Tensor:
        """Transpose (batch, channels, frames, frequencies) to the layout of the output."""
        channels_last = self.data_format == "channels_last"
        if self.expand_dims:
            return ops.transpose(x, (0, 2, 3, 1)) if channels_last else x
        batch, channels, frames, count = x.shape
        if channels_last:
            return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, frames, channels * count))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2)), (batch, channels * count, frames))

    def compute_output_shape(self, input_shape: ShapeLike) -> ShapeTree:
        """Return the output's shape. An unknown length gives an unknown number of frames.

        Args:
            input_shape: Sizes of the signals, None where unknown.
        """
        channels_last = self.data_format == "channels_last"
        batch, *inner = input_shape
        length, channels = inner if channels_last else reversed(inner)
        count = self._frequencies * (2 if self.mode == "stft" else 1)
        frames = None
        if length is not None:
            frames = window_output(length, self.frame_length, self._step, self.padding)
        if self.expand_dims:
            return (batch, frames, count, channels) if channels_last else (batch, channels, frames, count)
        features = None if channels is None else channels * count
        return (batch, frames, features) if channels_last else (batch, features, frames)

    def compute_output_spec(self, inputs: Tree, **kwargs: Any) -> KerasTensor:
        """Return the symbolic output; signals may be of any length.

        Args:
            inputs: Symbolic signals.
            **kwargs: Ignored.
        """
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)


@exported("keras.layers")
class MelSpectrogram(TensorLayer):
    """Mel spectrogram: `y = M |STFT(x)|^mag_exp`, by default in decibels.

    M sums the frequencies between `min_freq` and `max_freq` by triangles that are equally wide on the mel
    scale. Frames are centered, and signals are mirrored at their ends.

    Shapes: x (samples,) or (batch, samples) -> (num_mel_bins, frames) or (batch, num_mel_bins, frames), where
    frames is samples // sequence_stride + 1 for an even fft_length.

    Args:
        fft_length: Length of the transform.
        sequence_stride: Number of samples between frames.
        sequence_length: Number of samples in a frame, `fft_length` by default.
        window: Weights of samples in a frame: "hann", "hamming", an array of size `sequence_length`, or None.
        sampling_rate: Sampling rate in Hz.
        num_mel_bins: Number of mel bins.
        min_freq: Lowest frequency in Hz.
        max_freq: Highest frequency in Hz, half of `sampling_rate` by default.
        power_to_db: Whether y becomes 10 log10(max(y, min_power) / ref_power) decibels.
        top_db: Range in decibels: lower values are raised to the maximum minus `top_db`.
        mag_exp: Exponent of the magnitude, 2 for power.
        min_power: Smallest power.
        ref_power: Power of 0 decibels.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If fft_length < sequence_length.
        ShapeError: If a signal has at most fft_length / 2 samples.

    Example:
        >>> hornbeam.layers.MelSpectrogram(fft_length=512, num_mel_bins=40)(np.ones((2, 16000))).shape
        (2, 40, 32)

    Source: Davis and Mermelstein 1980.
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str | Sequence[float] | np.ndarray | None = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        owner = "MelSpectrogram"
        self.fft_length = check_int("fft_length", fft_length, minimum=1, where=owner)
        self.sequence_stride = check_int("sequence_stride", sequence_stride, minimum=1, where=owner)
        self.sequence_length = check_int(
            "sequence_length", sequence_length or fft_length, minimum=1, where=owner
        )
        if self.fft_length < self.sequence_length:
            raise ValueError(
                f"{owner}: fft_length must be at least sequence_length={sequence_length}, got {fft_length}"
            )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = check_int("num_mel_bins", num_mel_bins, minimum=1, where=owner)
        self.min_freq = min_freq
        self.max_freq = max_freq or int(sampling_rate / 2)
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power

    def call(self, inputs: Tensor) -> Tensor:
        dtype = self.compute_dtype if self.compute_dtype in ("float32", "float64") else "float32"
        if inputs.shape[-1] <= self.fft_length // 2:
            raise ShapeError(
                f"{self.describe()}: a signal of {inputs.shape[-1]} samples cannot be mirrored by "
                f"fft_length / 2 = {self.fft_length // 2}: use longer signals or a smaller fft_length"
            )
        real, imag = ops.stft(
            ops.cast(inputs, dtype), self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        magnitude = ops.sqrt(ops.square(real) + ops.square(imag))
        y = ops.matmul(ops.power(magnitude, self.mag_exp), ops.cast(self._mel_weights(), dtype))
        if self.power_to_db:
            y = self._to_decibels(y)
        return ops.cast(ops.swapaxes(y, -1, -2), self.compute_dtype)

    def _to_decibels(self, y: Tensor) -> Tensor:
        reference = 10.0 * math.log10(max(abs(self.ref_power), self.min_power))
        levels = 10.0 * ops.log10(ops.maximum(y, self.min_power)) - reference
        return ops.maximum(levels, ops.max(levels) - self.top_db)

    def _mel_weights(self) -> np.ndarray:
        matrix = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, self.fft_length // 2 + 1, self.sampling_rate, self.min_freq, self.max_freq
        )
        return np.asarray(matrix)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: str = "float32",
    ) -> Tensor:
        """Compute the weights (num_spectrogram_bins, num_mel_bins) that sum frequencies to mel bins.

        The weights of a bin are a triangle from the center of the bin before to that of the next. Frequency 0
        has weight 0.

        Args:
            num_mel_bins: Number of mel bins.
            num_spectrogram_bins: Number of frequencies.
            sampling_rate: Sampling rate in Hz.
            lower_edge_hertz: Lowest frequency.
            upper_edge_hertz: Highest frequency.
            dtype: Dtype of the result.
        """
        hertz = np.linspace(0.0, sampling_rate / 2.0, num_spectrogram_bins, dtype=dtype)[1:, None]
        ends = _mel(np.array([lower_edge_hertz, upper_edge_hertz], dtype))
        edges = np.linspace(ends[0], ends[1], num_mel_bins + 2, dtype=dtype)
        lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
        mel = _mel(hertz)
        weights = np.minimum((mel - lower) / (center - lower), (upper - mel) / (upper - center))
        return ops.convert_to_tensor(np.pad(np.maximum(weights, 0), [(1, 0), (0, 0)]).astype(dtype))

    def compute_output_shape(self, input_shape: ShapeLike) -> ShapeTree:
        """Return (..., num_mel_bins, frames).

        Args:
            input_shape: Sizes of the signals, None where unknown.
        """
        *leading, length = input_shape
        margin = 2 * (self.fft_length // 2) - self.fft_length
        frames = None if length is None else 1 + (length + margin) // self.sequence_stride
        return (*leading, self.num_mel_bins, frames)

    def compute_output_spec(self, inputs: Tree, **kwargs: Any) -> KerasTensor:
        """Return the symbolic output; signals may be of any length.

        Args:
            inputs: Symbolic signals.
            **kwargs: Ignored.
        """
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)


def _mel(hertz: np.ndarray) -> np.ndarray:
    return MEL_FACTOR * np.log(1.0 + hertz / MEL_BREAK)
