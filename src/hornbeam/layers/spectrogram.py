"""Spectrograms of sound: STFTSpectrogram, whose kernels can be trained, and MelSpectrogram."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.config import epsilon, standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.initializers import STFT
from hornbeam.ir.types import HornbeamTypeError, ShapeError, is_float
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
from hornbeam.layers.windows import window_output

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
# The mel scale of O'Shaughnessy 1987: 1127 ln(1 + f / 700 Hz).
MEL_BREAK, MEL_FACTOR = 700.0, 1127.0


@exported("keras.layers")
class STFTSpectrogram(Layer):
    """The short-time Fourier transform of signals, as convolutions whose kernels may be trained (Cheuk et al.
    2020).

    mode: with S the transform, "log" ln|S|, "magnitude" |S|, "psd" |S|^2 with the inner frequencies counted
    twice, "real", "imag", "angle", or "stft" (real parts, then imaginary ones). Frames of frame_length,
    frame_step apart (half of it by default), weighted by `window` ("hann", "hamming", a name that scipy
    knows, frame_length weights, or None), periodic or not, and scaled for "density" or "spectrum";
    fft_length is the next power of two by default. padding: "valid" or "same".

    x (batch, samples, channels), float -> (batch, frames, channels * (fft_length / 2 + 1)); with expand_dims
    (batch, frames, frequencies, channels). data_format="channels_first": x (batch, channels, samples) ->
    (batch, channels * frequencies, frames), or (batch, channels, frames, frequencies).

    Raises ValueError for bad arguments, ShapeError for a signal shorter than a frame, HornbeamTypeError for
    whole numbers.

    >>> hornbeam.layers.STFTSpectrogram(frame_length=64)(np.ones((2, 256, 1), "float32")).shape
    (2, 7, 33)
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
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
                f"{owner}: frame_step must not be above frame_length={frame_length}, got {frame_step}"
            )
        if (
            fft_length is not None
            and check_int("fft_length", fft_length, minimum=1, where=owner) < frame_length
        ):
            raise ValueError(
                f"{owner}: fft_length must not be below frame_length={frame_length}, got {fft_length}"
            )
        if fft_length is not None and fft_length & (fft_length - 1):
            warnings.warn(f"{owner}: fft_length={fft_length} is not a power of two", stacklevel=2)
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
        self._parts = [side for side, other in (("real", "imag"), ("imag", "real")) if mode != other]
        self._initializers = [STFT(side, window, self.scaling, periodic) for side in self._parts]
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        shape = (self.frame_length, 1, self._frequencies)
        for side, initializer in zip(self._parts, self._initializers, strict=True):
            setattr(self, f"{side}_kernel", self.add_weight(shape, initializer, name=f"{side}_kernel"))

    def call(self, inputs: Tensor) -> Tensor:
        if not is_float(inputs.dtype):
            raise HornbeamTypeError(f"{self.describe()} takes signals of floats, it got {inputs.dtype}")
        parts = [self._convolved(inputs, getattr(self, f"{side}_kernel")) for side in self._parts]
        return self._arranged(self._combined(parts))

    def _convolved(self, x: Tensor, kernel: Any) -> Tensor:
        """One part of the transform: (batch, channels, frames, frequencies)."""
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
        made = ops.conv(signals, kernel, self._step, self.padding, data_format="channels_last")
        return ops.reshape(made, (batch, channels, *made.shape[1:]))

    def _combined(self, parts: list[Tensor]) -> Tensor:
        """What the mode makes of the real and the imaginary part."""
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

    def _arranged(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, frequencies) as the output is laid out."""
        last = self.data_format == "channels_last"
        if self.expand_dims:
            return ops.transpose(x, (0, 2, 3, 1)) if last else x
        batch, channels, frames, count = x.shape
        if last:
            return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, frames, channels * count))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2)), (batch, channels * count, frames))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """See the class; a length that is not known gives an unknown number of frames."""
        last = self.data_format == "channels_last"
        batch, *inner = input_shape
        length, channels = inner if last else reversed(inner)
        count = self._frequencies * (2 if self.mode == "stft" else 1)
        frames = None
        if length is not None:
            frames = window_output(length, self.frame_length, self._step, self.padding)
        if self.expand_dims:
            return (batch, frames, count, channels) if last else (batch, channels, frames, count)
        both = None if channels is None else channels * count
        return (batch, frames, both) if last else (batch, both, frames)

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> KerasTensor:
        """The symbolic output; signals may be of any length."""
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)


@exported("keras.layers")
class MelSpectrogram(Layer):
    """How loud a sound is at `num_mel_bins` pitches, along time: y = M |STFT(x)|^mag_exp, where M gathers the
    frequencies between min_freq and max_freq into triangles that are equally wide in mel.

    Frames of sequence_length, sequence_stride apart, centred and mirrored at the ends, weighted by `window`
    ("hann", "hamming", None, or sequence_length weights) and transformed with fft_length. max_freq: half of
    sampling_rate (in Hz) by default. power_to_db: y becomes 10 log10(max(y, min_power) / ref_power) decibels,
    top_db below the loudest at least. (Davis, Mermelstein 1980)

    x (samples,) or (batch, samples) -> (num_mel_bins, frames) or (batch, num_mel_bins, frames), where frames
    is samples // sequence_stride + 1 for an even fft_length.

    Raises ValueError if fft_length < sequence_length, ShapeError for a signal of no more than fft_length / 2
    samples.

    >>> hornbeam.layers.MelSpectrogram(fft_length=512, num_mel_bins=40)(np.ones((2, 16000))).shape
    (2, 40, 32)
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
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
                f"{owner}: fft_length must not be below sequence_length={sequence_length}, got {fft_length}"
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
        wide = self.compute_dtype if self.compute_dtype in ("float32", "float64") else "float32"
        if inputs.shape[-1] <= self.fft_length // 2:
            raise ShapeError(
                f"{self.describe()}: a signal of {inputs.shape[-1]} samples cannot be mirrored by "
                f"fft_length / 2 = {self.fft_length // 2}: use longer signals or a smaller fft_length"
            )
        real, imag = ops.stft(
            ops.cast(inputs, wide), self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        magnitude = ops.sqrt(ops.square(real) + ops.square(imag))
        y = ops.matmul(ops.power(magnitude, self.mag_exp), ops.cast(self._triangles(), wide))
        if self.power_to_db:
            y = self._decibels(y)
        return ops.cast(ops.swapaxes(y, -1, -2), self.compute_dtype)

    def _decibels(self, y: Tensor) -> Tensor:
        reference = 10.0 * math.log10(max(abs(self.ref_power), self.min_power))
        levels = 10.0 * ops.log10(ops.maximum(y, self.min_power)) - reference
        return ops.maximum(levels, ops.max(levels) - self.top_db)

    def _triangles(self) -> np.ndarray:
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
    ) -> Any:
        """The weights (num_spectrogram_bins, num_mel_bins) with which frequencies go into mel bins:
        triangles, each from the centre of the bin before to that of the bin behind. The frequency 0 counts
        nowhere.
        """
        hertz = np.linspace(0.0, sampling_rate / 2.0, num_spectrogram_bins, dtype=dtype)[1:, None]
        ends = _mel(np.array([lower_edge_hertz, upper_edge_hertz], dtype))
        edges = np.linspace(ends[0], ends[1], num_mel_bins + 2, dtype=dtype)
        lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
        mel = _mel(hertz)
        slopes = np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre))
        return ops.convert_to_tensor(np.pad(np.maximum(slopes, 0), [(1, 0), (0, 0)]).astype(dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(..., num_mel_bins, frames)."""
        *lead, length = input_shape
        margin = 2 * (self.fft_length // 2) - self.fft_length
        frames = None if length is None else 1 + (length + margin) // self.sequence_stride
        return (*lead, self.num_mel_bins, frames)

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> KerasTensor:
        """The symbolic output; signals may be of any length."""
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)


def _mel(hertz: np.ndarray) -> np.ndarray:
    return MEL_FACTOR * np.log(1.0 + hertz / MEL_BREAK)
