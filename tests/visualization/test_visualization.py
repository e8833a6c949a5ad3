"""Boxes and masks on images, and galleries of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from hornbeam import visualization as vis
from hornbeam._internal.extras import install_command

mpl.use("Agg")

IMAGES = np.random.default_rng(0).integers(0, 200, (3, 20, 24, 3)).astype("uint8")
BOXES = {
    "boxes": np.array([[[2, 3, 10, 15], [0, 0, 24, 20]]] * 3, "float32"),
    "labels": np.array([[0, -1]] * 3),
    "confidences": np.full((3, 2), 0.5),
}
MASKS = np.random.default_rng(1).integers(-1, 3, (3, 20, 24, 1))


def test_boxes_are_framed() -> None:
    drawn = vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy", color=(255, 0, 9), line_thickness=1)
    frame = np.zeros((20, 24), bool)
    frame[[3, 15], 2:11] = frame[3:16, 2] = frame[3:16, 10] = True
    assert (drawn[:, frame] == (255, 0, 9)).all()
    np.testing.assert_array_equal(drawn[:, ~frame], IMAGES[:, ~frame])
    assert vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy", line_thickness=4).dtype == "uint8"
    first = vis.draw_bounding_boxes(
        IMAGES.transpose(0, 3, 1, 2), BOXES, "xyxy", color=(255, 0, 9), line_thickness=1,
        data_format="channels_first",
    )  # fmt: skip
    np.testing.assert_array_equal(first, drawn)


def test_floats_up_to_one_are_brought_to_bytes() -> None:
    half = vis.draw_bounding_boxes(np.full((1, 20, 24, 3), 0.5), {k: v[:1] for k, v in BOXES.items()}, "xyxy")
    assert half[0, 19, 23, 0] == 127


def test_names_are_written_beside_boxes() -> None:
    plain = vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy")
    named = vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy", class_mapping={0: "cat"})
    assert (plain != named).any()


def test_pillow_is_asked_for_only_where_names_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy")
    with pytest.raises(ImportError, match=re.escape(install_command("image"))):
        vis.draw_bounding_boxes(IMAGES, BOXES, "xyxy", class_mapping={0: "cat"})


def test_masks_are_blended() -> None:
    colors = {0: (10, 20, 30), 1: (200, 0, 0), 2: (0, 0, 250)}
    drawn = vis.draw_segmentation_masks(IMAGES, MASKS, 3, colors, alpha=0.75)
    table = np.array([*colors.values(), (0, 0, 0)], "float32")
    expected = IMAGES.astype("float32") * 0.25 + table[MASKS[..., 0]] * 0.75
    expected = np.where(MASKS == -1, IMAGES, expected).astype("uint8")
    np.testing.assert_array_equal(drawn, expected)
    plain = vis.draw_segmentation_masks(IMAGES, MASKS, 3, colors, blend=False)
    assert plain.dtype == "float32"
    assert (plain[MASKS[..., 0] == 1] == (200, 0, 0)).all()
    assert vis.draw_segmentation_masks(IMAGES, MASKS).shape == IMAGES.shape


def test_galleries_have_a_panel_for_each_image(tmp_path: Path) -> None:
    names = {0: "cat", 1: "dog"}
    figure = vis.plot_image_gallery(IMAGES, y_true=[0, 1, 2], y_pred=[1, 1, 1], label_map=names, show=False)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["Label: cat  Pred: dog", "Label: dog  Pred: dog", "Label: Unknown  Pred: dog", ""]
    assert len(figure.axes[3].images) == 0
    mpl.pyplot.close(figure)
    path = tmp_path / "boxes.png"
    vis.plot_bounding_box_gallery(IMAGES, "xyxy", BOXES, BOXES, legend=True, path=path)
    assert path.stat().st_size > 0
    figure = vis.plot_segmentation_mask_gallery(IMAGES / 255.0, 3, (0, 1), MASKS, MASKS, show=False)
    assert len(figure.axes) == 9
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), IMAGES[0])
    mpl.pyplot.close(figure)


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="four axes"):
        vis.plot_image_gallery(IMAGES[0])
    with pytest.raises(ValueError, match="either a path or show"):
        vis.plot_image_gallery(IMAGES, path="x.png", show=True)
    with pytest.raises(ValueError, match="need label_map"):
        vis.plot_image_gallery(IMAGES, y_true=[0, 1, 2])
    with pytest.raises(ValueError, match="either legend=True or legend_handles"):
        vis.plot_bounding_box_gallery(IMAGES, "xyxy", BOXES, legend=True, legend_handles=[1])
    with pytest.raises(TypeError, match="bounding_boxes must be a dict"):
        vis.draw_bounding_boxes(IMAGES, [[0, 0, 1, 1]], "xyxy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be integers"):
        vis.draw_segmentation_masks(IMAGES, MASKS.astype("float32"))
