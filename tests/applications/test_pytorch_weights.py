"""Weights of PyTorch: the names of torchvision's and timm's models, the same outputs, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import applications
from hornbeam.applications import building
from hornbeam.applications.pytorch import PyTorchVersion
from hornbeam.errors import ModelFileError
from hornbeam.layers.context import shapes_only
from tests.helpers import pytorch_bytes, pytorch_models
from tests.helpers.pytorch_models import MODELS, arrays_of, checksum

# Count and checksum of the names and shapes in torchvision's and timm's models.
EXPECTED = json.loads((Path(__file__).parent / "pytorch.json").read_text())
# The others take seconds, and those of their kind are among these.
QUICK = ("MobileNetV2", "MobileNetV3Small", "ResNet50", "VGG16")
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (2, 64, 64, 3)).astype("float32")


def cases() -> list[Any]:
    return [pytest.param(x, marks=[] if x in QUICK else [pytest.mark.slow]) for x in MODELS]


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.write_bytes(pytorch_bytes.archive(*pytorch_bytes.state_dict(arrays)))
    return path


def recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str = "torchvision", **options: Any
) -> tuple[hb.Model, PyTorchVersion]:
    """The model that weights of PyTorch would be loaded into, and its version."""
    path = tmp_path / "empty.pth"
    path.touch()
    versions: list[PyTorchVersion] = []
    with monkeypatch.context() as patch:
        patch.setattr(building, "pytorch_arrays", lambda path: {})
        patch.setattr(building, "best_version", lambda arrays, versions: named(library, versions))
        patch.setattr(building, "load_pytorch", lambda model, arrays, version, path: versions.append(version))
        model = getattr(applications, name)(weights=path, **options)
    return model, versions[0]


def named(library: str, versions: Sequence[PyTorchVersion]) -> PyTorchVersion:
    """The version of a library; where only torchvision is known, timm has its names."""
    return next((x for x in versions if x.source.startswith(library)), versions[0])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, hb.Model]:
    """A file of MobileNetV3Small, and the model with its weights."""
    hb.utils.set_random_seed(1)
    model, version = recorded("MobileNetV3Small", tmp_path, monkeypatch, classes=7)
    for layer in model.layers:
        if isinstance(layer, hb.layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return write(tmp_path / "small.pth", arrays_of(model, version)), model


# -- names and values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", cases())
def test_names_and_shapes(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, library, *_ = MODELS[key]
    with shapes_only():
        model, version = recorded(name, tmp_path, monkeypatch, library)
        arrays = pytorch_models.shapes_of(model, version)
    assert [len(arrays), checksum(arrays.items())] == EXPECTED[key]


@pytest.mark.parametrize("key", MODELS)
def test_the_recorded_names_are_those_of_the_library(key: str) -> None:
    torch = pytest.importorskip("torch")
    _, library, function, _ = MODELS[key]
    pytest.importorskip(library)
    with torch.device("meta"):
        arrays = pytorch_models.create(library, function).state_dict()
    used = {x: tuple(value.shape) for x, value in arrays.items() if not pytorch_models.is_unused(x)}
    assert [len(used), checksum(used.items())] == EXPECTED[key]


@pytest.mark.parametrize("key", cases())
def test_the_same_outputs(key: str, tmp_path: Path) -> None:
    """With random weights and statistics, at the size of its images."""
    torch = pytest.importorskip("torch")
    name, library, function, side = MODELS[key]
    pytest.importorskip(library)
    model = pytorch_models.randomized(library, function)
    path = tmp_path / "weights.pth"
    torch.save(model.state_dict(), path)
    images = RNG.uniform(0, 255, (2, side, side, 3)).astype("float32")
    mean, deviation = pytorch_models.normalization(library, function)
    inputs = ((images / 255 - mean) / deviation).transpose(0, 3, 1, 2).astype("float32")
    with torch.no_grad():
        expected = model(torch.from_numpy(np.ascontiguousarray(inputs))).numpy()
    outputs = getattr(applications, name)(weights=path, classifier_activation=None).predict(images, verbose=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(outputs / scale, expected / scale, atol=1e-5)


def test_a_file_without_a_library(small: tuple[Path, hb.Model]) -> None:
    path, model = small
    again = applications.MobileNetV3Small(weights=path, classes=7)
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_images_are_normalized_by_the_model(small: tuple[Path, hb.Model]) -> None:
    path, model = small
    bare = applications.MobileNetV3Small(weights=path, classes=7, include_preprocessing=False)
    images = applications.imagenet_utils.preprocess_input(IMAGES, mode="torch")
    assert "normalization" not in {layer.name for layer in bare.layers}
    np.testing.assert_allclose(
        bare.predict(images, verbose=0), model.predict(IMAGES, verbose=0), rtol=1e-3, atol=1e-6
    )


def test_the_saved_model_is_the_same(small: tuple[Path, hb.Model], tmp_path: Path) -> None:
    path, model = small
    applications.MobileNetV3Small(weights=path, classes=7).save(tmp_path / "m.keras")
    again = hb.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_without_the_classifier(small: tuple[Path, hb.Model]) -> None:
    path, model = small
    features = applications.MobileNetV3Small(weights=path, include_top=False, pooling="avg")
    kernel = model.get_layer("expanded_conv_3_project").get_weights()[0]
    np.testing.assert_array_equal(features.get_layer("expanded_conv_3_project").get_weights()[0], kernel)
    assert features.output_shape == (None, 576)


def test_names_of_data_parallel(small: tuple[Path, hb.Model], tmp_path: Path) -> None:
    path, model = small
    arrays = {f"module.{name}": array for name, array in hb.saving.load_arrays(path).items()}
    counts = {"module.features.0.1.num_batches_tracked": np.array(7)}
    again = applications.MobileNetV3Small(weights=write(tmp_path / "p.pth", arrays | counts), classes=7)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_safetensors_of_either(small: tuple[Path, hb.Model], tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    path, model = small
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    numpy.save_file({k: np.ascontiguousarray(x) for k, x in hb.saving.load_arrays(path).items()}, theirs)
    again = applications.MobileNetV3Small(weights=theirs, classes=7)
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    keras = applications.MobileNetV3Small(weights=None, classes=7)
    keras.save_weights(ours)
    again = applications.MobileNetV3Small(weights=ours, classes=7)
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), keras.predict(IMAGES, verbose=0))


def test_old_names_of_densenet(tmp_path: Path) -> None:
    arrays = {"features.denseblock1.denselayer1.norm.1.weight": np.ones(2, "float32")}
    read = building.pytorch_arrays(write(tmp_path / "x.pth", arrays))
    assert read is not None
    assert list(read) == ["features.denseblock1.denselayer1.norm1.weight"]


# -- mistakes ------------------------------------------------------------------------------------------------


def test_another_architecture(small: tuple[Path, hb.Model]) -> None:
    path, _ = small
    with pytest.raises(ModelFileError, match=r"small\.pth' is not of torchvision's mobilenet_v2: it has .*"):
        applications.MobileNetV2(weights=path)


def test_other_classes(small: tuple[Path, hb.Model]) -> None:
    with pytest.raises(ModelFileError, match=r"classifier\.3\.weight: the file has shape \(7, 1024\)"):
        applications.MobileNetV3Small(weights=small[0])


def test_a_missing_array(small: tuple[Path, hb.Model], tmp_path: Path) -> None:
    arrays = hb.saving.load_arrays(small[0])
    del arrays["features.3.block.0.0.weight"]
    with pytest.raises(ModelFileError, match=r"features\.3\.block\.0\.0\.weight: missing in the file"):
        applications.MobileNetV3Small(weights=write(tmp_path / "x.pth", arrays), classes=7)


def test_an_array_too_many(small: tuple[Path, hb.Model], tmp_path: Path) -> None:
    arrays = {**hb.saving.load_arrays(small[0]), "features.99.weight": np.ones(3, "float32")}
    with pytest.raises(ModelFileError, match=r"features\.99\.weight: no weight of the model uses it"):
        applications.MobileNetV3Small(weights=write(tmp_path / "x.pth", arrays), classes=7)


def test_architectures_without_names(small: tuple[Path, hb.Model]) -> None:
    for options in ({"alpha": 0.75}, {"minimalistic": True}):
        with pytest.raises(ValueError, match="no names of PyTorch's layers are known for 'MobileNetV3Small'"):
            applications.MobileNetV3Small(weights=small[0], classes=7, **options)
    with pytest.raises(ValueError, match="no names of PyTorch's layers are known"):
        applications.ResNet50V2(weights=small[0])


def test_gray_images(small: tuple[Path, hb.Model]) -> None:
    with pytest.raises(ValueError, match="images of 3 channels, got 1"):
        applications.MobileNetV3Small(weights=small[0], input_shape=(64, 64, 1), classes=7)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    body = pytorch_bytes.called(pytorch_bytes.name("posix", "system"), pytorch_bytes.pushed("true"))
    path = tmp_path / "x.pth"
    path.write_bytes(pytorch_bytes.archive(pytorch_bytes.pickle(body), {}))
    with pytest.raises(ModelFileError, match=r"posix\.system: code is never run"):
        applications.ResNet50(weights=path)
