"""The layers on images that are compared with Keras's, and what they are given.

`tools/expected_augmentation.py` gives them to Keras and writes what came of it to
`augmentation_expected.npz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

SHAPE = (3, 6, 8, 3)


class Case(NamedTuple):
    """A constructor's call, and how it is compared.

    exact: nothing is random, so whole calls are compared; otherwise Keras's transformation is applied.
    unit: pixels lie in [0, 1] instead of [0, 255]. masks, boxes: whether those of Keras are compared too.
    dtype: of the images.
    """

    text: str
    exact: bool = False
    unit: bool = False
    masks: bool = False
    boxes: bool = False
    dtype: str = "float32"


def exact(text: str, **kwargs: Any) -> Case:
    return Case(text, exact=True, **kwargs)


BOTH = {"masks": True, "boxes": True}
XYXY = "bounding_box_format='xyxy'"
FIRST = "data_format='channels_first'"

CASES = [
    # places
    Case(f"RandomFlip({XYXY})", **BOTH),
    Case(f"RandomFlip('horizontal', {XYXY})", **BOTH),
    Case(f"RandomFlip('vertical', {XYXY})", **BOTH, dtype="uint8"),
    Case(f"RandomFlip(bounding_box_format='rel_xyxy', {FIRST})", masks=True),
    exact(f"RandomRotation((0.1, 0.1), {XYXY})", **BOTH),
    exact("RandomRotation((-0.2, -0.2), 'wrap')", masks=True),
    exact("RandomRotation((0.3, 0.3), 'constant', fill_value=9.0)"),
    exact("RandomRotation((0.15, 0.15), 'nearest', 'nearest')"),
    Case(f"RandomRotation(0.5, {FIRST})", masks=True),
    Case("RandomShear(0.4, 0.3)", masks=True),
    Case("RandomShear((0.1, 0.5), (0.2, 0.4), 'nearest', 'constant', 7.0)"),
    exact(f"RandomTranslation((0.3, 0.3), (-0.2, -0.2), {XYXY})", **BOTH),
    Case(f"RandomTranslation(0.5, 0.4, 'constant', fill_value=3.0, {XYXY})", **BOTH),
    Case(f"RandomTranslation(0.5, 0.4, 'wrap', 'nearest', {FIRST})", masks=True),
    exact(f"RandomZoom((0.3, 0.3), (-0.2, -0.2), {XYXY})", **BOTH),
    Case(f"RandomZoom(0.5, fill_mode='nearest', {XYXY})", **BOTH),
    Case("RandomZoom((-0.5, 0.2), (0.1, 0.6), 'wrap', 'nearest')", masks=True),
    Case(f"RandomPerspective(scale=0.4, {XYXY})", **BOTH),
    Case("RandomPerspective(0.5, 0.3, 'nearest', 5.0)"),
    # sizes
    exact(f"CenterCrop(4, 5, {XYXY})", **BOTH),
    exact(f"CenterCrop(9, 7, {FIRST})"),
    exact(f"Resizing(3, 4, {XYXY})", **BOTH),
    exact("Resizing(9, 5, 'bicubic', antialias=True)"),
    exact("Resizing(4, 4, crop_to_aspect_ratio=True)", dtype="uint8", masks=True),
    exact(f"Resizing(7, 7, 'nearest', pad_to_aspect_ratio=True, fill_value=2.0, {FIRST})"),
    # colours
    exact("RandomBrightness((0.3, 0.3))"),
    exact("RandomBrightness((-0.2, -0.2), value_range=(0, 1))", unit=True),
    Case("RandomBrightness(0.5)"),
    Case("RandomContrast(0.4)"),
    Case(f"RandomContrast((0.2, 0.7), value_range=(0, 1), {FIRST})", unit=True),
    exact("RandomColorDegeneration((0.4, 0.4))"),
    Case("RandomColorDegeneration(0.9)", dtype="uint8"),
    exact("RandomGrayscale(1.0)"),
    exact(f"RandomGrayscale(1.0, {FIRST})"),
    Case("RandomGrayscale(0.5)"),
    exact("RandomGrayscale(factor=1)", dtype="uint8"),
    Case("RandomHue(0.7)"),
    Case(f"RandomHue((0.2, 0.9), value_range=(0, 1), {FIRST})", unit=True),
    exact("RandomSaturation((0.7, 0.7), value_range=(0, 1))", unit=True),
    Case("RandomSaturation(0.4)"),
    Case(f"RandomSaturation((0.1, 0.6), value_range=(0, 1), {FIRST})", unit=True),
    exact("RandomInvert((1.0, 1.0))", dtype="uint8"),
    Case("RandomInvert(0.8, value_range=(0, 1))", unit=True),
    exact("RandomColorJitter(brightness_factor=(0.2, 0.2), saturation_factor=(0.7, 0.7))"),
    # tones
    exact("AutoContrast()"),
    exact("AutoContrast(value_range=(0, 1))", unit=True),
    exact("Equalization()", dtype="uint8"),
    exact("Equalization(bins=16)"),
    exact(f"Equalization((0, 1), 64, {FIRST})", unit=True),
    exact("ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3))", dtype="uint8"),
    exact("ContrastLimitedAdaptiveHistogramEqualization((0, 1), 0.0, (4, 3))", unit=True),
    exact(f"ContrastLimitedAdaptiveHistogramEqualization(clip_limit=2.0, tile_grid_size=(1, 2), {FIRST})"),
    Case("Solarization(0.3, 0.6)"),
    Case("Solarization((0.1, 0.2), (0.3, 0.9), value_range=(0, 1))", unit=True),
    exact("RandomPosterization((3, 3))", dtype="uint8"),
    Case("RandomPosterization((2, 7), value_range=(0, 1))", unit=True),
    # filters
    exact("RandomSharpness((0.8, 0.8))"),
    Case(f"RandomSharpness(1.0, value_range=(0, 1), {FIRST})", unit=True),
    Case("RandomGaussianBlur(kernel_size=(3, 5), sigma=(0.3, 1.0))"),
    Case(f"RandomGaussianBlur(0.6, 3, {FIRST})"),
    Case("RandomErasing()"),
    Case("RandomErasing(0.6, (0.2, 0.6), 4.0)"),
    Case(f"RandomErasing(scale=(0.2, 0.6), fill_value=0.5, value_range=(0, 1), {FIRST})", unit=True),
    # mixtures and policies
    Case("MixUp()"),
    Case(f"MixUp(2.0, {FIRST})"),
    Case("CutMix()"),
    Case(f"CutMix((0.5, 1.0), {FIRST})"),
    Case("RandAugment()"),
    Case("RandAugment((0, 1), 3, (0.1, 0.9), seed=3)", unit=True),
    Case("AugMix()"),
    Case("AugMix((0, 1), 2, 2, (0.1, 0.9), 2.0, False)", unit=True),
]


def images_of(case: Case) -> np.ndarray:
    """Smooth images with some noise."""
    rng = np.random.default_rng(len(case.text))
    batch, height, width, channels = SHAPE
    y, x = np.mgrid[:height, :width]
    phase = rng.uniform(0, 6, (batch, 1, 1, channels))
    waves = np.sin(phase + 0.7 * x[None, :, :, None]) + np.cos(phase + 0.5 * y[None, :, :, None])
    pixels = np.clip(0.5 + 0.2 * waves + rng.normal(0, 0.05, SHAPE), 0, 1)
    result = (pixels if case.unit else np.round(pixels * 255)).astype(case.dtype)
    return result.transpose(0, 3, 1, 2).copy() if FIRST in case.text else result


def masks_of(case: Case) -> np.ndarray:
    result = np.random.default_rng(7).integers(0, 4, (*SHAPE[:3], 1)).astype("float32")
    return result.transpose(0, 3, 1, 2).copy() if FIRST in case.text else result


def boxes_of() -> dict[str, np.ndarray]:
    boxes = [[[0, 0, 3, 2], [2, 1, 7, 5]], [[4, 3, 8, 6], [0, 4, 2, 6]], [[1, 1, 2, 2], [3, 0, 8, 6]]]
    return {"boxes": np.asarray(boxes, "float32"), "labels": np.asarray([[0, 1], [2, 3], [4, 5]], "int32")}


def labels_of() -> np.ndarray:
    return np.eye(SHAPE[0], 4, dtype="float32")


# Calls of functions on boxes, with the arrays of `box_names` as names.
BOX_CALLS = [
    *(
        f"convert_format({source}, '{source}', '{target}', 6, 8)"
        for source in ("xyxy", "rel_xyxy")
        for target in (
            "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw",
            "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
        )
    ),
    *(
        f"convert_format(xyxy, '{source}', 'xyxy', 6, 8)"
        for source in ("yxyx", "xywh", "center_xywh", "center_yxhw", "rel_yxyx", "rel_center_xywh")
    ),
    "clip_to_image_size({'boxes': wide, 'labels': labels}, 6, 8)",
    "clip_to_image_size({'boxes': wide, 'labels': labels}, bounding_box_format='rel_xyxy')",
    "crop(wide, 1, 2, 4, 3)",
    "pad(xyxy, 2, 3)",
    "affine_transform(xyxy, angle, move, move, scale, shear, move, 6, 8)",
    "affine_transform(xyxy, angle, move, -move, scale, move, shear, 6, 8, 0.3, 0.6)",
    "compute_iou(xyxy, wide, 'xyxy')",
    "compute_iou(xyxy[0], wide, 'xyxy')",
    "compute_iou(xyxy[0], wide[0], 'xywh', use_masking=True)",
    "compute_iou(-xyxy - 1, wide, 'xyxy', use_masking=True, mask_val=-7)",
    "compute_iou(rel_xyxy, rel_xyxy, 'rel_xyxy', image_shape=(6, 8, 3))",
    "compute_ciou(xyxy, wide, 'xyxy')",
    "compute_ciou(xyxy, wide, 'center_xywh')",
    "encode_box_to_deltas(xyxy, wide, 'xyxy', 'xyxy')",
    "encode_box_to_deltas(xyxy, rel_xyxy, 'xyxy', 'rel_xyxy', 'center_xywh', [1, 2, 3, 4], (6, 8, 3))",
    "decode_deltas_to_boxes(xyxy, wide / 9, 'xyxy', 'xywh', variance=[0.1, 0.2, 0.3, 0.4])",
    "decode_deltas_to_boxes({'a': xyxy}, {'a': wide / 9}, 'xyxy', 'rel_yxyx', 'center_xywh', "
    "image_shape=(6, 8, 3))",
]  # fmt: skip


def box_names() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    boxes = boxes_of()
    return {
        "xyxy": boxes["boxes"],
        "labels": boxes["labels"],
        "rel_xyxy": boxes["boxes"] / np.array([8, 6, 8, 6], "float32"),
        "wide": (boxes["boxes"] * 1.7 - 3).astype("float32"),
        "angle": rng.uniform(-90, 90, 3).astype("float32"),
        "move": rng.uniform(-0.3, 0.3, 3).astype("float32"),
        "scale": rng.uniform(0.5, 1.5, 3).astype("float32"),
        "shear": rng.uniform(-20, 20, 3).astype("float32"),
    }


# -- transformations as flat tables of arrays ----------------------------------------------------------------


def flat(value: Any, path: str = "t") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts, lists and tuples, by paths that tell which is which."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}/.{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from flat(item, f"{path}/{type(value).__name__[0]}{i}")
    elif value is not None:
        yield path, value


def nested(table: dict[str, Any]) -> Any:
    """The inverse of `flat`, from paths without the first part. Empty lists have become None."""
    if set(table) == {""}:
        return table[""]
    groups: dict[str, dict[str, Any]] = {}
    for path, value in table.items():
        head, _, rest = path.partition("/")
        groups.setdefault(head, {})[rest] = value
    result = {head: nested(group) for head, group in groups.items()}
    if next(iter(result)).startswith("."):
        return {head[1:]: value for head, value in result.items()}
    kind = tuple if next(iter(result))[0] == "t" else list
    places = {int(head[1:]): value for head, value in result.items()}
    return kind(places.get(i) for i in range(max(places) + 1))
