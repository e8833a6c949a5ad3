"""tf.signal and tf.audio: windows, frames, Fourier transforms, mel filters, and WAV files."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import NamedTuple, SupportsFloat, SupportsInt

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import as_tensor, complex_
from hornbeam_compat.tensorflow.dtypes import as_dtype
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.tensors import sizes_of
from hornbeam_compat.tensorflow.typing import DTypeLike, TensorLike, Tree

# Namespace -> its names.
NAMESPACES = {
    "signal": (
        "fft fft2d frame hamming_window hann_window ifft ifft2d inverse_stft irfft "
        "linear_to_mel_weight_matrix mfccs_from_log_mel_spectrograms overlap_and_add rfft stft"
    ),
    "audio": "decode_wav encode_wav",
}


# -- windows and frames --------------------------------------------------------------------------------------


def _cosine_window(offset: float) -> Callable[..., Tensor]:
    def window(
        window_length: SupportsInt, periodic: bool = True, dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Return a window of cosine shape."""
        length = int(window_length)
        # TensorFlow makes windows of odd length symmetric in any case.
        period = length if periodic and length % 2 == 0 else max(length - 1, 1)
        steps = np.arange(length) * 2 * np.pi / period
        return as_tensor((offset - (1 - offset) * np.cos(steps)).astype(str(as_dtype(dtype))))

    return window


hann_window = _cosine_window(0.5)
hamming_window = _cosine_window(0.54)


def frame(
    signal: TensorLike, frame_length: int, frame_step: int, pad_end: bool = False, pad_value: float = 0,
    axis: int = -1, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Cut a signal into frames, on a new axis after `axis`."""
    tensor = as_tensor(signal)
    at = axis % len(tensor.shape)
    size, length, step = tensor.shape[at], int(frame_length), int(frame_step)
    count = -(-size // step) if pad_end else max(0, 1 + (size - length) // step)
    missing = max(0, (count - 1) * step + length - size)
    if pad_end and missing:
        widths = [(0, missing if i == at else 0) for i in range(len(tensor.shape))]
        tensor = ops.pad(tensor, widths, constant_values=pad_value)
    places = np.arange(count)[:, None] * step + np.arange(length)
    return ops.take(tensor, places.astype(np.int32), axis=at)


def overlap_and_add(signal: TensorLike, frame_step: int, name: str | None = None) -> Tensor:
    """Add frames (..., frames, length) at distances of `frame_step`."""
    frames = as_tensor(signal)
    count, length = frames.shape[-2:]
    size = (count - 1) * int(frame_step) + length
    places = (np.arange(count)[:, None] * int(frame_step) + np.arange(length)).reshape(-1)
    rows = ops.reshape(frames, (-1, count * length))
    summed = ops.segment_sum(ops.transpose(rows), places.astype(np.int32), size)
    return ops.reshape(ops.transpose(summed), (*frames.shape[:-2], size))


# -- Fourier transforms --------------------------------------------------------------------------------------


def _complex(parts: tuple[Tensor, Tensor]) -> Tensor:
    real, imaginary = parts
    # Not view_as_complex, which makes complex64 of float64 as well.
    return Tensor(complex_(real.node, imaginary.node))


def _parts(x: TensorLike) -> tuple[Tensor, Tensor]:
    tensor = as_tensor(x)
    if not str(tensor.dtype).startswith("complex"):
        return tensor, ops.zeros_like(tensor)
    return ops.real(tensor), ops.imag(tensor)


def _resized(tensor: Tensor, length: int) -> Tensor:
    size = tensor.shape[-1]
    if size > length:
        return tensor[..., :length]
    return (
        ops.pad(tensor, [(0, 0)] * (len(tensor.shape) - 1) + [(0, length - size)])
        if size < length
        else tensor
    )


def fft(input: TensorLike, name: str | None = None) -> Tensor:
    """Compute the discrete Fourier transform along the last axis."""
    return _complex(ops.fft(_parts(input)))


def fft2d(input: TensorLike, name: str | None = None) -> Tensor:
    """Compute the discrete Fourier transform along the last two axes."""
    return _complex(ops.fft2(_parts(input)))


def ifft(input: TensorLike, name: str | None = None) -> Tensor:
    """Invert `fft`."""
    real, imaginary = _parts(input)
    forward = ops.fft((real, -imaginary))
    size = real.shape[-1]
    return _complex((forward[0] / size, -forward[1] / size))


def ifft2d(input: TensorLike, name: str | None = None) -> Tensor:
    """Invert `fft2d`."""
    return _complex(ops.ifft2(_parts(input)))


def rfft(input_tensor: TensorLike, fft_length: Tree = None, name: str | None = None) -> Tensor:
    """Compute the Fourier transform of real values along the last axis."""
    return _complex(ops.rfft(as_tensor(input_tensor), fft_length=_only_size(fft_length)))


def irfft(input_tensor: TensorLike, fft_length: Tree = None, name: str | None = None) -> Tensor:
    """Invert `rfft`."""
    return ops.irfft(_parts(input_tensor), fft_length=_only_size(fft_length))


def _only_size(fft_length: Tree) -> int | None:
    """Return the number in a vector of one size, which may be unknown until the model gets data."""
    return None if fft_length is None else sizes_of(fft_length)[0]


def stft(
    signals: TensorLike, frame_length: int, frame_step: int, fft_length: SupportsInt | None = None,
    window_fn: Callable[..., Tensor] | None = hann_window, pad_end: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute the short-time Fourier transform, (..., frames, fft_length // 2 + 1)."""
    length = int(frame_length)
    size = int(fft_length) if fft_length is not None else 1 << (length - 1).bit_length()
    frames = frame(signals, length, frame_step, pad_end)
    if window_fn is not None:
        frames = frames * window_fn(length, dtype=frames.dtype)
    return rfft(_resized(frames, size), [size])


def inverse_stft(
    stfts: TensorLike, frame_length: int, frame_step: int, fft_length: SupportsInt | None = None,
    window_fn: Callable[..., Tensor] | None = hann_window, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Invert `stft`, by overlapping and adding."""
    length = int(frame_length)
    size = int(fft_length) if fft_length is not None else 1 << (length - 1).bit_length()
    frames = _resized(irfft(stfts, [size]), length)
    if window_fn is not None:
        frames = frames * window_fn(length, dtype=frames.dtype)
    return overlap_and_add(frames, frame_step)


# -- mel frequencies -----------------------------------------------------------------------------------------


def _mel(hertz: TensorLike) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20, num_spectrogram_bins: int = 129, sample_rate: SupportsFloat = 8000,
    lower_edge_hertz: float = 125.0, upper_edge_hertz: float = 3800.0, dtype: DTypeLike = "float32",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the matrix (spectrogram bins, mel bins) of triangular filters on the mel scale of HTK."""
    hertz = np.linspace(0.0, float(sample_rate) / 2, int(num_spectrogram_bins))[1:]
    mels = _mel(hertz)[:, None]
    edges = np.linspace(_mel(lower_edge_hertz), _mel(upper_edge_hertz), int(num_mel_bins) + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mels - lower) / (center - lower), (upper - mels) / (upper - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return as_tensor(np.pad(weights, [(1, 0), (0, 0)]).astype(str(as_dtype(dtype))))


def mfccs_from_log_mel_spectrograms(log_mel_spectrograms: TensorLike, name: str | None = None) -> Tensor:
    """Return mel-frequency cepstral coefficients: the second cosine transform along the last axis."""
    tensor = as_tensor(log_mel_spectrograms)
    size = tensor.shape[-1]
    angles = np.pi / size * np.arange(size)[None, :] * (np.arange(size)[:, None] + 0.5)
    return ops.matmul(tensor, as_tensor((np.cos(angles) * 2 / np.sqrt(2 * size)).astype("float32")))


# -- WAV files -----------------------------------------------------------------------------------------------


class DecodeWav(NamedTuple):
    """Result of `decode_wav`."""

    audio: Tensor
    sample_rate: Tensor


def decode_wav(
    contents: TensorLike, desired_channels: int = -1, desired_samples: int = -1, name: str | None = None
) -> DecodeWav:
    """Decode a WAV file of 16 bits a sample.

    Args:
        contents: Bytes of the file.
        desired_channels: Number of channels: others are dropped, missing ones copied. All if -1.
        desired_samples: Number of samples: others are cut, missing ones zero. All if -1.
        name: Ignored.

    Returns:
        Values from -1 to 1 of shape (samples, channels), and the rate.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        with wave.open(io.BytesIO(StringTensor(contents).numpy())) as file:
            if file.getsampwidth() != 2:
                raise ValueError(
                    f"decode_wav reads samples of 16 bits, the file has {8 * file.getsampwidth()}"
                )
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
            rate = file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"decode_wav: the bytes are no WAV file ({error})") from None
    audio = data.astype(np.float32) / 32768
    if desired_channels > 0:
        audio = np.take(audio, np.minimum(np.arange(desired_channels), audio.shape[1] - 1), axis=1)
    if desired_samples > 0:
        audio = np.pad(audio[:desired_samples], [(0, max(0, desired_samples - len(audio))), (0, 0)])
    return DecodeWav(as_tensor(audio), as_tensor(np.int32(rate)))


def encode_wav(audio: TensorLike, sample_rate: SupportsInt, name: str | None = None) -> StringTensor:
    """Encode values from -1 to 1 of shape (samples, channels) as a WAV file of 16 bits a sample."""
    array = np.asarray(as_tensor(audio))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(array.shape[1])
        file.setsampwidth(2)
        file.setframerate(int(sample_rate))
        file.writeframes(np.clip(np.round(array * 32768), -32768, 32767).astype("<i2").tobytes())
    return StringTensor(out.getvalue())
