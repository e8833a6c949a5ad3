"""Signals, complex numbers, WAV files, characters, queues, NumPy's names."""

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp


def equal(tensor, expected):
    value = tensor.to_list() if isinstance(tensor, tf.RaggedTensor) else tensor.numpy()
    value = value if isinstance(value, (bytes, list)) else value.tolist()
    assert value == expected, (value, expected)


def near(tensor, expected, tolerance=1e-4):
    np.testing.assert_allclose(tensor.numpy(), expected, atol=tolerance)


wave = tf.constant(np.sin(np.arange(1000) / 9.0), tf.float32)
spectrum = tf.signal.stft(wave, frame_length=255, frame_step=128)
assert tuple(spectrum.shape) == (6, 129)
assert spectrum.dtype == tf.complex64
assert tf.abs(spectrum).dtype == tf.float32
frames = (
    np.stack([wave.numpy()[i * 128 : i * 128 + 255] for i in range(6)]) * tf.signal.hann_window(255).numpy()
)
near(spectrum, np.fft.rfft(frames, 256), 1e-3)
back = tf.signal.inverse_stft(tf.signal.stft(wave, 256, 256, window_fn=None), 256, 256, window_fn=None)
near(back, wave.numpy()[:768])
near(tf.signal.frame([1, 2, 3, 4, 5], 3, 2), [[1, 2, 3], [3, 4, 5]])
near(tf.signal.frame([1, 2, 3, 4, 5], 3, 2, pad_end=True)[2], [5, 0, 0])
near(tf.signal.overlap_and_add([[1.0, 2.0], [3.0, 4.0]], 1), [1, 5, 4])
near(tf.signal.hann_window(4), [0, 0.5, 1, 0.5])
near(tf.signal.hann_window(5), [0.0, 0.5, 1.0, 0.5, 0.0])
near(tf.signal.hamming_window(4), [0.08, 0.54, 1, 0.54])
near(tf.signal.rfft([1.0, 2.0, 3.0, 4.0]), np.fft.rfft([1, 2, 3, 4]))
near(tf.signal.irfft(tf.signal.rfft([1.0, 2.0, 3.0, 4.0])), [1, 2, 3, 4])
near(tf.signal.ifft(tf.signal.fft(tf.constant([1 + 0j, 2j], tf.complex64))), [1, 2j])
filters = tf.signal.linear_to_mel_weight_matrix(20, 129, 16000, 80.0, 7600.0)
assert tuple(filters.shape) == (129, 20)
near(tf.reduce_sum(filters), 112.3934, 1e-2)
near(tf.signal.mfccs_from_log_mel_spectrograms([[1.0, 2.0, 3.0]]), [[4.8989797, -1.414214, 0.0]])
sound = tf.audio.encode_wav(tf.reshape(wave, (-1, 1)), 16000)
audio, rate = tf.audio.decode_wav(sound, desired_samples=1200)
assert tuple(audio.shape) == (1200, 1)
assert rate.numpy() == 16000
near(audio[:1000, 0], wave.numpy())

# complex numbers
c = tf.complex([3.0, 0.0], [4.0, 2.0])
near(tf.math.real(c), [3, 0])
near(tf.math.imag(c), [4, 2])
near(tf.abs(c), [5, 2])
near(tf.math.conj(c), [3 - 4j, -2j])
near(tf.cast([1.0], tf.complex64), [1])

for parts, dtype in ((np.float32, tf.complex64), (np.float64, tf.complex128)):
    assert tf.complex(tf.constant([1.0], parts), tf.constant([2.0], parts)).dtype == dtype
    terms = tf.signal.rfft(tf.constant([1.0, 2.0, 4.0], parts))
    assert terms.dtype == dtype
    assert tf.signal.irfft(terms).dtype == tf.as_dtype(parts)
    assert tf.signal.fft(terms).dtype == dtype

# characters
equal(tf.strings.unicode_decode(["h\u00e9", "a"], "UTF-8"), [[104, 233], [97]])
equal(tf.strings.unicode_decode("\u00e9", "UTF-8"), [233])
equal(tf.strings.unicode_encode([233, 97], "UTF-8"), "\u00e9a".encode())
equal(tf.strings.unicode_encode(tf.ragged.constant([[97], [98, 99]]), "UTF-8"), [b"a", b"bc"])
equal(tf.strings.unicode_split("h\u00e9", "UTF-8"), [b"h", "\u00e9".encode()])
equal(tf.strings.unicode_transcode("\u00e9", "UTF-8", "UTF-16-BE"), b"\x00\xe9")
equal(tf.strings.unicode_decode_with_offsets("\u00e9a", "UTF-8")[1], [0, 2])
equal(tf.strings.unicode_script([65, 1073]), [25, 8])
equal(tf.strings.bytes_split("ab"), [b"a", b"b"])
equal(tf.strings.ngrams(["a", "b", "c"], 2), [b"a b", b"b c"])
equal(
    tf.strings.ngrams(tf.ragged.constant([["a", "b"], ["c"]]), 2, pad_values="_"),
    [[b"_ a", b"a b", b"b _"], [b"_ c", b"c _"]],
)

# queues
queue = tf.queue.FIFOQueue(3, [tf.int32, tf.string], shapes=[(), ()])
queue.enqueue([10, "windy"])
queue.enqueue([15, "sunny"])
assert queue.size().numpy() == 2
equal(queue.dequeue()[0], 10)
queue.enqueue_many([[1, 2], ["a", "b"]])
equal(queue.dequeue_many(3)[1], [b"sunny", b"a", b"b"])

# NumPy's names
tnp.experimental_enable_numpy_behavior()
ones, steps = tnp.ones([2, 3], dtype=tnp.float32), tnp.arange(6).reshape(2, 3)
assert isinstance(ones, tf.Tensor)
assert isinstance(ones, tnp.ndarray)
near(tnp.matmul(ones, steps.T), [[3, 12], [3, 12]])
assert tnp.sum(steps) == 15
assert tnp.pi > 3
assert tuple(tnp.random.randn(2, 3).shape) == (2, 3)
assert tnp.array([1, 2], dtype=tnp.int32).dtype == tf.int32


# Transforms over a number of steps that is unknown until the model gets data.
class Convolution(tf.keras.layers.Layer):
    def call(self, x):
        steps = tf.shape(x)[1]
        terms = tf.signal.rfft(tf.transpose(x, (0, 2, 1)), fft_length=[2 * steps])
        other = tf.signal.rfft(tf.transpose(tf.constant(RESPONSE)[:steps]), fft_length=[2 * steps])
        return tf.transpose(tf.signal.irfft(terms * other, fft_length=[2 * steps])[..., :steps], (0, 2, 1))


RESPONSE = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
sequences = tf.keras.Input((None, 3))
model = tf.keras.Model(sequences, Convolution()(sequences))
for steps in (4, 7):
    x = np.random.default_rng(steps).normal(size=(1, steps, 3)).astype("float32")
    columns = [np.convolve(x[0, :, i], RESPONSE[:steps, i])[:steps] for i in range(3)]
    np.testing.assert_allclose(model.predict(x, verbose=0)[0], np.stack(columns, 1), atol=1e-4)
print("ok")
