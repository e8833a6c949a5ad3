"""Models as artifacts for other programs: frozen models, SavedModel, ONNX, StableHLO, LiteRT.

`FORMATS` has a writer for each format of `Model.export`. Writers are imported on first use, since most need a
library of an extra.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Tree
from hornbeam.export.saved_model import ExportArchive as ExportArchive

if TYPE_CHECKING:
    from hornbeam.models import Model

__all__ = ["ExportArchive"]


def _saved_model(
    model: Model, filepath: str | os.PathLike[str], input_signature: Tree, verbose: bool | None
) -> None:
    from hornbeam.export.saved_model import export_saved_model

    export_saved_model(model, filepath, verbose, input_signature)


def _writer(load: Callable[[], Callable[..., Any]]) -> Callable[..., None]:
    """Return a writer that imports the function for its format, and prints the path that it returns."""

    def export(
        model: Model,
        filepath: str | os.PathLike[str],
        input_signature: Tree,
        verbose: bool | None,
        **options: Any,
    ) -> None:
        path = load()(model, filepath, input_signature, **options)
        if verbose is not False:
            print(f"Saved to {path}")

    return export


def _onnx() -> Callable[..., Any]:
    from hornbeam.onnx.writing.model import export_onnx

    return export_onnx


def _stablehlo() -> Callable[..., Any]:
    from hornbeam.export.stablehlo import export_stablehlo

    return export_stablehlo


def _litert() -> Callable[..., Any]:
    from hornbeam.export.litert import export_litert

    return export_litert


def _frozen() -> Callable[..., Any]:
    from hornbeam.export.frozen import export_frozen

    return export_frozen


def _web() -> Callable[..., Any]:
    from hornbeam.export.web import export_web

    return export_web


class Format(NamedTuple):
    """A format of `Model.export`.

    Attributes:
        write: Function of the model, its path, `input_signature`, `verbose`, and the options.
        options: Names of further keyword arguments of `Model.export` that the format takes.
    """

    write: Callable[..., None]
    options: tuple[str, ...] = ()


# For pages that train the model in the browser.
_TRAINING_OPTIONS = ("training_data", "validation_data", "batch_size", "epochs")

FORMATS: dict[str, Format] = {
    "tf_saved_model": Format(_saved_model),
    "onnx": Format(_writer(_onnx), ("opset_version", "data_format", "fold_batch_normalization")),
    "hornbeam": Format(_writer(_frozen), ("labels", "preprocessing")),
    "web": Format(_writer(_web), ("labels", "preprocessing", "title", *_TRAINING_OPTIONS)),
    "stablehlo": Format(_writer(_stablehlo)),
    "litert": Format(_writer(_litert)),
}


def export(
    model: Model,
    filepath: str | os.PathLike[str],
    format: str,
    verbose: bool | None,
    input_signature: Tree,
    training: bool,
    batch_size: int | None,
    options: dict[str, Any],
) -> None:
    """Write the inference of a model, or with `training` a step of its training, as `Model.export` documents.

    Args:
        model: Model.
        filepath: Path to write.
        format: Name in `FORMATS`.
        verbose: False to print nothing.
        input_signature: Structure for each argument, None for the model's inputs.
        training: True for a training step.
        batch_size: Integer, samples per step; for training, or for `training_data` of the options.
        options: Further keyword arguments, which the format takes.

    Raises:
        NotImplementedError: For a format, or an option of it, that does not exist.
        ValueError: For a `batch_size` without training, or training in a format that has none.
    """
    if training:
        _export_step(model, filepath, format, verbose, input_signature, batch_size, options)
        return
    if batch_size is not None and options.get("training_data") is None:
        raise ValueError(
            "batch_size needs training=True. For inference fix the batch size in input_signature."
        )
    if batch_size is not None:
        options = {**options, "batch_size": batch_size}
    check_format(format, options)
    FORMATS[format].write(model, filepath, input_signature, verbose, **options)


def check_format(format: str, options: Iterable[str] = (), training: bool = False) -> None:
    """Check the format of an export, and the names of its options.

    Raises:
        NotImplementedError: For a format, or an option of it, that `Model.export` does not have.
    """
    hint = " TensorFlow Lite is 'litert' here." if format in ("tflite", "lite") else ""
    if format not in FORMATS:
        raise NotImplementedError(
            f"export(format={format!r}) is not in this version of Hornbeam.{hint} The format may be one of "
            f"{', '.join(FORMATS)}, and save() writes .keras files"
        )
    # A step as ONNX takes no options; the other formats have no steps, which `_export_step` says.
    known = () if training and format != "hornbeam" else FORMATS[format].options
    unknown = [name for name in options if name not in known]
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes no further arguments"
        raise NotImplementedError(
            f"export(format={format!r}, {unknown[0]}=...) is not in this version of Hornbeam: the format "
            + takes
            + (" for a training step" if training else "")
        )


def _export_step(
    model: Model,
    filepath: str | os.PathLike[str],
    format: str,
    verbose: bool | None,
    input_signature: Tree,
    batch_size: int | None,
    options: dict[str, Any],
) -> None:
    check_format(format, options, training=True)
    if format == "onnx":
        from hornbeam.onnx.writing.step import export_onnx_step

        path = export_onnx_step(model, filepath, input_signature, batch_size)
    elif format == "hornbeam":
        from hornbeam.export.frozen_training import export_frozen_training

        path = export_frozen_training(model, filepath, input_signature, batch_size, **options)
    else:
        raise ValueError(f'training=True needs format="onnx" or "hornbeam", got format={format!r}')
    if verbose is not False:
        print(f"Saved to {path}")


explain_missing(__name__)
