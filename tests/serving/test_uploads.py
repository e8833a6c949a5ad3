"""Images and texts as the bodies of requests."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest

from hornbeam._internal.input_statistics import TRAINING_INPUTS, InputStatistics, to_config
from hornbeam.layers import TextVectorization
from hornbeam.serving.errors import RequestError
from hornbeam.serving.texts import word_numbers
from hornbeam.serving.uploads import parse
from hornbeam.web.kinds import input_kind
from tests.helpers.served_models import digits


def png(value: int, size: tuple[int, int] = (28, 28), mode: str = "L") -> bytes:
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image.new(mode, size, value if mode == "L" else (value, value, value)).save(stream, "PNG")
    return stream.getvalue()


def upload(client: httpx.Client, model: str, content: bytes, media: str) -> httpx.Response:
    return client.post(f"/models/{model}/upload", content=content, headers={"Content-Type": media})


@pytest.mark.parametrize(("size", "mode"), [((28, 28), "L"), ((100, 50), "RGB")])
def test_an_image_is_resized_and_scaled(client: httpx.Client, size: tuple[int, int], mode: str) -> None:
    answer = upload(client, "digits", png(204, size, mode), "image/png").json()
    assert answer["predictions"][0]["label"] == "bright"
    assert answer["predictions"][0]["probability"] == pytest.approx(0.8, abs=1e-3)
    assert len(answer["outputs"]["class"]) == 10


def ink(dark_on_white: bool) -> bytes:
    """A stroke on paper of 100 x 100 pixels."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.full((100, 100), 255 if dark_on_white else 0, np.uint8)
    pixels[30:70, 45:55] = 0 if dark_on_white else 255
    stream = io.BytesIO()
    image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_dark_ink_on_white_is_inverted_for_a_net_of_digits(client: httpx.Client) -> None:
    """As everybody has it, where MNIST is bright on black; the answer says so."""
    drawn = upload(client, "digits", ink(dark_on_white=False), "image/png").json()
    photo = upload(client, "digits", ink(dark_on_white=True), "image/png")
    assert "inverted" not in drawn
    assert photo.json()["inverted"].startswith("black and white were exchanged: the border of the image")
    assert photo.json()["predictions"] == drawn["predictions"]
    assert drawn["predictions"][0]["label"] == "dark"
    assert "x-hornbeam-warning" not in photo.headers


@pytest.mark.parametrize(
    ("border", "setting", "inverted"),
    [
        (0.0, {}, [True, False]),  # the training data were dark, bright, or of both kinds
        (1.0, {}, [False, True]),
        (None, {}, [False, False]),
        (0.0, {"border": None}, [False, False]),
        (None, {"border": "bright"}, [False, True]),
        (0.0, {"range": [1, 0]}, [False, True]),  # white is 0
    ],
)
def test_the_polarity_is_that_of_the_training_or_of_the_setting(
    border: float | None, setting: dict[str, object], inverted: list[bool]
) -> None:
    trained = InputStatistics(0.0, 1.0, 0.3, False, border)
    model = digits()
    about = {"image": {"kind": "image", **setting}}
    model.metadata = {TRAINING_INPUTS: to_config({"image": trained}), "preprocessing": about}
    for dark_on_white, expected in zip([True, False], inverted, strict=True):
        got = parse(ink(dark_on_white), b"image/png", model)
        assert got.inverted is expected
        brightness = 1 - got.inputs["image"] if setting.get("range") else got.inputs["image"]
        assert (brightness[0, 0, 0] == 1) == (dark_on_white != expected)


def test_a_text_becomes_the_numbers_of_its_words(client: httpx.Client) -> None:
    answer = upload(client, "words", "Good, BAD! grün".encode(), "text/plain; charset=utf-8")
    assert answer.json()["outputs"] == {"sum": [2 + 3 + 1]}


def test_a_sigmoid_tells_two_classes_apart(client: httpx.Client) -> None:
    predictions = upload(client, "positive", b"good", "text/plain").json()["predictions"]
    assert predictions == [{"label": "good", "probability": 1}, {"label": "bad", "probability": 0}]


@pytest.mark.parametrize(
    ("model", "content", "media", "status", "sentence"),
    [
        ("scaled", b"", "image/png", 415, "neither one image nor one text"),
        ("digits", b"hello", "text/plain", 415, "an image is expected"),
        ("digits", b"hello", "image/png", 415, "no image of PNG"),
        ("digits", b"", "image/png", 415, "no image of PNG"),
        ("words", b"\xff", "text/plain", 400, "not UTF-8"),
        ("words", b"good", "application/json", 415, "a text is expected"),
    ],
)
def test_wrong_uploads_are_refused(
    client: httpx.Client, model: str, content: bytes, media: str, status: int, sentence: str
) -> None:
    answer = upload(client, model, content, media)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_a_truncated_image_and_one_with_too_many_pixels_are_refused(client: httpx.Client) -> None:
    assert upload(client, "digits", png(9, (300, 300))[:120], "image/png").status_code == 415
    answer = upload(client, "digits", png(9, (8000, 8000)), "image/png")
    assert answer.status_code == 413
    assert "pixels" in answer.json()["error"]


TEXTS = ["", "  ", "a b", "A-b, C!\tb\n", "été Été É", "b" * 50, "a\u00a0b c", "a_b b's"]


@pytest.mark.parametrize("standardize", ["lower_and_strip_punctuation", "lower", "strip_punctuation", None])
@pytest.mark.parametrize("split", ["whitespace", "character", None])
def test_words_are_those_of_the_layer(standardize: str | None, split: str | None) -> None:
    vocabulary = ["a", "b", "c", "été", "ab", "É"]
    layer = TextVectorization(
        standardize=standardize,
        split=split,
        output_sequence_length=6,
        vocabulary=vocabulary,
    )
    kind = {"vocabulary": layer.get_vocabulary(), "standardize": standardize, "split": split}
    for text in TEXTS:
        expected = np.asarray(layer(np.array([text]))).reshape(-1).tolist()
        assert word_numbers(text, kind, len(expected)) == expected, text


def test_standardization_of_the_user_is_refused() -> None:
    with pytest.raises(RequestError, match="not standardized"):
        word_numbers("a", {"vocabulary": ["", "[UNK]"], "standardize": "own"}, 3)


@pytest.mark.parametrize(
    ("dtype", "shape", "metadata", "expected"),
    [
        ("float32", (None, 28, 28), {}, ("image", "no_channels")),
        ("float32", (None, 28, 28, 1), {}, ("image", "channels_last")),
        ("uint8", (None, None, None, 3), {}, ("image", "channels_last")),
        ("float32", (None, 3, 32, 32), {}, ("image", "channels_first")),
        ("float32", (None, 784), {}, ("image", "flat")),
        ("float32", (None, 100, 1), {}, ("tensor", None)),
        ("float32", (None, 4), {}, ("table", None)),
        ("float32", (None, 500), {}, ("tensor", None)),
        ("string", (None, 1), {}, ("text", None)),
        ("int64", (None, 80), {"vocabulary": ["", "[UNK]"]}, ("text", None)),
        ("float32", (None, 28, 28), {"kind": "tensor"}, ("tensor", None)),
    ],
)
def test_kinds(
    dtype: str, shape: tuple[int | None, ...], metadata: dict[str, object], expected: tuple[str, str | None]
) -> None:
    kind = input_kind(dtype, shape, metadata)
    assert (kind["kind"], kind.get("layout")) == expected
