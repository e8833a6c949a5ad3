"""Plain uploads: the bytes of an image, or a text, as the body of a request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from hornbeam._internal.extras import install_command
from hornbeam._internal.input_statistics import TRAINING_INPUTS, InputStatistics, from_config
from hornbeam.serving import tensors
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import (
    DEFAULT_SIGNATURE,
    RunnableModel,
    TensorSpec,
    input_metadata,
    labels,
)
from hornbeam.serving.texts import word_numbers
from hornbeam.web.kinds import input_kind

# An image is refused by the size in its header, before it is decoded.
_MAX_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
# Largest size of an image for a model that takes any.
_MAX_SIDE = 1024
_TOP = 5
_INVERTED = (
    "black and white were exchanged: the border of the image differs from those of the training. "
    '"border": null in the preprocessing of the model\'s file turns this off'
)


def kind_of(model: RunnableModel, spec: TensorSpec) -> dict[str, Any]:
    """Return the kind of an input, and what is known about it."""
    trained = from_config(model.metadata.get(TRAINING_INPUTS))
    return input_kind(spec.dtype, spec.shape, input_metadata(model, spec.name), trained.get(spec.name))


def upload_spec(model: RunnableModel) -> tuple[TensorSpec, dict[str, Any]] | None:
    """Return the input that an upload is for, and its kind, or None if the model takes no uploads."""
    inputs = model.signatures[DEFAULT_SIGNATURE].inputs
    kind = kind_of(model, inputs[0]) if len(inputs) == 1 else {}
    return (inputs[0], kind) if kind.get("kind") in ("image", "text") else None


@dataclass(frozen=True)
class Upload:
    """Input of a model, and whether it is the negative of the image that came."""

    inputs: dict[str, np.ndarray]
    inverted: bool = False


def parse(body: bytes, content_type: bytes, model: RunnableModel) -> Upload:
    """Convert an uploaded image or text to the model's input."""
    target = upload_spec(model)
    if target is None:
        raise RequestError(415, "the model takes neither one image nor one text: send tensors to infer")
    spec, kind = target
    media = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    if kind["kind"] == "image":
        if not media.startswith("image/") and media != "application/octet-stream":
            raise RequestError(
                415, f"an image is expected, as image/png for example; Content-Type is {media!r}"
            )
        pixels, inverted = _like_training(_pixels(body, kind), kind)
        return Upload({spec.name: _values(pixels, spec, kind)[None]}, inverted)
    if media != "text/plain":
        raise RequestError(415, f"a text is expected, as text/plain; Content-Type is {media!r}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the text is not UTF-8: {error}") from None
    return Upload({spec.name: _text(text, spec, kind)[None]})


def render(model: RunnableModel, results: Mapping[str, np.ndarray], upload: Upload) -> bytes:
    """Return the outputs of one sample, the most probable classes, and what was done to the image."""
    answer: dict[str, Any] = {"outputs": {name: tensors.to_json(array[0]) for name, array in results.items()}}
    if upload.inverted:
        answer["inverted"] = _INVERTED
    first = next(iter(results.values()))[0]
    names = labels(model)
    if names and len(names) == 2 and first.shape == (1,):  # a sigmoid's score is that of the second class
        first = np.concatenate([1 - first, first])
    if first.ndim == 1 and len(first) > 1 and first.min() >= 0 and abs(first.sum() - 1) < 1e-3:
        answer["predictions"] = [
            {"label": names[i] if names and i < len(names) else str(i), "probability": float(first[i])}
            for i in np.argsort(-first, kind="stable")[:_TOP].tolist()
        ]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _text(text: str, spec: TensorSpec, kind: Mapping[str, Any]) -> np.ndarray:
    if spec.dtype == "string":
        array = np.empty([size or 1 for size in spec.shape[1:]], object)
        if array.size != 1:
            raise RequestError(415, f"the model takes {array.size} strings for a sample: send them to infer")
        array[...] = text
        return array
    if "vocabulary" not in kind:
        raise RequestError(415, "the model's file has no vocabulary: send the numbers of words to infer")
    length = spec.shape[1] if len(spec.shape) == 2 else None
    return np.array(word_numbers(text, kind, length), tensors.numpy_dtype(spec.dtype))


def _pixels(data: bytes, kind: Mapping[str, Any]) -> np.ndarray:
    """Return the brightness of the pixels, from 0 to 255, in the size that the model takes."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise RequestError(415, f"images need Pillow on the server: {install_command('serve')}") from error
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > _MAX_PIXELS:
            raise RequestError(413, f"{image.width} x {image.height} pixels came, {_MAX_PIXELS:,} are read")
        image = ImageOps.exif_transpose(image)
        image = image.convert("L" if kind.get("channels") == 1 else "RGB")
    except RequestError:
        raise
    except Exception:  # of any of Pillow's decoders
        raise RequestError(415, f"the body is no image of {', '.join(_FORMATS)}, or is incomplete") from None
    width = kind.get("width") or min(image.width, _MAX_SIDE)
    height = kind.get("height") or min(image.height, _MAX_SIDE)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def _like_training(pixels: np.ndarray, kind: Mapping[str, Any]) -> tuple[np.ndarray, bool]:
    """Return the negative of an image whose border is bright where those of the training are dark."""
    about, border = InputStatistics.of(pixels[None]), kind.get("border")
    if about is None or about.border is None or border not in ("dark", "bright"):
        return pixels, False
    inverted = (about.border < 0.5) != (border == "dark")
    return (255 - pixels, True) if inverted else (pixels, False)


def _values(pixels: np.ndarray, spec: TensorSpec, kind: Mapping[str, Any]) -> np.ndarray:
    low, high = kind["range"]
    pixels = (low + pixels * ((high - low) / 255)).astype(tensors.numpy_dtype(spec.dtype))
    return _with_layout(pixels, kind.get("layout", "channels_last"))


def _with_layout(pixels: np.ndarray, layout: str) -> np.ndarray:
    if layout == "flat":
        return pixels.reshape(-1)
    if layout == "no_channels":
        return pixels
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return np.moveaxis(pixels, -1, 0) if layout == "channels_first" else pixels
