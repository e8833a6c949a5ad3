"""`keras.preprocessing.image.ImageDataGenerator`: batches of pictures, changed by chance on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.compat.spellings.warping import warped
from hornbeam.utils import PyDataset, img_to_array, load_img, to_categorical

NAMES = {
    "ImageDataGenerator": "augmentation layers (keras.layers.RandomFlip ...) and "
    "keras.utils.image_dataset_from_directory()"
}
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".webp"}
_SIZE = 1e-6


class ImageDataGenerator:
    """Pictures (rows, columns, channels) turned, moved, sheared, zoomed, mirrored and scaled by chance.

    Arguments are those of Keras 2. zca_whitening and channels_first are not there: NotImplementedError.
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
        preprocessing_function: Callable[[np.ndarray], np.ndarray] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        dtype: Any = None,
    ) -> None:
        if zca_whitening:
            raise NotImplementedError("ImageDataGenerator(zca_whitening=True) is not in `hornbeam run`")
        if data_format not in (None, "channels_last"):
            raise NotImplementedError(f"ImageDataGenerator takes channels last, got {data_format!r}")
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.rotation_range = rotation_range
        self.shifts = (height_shift_range, width_shift_range)
        self.brightness_range = brightness_range
        self.shear_range = shear_range
        zoom = zoom_range
        low, high = (1 - zoom, 1 + zoom) if isinstance(zoom, (int, float)) else zoom
        self.zoom = (float(low), float(high))
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval = fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.validation_split = validation_split
        self.mean: Any = None
        self.std: Any = None

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Take mean and deviation of each channel from `x`; with `augment`, from `rounds` changed copies."""
        pictures = np.asarray(x, "float32")
        if augment:
            rng = np.random.default_rng(seed)
            pictures = np.stack([self._changed(p, rng) for _ in range(rounds) for p in pictures])
        self.mean = pictures.mean(axis=(0, 1, 2))
        self.std = (pictures - self.mean).std(axis=(0, 1, 2))

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """One picture scaled and normalized. Raises ValueError before `fit` where that needs it."""
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - x.mean()
        if self.samplewise_std_normalization:
            x = x / (x.std() + _SIZE)
        if self.featurewise_center or self.featurewise_std_normalization:
            if self.mean is None:
                raise ValueError("featurewise normalization needs fit(x) on the training pictures first")
            x = x - self.mean if self.featurewise_center else x
            x = x / (self.std + _SIZE) if self.featurewise_std_normalization else x
        return x

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """One picture changed by chance."""
        return self._changed(np.asarray(x), np.random.default_rng(seed))

    def _changed(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(rng.uniform(-self.rotation_range, self.rotation_range))
        shear = np.deg2rad(rng.uniform(-self.shear_range, self.shear_range))
        shift = [_drawn_shift(s, size, rng) for s, size in zip(self.shifts, x.shape, strict=False)]
        zoom = rng.uniform(self.zoom[0], self.zoom[1], 2) if self.zoom != (1, 1) else np.ones(2)
        if angle or shear or any(shift) or (zoom != 1).any():
            x = warped(x, angle, shift, shear, zoom, self.fill_mode, self.cval)
        if self.channel_shift_range:
            moved = x + rng.uniform(-self.channel_shift_range, self.channel_shift_range)
            x = np.clip(moved, x.min(), x.max())
        if self.horizontal_flip and rng.random() < 0.5:
            x = x[:, ::-1]
        if self.vertical_flip and rng.random() < 0.5:
            x = x[::-1]
        if self.brightness_range is not None:
            low, high = self.brightness_range
            x = np.clip(x * rng.uniform(low, high), 0, 255 if x.max() > 1 else 1)
        return x

    def made(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A picture as it goes into a batch."""
        return self.standardize(self._changed(np.asarray(x, "float32"), rng))

    def _part(self, count: int, subset: str | None) -> np.ndarray:
        if subset is None:
            return np.arange(count)
        if subset not in ("training", "validation") or not self.validation_split:
            raise ValueError(
                f'subset is "training" or "validation", with validation_split= set; got {subset!r}'
            )
        held = int(count * self.validation_split)
        return np.arange(held) if subset == "validation" else np.arange(held, count)

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
    ) -> Batches:
        """Batches of pictures in memory, with targets and weights if there are any."""
        if save_to_dir is not None:
            raise NotImplementedError("flow(save_to_dir=) is not in `hornbeam run`")
        pictures = np.asarray(x)
        rows = self._part(len(pictures), subset)
        parts = [None if part is None else np.asarray(part)[rows] for part in (y, sample_weight)]
        pictures = pictures[rows]
        return Batches(self, lambda i: pictures[i], len(rows), parts, batch_size, shuffle, seed)

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
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> Batches:
        """Batches of the pictures in a folder, which has a folder for each class."""
        root = Path(directory)
        names = list(classes or sorted(part.name for part in root.iterdir() if part.is_dir()))
        paths, labels = [], []
        for label, name in enumerate(names):
            found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in _ENDINGS)
            kept = self._part(len(found), subset)
            paths += [found[i] for i in kept]
            labels += [label] * len(kept)
        print(f"Found {len(paths)} images belonging to {len(names)} classes.")

        def picture(index: int) -> np.ndarray:
            options: dict[str, Any] = {"keep_aspect_ratio": keep_aspect_ratio}
            return img_to_array(load_img(paths[index], color_mode, target_size, interpolation, **options))

        targets = _targets(np.array(labels), len(names), class_mode)
        made = Batches(self, picture, len(paths), [targets, None], batch_size, shuffle, seed)
        made.classes, made.filenames = np.array(labels), [str(p.relative_to(root)) for p in paths]
        made.class_indices = {name: label for label, name in enumerate(names)}
        return made


def _targets(labels: np.ndarray, count: int, class_mode: str | None) -> np.ndarray | None:
    if class_mode is None:
        return None
    if class_mode == "categorical":
        return to_categorical(labels, count)
    if class_mode in ("binary", "sparse"):
        return labels.astype("float32" if class_mode == "binary" else "int64")
    raise ValueError(f'class_mode is "categorical", "binary", "sparse" or None, got {class_mode!r}')


def _drawn_shift(shift: Any, size: int, rng: np.random.Generator) -> float:
    """In pixels: a fraction of the size, a number of pixels, or one of several numbers of pixels."""
    if not isinstance(shift, (int, float)):
        return float(rng.choice(shift) * rng.choice([-1, 1]))
    drawn = rng.uniform(-shift, shift)
    return float(drawn * size if shift < 1 else drawn)


class Batches(PyDataset):
    """Batches made by an ImageDataGenerator. Iterated by hand it never ends, as in Keras 2."""

    classes: Any
    filenames: list[str]
    class_indices: dict[str, int]

    def __init__(
        self,
        generator: ImageDataGenerator,
        picture: Callable[[int], np.ndarray],
        count: int,
        parts: Sequence[np.ndarray | None],
        batch_size: int,
        shuffle: bool,
        seed: int | None,
    ) -> None:
        super().__init__()
        self.n = self.samples = count
        self.batch_size, self.shuffle = batch_size, shuffle
        self._generator, self._picture = generator, picture
        self._parts = [part for part in parts if part is not None]
        self._seed = np.random.randint(2**31) if seed is None else seed
        self._epoch, self._place = 0, 0
        self._order = self._ordered()

    def _ordered(self) -> np.ndarray:
        rng = np.random.default_rng((self._seed, self._epoch))
        return rng.permutation(self.n) if self.shuffle else np.arange(self.n)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rng = np.random.default_rng((self._seed, self._epoch, index))
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        pictures = np.stack([self._generator.made(self._picture(row), rng) for row in rows])
        return (pictures, *(part[rows] for part in self._parts)) if self._parts else pictures

    def on_epoch_end(self) -> None:
        """A new order and new changes for the next pass."""
        self._epoch += 1
        self._order = self._ordered()

    def reset(self) -> None:
        """Begin with the first batch again."""
        self._place = 0

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield next(self)

    def __next__(self) -> Any:
        if self._place >= len(self):
            self._place = 0
            self.on_epoch_end()
        self._place += 1
        return self[self._place - 1]

    def next(self) -> Any:
        """The next batch."""
        return next(self)
