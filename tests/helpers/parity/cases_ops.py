"""Operations as expressions: each is evaluated with Keras's and with our `ops`, on the values of `values()`.

Every name of `hornbeam.ops` and its modules has to occur in one. Where an expression takes `x`, its dtype is
checked for `x` of all dtypes too.
"""

from __future__ import annotations

import numpy as np


def values() -> dict[str, np.ndarray]:
    """The arrays that expressions name."""
    rng = np.random.default_rng(5)
    x = (2 * rng.normal(size=(3, 4))).astype("float32")
    square = rng.normal(size=(3, 3)).astype("float32")
    floats = {
        "x": x,
        "y": rng.normal(size=4),  # as long as x's last axis
        "p": np.abs(x) + 0.5,  # above zero
        "u": 0.9 * np.tanh(x),  # between -1 and 1
        "holes": np.where(x > 1.5, np.nan, x),
        "m": square + 3 * np.eye(3),  # well conditioned
        "s": square @ square.T + np.eye(3),  # symmetric, positive
        "t": rng.normal(size=(2, 3, 4)),
        "stack_of": rng.normal(size=(2, 3, 3)) + 3 * np.eye(3),
        "img": rng.random((2, 6, 4, 3)),
        "volume": rng.random((1, 3, 4, 4, 2)),
        "seq": rng.normal(size=(2, 8, 3)),
        "wave": rng.normal(size=(2, 32)),
        "heads": rng.normal(size=(2, 4, 2, 3)),
        "chance": rng.random((3, 4)),
        "probs": np.exp(x) / np.exp(x).sum(-1, keepdims=True),
        "rows": np.sort(rng.normal(size=6)),
        "logits": rng.normal(size=(2, 5, 4)),
        "kernel1": rng.normal(size=(3, 3, 2)),
        "kernel2": rng.normal(size=(2, 3, 3, 2)),
        "kernel3": rng.normal(size=(2, 2, 2, 2, 3)),
        "depth2": rng.normal(size=(2, 2, 3, 2)),
        "point2": rng.normal(size=(1, 1, 6, 4)),
        "turned2": rng.normal(size=(3, 2, 2, 3)),
    }
    return {
        **{name: np.asarray(value, "float32") for name, value in floats.items()},
        "affine": np.array([[0.8, 0.2, 0.5, 0.1, 0.9, 0.3, 0.0, 0.0]] * 2, "float32"),
        "places": np.array([[0.5, 1.2], [1.5, 2.5]], "float32"),
        "outside": np.array([[0.5, 3.2], [1.5, -2.5]], "float32"),
        "corners": np.array([[[0, 0], [0, 3], [5, 0], [5, 3]]] * 2, "float32"),
        "skewed": np.array([[[0, 0.5], [0, 0], [0, 0], [-1, 0]]] * 2, "float32"),
        "i": rng.integers(-6, 7, (3, 4)).astype("int32"),
        "n": rng.integers(1, 9, 4).astype("int32"),
        "k": np.array([0, 2, 1], "int32"),
        "ids": np.array([0, 0, 2], "int32"),
        "b": rng.random((3, 4)) > 0.5,
        "hot": np.eye(4, dtype="float32")[[1, 0, 3]],
        "words": np.array([[1, 2, 2], [3, 1, 0]], "int32"),
        "lengths": np.array([3, 2], "int32"),
        "times": np.array([5, 5], "int32"),
        "allowed": rng.random((2, 1, 4, 4)) > 0.3,
    }


def _each(template: str, names: str) -> str:
    return "\n".join(template.format(name) for name in names.split())


# Groups of expressions; a group is one test.
GROUPS: dict[str, str] = {
    "functions of one number": _each(
        "ops.{}(x)",
        "abs absolute fabs arctan arcsinh cbrt ceil cos cosh deg2rad exp exp2 expm1 floor negative rad2deg "
        "sign signbit sin sinc sinh square tanh trunc isfinite isinf isnan isneginf isposinf isreal real "
        "imag conj conjugate angle logical_not i0 copy erf erfc round",
    )
    + "\nops.round(x, decimals=1)\nops.round(x * 100, decimals=-1)",
    "functions of one number in a domain": _each("ops.{}(p)", "log log10 log1p log2 sqrt rsqrt reciprocal")
    + "\n"
    + _each("ops.{}(u)", "arccos arcsin arctanh tan erfinv")
    + "\nops.arccosh(p + 1)\nops.nan_to_num(holes)\nops.nan_to_num(holes, nan=2.0, posinf=1.0, neginf=0.0)"
    + "\nops.isnan(holes)\nops.bitwise_invert(i)\nops.bitwise_not(i)\nops.log(x * 0)\nops.sqrt(x)",
    "functions of two numbers": _each(
        "ops.{}(x, y)",
        "add subtract multiply divide true_divide maximum minimum arctan2 hypot logaddexp logaddexp2 fmax "
        "fmin equal not_equal less less_equal greater greater_equal heaviside isclose allclose divide_no_nan",
    )
    + """
        ops.nextafter(ops.stop_gradient(x), ops.stop_gradient(y))
        ops.floor_divide(x, p)
        ops.mod(x, p)
        ops.fmod(x, p)
        ops.power(p, y)
        ops.power(x, 2)
        ops.ldexp(x, n)
        ops.clip(x, -1.0, 1.0)
        ops.clip(x, -1, 1)
        ops.floor_divide(i, n)
        ops.mod(i, n)
        ops.fmod(i, n)
        ops.divide(i, n)
        ops.divide_no_nan(x, y * 0)
        ops.add(x, 1)
        ops.add(x, 1.5)
        ops.add(i, 1.5)
        ops.multiply(x, i)
        ops.power(i, 2)
        ops.maximum(x, 0)
        ops.isclose(x, x + 1e-6, rtol=1e-3)
    """,
    "integers and booleans": _each(
        "ops.{}(b, x > 0)", "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor"
    )
    + "\n"
    + _each(
        "ops.{}(i, n)",
        "gcd lcm bitwise_and bitwise_or bitwise_xor left_shift right_shift bitwise_left_shift "
        "bitwise_right_shift",
    )
    + """
        ops.isin(i, n)
        ops.isin(i, n, invert=True)
        ops.where(b, x, y)
        ops.where(b, x, 0)
        ops.where(b, i, 0.5)
        ops.select([x > 1, x > 0], [x, y * x], default=3)
        ops.view(x, dtype='int32')
        ops.view(i, dtype='int8')
        ops.view(ops.cast(i, 'int16'), dtype='float32')
        ops.saturate_cast(x * 200, 'int8')
        ops.saturate_cast(x * 200, 'uint8')
        ops.cast(x, 'int32')
        ops.cast(i, None)
        ops.saturate_cast(x, None)
        ops.cast(x, 'bool')
        ops.cast(i, 'float16')
        ops.unravel_index(k, (3, 4))
    """,
    "activations": _each(
        "ops.{}(x)",
        "celu elu gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid "
        "log_softmax relu relu6 selu sigmoid silu swish soft_shrink softmax softplus softsign sparse_plus "
        "sparse_sigmoid sparsemax squareplus tanh_shrink",
    )
    + """
        ops.celu(x, 0.5)
        ops.elu(x, 0.5)
        ops.gelu(x, approximate=False)
        ops.glu(x, axis=1)
        ops.hard_shrink(x, 1.0)
        ops.soft_shrink(x, 1.0)
        ops.leaky_relu(x, 0.1)
        ops.softmax(x, axis=0)
        ops.softmax(t, axis=(1, 2))
        ops.softmax(t, axis=None)
        ops.log_softmax(t, axis=1)
        ops.log_softmax(t, axis=None)
        ops.sparsemax(t, axis=-1)
        ops.squareplus(x, 2)
        ops.threshold(x, 0.5, -1.0)
    """,
    "reductions": _each("ops.{}(x)", "all any amax amin max min mean prod std sum var ptp logsumexp median")
    + "\n"
    + _each("ops.{}(x, axis=1)", "all any amax amin argmax argmin max min mean prod std sum var ptp median")
    + "\n"
    + _each("ops.{}(t, axis=(0, 2), keepdims=True)", "all any max min mean prod std sum var logsumexp median")
    + "\n"
    + _each("ops.{}(t, axis=-2, keepdims=True)", "argmax argmin")
    + """
        ops.argmax(x)
        ops.argmin(x)
        ops.max(x, axis=0, initial=1.0)
        ops.min(x, initial=-1.0)
        ops.prod(x, axis=0, dtype='float16')
        ops.average(x)
        ops.average(x, axis=1, weights=y)
        ops.count_nonzero(x)
        ops.count_nonzero(i, axis=0)
        ops.moments(t, axes=[0, 2])
        ops.moments(t, axes=1, keepdims=True)
        ops.moments(ops.cast(x, 'float16') * 300, axes=1)
        ops.norm(x)
        ops.norm(x, ord='fro')
        ops.norm(m, ord='nuc')
        ops.norm(m, ord=2)
        ops.norm(x, ord=1, axis=1)
        ops.norm(x, ord=np.inf, axis=(0, 1), keepdims=True)
        ops.norm(t, ord=2, axis=2)
        ops.normalize(x)
        ops.normalize(x, axis=0, order=1)
    """,
    "statistics": _each(
        "ops.{}(holes)",
        "nanmax nanmin nanmean nansum nanprod nanstd nanvar nanmedian nancumsum nancumprod nanargmax "
        "nanargmin",
    )
    + "\n"
    + _each(
        "ops.{}(holes, axis=1)",
        "nanmax nanmin nanmean nansum nanprod nanstd nanvar nanmedian nancumsum nancumprod nanargmax",
    )
    + """
        ops.nanpercentile(holes, 30)
        ops.nanquantile(holes, 0.3, axis=1, keepdims=True)
        ops.percentile(x, 30)
        ops.percentile(x, [10, 50], axis=1)
        ops.quantile(x, 0.3, axis=0, method='nearest')
        ops.quantile(x, [0.1, 0.9], axis=1, method='lower', keepdims=True)
        ops.quantile(x, 0.4, method='higher')
        ops.quantile(x, 0.4, method='midpoint')
        ops.corrcoef(x)
        ops.correlate(y, rows)
        ops.correlate(rows, y, mode='same')
        ops.correlate(rows, y, mode='full')
        ops.correlate(x[0], n)
        ops.correlate(i[0], n)
        ops.cumsum(x)
        ops.cumsum(x, axis=1)
        ops.cumsum(i, axis=0, dtype='float32')
        ops.cumprod(x)
        ops.cumprod(x, axis=0)
        ops.diff(x)
        ops.diff(x, n=2, axis=0)
        ops.trapezoid(x)
        ops.trapezoid(x, x=y)
        ops.trapezoid(x, dx=0.5, axis=0)
    """,
    "order": """
        ops.sort(x)
        ops.sort(x, axis=0)
        ops.argsort(x)
        ops.argsort(x, axis=0)
        ops.argsort(x, axis=None)
        ops.argsort(x[0, 0])
        ops.unique(i, size=9, return_index=True, return_inverse=True, return_counts=True)
        ops.unique(i % 2, axis=1, size=5, fill_value=7, return_index=True, return_counts=True)
        ops.unique(i % 2, axis=0, size=2, return_inverse=True)
        ops.top_k(x, 2)
        ops.top_k(x, 3, sorted=True)[1]
        ops.in_top_k(k, x, 2)
        ops.searchsorted(rows, y)
        ops.searchsorted(rows, y, side='right')
        ops.digitize(x, rows)
        ops.sort(ops.argpartition(x, 1)[..., :2])
        ops.take_along_axis(x, ops.argpartition(x, 0)[..., :1], axis=-1)
        ops.histogram(rows, bins=4)
        ops.histogram(rows, bins=3, range=(-1.0, 1.0))
        ops.segment_sum(x, ids, num_segments=4)
        ops.segment_max(x, ids, num_segments=3)
        ops.segment_min(x, ids, num_segments=3)
        ops.segment_prod(ops.stop_gradient(x), ids, num_segments=3)
    """,
    "making tensors": """
        ops.arange(5)
        ops.arange(1, 4)
        ops.arange(0.0, 2.0, 0.5)
        ops.arange(5, dtype='float16')
        ops.array([1, 2, 3])
        ops.array(x, dtype='float16')
        ops.convert_to_tensor([1.0, 2.0])
        ops.convert_to_tensor(i, dtype='float32')
        ops.shape(ops.empty((2, 3)))
        ops.shape(ops.empty_like(x))
        ops.eye(3)
        ops.eye(2, 3, k=1, dtype='int32')
        ops.identity(3)
        ops.full((2, 3), 4)
        ops.full((2, 3), 4.0, dtype='int32')
        ops.full_like(x, 2)
        ops.geomspace(1.0, 8.0, 4)
        ops.linspace(0.0, 1.0, 5)
        ops.linspace(0, 10, 4, endpoint=False)
        ops.linspace(y, y + 1, 3, axis=1)
        ops.linspace(0.0, 1.0, 3, retstep=True)
        ops.logspace(0.0, 2.0, 3)
        ops.logspace(0.0, 2.0, 3, base=2, endpoint=False)
        ops.meshgrid(y, rows)
        ops.meshgrid(y, rows, indexing='ij')
        ops.ones((2, 3))
        ops.ones((2,), dtype='bool')
        ops.ones_like(x)
        ops.zeros((2, 3))
        ops.zeros(3, dtype='int8')
        ops.zeros_like(x)
        ops.zeros_like(x, dtype='int32')
        ops.tri(3)
        ops.tri(3, 4, k=1, dtype='int32')
        ops.vander(y)
        ops.vander(y, N=3, increasing=True)
        ops.one_hot(k, 4)
        ops.one_hot(words, 4, axis=1, dtype='int32')
        ops.multi_hot(words, 4)
        ops.multi_hot(words, num_classes=4, axis=0)
    """,
    "shapes": """
        ops.append(x, x)
        ops.append(x, x, axis=1)
        ops.array_split(x, 3, axis=1)
        ops.broadcast_to(y, (2, 4))
        ops.concatenate([x, x], axis=1)
        ops.concatenate([x, i])
        ops.diag(y)
        ops.diag(x, k=1)
        ops.diagflat(y, k=-1)
        ops.diagonal(x)
        ops.diagonal(t, offset=1, axis1=1, axis2=2)
        ops.dsplit(t, 2)
        ops.dstack([x, x])
        ops.expand_dims(x, 1)
        ops.expand_dims(x, (0, -1))
        ops.flip(x)
        ops.flip(x, axis=1)
        ops.fliplr(x)
        ops.flipud(x)
        ops.hsplit(x, 2)
        ops.hstack([x, x])
        ops.moveaxis(t, 0, 2)
        ops.moveaxis(t, (0, 1), (2, 0))
        ops.ndim(x)
        ops.pad(x, 1)
        ops.pad(x, ((0, 1), (2, 0)), constant_values=3)
        ops.pad(x, ((0, 1), (2, 0)), mode='reflect')
        ops.pad(x, ((0, 1), (2, 0)), mode='symmetric')
        ops.ravel(x)
        ops.repeat(x, 2)
        ops.repeat(x, 2, axis=1)
        ops.repeat(x, np.array([1, 0, 2]), axis=0)
        ops.reshape(x, (4, 3))
        ops.reshape(x, (2, -1))
        ops.roll(x, 1)
        ops.roll(x, 2, axis=1)
        ops.roll(x, (1, 2), axis=(0, 1))
        ops.rot90(x)
        ops.rot90(t, k=3, axes=(1, 2))
        ops.shape(x)
        ops.size(x)
        ops.split(x, 2, axis=1)
        ops.split(x, [1, 3], axis=1)
        ops.squeeze(ops.expand_dims(x, 0))
        ops.squeeze(x[:1], axis=0)
        ops.stack([x, x])
        ops.stack([x, x], axis=-1)
        ops.swapaxes(t, 0, 2)
        ops.tile(x, (2, 1))
        ops.tile(y, (2, 2))
        ops.transpose(t)
        ops.transpose(t, (1, 0, 2))
        ops.tril(x)
        ops.tril(t, k=1)
        ops.triu(x, k=-1)
        ops.unstack(x, axis=1)
        ops.vsplit(x, [1])
        ops.vstack([x, y])
        ops.dtype(x)
    """,
    "picking": """
        ops.get_item(x, 1)
        ops.get_item(x, (slice(0, 2), 1))
        ops.take(x, k, axis=0)
        ops.take(x, k)
        ops.take(x, words, axis=1)
        ops.take(x, -1, axis=1)
        ops.take_along_axis(x, ops.argsort(x), axis=1)
        ops.take_along_axis(x, k[:, None], axis=1)
        ops.slice(x, (1, 1), (2, 2))
        ops.slice_update(x, (1, 2), x[:2, :2])
        ops.scatter(k[:, None], y[:3], (5,))
        ops.scatter(np.array([[0, 1], [1, 1]]), y[:2], (2, 3))
        ops.scatter_update(x, np.array([[0, 1], [2, 3]]), y[:2])
        ops.scatter_update(x, np.array([[0, 1], [0, 1]]), y[:2], reduction='add')
        ops.scatter_update(x, np.array([[0, 1], [2, 3]]), y[:2], reduction='max')
        ops.scatter_update(x, np.array([[0, 1], [2, 3]]), y[:2], reduction='min')
        ops.extract_sequences(wave, 8, 4)
        ops.unfold(ops.transpose(img, (0, 3, 1, 2)), 2)
        ops.unfold(ops.transpose(img, (0, 3, 1, 2)), (2, 1), padding=1, stride=2)
        ops.fold(ops.unfold(ops.transpose(img, (0, 3, 1, 2)), 2), (6, 4), 2)
        ops.depth_to_space(ops.concatenate([img] * 4, axis=-1), 2)
        ops.space_to_depth(img, 2)
        ops.space_to_depth(ops.transpose(img, (0, 3, 1, 2)), 2, data_format='channels_first')
        ops.stop_gradient(x) * x
        ops.is_tensor(x * 1)
    """,
    "products": """
        ops.matmul(x, ops.transpose(x))
        ops.matmul(t, y)
        ops.matmul(t, ops.transpose(x))
        ops.matmul(i, ops.transpose(i))
        ops.dot(x, y)
        ops.dot(x, ops.transpose(x))
        ops.inner(x, x)
        ops.outer(x, y)
        ops.kron(x, m)
        ops.cross(m, s)
        ops.cross(m, s, axis=0)
        ops.cross(m[:, :2], s[:, :2])
        ops.tensordot(t, x, axes=2)
        ops.tensordot(t, x, axes=((1, 2), (0, 1)))
        ops.tensordot(x, y, axes=0)
        ops.vdot(x, x)
        ops.trace(x)
        ops.trace(t, offset=1, axis1=1, axis2=2)
        ops.einsum('ij,kj->ik', x, x)
        ops.einsum('bij,ij->b', t, x)
        ops.einsum('...i,i->...', t, y)
        ops.einsum('ii', m)
        ops.einsum('ij,kj->ik', x, i)
        ops.einsum('ij,kj->ik', ops.cast(i, 'int8'), b)
        ops.matmul(ops.cast(i, 'int8'), ops.transpose(b))
        ops.matmul(ops.cast(i, 'int8'), ops.cast(ops.transpose(i), 'int8'))
        ops.cdist(x, x + 1)
    """,
    "linear algebra": """
        ops.cholesky(s)
        ops.cholesky(s, upper=True)
        ops.cholesky_inverse(ops.cholesky(s))
        ops.cholesky_inverse(ops.cholesky(s, upper=True), upper=True)
        ops.det(m)
        ops.det(stack_of)
        ops.logdet(s)
        ops.slogdet(m)
        ops.inv(m)
        ops.inv(stack_of)
        ops.eigh(s)[0]
        ops.abs(ops.eigh(s)[1])
        ops.sum(ops.abs(ops.eig(ops.stop_gradient(m))[0]))
        ops.view_as_real(ops.polar(ops.abs(x), y))
        ops.view_as_real(ops.view_as_complex(ops.reshape(x, (-1, 2))))
        ops.abs(ops.qr(x)[0])
        ops.abs(ops.qr(x, mode='complete')[1])
        ops.svd(x, compute_uv=False)
        ops.svd(x, full_matrices=False)[1]
        ops.abs(ops.svd(ops.stop_gradient(x), full_matrices=True)[2][:3])
        ops.solve(m, x)
        ops.solve(stack_of, t)
        ops.solve_triangular(m, x, lower=True)
        ops.solve_triangular(m, x)
        ops.lstsq(ops.transpose(x), y)
        ops.lu_factor(m)
        ops.matrix_rank(m)
        ops.pinv(x)
        ops.jvp(lambda v: ops.sum(v * v), (x,), (x + 1,))
        ops.linalg.norm(x, axis=0)
    """,
    "signals": """
        ops.fft((x, x + 1))
        ops.fft2((t, t + 1))
        ops.ifft2((t, t + 1))
        ops.rfft(wave)
        ops.rfft(wave, fft_length=16)
        ops.irfft(ops.rfft(wave))
        ops.irfft((wave, wave * 0.5), fft_length=40)
        ops.stft(wave, 8, 4, 8)
        ops.stft(wave, 8, 4, 16, window='hamming', center=False)
        ops.stft(wave, 8, 4, 8, window=None)
        ops.stft(wave, 8, 4, 8, window=np.hanning(8))
        ops.stft(wave, 6, 4, 8, window=np.arange(6, dtype='float32'))
        ops.istft(ops.stft(wave, 8, 4, 8, rows[:1] * 0 + np.ones(8)), 8, 4, 8, window=np.ones(8))
        ops.istft(ops.stft(wave, 8, 4, 8), 8, 4, 8)
        ops.istft(ops.stft(wave, 8, 4, 8), 8, 4, 8, length=30)
    """,
    "windows": """
        ops.conv(seq, kernel1, strides=2, padding='same')
        ops.conv(seq, kernel1, padding='same', dilation_rate=2)
        ops.conv(img, kernel2)
        ops.conv(img, kernel2, strides=(2, 1), padding='same')
        ops.conv(ops.transpose(img, (0, 3, 1, 2)), kernel2, data_format='channels_first')
        ops.conv(volume, kernel3, padding='same')
        ops.conv_transpose(img, turned2, strides=2)
        ops.conv_transpose(img, turned2, strides=2, padding='same', output_padding=1)
        ops.depthwise_conv(img, depth2, padding='same')
        ops.depthwise_conv(img, depth2, strides=2)
        ops.separable_conv(img, depth2, point2)
        ops.max_pool(img, 2, strides=2)
        ops.max_pool(seq, (3,), strides=(2,), padding='same')
        ops.average_pool(img, (2, 3), strides=1, padding='same')
        ops.average_pool(volume, 2, strides=2)
        ops.adaptive_average_pool(img, (3, 2))
        ops.adaptive_max_pool(img, 2)
    """,
    "normalization and attention": """
        ops.batch_normalization(x, y * 0.1, y * y + 1, axis=-1)
        ops.batch_normalization(x, y * 0.1, y * y + 1, axis=1, offset=y, scale=y, epsilon=0.1)
        ops.layer_normalization(x)
        ops.layer_normalization(x, gamma=y, beta=y, epsilon=0.1)
        ops.rms_normalization(x)
        ops.rms_normalization(x, scale=y, axis=-1)
        ops.rms_normalization(x, scale=p, axis=-1)
        ops.rms_normalization(x, scale=x[:, :1], axis=-1)
        ops.dot_product_attention(heads, heads, heads)
        ops.dot_product_attention(heads, heads[:, :, :1], heads[:, :, :1], scale=0.2)
        ops.dot_product_attention(heads, heads, heads, is_causal=True)
        ops.dot_product_attention(heads, heads, heads, mask=allowed)
        ops.dot_product_attention(heads, heads, heads, bias=0.1 * allowed.astype('float32'))
    """,
    "losses": """
        ops.binary_crossentropy(hot, chance)
        ops.binary_crossentropy(hot, x, from_logits=True)
        ops.categorical_crossentropy(hot, probs)
        ops.categorical_crossentropy(hot, x, from_logits=True)
        ops.categorical_crossentropy(hot, x, from_logits=True, axis=0)
        ops.sparse_categorical_crossentropy(k, probs)
        ops.sparse_categorical_crossentropy(k, x, from_logits=True)
        ops.ctc_loss(words, logits, lengths, times)
        ops.ctc_decode(logits, times, mask_index=0)
        ops.ctc_loss(words, ops.cast(logits, 'bfloat16'), lengths, times)
        ops.psnr(img, img * 0.9, 1.0)
    """,
    "control": """
        ops.associative_scan(lambda a, c: a + c, x)
        ops.associative_scan(lambda a, c: a * c, x, axis=1, reverse=True)
        ops.cond(ops.sum(x) > 0, lambda: x, lambda: -x)
        ops.fori_loop(0, 3, lambda step, v: v * 0.5 + step, x)
        ops.map(lambda row: row * 2, x)
        ops.scan(lambda c, row: (c + row, c * row), y, x)
        ops.scan(lambda c, row: (c + row, c * row), y, x, reverse=True)
        ops.switch(1, [lambda v: v, lambda v: v * 2], x)
        ops.vectorized_map(lambda row: row * row, x)
        ops.while_loop(lambda v, n: n < 3, lambda v, n: (v * 0.5, n + 1), (ops.stop_gradient(x), 0))
        ops.while_loop(lambda d: d['n'] < 3, lambda d: {'v': d['v'] * 2, 'n': d['n'] + 1}, {'v': i, 'n': 0})
        ops.custom_gradient(lambda v: (v * 2, lambda *a, upstream=None: (a[-1] if a else upstream) * 5))(x)
    """,
    "images": """
        ops.image.rgb_to_grayscale(img)
        ops.image.rgb_to_hsv(img)
        ops.image.hsv_to_rgb(img)
        ops.image.resize(img, (3, 8))
        ops.image.resize(img, (3, 8), interpolation='nearest')
        ops.image.resize(img, (3, 8), interpolation='bicubic', antialias=True)
        ops.image.resize(img, (9, 5), interpolation='lanczos3')
        ops.image.resize(img, (9, 5), interpolation='lanczos5')
        ops.image.resize(img, (4, 4), crop_to_aspect_ratio=True)
        ops.image.resize(img, (4, 4), pad_to_aspect_ratio=True, fill_value=0.5)
        ops.image.affine_transform(img, affine)
        ops.image.affine_transform(img[1], affine[0], 'nearest', 'reflect')
        ops.image.affine_transform(img[0], affine[0], fill_mode='wrap')
        ops.image.extract_patches(img, (2, 2))
        ops.image.extract_patches(img, 3, strides=2, padding='same')
        ops.image.extract_patches_3d(volume, (2, 2, 2))
        ops.image.map_coordinates(x, places, order=1)
        ops.image.map_coordinates(x, outside, order=0, fill_mode='nearest')
        ops.image.map_coordinates(x, outside, order=1, fill_mode='mirror')
        ops.image.pad_images(img, 1, 2, target_height=9, target_width=8)
        ops.image.pad_images(img, top_padding=1, left_padding=0, bottom_padding=2, right_padding=1)
        ops.image.crop_images(img, 1, 1, target_height=3, target_width=2)
        ops.image.gaussian_blur(img, (3, 3), (1.0, 1.0))
        ops.image.gaussian_blur(img[0], (5, 3), (0.5, 2.0))
        ops.image.scale_and_translate(img, (2, 8, 8, 3), np.ones(2) * 1.5, np.ones(2), (1, 2), 'linear')
        ops.image.scale_and_translate(img, (2, 8, 4, 3), p[0, :2], rows[:2], (1, 2), 'cubic')
        ops.image.extract_patches(volume, (2, 2, 2))
        ops.image.sobel_edges(img)
        ops.image.perspective_transform(img, corners, corners + skewed)
        ops.image.ssim(img, img * 0.9, 1.0, filter_size=3)
    """,
}

# Their shapes, or what they do, depend on values: evaluated outside of compiled functions.
EAGER = """
    ops.bartlett(5)
    ops.blackman(5)
    ops.hamming(5)
    ops.hanning(5)
    ops.kaiser(5, 2.0)
    ops.rearrange(img, 'b (h a) w c -> b h w (a c)', a=2)
    ops.bincount(ids)
    ops.bincount(ids, weights=k, minlength=5)
    ops.bincount(words, minlength=4)
    ops.nonzero(b)
    ops.where(b)
    ops.unique(i)
    ops.unique(i, return_index=True, return_inverse=True, return_counts=True)
    ops.unique(i, axis=0)
    ops.unique(n, size=6, fill_value=-1)
    ops.unique(n, size=6, return_index=True, return_inverse=True, return_counts=True)
    ops.unique(holes)
    ops.ctc_decode(logits, lengths, strategy='beam_search', beam_width=6, top_paths=3)
    ops.ctc_decode(logits, times, strategy='beam_search', beam_width=3, mask_index=None)
    ops.convert_to_numpy(ops.add(x, 1))
    ops.image.elastic_transform(img, alpha=0.0, seed=1)
"""


def expressions(text: str) -> list[str]:
    """The lines of a group."""
    return [line.strip() for line in text.splitlines() if line.strip()]
