"""Images: resizing, colours, filters, patches and warps against small oracles."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.ir.types import ShapeError

RNG = np.random.default_rng(6)
IMAGES = RNG.random((2, 6, 8, 3)).astype(np.float32)


def bilinear(x: np.ndarray, h: int, w: int) -> np.ndarray:
    """Half-pixel centres, edges clamped."""
    out = np.empty((x.shape[0], h, w, x.shape[3]))
    for i in range(h):
        for j in range(w):
            y = min(max((i + 0.5) * x.shape[1] / h - 0.5, 0), x.shape[1] - 1)
            z = min(max((j + 0.5) * x.shape[2] / w - 0.5, 0), x.shape[2] - 1)
            y0, z0 = int(y), int(z)
            y1, z1 = min(y0 + 1, x.shape[1] - 1), min(z0 + 1, x.shape[2] - 1)
            a, b = y - y0, z - z0
            top = x[:, y0, z0] * (1 - b) + x[:, y0, z1] * b
            out[:, i, j] = top * (1 - a) + (x[:, y1, z0] * (1 - b) + x[:, y1, z1] * b) * a
    return out


@pytest.mark.parametrize("size", [(3, 4), (12, 16), (5, 11)])
def test_bilinear_and_nearest_resizing(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(ops.image.resize(IMAGES, size), bilinear(IMAGES, *size), atol=1e-6)
    rows = [int((i + 0.5) * 6 / size[0]) for i in range(size[0])]
    columns = [int((j + 0.5) * 8 / size[1]) for j in range(size[1])]
    np.testing.assert_array_equal(ops.image.resize(IMAGES, size, "nearest"), IMAGES[:, rows][:, :, columns])
    first = ops.image.resize(np.moveaxis(IMAGES, -1, 1), size, data_format="channels_first")
    np.testing.assert_allclose(first, np.moveaxis(bilinear(IMAGES, *size), -1, 1), atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_resizing_keeps_constants_and_antialiasing_keeps_the_mean(method: str) -> None:
    flat = np.full((1, 7, 5, 1), 3.0, np.float32)
    np.testing.assert_allclose(ops.image.resize(flat, (11, 3), method), 3, rtol=1e-5)
    shrunk = ops.image.resize(IMAGES, (3, 4), method, antialias=True)
    assert float(ops.mean(shrunk)) == pytest.approx(float(IMAGES.mean()), abs=0.03)


def test_resizing_to_other_proportions() -> None:
    wide = np.zeros((4, 8, 1), np.float32)
    wide[:, 2:6] = 1
    np.testing.assert_array_equal(
        ops.image.resize(wide, (4, 4), crop_to_aspect_ratio=True), np.ones((4, 4, 1))
    )
    padded = np.asarray(ops.image.resize(wide, (8, 8), "nearest", pad_to_aspect_ratio=True, fill_value=5.0))
    np.testing.assert_array_equal(padded[[0, 1, 6, 7]], np.full((4, 8, 1), 5.0))
    np.testing.assert_array_equal(padded[2:6], wide)
    assert ops.image.resize((IMAGES * 255).astype(np.uint8), (3, 3)).dtype == "uint8"
    with pytest.raises(ValueError, match="exclude each other"):
        ops.image.resize(wide, (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="interpolation"):
        ops.image.resize(wide, (2, 2), "area")
    with pytest.raises(ShapeError, match="Invalid images rank: expected rank 3"):
        ops.image.resize(wide[0], (2, 2))


def test_margins() -> None:
    assert ops.image.pad_images(IMAGES, 1, 2, target_height=9, target_width=12).shape == (2, 9, 12, 3)
    np.testing.assert_array_equal(ops.image.crop_images(IMAGES, 1, 2, 1, 3), IMAGES[:, 1:5, 2:5])
    np.testing.assert_array_equal(
        ops.image.crop_images(IMAGES, 1, 2, target_height=3, target_width=4), IMAGES[:, 1:4, 2:6]
    )
    with pytest.raises(ValueError, match="exactly two"):
        ops.image.pad_images(IMAGES, 1)
    with pytest.raises(ShapeError, match="do not fit"):
        ops.image.crop_images(IMAGES, 4, 0, 4, 0)


def test_colours() -> None:
    hsv = np.asarray(ops.image.rgb_to_hsv(IMAGES))
    expected = np.apply_along_axis(lambda c: colorsys.rgb_to_hsv(*c), -1, IMAGES.astype(np.float64))
    np.testing.assert_allclose(hsv, expected, atol=1e-5)
    np.testing.assert_allclose(ops.image.hsv_to_rgb(hsv), IMAGES, atol=1e-5)
    grey = np.asarray(ops.image.rgb_to_grayscale(IMAGES))
    np.testing.assert_allclose(grey[..., 0], IMAGES @ np.array([0.2989, 0.587, 0.114]), atol=1e-6)
    np.testing.assert_array_equal(
        ops.image.rgb_to_hsv(np.zeros((1, 1, 1, 3), np.float32)), np.zeros((1, 1, 1, 3))
    )
    with pytest.raises(ShapeError, match=r"expected 3 \(RGB\) or 1 \(Grayscale\)\. Got 2"):
        ops.image.rgb_to_grayscale(IMAGES[..., :2])
    np.testing.assert_array_equal(ops.image.rgb_to_grayscale(IMAGES[..., :1]), IMAGES[..., :1])


def test_filters() -> None:
    blurred = np.asarray(ops.image.gaussian_blur(IMAGES, (3, 5), (0.7, 1.5)))
    rows, columns = (np.exp(-0.5 * (np.arange(n) - n // 2) ** 2 / s**2) for n, s in ((5, 1.5), (3, 0.7)))
    kernel = np.outer(rows / rows.sum(), columns / columns.sum())
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (1, 1), (0, 0)))
    expected = sum(kernel[i, j] * padded[:, i : i + 6, j : j + 8] for i in range(5) for j in range(3))
    np.testing.assert_allclose(blurred, expected, atol=1e-6)
    ramp = np.broadcast_to(np.arange(6.0)[:, None, None], (6, 8, 1)).astype(np.float32)
    edges = np.asarray(ops.image.sobel_edges(ramp))
    assert edges.shape == (6, 8, 1, 2)
    np.testing.assert_allclose(edges[1:-1, :, 0, 0], 8)
    np.testing.assert_allclose(edges[..., 1], 0, atol=1e-5)


def test_comparisons() -> None:
    big = np.tile(IMAGES, (1, 3, 2, 1))
    np.testing.assert_allclose(ops.image.ssim(big, big), [1, 1], rtol=1e-5)
    assert (np.asarray(ops.image.ssim(big, 1 - big)) < 0.5).all()
    noisy = IMAGES + np.float32(0.1)
    assert float(ops.psnr(IMAGES, noisy, 1.0)) == pytest.approx(-10 * math.log10(0.01), rel=1e-4)


def test_patches() -> None:
    got = np.asarray(ops.image.extract_patches(IMAGES, (2, 3), (1, 2)))
    np.testing.assert_array_equal(got[:, 2, 1], IMAGES[:, 2:4, 2:5].reshape(2, -1))
    assert ops.image.extract_patches(IMAGES, 3, 2, padding="same").shape == (2, 3, 4, 27)
    volumes = RNG.random((1, 4, 4, 4, 2)).astype(np.float32)
    got = np.asarray(ops.image.extract_patches_3d(volumes, 2))
    np.testing.assert_array_equal(got[:, 1, 0, 1], volumes[:, 2:4, 0:2, 2:4].reshape(1, -1))
    assert ops.image.extract_patches(IMAGES[0], 2).shape == (3, 4, 12)


def test_unfold_and_fold_are_transposes() -> None:
    x = RNG.normal(size=(2, 3, 6, 7)).astype(np.float32)
    columns = np.asarray(ops.unfold(x, (2, 3), 2, 1, (1, 2)))
    other = RNG.normal(size=columns.shape).astype(np.float32)
    folded = np.asarray(ops.fold(other, (6, 7), (2, 3), 2, 1, (1, 2)))
    assert folded.shape == x.shape
    assert np.sum(folded * x) == pytest.approx(np.sum(columns * other), rel=1e-4)
    np.testing.assert_array_equal(ops.unfold(x, 2)[0, :, 0], x[0, :, :2, :2].ravel())


def test_blocks_of_space_and_depth() -> None:
    deep = np.asarray(ops.space_to_depth(IMAGES, 2))
    np.testing.assert_array_equal(deep[:, 1, 2], IMAGES[:, 2:4, 4:6].reshape(2, -1))
    np.testing.assert_array_equal(ops.depth_to_space(deep, 2), IMAGES)
    first = np.moveaxis(IMAGES, -1, 1)
    round_trip = ops.depth_to_space(ops.space_to_depth(first, 2, "channels_first"), 2, "channels_first")
    np.testing.assert_array_equal(round_trip, first)
    with pytest.raises(ShapeError, match="not divisible"):
        ops.space_to_depth(IMAGES, 4)


def test_rearrange() -> None:
    x = RNG.normal(size=(2, 12, 3)).astype(np.float32)
    split = x.reshape(2, 4, 3, 3)
    np.testing.assert_array_equal(ops.rearrange(x, "b (h w) c -> b c h w", h=4), split.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(ops.rearrange(x, "b ... -> ... b"), x.transpose(1, 2, 0))
    np.testing.assert_array_equal(
        ops.rearrange(x, "a b c -> (c a) 1 b"), x.transpose(2, 0, 1).reshape(6, 1, 12)
    )
    with pytest.raises(ValueError, match="both sides"):
        ops.rearrange(x, "a b c -> a b")
    with pytest.raises(ShapeError, match="not the product"):
        ops.rearrange(x, "a (b d) c -> a b d c", d=5)


FOLDED = {
    "nearest": lambda i, n: min(max(i, 0), n - 1),
    "wrap": lambda i, n: i % n,
    "mirror": lambda i, n: min(i % (2 * n - 2), 2 * n - 2 - i % (2 * n - 2)),
    "reflect": lambda i, n: min(i % (2 * n), 2 * n - 1 - i % (2 * n)),
}


@pytest.mark.parametrize("mode", ["constant", *FOLDED])
def test_coordinates_beyond_the_edges(mode: str) -> None:
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    places = RNG.uniform(-6, 9, (2, 50)).astype(np.float32)

    def read(i: int, j: int) -> float:
        if mode == "constant":
            return float(x[i, j]) if 0 <= i < 3 and 0 <= j < 4 else 7.0
        return float(x[FOLDED[mode](i, 3), FOLDED[mode](j, 4)])

    nearest = [read(int(np.rint(a)), int(np.rint(b))) for a, b in places.T]
    np.testing.assert_allclose(ops.image.map_coordinates(x, places, 0, mode, 7.0), nearest)
    linear = []
    for a, b in places.T.astype(np.float64):
        i, j = math.floor(a), math.floor(b)
        u, v = a - i, b - j
        top = read(i, j) * (1 - v) + read(i, j + 1) * v
        linear.append(top * (1 - u) + (read(i + 1, j) * (1 - v) + read(i + 1, j + 1) * v) * u)
    np.testing.assert_allclose(
        ops.image.map_coordinates(x, places, 1, mode, 7.0), linear, rtol=1e-4, atol=1e-5
    )


def test_warps() -> None:
    shift = np.array([1, 0, 2, 0, 1, -1, 0, 0], np.float32)
    moved = np.asarray(ops.image.affine_transform(IMAGES, shift))
    np.testing.assert_allclose(moved[:, 1:, :-2], IMAGES[:, :-1, 2:], atol=1e-6)
    np.testing.assert_array_equal(moved[:, 0], 0)
    corners = np.array([[0, 0], [7, 0], [0, 5], [7, 5]], np.float32)
    np.testing.assert_allclose(ops.image.perspective_transform(IMAGES, corners, corners), IMAGES, atol=1e-4)
    mirrored = corners[[1, 0, 3, 2]]
    np.testing.assert_allclose(
        ops.image.perspective_transform(IMAGES, corners, mirrored), IMAGES[:, :, ::-1], atol=1e-3
    )
    still = ops.image.elastic_transform(IMAGES, alpha=0.0, seed=1)
    np.testing.assert_allclose(still, IMAGES, atol=1e-6)
    first, second = (np.asarray(ops.image.elastic_transform(IMAGES, 3.0, 1.0, seed=s)) for s in (1, 2))
    assert not np.allclose(first, second)
    doubled = ops.image.scale_and_translate(IMAGES[0], (12, 16, 3), [2.0, 2.0], [0.0, 0.0], (0, 1), "linear")
    np.testing.assert_allclose(doubled, bilinear(IMAGES, 12, 16)[0], atol=1e-6)


def test_images_have_derivatives() -> None:
    gradients = np.asarray(hornbeam.grad(lambda x: ops.sum(ops.image.resize(x, (12, 16))))(IMAGES))
    assert float(gradients.sum()) == pytest.approx(2 * 12 * 16 * 3, rel=1e-4)
