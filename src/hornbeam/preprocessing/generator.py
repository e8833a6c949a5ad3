"""`ImageDataGenerator`: Keras 2's augmentation of images during loading.

New programs should use `image_dataset_from_directory` and layers such as RandomRotation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.typing import ArrayLike, DTypeLike
from hornbeam._internal.warn import warn_user
from hornbeam.config import floatx, standard_data_format
from hornbeam.preprocessing.affine import adjust_brightness, apply_affine
from hornbeam.preprocessing.flows import (
    ArrayFlow,
    BatchOptions,
    FileFlow,
    ReadOptions,
    list_class_files,
    list_frame_files,
)
from hornbeam.random import make_default_seed


class ImageDataGenerator:
    """Batches of images that are augmented at random each time they are read.

    Draws with a seed are those of Keras for the same seed. Needs Pillow for files, SciPy for affine maps.

    Args:
        featurewise_center: Whether to subtract the mean that `fit` computed.
        samplewise_center: Whether to subtract the mean of each image.
        featurewise_std_normalization: Whether to divide by the standard deviation that `fit` computed.
        samplewise_std_normalization: Whether to divide by the standard deviation of each image.
        zca_whitening: Whether to apply ZCA whitening with the matrix that `fit` computed.
        zca_epsilon: Added to singular values in ZCA whitening.
        rotation_range: Maximum rotation in degrees, in both directions.
        width_shift_range: Fraction (below 1), number of pixels, or list of pixels to draw from. As in Keras
            3.15 it shifts images up and down.
        height_shift_range: As `width_shift_range`, but to the sides.
        brightness_range: Two factors, between which the brightness factor is drawn.
        shear_range: Maximum shear in degrees, in both directions.
        zoom_range: Fraction z for factors from 1 - z to 1 + z, or both factors.
        channel_shift_range: Maximum value that is added to all values or subtracted.
        fill_mode: "nearest", "constant" (`cval`), "reflect" or "wrap": pixels outside of the image.
        cval: Value of pixels outside of the image for fill_mode="constant".
        horizontal_flip: Whether to flip half of the images horizontally.
        vertical_flip: Whether to flip half of the images vertically.
        rescale: Factor of all values, None for none.
        preprocessing_function: Function of an image, applied before rescaling.
        data_format: "channels_last" or "channels_first"; the configured one if None.
        validation_split: Fraction that subset="validation" of the flows yields.
        interpolation_order: Order of the spline interpolation of affine maps.
        dtype: Dtype of the images; `floatx()` if None.

    Example:
        >>> generator = hornbeam.preprocessing.image.ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
        >>> x, y = next(generator.flow(np.ones((8, 4, 4, 3)), np.arange(8), batch_size=4))
        >>> x.shape, y.shape
        ((4, 4, 4, 3), (4,))
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: float | Sequence[float] = 0.0,
        height_shift_range: float | Sequence[float] = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: DTypeLike | None = None,
    ) -> None:
        if validation_split and not 0 < validation_split < 1:
            raise ValueError(f"validation_split must be between 0 and 1, got {validation_split}")
        if fill_mode not in ("nearest", "constant", "reflect", "wrap"):
            raise ValueError(
                f'fill_mode must be "nearest", "constant", "reflect" or "wrap", got {fill_mode!r}'
            )
        if zca_whitening and featurewise_std_normalization:
            warn_user("zca_whitening replaces featurewise_std_normalization")
            featurewise_std_normalization = False
        self.featurewise_center = featurewise_center or zca_whitening or featurewise_std_normalization
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = _as_pair(zoom_range, "zoom_range", center=1)
        self.brightness_range = (
            None if brightness_range is None else _as_pair(brightness_range, "brightness_range")
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = standard_data_format(data_format)
        channels_first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if channels_first else (3, 1, 2)
        self.validation_split = validation_split
        self.dtype = dtype or floatx()
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None

    # -- batches -------------------------------------------------------------------------------------------

    def flow(
        self,
        x: ArrayLike | Sequence[Any],
        y: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> ArrayFlow:
        """Return an infinite iterator over batches (x, y) of images in memory.

        Args:
            x: Images (n, height, width, channels), or [images, further arrays].
            y: Labels, or None.
            batch_size: Number of images in a batch.
            shuffle: Whether every pass has a new order.
            sample_weight: Weights of the samples, or None.
            seed: Seed of order and augmentation.
            save_to_dir: Folder to which augmented images are written, or None.
            save_prefix: Prefix of their file names.
            save_format: Format of these files, such as "png".
            ignore_class_split: Whether to allow subsets with different classes.
            subset: "training" or "validation", or None for all.
        """
        options = BatchOptions(batch_size, shuffle, seed, save_to_dir, save_prefix, save_format)
        flow = ArrayFlow(self, x, y, sample_weight, options)
        return flow if subset is None else flow.select_subset(subset, ignore_class_split)

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> FileFlow:
        """Return an infinite iterator over batches of the images in a folder, a subfolder for each class.

        The flow has the attributes `class_indices`, `classes` and `filenames`.

        Args:
            directory: Folder with the images.
            target_size: (height, width) of the images.
            color_mode: "grayscale", "rgb" or "rgba".
            classes: Subfolders to read, in the order of their class indices; all, sorted, if None.
            class_mode: "categorical" (one-hot), "binary" or "sparse" (class indices), "input" (the images
                themselves), or None for images alone.
            batch_size: Number of images in a batch.
            shuffle: Whether every pass has a new order.
            seed: Seed of order and augmentation.
            save_to_dir: Folder to which augmented images are written, or None.
            save_prefix: Prefix of their file names.
            save_format: Format of these files, such as "png".
            follow_links: Whether to follow symbolic links to folders.
            subset: "training" or "validation", or None for all.
            interpolation: Resizing method, as for `load_img`.
            keep_aspect_ratio: Whether to crop images to the target's aspect ratio first.
        """
        files = list_class_files(directory, classes, self._subset_range(subset), follow_links)
        reading = ReadOptions((target_size[0], target_size[1]), color_mode, interpolation, keep_aspect_ratio)
        options = BatchOptions(batch_size, shuffle, seed, save_to_dir, save_prefix, save_format)
        return FileFlow(self, files, reading, class_mode, options)

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: str | Sequence[str] = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
    ) -> FileFlow:
        """Return an infinite iterator over batches of the images that a frame names.

        Args:
            dataframe: Frame of pandas or polars.
            directory: Folder of the images; None if the frame has absolute paths.
            x_col: Column of file names.
            y_col: Column of classes, or with class_mode="raw" of numbers; or several such columns.
            weight_col: Column of sample weights, or None.
            target_size: (height, width) of the images.
            color_mode: "grayscale", "rgb" or "rgba".
            classes: Names of the classes, in the order of their numbers; all, sorted, if None.
            class_mode: As for `flow_from_directory`, or "raw" for the numbers in `y_col`.
            batch_size: Number of images in a batch.
            shuffle: Whether every pass has a new order.
            seed: Seed of order and augmentation.
            save_to_dir: Folder to which augmented images are written, or None.
            save_prefix: Prefix of their file names.
            save_format: Format of these files, such as "png".
            subset: "training" or "validation", or None for all.
            interpolation: Resizing method, as for `load_img`.
            validate_filenames: Whether to drop rows whose file is missing or has another extension.
        """
        files = list_frame_files(
            dataframe, directory, x_col, y_col, weight_col, classes, class_mode,
            self._subset_range(subset), validate_filenames,
        )  # fmt: skip
        reading = ReadOptions((target_size[0], target_size[1]), color_mode, interpolation, False)
        options = BatchOptions(batch_size, shuffle, seed, save_to_dir, save_prefix, save_format)
        return FileFlow(self, files, reading, class_mode, options)

    def _subset_range(self, subset: str | None) -> tuple[float, float]:
        """Return the fractions at which a subset begins and ends: validation comes first."""
        if subset not in (None, "training", "validation"):
            raise ValueError(f'subset must be "training", "validation" or None, got {subset!r}')
        if subset is None:
            return 0.0, 1.0
        return (0.0, self.validation_split) if subset == "validation" else (self.validation_split, 1.0)

    # -- images --------------------------------------------------------------------------------------------

    def get_random_transform(
        self, img_shape: tuple[int, ...], seed: int | np.random.RandomState | None = None
    ) -> dict[str, Any]:
        """Draw the parameters of an augmentation: angles, shifts, factors and flips by name.

        Args:
            img_shape: Shape of the image.
            seed: Seed or generator of the draws.
        """
        rng = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(_seed(seed))
        rows, columns = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        # Keras's draws in Keras's order.
        parameters: dict[str, Any] = {"theta": _draw_symmetric(rng, self.rotation_range)}
        parameters["tx"] = _draw_shift(rng, self.height_shift_range, rows)
        parameters["ty"] = _draw_shift(rng, self.width_shift_range, columns)
        parameters["shear"] = _draw_symmetric(rng, self.shear_range)
        no_zoom = self.zoom_range == (1, 1)
        parameters["zx"], parameters["zy"] = (1, 1) if no_zoom else rng.uniform(*self.zoom_range, 2)
        parameters["flip_horizontal"] = bool(rng.random_sample() < 0.5) and self.horizontal_flip
        parameters["flip_vertical"] = bool(rng.random_sample() < 0.5) and self.vertical_flip
        shift, brightness = self.channel_shift_range, self.brightness_range
        parameters["channel_shift_intensity"] = rng.uniform(-shift, shift) if shift else None
        parameters["brightness"] = None if brightness is None else rng.uniform(*brightness)
        return parameters

    def apply_transform(self, x: ArrayLike, transform_parameters: dict[str, Any]) -> np.ndarray:
        """Apply an augmentation to an image.

        Args:
            x: Image (height, width, channels).
            transform_parameters: Result of `get_random_transform`.
        """
        image, parameters = np.asarray(x), transform_parameters
        if image.ndim != 3:
            raise ValueError(f"an image has three axes, got an array of shape {image.shape}")
        defaults = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}
        affine = {name: parameters.get(name, default) for name, default in defaults.items()}
        image = apply_affine(
            image,
            **affine,
            channel_axis=self.channel_axis - 1,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if parameters.get("channel_shift_intensity") is not None:
            shifted = image + parameters["channel_shift_intensity"]
            image = np.clip(shifted, image.min(), image.max())
        if parameters.get("flip_horizontal"):
            image = np.flip(image, self.col_axis - 1)
        if parameters.get("flip_vertical"):
            image = np.flip(image, self.row_axis - 1)
        if parameters.get("brightness") is None:
            return image
        return adjust_brightness(image, parameters["brightness"], self.data_format)

    def random_transform(self, x: ArrayLike, seed: int | None = None) -> np.ndarray:
        """Augment an image at random.

        Args:
            x: Image (height, width, channels).
            seed: Seed of the draws.
        """
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: ArrayLike) -> np.ndarray:
        """Apply preprocessing_function, rescaling, centering and whitening.

        Args:
            x: Image, or batch of images.
        """
        images = np.asarray(x, self.dtype)
        if self.preprocessing_function is not None:
            images = np.asarray(self.preprocessing_function(images), self.dtype)
        if self.rescale:
            images = images * np.asarray(self.rescale, images.dtype)
        if self.samplewise_center:
            images = images - images.mean(keepdims=True)
        if self.samplewise_std_normalization:
            images = images / (images.std(keepdims=True) + 1e-6)
        if self.featurewise_center:
            images = images - self._require_fit(self.mean)
        if self.featurewise_std_normalization:
            images = images / (self._require_fit(self.std) + 1e-6)
        if self.zca_whitening:
            flat = images.reshape(-1, int(np.prod(images.shape[-3:])))
            images = (flat @ self._require_fit(self.zca_whitening_matrix)).reshape(images.shape)
        return images

    def _require_fit(self, value: np.ndarray | None) -> np.ndarray:
        if value is None:
            raise ValueError("featurewise settings and zca_whitening need fit(x_train) first")
        return value

    def fit(self, x: ArrayLike, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute the statistics that featurewise settings and ZCA whitening need.

        Args:
            x: Images (n, height, width, channels).
            augment: Whether to compute them from augmented images.
            rounds: Number of augmented versions of each image.
            seed: Seed of the augmentation.
        """
        images = np.array(x, self.dtype)
        if images.ndim != 4:
            raise ValueError(f"fit() takes images (n, height, width, channels), got shape {images.shape}")
        if self.rescale:
            images *= self.rescale
        if augment:
            rng = np.random.RandomState(_seed(seed))
            draws = [self.get_random_transform(image.shape, rng) for _ in range(rounds) for image in images]
            augmented = (self.apply_transform(images[i % len(images)], draw) for i, draw in enumerate(draws))
            images = np.stack(list(augmented))
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = images.mean(axes, keepdims=True)[0]
            images -= self.mean
        if self.featurewise_std_normalization:
            self.std = images.std(axes, keepdims=True)[0]
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(images.reshape(len(images), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(images)) / (s + self.zca_epsilon))) @ u.T


def _as_pair(value: Any, name: str, center: float | None = None) -> tuple[float, float]:
    if center is not None and isinstance(value, (int, float)):
        return center - value, center + value
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return value[0], value[1]
    raise ValueError(f"{name} must be two numbers{'' if center is None else ' or one'}, got {value!r}")


def _seed(seed: int | None) -> int:
    return make_default_seed() if seed is None else seed


def _draw_symmetric(rng: np.random.RandomState, limit: float) -> float:
    """Draw a number from -limit to limit."""
    return rng.uniform(-limit, limit) if limit else 0


def _draw_shift(rng: np.random.RandomState, limit: Any, size: int) -> float:
    """Draw a shift in pixels: a fraction of the size, or one of 0 ... limit - 1 or of a list, in both "
    "directions."""
    if not np.any(limit):
        return 0
    if isinstance(limit, float):
        shift = rng.uniform(-limit, limit)
    else:
        shift = rng.choice(limit) * rng.choice([-1, 1])
    return shift * size if np.max(limit) < 1 else shift
