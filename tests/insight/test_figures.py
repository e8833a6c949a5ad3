"""Figures: their numbers against cases computed by hand, their files, and their text without Matplotlib."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import engines, insight, layers
from hornbeam._internal.extras import install_command
from hornbeam.insight.figures.curves import directions
from hornbeam.random import random_state
from hornbeam.visualization.panels import ImagePanel, Marker
from hornbeam.visualization.terminal import downsample
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(7)


def linear(activation: Any = None) -> tuple[Any, np.ndarray]:
    """Scores of 3 classes that are sums over an image of 4×5, and the weights."""
    model = hb.Sequential(
        [hb.Input((4, 5, 2)), layers.Flatten(), layers.Dense(3, activation=activation, name="out")]
    )
    kernel = RNG.normal(size=(40, 3)).astype("float32")
    model.get_layer("out").set_weights([kernel, np.array([0.1, -0.2, 0.3], "float32")])
    return model, kernel


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
@pytest.mark.parametrize("engine", ["native", "reference", "jax"])
def test_saliency_of_a_linear_model(activation: Any, engine: str) -> None:
    if engine == "jax":
        pytest.importorskip("jax")
    model, kernel = linear(activation)
    x = RNG.normal(size=(2, 4, 5, 2)).astype("float32")
    with engines.using(engine):
        result = insight.saliency(model, x, target=[2, 0])
    # The gradient of a score is its weights, whatever the softmax computes from it.
    for gradients, target in zip(result.data, (2, 0), strict=True):
        np.testing.assert_allclose(gradients, kernel[:, target].reshape(4, 5, 2), rtol=1e-5)
    heat = result.panels[0].overlay
    np.testing.assert_allclose(heat, np.abs(kernel[:, 2]).reshape(4, 5, 2).max(-1), rtol=1e-5)
    assert "class 2: strongest at" in result.alt


def test_the_likeliest_class_is_asked_for() -> None:
    model, _ = linear("softmax")
    x = RNG.normal(size=(5, 4, 5, 2)).astype("float32")
    best = model.predict(x, verbose=0).argmax(-1)
    assert [panel.title for panel in insight.saliency(model, x).panels] == [f"class {k}" for k in best]
    one = insight.saliency(model, x[0])  # a sample without the batch axis
    assert one.data.shape == (1, 4, 5, 2)
    with pytest.raises(ValueError, match=r"0 \.\.\. 2"):
        insight.saliency(model, x, target=3)


def camera() -> tuple[Any, np.ndarray, np.ndarray]:
    """A convolution by 1×1, the mean of its places, scores; and the weights of the two."""
    model = hb.Sequential(
        [
            hb.Input((3, 4, 2)),
            layers.Conv2D(3, 1, use_bias=False, name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", name="out"),
        ]
    )
    mix, out = RNG.normal(size=(2, 3)).astype("float32"), RNG.normal(size=(3, 2)).astype("float32")
    model.get_layer("conv").set_weights([mix[None, None]])
    model.get_layer("out").set_weights([out, np.zeros(2, "float32")])
    return model, mix, out


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_grad_cam_by_hand(engine: str) -> None:
    model, mix, out = camera()
    x = RNG.normal(size=(2, 3, 4, 2)).astype("float32")
    with engines.using(engine):
        result = insight.grad_cam(model, x, target=1)
    maps = x @ mix
    # d score / d A_k is out_k / (3 * 4) at each place, and so is its mean.
    by_hand = np.maximum((maps * out[:, 1] / 12).sum(-1), 0)
    np.testing.assert_allclose(result.data["maps"], by_hand, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.data["enlarged"], by_hand, rtol=1e-4, atol=1e-6)
    assert result.data["layer"] == "conv"
    with pytest.raises(ValueError, match="Grad-CAM needs"):
        insight.grad_cam(model, x, layer="out")
    with pytest.raises(ValueError, match=r"no layer 'konv'. Did you mean 'conv'"):
        insight.grad_cam(model, x, layer="konv")


def test_grad_cam_is_enlarged_and_finds_the_last_places() -> None:
    i = hb.Input((8, 8, 1))
    h = layers.Conv2D(2, 3, padding="same", activation="relu", name="near")(i)
    h = layers.MaxPooling2D(2, name="far")(h)
    model = hb.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D()(h)))
    result = insight.grad_cam(model, RNG.normal(size=(1, 8, 8, 1)).astype("float32"))
    assert result.data["layer"] == "far"
    assert result.data["maps"].shape == (1, 4, 4)
    assert result.data["enlarged"].shape == (1, 8, 8)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (2, 2), (3, 1), (3, 2), (4, 4)])
def test_occlusion_by_hand(size: int, stride: Any) -> None:
    model, kernel = linear("softmax")
    x = RNG.normal(size=(2, 4, 5, 2)).astype("float32")
    result = insight.occlusion(model, x, target=1, size=size, stride=stride, value=0.5, batch_size=3)
    weights = kernel[:, 1].reshape(4, 5, 2)
    step = stride or max(size // 2, 1)
    tops = sorted({*range(0, 4 - size + 1, step), 4 - size})
    lefts = sorted({*range(0, 5 - size + 1, step), 5 - size})
    for image, falls in zip(x, result.data, strict=True):
        lost = ((image - 0.5) * weights).sum(-1)
        total, count = np.zeros((4, 5)), np.zeros((4, 5))
        for top in tops:
            for left in lefts:
                square = (slice(top, top + size), slice(left, left + size))
                total[square] += lost[square].sum()
                count[square] += 1
        assert count.min() >= 1 or step > size
        np.testing.assert_allclose(falls, total / np.maximum(count, 1), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="larger than the image"):
        insight.occlusion(model, x, size=5)


def test_images_with_channels_first() -> None:
    model, kernel = linear()
    first = hb.Sequential([hb.Input((2, 4, 5)), layers.Permute((2, 3, 1)), *model.layers])
    x = RNG.normal(size=(1, 2, 4, 5)).astype("float32")
    before = hb.config.image_data_format()
    expected = insight.occlusion(model, x.transpose(0, 2, 3, 1), target=0, size=2)
    hb.config.set_image_data_format("channels_first")
    try:
        actual = insight.occlusion(first, x, target=0, size=2)
        heat = insight.saliency(first, x, target=0).panels[0].overlay
    finally:
        hb.config.set_image_data_format(before)
    np.testing.assert_allclose(actual.data, expected.data, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(heat, np.abs(kernel[:, 0]).reshape(4, 5, 2).max(-1), rtol=1e-5)


# -- inside ------------------------------------------------------------------------------------------------


def test_activations_everywhere() -> None:
    i = hb.Input((4,))
    inner = hb.Model(i, layers.Dense(3, activation="relu", name="deep")(i), name="inner")
    j = hb.Input((4,))
    model = hb.Model(j, layers.Dense(2, name="out")(inner(j)))
    x = RNG.normal(size=(5, 4)).astype("float32")
    kernel, bias = inner.get_layer("deep").get_weights()
    np.testing.assert_allclose(
        insight.activations(model, x, "deep"), np.maximum(x @ kernel + bias, 0), rtol=1e-5
    )
    np.testing.assert_allclose(insight.activations(model, x, "out"), model.predict(x, verbose=0), rtol=1e-5)

    class Own(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = layers.Dense(3, name="used"), layers.Dense(3, name="unused")

        def call(self, x: Any) -> Any:
            return self.used(x)

    own = Own()
    expected = np.asarray(own(x))
    np.testing.assert_allclose(insight.activations(own, x, "used"), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="does not run"):
        insight.activations(own, x, "unused")


def test_activations_as_images() -> None:
    model, mix, _ = camera()
    x = RNG.normal(size=(3, 4, 2)).astype("float32")
    result = insight.plot_activations(model, x, "conv", limit=2)
    np.testing.assert_allclose(result.data, x @ mix, rtol=1e-5)
    assert [panel.title for panel in result.panels] == ["channel 0", "channel 1"]
    np.testing.assert_allclose(result.panels[1].values, (x @ mix)[..., 1], rtol=1e-5)
    assert len(insight.plot_activations(model, x, "out").panels) == 1
    assert "0 channels are 0 throughout" in result.alt


def test_filters() -> None:
    model, mix, _ = camera()
    result = insight.plot_filters(model)
    np.testing.assert_array_equal(result.data, mix.T[:, None, None, :])
    assert len(result.panels) == 6
    colours = hb.Sequential(
        [hb.Input((8, 8, 3)), layers.Conv2D(5, 3, name="rgb"), layers.Conv2D(2, 3, name="two")]
    )
    result = insight.plot_filters(colours)
    kernel = colours.get_layer("rgb").get_weights()[0]
    top = np.abs(kernel).max()
    np.testing.assert_allclose(result.panels[4].values, 0.5 + kernel[..., 4] / (2 * top), rtol=1e-6)
    assert len(insight.plot_filters(colours, "two", limit=7).panels) == 7
    digits = hb.Sequential([hb.Input((28, 28)), layers.Flatten(), layers.Dense(10, name="digits")])
    result = insight.plot_filters(digits)
    kernel = digits.get_layer("digits").get_weights()[0]
    np.testing.assert_array_equal(result.data[3, ..., 0], kernel[:, 3].reshape(28, 28))
    depth = hb.Sequential([hb.Input((8, 8, 4)), layers.DepthwiseConv2D(3), layers.Conv2DTranspose(2, 3)])
    assert insight.plot_filters(depth).data.shape == (4, 3, 3, 1)
    assert insight.plot_filters(depth, depth.layers[1].name).data.shape == (2, 3, 3, 4)
    with pytest.raises(ValueError, match="choose a convolution"):
        insight.plot_filters(digits, digits.layers[0])
    with pytest.raises(ValueError, match="no layer with filters"):
        insight.plot_filters(hb.Sequential([hb.Input((3,)), layers.Dense(2)]))


# -- curves, points, tables --------------------------------------------------------------------------------


def test_history() -> None:
    logs = {"loss": [2.0, 1.0, 0.5], "val_loss": [1.5, 0.9, 1.1], "accuracy": [0.1, 0.5, 0.9]}
    result = insight.plot_history(logs)
    assert [panel.title for panel in result.panels] == ["loss", "accuracy"]
    assert result.panels[0].marker == Marker("validation", 1, "lowest, epoch 2")
    assert list(result.panels[1].lines) == ["training"]
    model = compiled_model((2,), [layers.Dense(1)], "sgd", "mse")
    history = model.fit(np.ones((20, 2)), np.ones((20, 1)), epochs=3, verbose=0)
    assert insight.plot_history(history).data == insight.plot_history(model).data == history.history
    with pytest.raises(ValueError, match="no epochs"):
        insight.plot_history({})


def test_principal_components_against_svd() -> None:
    values = RNG.normal(size=(60, 7)).astype("float32") * np.arange(1, 8, dtype="float32")
    places, shares = insight.principal_components(values, 3)
    centred = (values - values.mean(0)).astype(float)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(left[:, :3] * lengths[:3]), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(shares, lengths[:3] ** 2 / (lengths**2).sum(), rtol=1e-4)
    again, _ = insight.principal_components(values[::-1], 3)
    np.testing.assert_allclose(again[::-1], places, rtol=1e-3, atol=1e-3)
    figure = insight.plot_embeddings(values, np.arange(60) % 3, names=("a", "b", "c"))
    np.testing.assert_allclose(figure.data["points"], places[:, :2], rtol=1e-3, atol=1e-3)
    assert "3 groups" in figure.alt
    assert "0 a  1 b  2 c" in figure.text
    assert insight.plot_embeddings(np.arange(5.0)[:, None]).data["points"].shape == (5, 2)
    with pytest.raises(ValueError, match="got 3 for 60 samples"):
        insight.plot_embeddings(values, [1, 2, 3])


def test_confusion() -> None:
    table = insight.plot_confusion([0, 1, 2, 2, 1], [0, 2, 2, 2, 2], names=("cat", "dog", "eel", "fox")).data
    np.testing.assert_array_equal(table, [[1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 2, 0], [0, 0, 0, 0]])
    scores = np.eye(3)[[0, 2, 1]]
    figure = insight.plot_confusion(np.eye(3)[[0, 1, 1]], scores)
    assert figure.data.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert "2 right (66.7%); most often 1 taken for 2, 1 times" in figure.alt
    assert insight.plot_confusion([0, 1, 1], [0.2, 0.7, 0.4]).data.tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match="got 3 and 2"):
        insight.plot_confusion([0, 1, 1], [0, 1])


def test_loss_landscape_by_hand_and_everything_as_it_was() -> None:
    model = compiled_model(
        (3,), [layers.Dropout(0.5), layers.Dense(2, name="d")], "adam", "mse", metrics=["mae"]
    )
    x, y = RNG.normal(size=(50, 3)).astype("float32"), RNG.normal(size=(50, 2)).astype("float32")
    model.fit(x, y, verbose=0)
    kernel, bias = model.get_weights()
    (way, flat) = directions([kernel, bias], np.random.default_rng(5))
    np.testing.assert_allclose(np.linalg.norm(way, axis=0), np.linalg.norm(kernel, axis=0), rtol=1e-6)
    assert not flat.any()
    before, state = [np.array(v) for v in model.variables], random_state()["hornbeam"]
    metrics = [np.array(v) for v in model.metrics_variables]
    result = insight.loss_landscape(model, x, y, points=5, span=0.5, seed=5, batch_size=16)
    for step, loss in zip(result.data["steps"], result.data["losses"], strict=True):
        assert loss == pytest.approx(((x @ (kernel + step * way) + bias - y) ** 2).mean(), rel=1e-4)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    for old, new in zip(metrics, model.metrics_variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    np.testing.assert_array_equal(state, random_state()["hornbeam"])
    plane = insight.loss_landscape(model, x, y, points=3, dimensions=2, span=0.5, seed=5)
    assert plane.data["losses"].shape == (3, 3)
    assert plane.data["losses"][1, 1] == pytest.approx(result.data["losses"][2], rel=1e-5)
    assert plane.data["losses"][2, 1] == pytest.approx(result.data["losses"][4], rel=1e-4)
    with pytest.raises(ValueError, match="1 or 2"):
        insight.loss_landscape(model, x, y, dimensions=3)


# -- files and text ----------------------------------------------------------------------------------------


def figures() -> list[Any]:
    model, _, _ = camera()
    x = RNG.normal(size=(2, 3, 4, 2)).astype("float32")
    return [
        insight.plot_history({"loss": [1.0, 0.5], "val_loss": [1.0, 0.7]}),
        insight.plot_filters(model),
        insight.plot_activations(model, x, "conv"),
        insight.saliency(model, x),
        insight.grad_cam(model, x),
        insight.occlusion(model, x, size=2),
        insight.plot_embeddings(RNG.normal(size=(30, 4)), np.arange(30) % 12),
        insight.plot_confusion([0, 1, 1], [0, 1, 0]),
    ]


def test_files_and_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    for number, figure in enumerate(figures()):
        figure.save(tmp_path / f"{number}.svg")
        text = (tmp_path / f"{number}.svg").read_text()
        assert f"<dc:title>{figure.title}" in text
        assert figure.save(tmp_path / f"{number}.png", dpi=50) is figure
        with Image.open(tmp_path / f"{number}.png") as image:
            assert image.info["Description"] == figure.alt
        drawn = [axes for axes in figure.to_matplotlib().axes if axes.get_label() != "<colorbar>"]
        assert len(drawn) == len(figure.panels)
        html = figure._repr_html_()
        assert "<svg" in html or '<img src="data:image/png;base64,' in html or 'class="confusion"' in html
        assert 'class="hornbeam"' in html
        assert len(figure.alt) > 30
    path = tmp_path / "history.png"
    insight.plot_history({"loss": [1.0, 0.5]}, path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_images_are_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = insight.plot_embeddings(np.arange(40.0).reshape(10, 4) ** 2, np.arange(10) % 2)
    files = [figure.save(tmp_path / name) and (tmp_path / name).read_bytes() for name in ("a.png", "b.png")]
    assert files[0] == files[1]


def test_blocks() -> None:
    from hornbeam.visualization.figure import Figure
    from hornbeam.visualization.panels import LinePanel

    step = Figure("step", "a step", [ImagePanel(np.array([[0.0, 1.0], [0.5, 0.25]]))])
    assert step.text == "step\n\n  ██\n▒▒░░"
    np.testing.assert_array_equal(downsample(np.arange(16.0).reshape(4, 4), 2), [[2.5, 4.5], [10.5, 12.5]])
    assert downsample(np.ones((5, 7)), 3).shape == (2, 3)
    line = Figure("line", "a line", [LinePanel({"y": (np.arange(8), np.arange(8.0))})])
    assert "▁▂▃▄▅▆▇█" in line.text
    for figure in figures():
        assert max(map(len, figure.text.splitlines())) <= 110
        assert str(figure) == figure.text == repr(figure)


def test_matplotlib_is_imported_when_it_draws_and_named_when_it_is_missing() -> None:
    code = """
import sys, json
import numpy as np
import hornbeam as hb
from hornbeam import insight, layers
m = hb.Sequential([hb.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
m.compile("sgd", "sparse_categorical_crossentropy")
texts = [str(m.explain()), str(m.explain_training(samples=10)), str(insight.plot_filters(m))]
texts.append(str(insight.grad_cam(m, np.ones((1, 6, 6, 1), "float32"))))
texts.append(str(insight.plot_history({"loss": [1.0]})))
loaded = [name for name in ("matplotlib", "PIL", "pandas") if name in sys.modules]
sys.modules["matplotlib"] = sys.modules["matplotlib.figure"] = None
try:
    insight.plot_history({"loss": [1.0]}, path="never.png")
    message = ""
except ImportError as error:
    message = str(error)
print(json.dumps([loaded, message, [len(text) for text in texts]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, message, lengths = json.loads(done.stdout)
    assert loaded == []
    assert install_command("plot") in message
    assert min(lengths) > 10
