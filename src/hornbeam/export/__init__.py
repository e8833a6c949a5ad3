"""Models as artifacts for other programs: frozen models, SavedModel, ONNX, StableHLO, LiteRT."""

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


def _with_message(load: Callable[[], Callable[..., Any]]) -> Callable[..., None]:
    """Wrap a writer: import it on first use, and print the path that it returns."""

    def export(
        model: Model,
        filepath: str | os.PathLike[str],
        input_signature: Tree,
        verbose: bool | None,
        **options: Any,
    ) -> None:
        written = load()(model, filepath, input_signature, **options)
        if verbose is not False:
            print(f"Saved to {written}")

    return export


def _onnx() -> Callable[..., Any]:
    from hornbeam.export.onnx import export_onnx

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
    """A format of `Model.export`: its writer, and the keyword arguments that it takes besides."""

    write: Callable[..., None]
    options: tuple[str, ...] = ()


_TRAINING = ("training_data", "validation_data", "batch_size", "epochs")

FORMATS: dict[str, Format] = {
    "tf_saved_model": Format(_saved_model),
    "onnx": Format(_with_message(_onnx), ("opset_version", "data_format", "fold_batch_normalization")),
    "hornbeam": Format(_with_message(_frozen), ("labels", "preprocessing")),
    "web": Format(_with_message(_web), ("labels", "preprocessing", "title", *_TRAINING)),
    "stablehlo": Format(_with_message(_stablehlo)),
    "litert": Format(_with_message(_litert)),
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
    """Write the inference of a model, or a step of its training: `Model.export`."""
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
    """Raise NotImplementedError for a format, or options of it, that `Model.export` does not have."""
    hint = " TensorFlow Lite is 'litert' here." if format in ("tflite", "lite") else ""
    if format not in FORMATS:
        raise NotImplementedError(
            f"export(format={format!r}) is not in this version of Hornbeam.{hint} The format may be one of "
            f"{', '.join(FORMATS)}, and save() writes .keras files"
        )
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
        from hornbeam.export.onnx_step import export_onnx_step

        written = export_onnx_step(model, filepath, input_signature, batch_size)
    elif format == "hornbeam":
        from hornbeam.export.frozen_training import export_frozen_training

        written = export_frozen_training(model, filepath, input_signature, batch_size, **options)
    else:
        raise ValueError(f'training=True needs format="onnx" or "hornbeam", got format={format!r}')
    if verbose is not False:
        print(f"Saved to {written}")


explain_missing(__name__)
