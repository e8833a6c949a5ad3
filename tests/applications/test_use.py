"""Using architectures: inputs, files of weights, preprocessing, names of classes, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import applications
from hornbeam.applications import imagenet_utils
from hornbeam.errors import ModelFileError

# The smallest of them is built for most tests.
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")


def small(**options: Any) -> hb.Model:
    arguments = {"weights": None, "input_shape": (32, 32, 3), "classes": 5, "alpha": 0.35, **options}
    return applications.MobileNetV2(**arguments)


# -- inputs ------------------------------------------------------------------------------------------


def test_training_and_features() -> None:
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.evaluate(IMAGES, np.array([0, 1]), verbose=0)
    model.fit(IMAGES, np.array([0, 1]), epochs=3, verbose=0)
    assert np.isfinite(before)
    features = small(include_top=False, pooling="avg")
    assert features.predict(IMAGES, verbose=0).shape == (2, 1280)


def test_on_a_tensor_of_one_s_own() -> None:
    x = hb.Input((64, 48, 1), name="image")
    model = small(input_tensor=hb.layers.Conv2D(3, 1)(x), input_shape=None, include_top=False)
    assert model.input is x
    assert model.output_shape == (None, 2, 2, 1280)


def test_channels_first() -> None:
    hb.config.set_image_data_format("channels_first")
    try:
        model = applications.ResNet50(weights=None, input_shape=(3, 32, 32), classes=4)
    finally:
        hb.config.set_image_data_format("channels_last")
    assert model.get_layer("conv5_block3_out").output.shape == (None, 2048, 1, 1)


# -- weights -----------------------------------------------------------------------------------------


def old_file(model: hb.Model, path: Path) -> Path:
    """The model's weights as Keras 2 wrote them."""
    with h5py.File(path, "w") as store:
        store.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = store.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{layer.name}/{variable.name}:0" for variable in weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, weights, strict=True):
                group[name] = variable.numpy()
    return path


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_weights_from_a_file(ending: str, tmp_path: Path) -> None:
    model = small()
    path = tmp_path / f"w{ending}"
    if ending == ".h5":
        old_file(model, path)
    else:
        model.save_weights(path)
    again = small(weights=path)
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    with pytest.raises(ModelFileError, match="do not fit"):
        small(weights=path, classes=7)


def test_old_files_that_do_not_fit(tmp_path: Path) -> None:
    path = old_file(small(include_top=False), tmp_path / "bare.h5")
    with pytest.raises(ModelFileError, match="layers with weights, the model "):
        small().load_weights(path)
    (tmp_path / "torn.h5").write_bytes(b"torn")
    with pytest.raises(ModelFileError, match="not a readable HDF5 file"):
        small().load_weights(tmp_path / "torn.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as store:
        store["x"] = 1
    with pytest.raises(ModelFileError, match="lists no layers"):
        small().load_weights(tmp_path / "empty.h5")
    other = small(classes=7)
    kept = other.get_layer("predictions").get_weights()[0]
    with pytest.warns(UserWarning, match="left out by skip_mismatch=True: layer .predictions."):
        other.load_weights(old_file(small(), tmp_path / "full.h5"), skip_mismatch=True)
    np.testing.assert_array_equal(other.get_layer("predictions").get_weights()[0], kept)


def test_published_weights_come_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    model = applications.MobileNetV2(alpha=0.35, include_top=False, weights=None)
    (tmp_path / "models").mkdir()
    old_file(model, tmp_path / "models" / name)
    again = applications.MobileNetV2(alpha=0.35, include_top=False)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert capsys.readouterr().err == ""
    asked: list[tuple[str, str | None]] = []

    def fetch(name: str, origin: str, cache_subdir: str, file_hash: str | None) -> str:
        asked.append((origin.rsplit("/", 1)[1], file_hash))
        raise OSError("no network")

    monkeypatch.setattr("hornbeam.applications.building.get_file", fetch)
    with pytest.raises(OSError, match="no network"):
        applications.VGG16(include_top=False)
    assert asked == [
        ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc")
    ]
    assert capsys.readouterr().err == ""
    with pytest.raises(OSError, match="no network"):
        applications.MobileNet()
    assert asked[1] == ("mobilenet_1_0_224_tf.h5", None)
    said = "mobilenet_1_0_224_tf.h5 has no published checksum: its download cannot be verified\n"
    assert capsys.readouterr().err == said


def test_their_own_layers_are_known_to_files() -> None:
    for module, name, config in (
        ("convnext", "LayerScale", {"init_values": 0.5, "projection_dim": 3}),
        ("inception_resnet_v2", "CustomScaleLayer", {"scale": 0.17}),
    ):
        location = f"keras.src.applications.{module}"
        restored = hb.utils.deserialize_keras_object(
            {"module": location, "class_name": name, "config": config, "registered_name": name}
        )
        assert config.items() <= restored.get_config().items()


# -- images and classes ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocessing(mode: str) -> None:
    processed = imagenet_utils.preprocess_input(IMAGES, mode=mode)
    expected = {
        "caffe": IMAGES[..., ::-1] - np.float32([103.939, 116.779, 123.68]),
        "tf": IMAGES / 127.5 - 1,
        "torch": (IMAGES / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225]),
    }[mode]
    np.testing.assert_allclose(processed, expected, rtol=1e-5, atol=1e-4)
    first = imagenet_utils.preprocess_input(IMAGES[0].transpose(2, 0, 1), "channels_first", mode)
    np.testing.assert_allclose(first.transpose(1, 2, 0), processed[0], rtol=1e-5, atol=1e-5)
    integers = imagenet_utils.preprocess_input(IMAGES.astype("uint8"), mode=mode)
    assert integers.dtype == "float32"
    symbolic = imagenet_utils.preprocess_input(hb.Input((32, 32, 3)), mode=mode)
    assert symbolic.shape == (None, 32, 32, 3)


def test_names_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    predictions = np.zeros((1, 1000), "float32")
    predictions[0, [3, 7]] = 0.25, 0.75
    asked = []
    monkeypatch.setattr(imagenet_utils, "get_file", lambda *words, **options: asked.append((words, options)))
    with pytest.raises(FileNotFoundError):
        applications.resnet50.decode_predictions(predictions)
    ((name, origin), options) = asked.pop()
    assert origin.endswith(name)
    assert options["file_hash"] == "c2c37ea517e94d9795004a39431a14cb"
    (tmp_path / "models").mkdir()
    names = {str(i): [f"n{i:08d}", f"class {i}"] for i in range(1000)}
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(names))
    decoded = applications.resnet50.decode_predictions(predictions, top=2)
    assert not asked
    assert decoded == [[("n00000007", "class 7", 0.75), ("n00000003", "class 3", 0.25)]]
    with pytest.raises(ValueError, match="have shape"):
        applications.vgg16.decode_predictions(predictions[:, :10])


# -- mistakes ----------------------------------------------------------------------------------------


def test_mistakes() -> None:
    for text, options in [
        ("'nowhere.h5' does not exist", {"weights": "nowhere.h5"}),
        ("have 1000 classes", {"weights": "imagenet"}),
        ("pooling must be", {"pooling": "mean"}),
        ("must be a symbolic tensor", {"input_tensor": IMAGES}),
        ("at least 32 by 32", {"input_shape": (16, 32, 3)}),
        ("that of one image", {"input_shape": (None, 32, 32, 3)}),
        ("must be known", {"input_shape": (None, None, 3)}),
        ("images of 3 channels", {"weights": "imagenet", "classes": 1000, "input_shape": (96, 96, 1)}),
    ]:
        with pytest.raises(ValueError, match=text):
            small(**options)
    with pytest.raises(AttributeError, match=r"Did you mean '[Xx]ception'"):
        _ = applications.Xeption
