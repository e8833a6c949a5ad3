"""`ImageDataGenerator`: Keras 2's way to augment pictures while they are read.

New programs are better off with `image_dataset_from_directory` and layers such as RandomRotation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.config import floatx, standard_data_format
from hornbeam.preprocessing.flows import ArrayFlow, FileFlow, files_in_classes, files_of_frame
from hornbeam.preprocessing.moving import affine, brighter
from hornbeam.random import make_default_seed


class ImageDataGenerator:
    """Batches of pictures, changed at random each time they are read.

    featurewise_center, featurewise_std_normalization, zca_whitening: with the statistics that `fit` computed;
    samplewise_*: with those of the picture. rotation_range, shear_range: degrees to both sides.
    width_shift_range, height_shift_range: a fraction (below 1), pixels, or a list of pixels to choose from;
    as in Keras 3.15 the first moves pictures up and down, the second to the sides.
    zoom_range: a fraction z for factors from 1 - z to 1 + z, or both factors. brightness_range: two factors.
    channel_shift_range: added to all values. fill_mode: "nearest", "constant" (`cval`), "reflect" or "wrap"
    for what comes into view. rescale: multiplied with all values; preprocessing_function: applied to each
    picture before. validation_split: the fraction that `subset="validation"` of the flows gives.

    Draws with a seed are those of Keras for the same seed. Needs Pillow for files, SciPy for movements.

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
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
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
        dtype: Any = None,
    ) -> None:
        if validation_split and not 0 < validation_split < 1:
            raise ValueError(f"validation_split must lie between 0 and 1, got {validation_split}")
        if fill_mode not in ("nearest", "constant", "reflect", "wrap"):
            raise ValueError(
                f'fill_mode must be "nearest", "constant", "reflect" or "wrap", got {fill_mode!r}'
            )
        if zca_whitening and featurewise_std_normalization:
            warnings.warn("zca_whitening takes the place of featurewise_std_normalization", stacklevel=2)
            featurewise_std_normalization = False
        self.featurewise_center = featurewise_center or zca_whitening or featurewise_std_normalization
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = _pair(zoom_range, "zoom_range", around=1)
        self.brightness_range = (
            None if brightness_range is None else _pair(brightness_range, "brightness_range")
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = standard_data_format(data_format)
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        self.validation_split = validation_split
        self.dtype = dtype or floatx()
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None

    # -- batches -------------------------------------------------------------------------------------------

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> ArrayFlow:
        """Batches (x, y) of pictures in memory, (n, height, width, channels), without end.

        save_to_dir: a folder to write the changed pictures to. subset: "training" or "validation".
        """
        saved = (save_to_dir, save_prefix, save_format)
        flow = ArrayFlow(self, x, y, sample_weight, batch_size, shuffle, seed, saved)
        return flow if subset is None else flow.part(subset, ignore_class_split)

    def flow_from_directory(
        self,
        directory: Any,
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
        """Batches of the pictures in `directory`, a folder for each class.

        class_mode: "categorical" (one-hot), "binary" or "sparse" (class indices), "input" (the pictures
        themselves), None (pictures alone). The flow's `class_indices`, `classes`, `filenames` tell what was
        found.
        """
        files = files_in_classes(directory, classes, self._fractions(subset), follow_links)
        reading = (tuple(target_size), color_mode, interpolation, keep_aspect_ratio)
        saved = (save_to_dir, save_prefix, save_format)
        return FileFlow(self, files, reading, class_mode, batch_size, shuffle, seed, saved)

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
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
        """Batches of the pictures that a frame names in `x_col`, with the classes or numbers of `y_col`.

        class_mode: as in `flow_from_directory`, or "raw" for the numbers of one column or several.
        """
        files = files_of_frame(
            dataframe, directory, x_col, y_col, weight_col, classes, class_mode,
            self._fractions(subset), validate_filenames,
        )  # fmt: skip
        reading = (tuple(target_size), color_mode, interpolation, False)
        saved = (save_to_dir, save_prefix, save_format)
        return FileFlow(self, files, reading, class_mode, batch_size, shuffle, seed, saved)

    def _fractions(self, subset: str | None) -> tuple[float, float]:
        """Where the part of the files that is wanted begins and ends: validation comes first."""
        if subset not in (None, "training", "validation"):
            raise ValueError(f'subset must be "training", "validation" or None, got {subset!r}')
        if subset is None:
            return 0.0, 1.0
        return (0.0, self.validation_split) if subset == "validation" else (self.validation_split, 1.0)

    # -- pictures ------------------------------------------------------------------------------------------

    def get_random_transform(self, img_shape: tuple[int, ...], seed: Any = None) -> dict[str, Any]:
        """What to do to a picture of a shape, drawn at random: angles, shifts, factors and flips by name."""
        rng = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(_seed(seed))
        rows, columns = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        found: dict[str, Any] = {"theta": _either_side(rng, self.rotation_range)}
        found["tx"] = _shift(rng, self.height_shift_range, rows)
        found["ty"] = _shift(rng, self.width_shift_range, columns)
        found["shear"] = _either_side(rng, self.shear_range)
        still = self.zoom_range == (1, 1)
        found["zx"], found["zy"] = (1, 1) if still else rng.uniform(*self.zoom_range, 2)
        found["flip_horizontal"] = bool(rng.random_sample() < 0.5) and self.horizontal_flip
        found["flip_vertical"] = bool(rng.random_sample() < 0.5) and self.vertical_flip
        shift, light = self.channel_shift_range, self.brightness_range
        found["channel_shift_intensity"] = rng.uniform(-shift, shift) if shift else None
        found["brightness"] = None if light is None else rng.uniform(*light)
        return found

    def apply_transform(self, x: Any, transform_parameters: dict[str, Any]) -> np.ndarray:
        """A picture (height, width, channels) with what `get_random_transform` returned done to it."""
        x, todo = np.asarray(x), transform_parameters
        if x.ndim != 3:
            raise ValueError(f"a picture has three axes, got an array of shape {x.shape}")
        zeros = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}
        moves = {name: todo.get(name, still) for name, still in zeros.items()}
        x = affine(
            x,
            **moves,
            channel_axis=self.channel_axis - 1,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if todo.get("channel_shift_intensity") is not None:
            x = np.clip(x + todo["channel_shift_intensity"], x.min(), x.max())
        if todo.get("flip_horizontal"):
            x = np.flip(x, self.col_axis - 1)
        if todo.get("flip_vertical"):
            x = np.flip(x, self.row_axis - 1)
        return x if todo.get("brightness") is None else brighter(x, todo["brightness"], self.data_format)

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """A picture changed at random."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: Any) -> np.ndarray:
        """A picture, or a batch of them, through preprocessing_function, scaled, centred and whitened."""
        x = np.asarray(x, self.dtype)
        if self.preprocessing_function is not None:
            x = np.asarray(self.preprocessing_function(x), self.dtype)
        if self.rescale:
            x = x * np.asarray(self.rescale, x.dtype)
        if self.samplewise_center:
            x = x - x.mean(keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(keepdims=True) + 1e-6)
        if self.featurewise_center:
            x = x - self._fitted(self.mean)
        if self.featurewise_std_normalization:
            x = x / (self._fitted(self.std) + 1e-6)
        if self.zca_whitening:
            flat = x.reshape(-1, int(np.prod(x.shape[-3:])))
            x = (flat @ self._fitted(self.zca_whitening_matrix)).reshape(x.shape)
        return x

    def _fitted(self, value: np.ndarray | None) -> np.ndarray:
        if value is None:
            raise ValueError("featurewise settings and zca_whitening need fit(x_train) first")
        return value

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute the statistics that featurewise settings need from pictures (n, height, width, channels).

        augment: from `rounds` times the pictures, changed at random.
        """
        x = np.array(x, self.dtype)
        if x.ndim != 4:
            raise ValueError(f"fit() takes pictures (n, height, width, channels), got {x.shape}")
        if self.rescale:
            x *= self.rescale
        if augment:
            rng = np.random.RandomState(_seed(seed))
            draws = [self.get_random_transform(each.shape, rng) for _ in range(rounds) for each in x]
            x = np.stack([self.apply_transform(x[i % len(x)], todo) for i, todo in enumerate(draws)])
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = x.mean(axes, keepdims=True)[0]
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axes, keepdims=True)[0]
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T


def _pair(value: Any, name: str, around: float | None = None) -> tuple[float, float]:
    if around is not None and isinstance(value, (int, float)):
        return around - value, around + value
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return value[0], value[1]
    raise ValueError(f"{name} must be two numbers{'' if around is None else ' or one'}, got {value!r}")


def _seed(seed: int | None) -> int:
    return make_default_seed() if seed is None else seed


def _either_side(rng: np.random.RandomState, most: float) -> float:
    return rng.uniform(-most, most) if most else 0


def _shift(rng: np.random.RandomState, by: Any, size: int) -> float:
    """Pixels to shift by: a fraction of the size, or one of 0 ... by - 1 or of a list, to either side."""
    if not np.any(by):
        return 0
    if isinstance(by, float):
        shift = rng.uniform(-by, by)
    else:
        shift = rng.choice(by) * rng.choice([-1, 1])
    return shift * size if np.max(by) < 1 else shift
