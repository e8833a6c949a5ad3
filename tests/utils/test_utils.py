"""Helpers: labels, padding, images, names, plots."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops, utils
from hornbeam._internal.extras import install_command
from hornbeam.core.tensor import Tensor
from hornbeam.preprocessing import image, sequence


@pytest.mark.parametrize(
    ("x", "classes", "expected"),
    [
        ([0, 2], None, [[1, 0, 0], [0, 0, 1]]),
        ([[0], [1]], 2, [[1, 0], [0, 1]]),
        ([[0, 1]], 2, [[[1, 0], [0, 1]]]),
        (1, 2, [0, 1]),
        ([1.0, 0.0], None, [[0, 1], [1, 0]]),
        (np.zeros((0,), "int32"), 3, np.zeros((0, 3))),
    ],
)
def test_to_categorical(x: Any, classes: int | None, expected: Any) -> None:
    got = utils.to_categorical(x, classes)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.float64


@pytest.mark.parametrize(
    ("x", "classes", "match"),
    [
        ([0, 3], 3, "class 3 does not exist among 3 classes"),
        ([-1, 0], None, "takes class indices from 0 on, got -1"),
        ([0.5], None, r"integers, got 0\.5"),
        (["a"], None, "class indices"),
    ],
)
def test_to_categorical_refuses(x: Any, classes: int | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        utils.to_categorical(x, classes)


def test_normalize() -> None:
    np.testing.assert_allclose(utils.normalize([[3, 4], [0, 0]]), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(utils.normalize(np.array([[3.0, 1.0]]), order=1), [[0.75, 0.25]])
    np.testing.assert_allclose(utils.normalize(np.array([[3.0], [4.0]]), axis=0), [[0.6], [0.8]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
        ({"maxlen": 4, "value": 9}, [[9, 9, 9, 1], [9, 9, 2, 3], [9, 4, 5, 6]]),
    ],
)
def test_pad_sequences(options: dict, expected: Any) -> None:
    got = sequence.pad_sequences([[1], [2, 3], [4, 5, 6]], **options)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.int32


def test_pad_sequences_of_vectors_and_nothing() -> None:
    got = utils.pad_sequences([[[1, 2]], [], [[3, 4], [5, 6]]], dtype="float32")
    assert got.tolist() == [[[0, 0], [1, 2]], [[0, 0], [0, 0]], [[3, 4], [5, 6]]]
    assert utils.pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("items", "options", "match"),
    [
        ([1, 2], {}, "item 0 is 1"),
        ([[1]], {"padding": "left"}, "padding must be"),
        ([[1]], {"truncating": "left"}, "truncating must be"),
        ([[[1, 2]], [[1, 2, 3]]], {}, r"sequence 1 has items of shape \(3,\)"),
        ([["a"]], {"value": "x"}, "dtype=object"),
    ],
)
def test_pad_sequences_refuses(items: Any, options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        utils.pad_sequences(items, **options)


def test_seeds_repeat() -> None:
    def draw() -> list[Any]:
        utils.set_random_seed(5)
        import random

        return [random.random(), np.random.rand(), np.asarray(hornbeam.random.normal((3,))).tolist()]

    assert draw() == draw()


def test_names_start_again() -> None:
    utils.clear_session()
    assert [layers.Dense(1).name, layers.Dense(1).name] == ["dense", "dense_1"]
    utils.clear_session()
    assert layers.Dense(1).name == "dense"


def test_sources_of_a_symbolic_tensor() -> None:
    a, b = layers.Input((3,)), layers.Input((3,))
    sources = utils.get_source_inputs(layers.Add()([layers.Dense(3)(a), b]))
    assert {id(x) for x in sources} == {id(a), id(b)}
    assert utils.is_keras_tensor(a)
    assert not utils.is_keras_tensor(np.ones(3))


def test_registering() -> None:
    @utils.register_keras_serializable("tests")
    def doubled(x: Any) -> Any:
        return 2 * x

    assert utils.get_registered_name(doubled) == "tests>doubled"
    assert utils.get_registered_object("tests>doubled") is doubled
    assert utils.deserialize_keras_object(utils.serialize_keras_object(doubled)) is doubled
    with utils.custom_object_scope({"mine": doubled}):
        assert utils.get_registered_object("mine") is doubled
    assert utils.get_registered_object("mine") is None


def test_progbar_averages(capsys: pytest.CaptureFixture[str]) -> None:
    bar = utils.Progbar(4, stateful_metrics=["rate"])
    bar.update(1, [("loss", 4.0), ("rate", 1.0)])
    bar.update(4, [("loss", 0.0), ("rate", 3.0)])
    assert bar.averages() == {"loss": 1.0, "rate": 3.0}
    shown = capsys.readouterr().out
    assert "4/4" in shown
    assert shown.endswith("loss: 1.0000 - rate: 3.0000\n")


def test_progbar_shows_last_values_of_all_but_the_averaged() -> None:
    bar = utils.Progbar(4, verbose=0, stateless_metrics=["loss"])
    bar.update(1, [("loss", 4.0), ("rate", 1.0)])
    bar.update(4, [("loss", [0.0, 2.0]), ("rate", np.array([3.0]))])
    assert bar.averages() == {"loss": 1.75, "rate": 3.0}
    with pytest.raises(ValueError, match="not both"):
        utils.Progbar(4, stateful_metrics=[], stateless_metrics=[])


def test_tensors_become_tensors() -> None:
    rows = utils.to_categorical(ops.array([[0], [2]]), 4)
    assert isinstance(rows, Tensor)
    np.testing.assert_array_equal(rows, np.eye(4, dtype="float32")[[0, 2]])
    with pytest.raises(ValueError, match="class 2 does not exist"):
        utils.to_categorical(ops.array([0, 2]), 2)
    vectors = ops.array([[3.0, 4.0], [0.0, 0.0]])
    for order in (1, 2, 3):
        scaled = utils.normalize(vectors, order=order)
        assert isinstance(scaled, Tensor)
        np.testing.assert_allclose(scaled, utils.normalize(np.asarray(vectors), order=order), rtol=1e-6)


def test_every_name_exists() -> None:
    for name in utils.__all__:
        assert getattr(utils, name) is not None
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        utils.nothing  # noqa: B018


# -- images ------------------------------------------------------------------------------------------------


@pytest.fixture
def pixels() -> np.ndarray:
    pytest.importorskip("PIL")
    return np.arange(4 * 6 * 3, dtype="float32").reshape(4, 6, 3)


def test_images_there_and_back(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    utils.save_img(path, pixels, scale=False)
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(path)), pixels)
    grey = utils.img_to_array(utils.load_img(path, color_mode="grayscale", target_size=(2, 3)))
    assert grey.shape == (2, 3, 1)
    first = utils.img_to_array(
        utils.array_to_img(pixels.transpose(2, 0, 1), "channels_first", scale=False), "channels_first"
    )
    np.testing.assert_array_equal(first, pixels.transpose(2, 0, 1))
    scaled = utils.img_to_array(utils.array_to_img(pixels))
    assert (scaled.min(), scaled.max()) == (0, 255)


def test_images_keep_their_shape(pixels: np.ndarray, tmp_path: Path) -> None:
    utils.save_img(tmp_path / "x.png", pixels, scale=False)
    cut = utils.load_img(tmp_path / "x.png", target_size=(4, 4), keep_aspect_ratio=True)
    np.testing.assert_array_equal(utils.img_to_array(cut), pixels[:, 1:5])
    np.testing.assert_allclose(image.smart_resize(pixels, (4, 4)), pixels[:, 1:5], atol=1e-5)
    assert image.smart_resize(pixels[None], (2, 2)).shape == (1, 2, 2, 3)


def test_wrong_images(pixels: np.ndarray, tmp_path: Path) -> None:
    utils.save_img(tmp_path / "x.jpg", np.concatenate([pixels, pixels[..., :1]], -1))
    for make, match in (
        (lambda: utils.array_to_img(np.zeros((2, 2))), r"shape \(2, 2\)"),
        (lambda: utils.array_to_img(np.zeros((2, 2, 2))), "1, 3 or 4 channels"),
        (lambda: utils.img_to_array(np.zeros(3)), "two or three axes"),
        (lambda: utils.load_img(tmp_path / "x.jpg", color_mode="cmyk"), "color_mode"),
        (lambda: utils.load_img(tmp_path / "x.jpg", interpolation="nearst"), "Did you mean 'nearest'"),
    ):
        with pytest.raises(ValueError, match=match):
            make()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=re.escape(install_command("image"))):
        utils.array_to_img(np.zeros((2, 2, 1)))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    model = hornbeam.Sequential([layers.Input((2,)), layers.Dense(1)])
    with pytest.raises(ImportError, match=re.escape(install_command("plot"))):
        utils.plot_model(model)


# -- plots -------------------------------------------------------------------------------------------------


def _model() -> Any:
    a, b = layers.Input((4,), name="left"), layers.Input((4,), name="right")
    shared = layers.Dense(3, activation="relu", name="shared")
    return hornbeam.Model([a, b], layers.Dense(1, name="out")(layers.Concatenate()([shared(a), shared(b)])))


def test_the_graph_of_a_model() -> None:
    dot = utils.model_to_dot(_model(), show_shapes=True, show_layer_names=True)
    assert dot.count("shared (Dense)") == 2
    assert dot.count("->") == 5
    assert r"output (None, 6)" in dot


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_a_plot_is_written(tmp_path: Path, rankdir: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "model.png"
    utils.plot_model(_model(), path, show_shapes=True, show_layer_activations=True, rankdir=rankdir, dpi=60)
    assert path.read_bytes()[:4] == b"\x89PNG"
    utils.plot_model(hornbeam.Sequential([layers.Input((2,)), layers.Dense(1)]), tmp_path / "s.svg")
    assert (tmp_path / "s.svg").stat().st_size > 500


def test_plots_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no graph of layers"):
        utils.plot_model(hornbeam.Sequential([layers.Dense(1)]))
    with pytest.raises(ValueError, match="rankdir"):
        utils.plot_model(_model(), rankdir="XY")
