"""Pages that contain a model: what is in them, without a browser."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.runtime import FrozenModel
from tests.helpers.model_zoo import gpt, perceptron, resnet, sentiment, several_outputs, tutorial


def model_in(page: Path) -> FrozenModel:
    (packed,) = re.findall(r'id="model">([^<]*)<', page.read_text())
    return FrozenModel.from_bytes(gzip.decompress(base64.b64decode(packed)))


def exported(model: hb.Model, folder: Path, **options: Any) -> FrozenModel:
    model.export(folder / "m.html", format="web", verbose=False, **options)
    return model_in(folder / "m.html")


def test_augmentation_is_no_part_of_a_page(tmp_path: Path) -> None:
    model = hb.Sequential(
        [
            hb.Input((8, 8, 1)),
            layers.RandomFlip(),
            layers.Conv2D(2, 3),
            layers.Flatten(),
            layers.Dense(2, name="last"),
        ]
    )
    frozen = exported(model, tmp_path)
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    (name,) = (spec.name for spec in frozen.signatures["predict"].inputs)
    for _ in range(2):
        activations = frozen.run({name: x}, signature="layers")
        np.testing.assert_array_equal(activations["last"], model.predict(x, verbose=0))


def test_predictions_layers_and_metadata(tmp_path: Path) -> None:
    model, (x,) = tutorial()
    frozen = exported(model, tmp_path, labels=list("0123456789"), title="<Digits>")
    page = (tmp_path / "m.html").read_text()
    assert "<title>&lt;Digits&gt;</title>" in page
    assert frozen.metadata["labels"] == list("0123456789")
    (name,) = (spec.name for spec in frozen.signatures["predict"].inputs)
    assert frozen.metadata["kinds"][name]["kind"] == "image"
    (scores,) = frozen.run({name: x}).values()
    np.testing.assert_array_equal(scores, model.predict(x, verbose=0))
    activations = frozen.run({name: x}, signature="layers")
    shown = [layer for layer in model.layers if layer.weights or isinstance(layer, layers.MaxPooling2D)]
    assert list(activations) == [layer.name for layer in shown]
    np.testing.assert_allclose(activations[shown[0].name], shown[0](x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(activations[shown[-1].name], scores, rtol=1e-5, atol=1e-6)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    exported(perceptron()[0], tmp_path)
    page = (tmp_path / "m.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_the_class_activation_map(tmp_path: Path) -> None:
    model, (x,) = resnet()
    frozen = exported(model, tmp_path)
    (name,) = (spec.name for spec in frozen.signatures["predict"].inputs)
    (heat,) = frozen.run({name: x}, signature="grad_cam").values()
    last = [layer for layer in model.layers if len(layer.output.shape) == 4][-1]
    features = hb.Model(model.inputs, last.output)
    head = hb.models.Functional(last.output, model.outputs)
    for i, image in enumerate(x):
        maps = features(image[None])
        best = int(np.asarray(head(maps))[0].argmax())
        gradients = hb.grad(lambda a, best=best: ops.log(head(a))[0, best])(maps)
        weights = np.asarray(gradients).mean((0, 1, 2))
        expected = np.maximum((np.asarray(maps)[0] * weights).sum(-1), 0)
        np.testing.assert_allclose(heat[i], expected / max(expected.max(), 1e-30), rtol=1e-3, atol=1e-4)


def test_the_map_of_negative_scores(tmp_path: Path) -> None:
    hb.utils.set_random_seed(0)  # some weights give a map of zeros
    x = hb.Input((12, 12, 1))
    y = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(x))
    logits = hb.Model(x, layers.Dense(3, bias_initializer=hb.initializers.Constant(-100.0))(y))
    frozen = exported(logits, tmp_path)
    image = np.random.default_rng(0).normal(size=(2, 12, 12, 1)).astype("float32")
    (name,) = (spec.name for spec in frozen.signatures["predict"].inputs)
    assert (logits.predict(image, verbose=0) < 0).all()
    (heat,) = frozen.run({name: image}, signature="grad_cam").values()
    np.testing.assert_allclose(heat.max((1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "signatures"),
    [
        (tutorial, {"predict", "layers", "grad_cam"}),
        (perceptron, {"predict", "layers"}),
        (several_outputs, {"predict", "layers"}),
        (gpt, {"predict", "layers"}),
        (sentiment, {"predict", "layers"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signatures(make: Any, signatures: set[str], tmp_path: Path) -> None:
    model, inputs = make()
    frozen = exported(model, tmp_path)
    assert frozen.signatures.keys() == signatures
    names = [spec.name for spec in frozen.signatures["predict"].inputs]
    for signature in signatures:
        for value in frozen.run(dict(zip(names, inputs, strict=True)), signature=signature).values():
            assert np.isfinite(value).all()


def test_weights_are_in_the_page_once(tmp_path: Path) -> None:
    model, _ = tutorial()
    frozen = exported(model, tmp_path)
    assert sum(np.prod(w.shape) for w in frozen.weights) < 1.1 * model.count_params()


def test_refusals(tmp_path: Path) -> None:
    model, _ = perceptron()
    with pytest.raises(ValueError, match=r"'m.htm5' must end in \"\.html\""):
        model.export(tmp_path / "m.htm5", format="web")
    x = hb.Input((4,), dtype="float16")
    half = hb.Model(x, layers.Dense(2, dtype="float16")(x))
    with pytest.raises(ValueError, match="takes float16, which JavaScript lacks"):
        half.export(tmp_path / "m.html", format="web")
    assert not list(tmp_path.iterdir())
