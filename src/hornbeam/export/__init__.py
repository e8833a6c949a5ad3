"""Models as artifacts that run without Hornbeam: SavedModel, ONNX, StableHLO, LiteRT."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import attach
from hornbeam.export.saved_model import ExportArchive as ExportArchive

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.models import Model

__all__ = ["ExportArchive"]


def _saved_model(
    model: Model, filepath: str | os.PathLike[str], verbose: bool | None, input_signature: Tree
) -> None:
    from hornbeam.export.saved_model import export_saved_model

    export_saved_model(model, filepath, verbose, input_signature)


def _with_message(load: Callable[[], Callable[..., Any]]) -> Callable[..., None]:
    """Wrap a writer: import it on first use, and print the path that it returns."""

    def export(
        model: Model, filepath: str | os.PathLike[str], verbose: bool | None, input_signature: Tree
    ) -> None:
        written = load()(model, filepath, input_signature)
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


# The formats of `Model.export`: functions of model, filepath, verbose and input_signature.
FORMATS: dict[str, Callable[[Any, Any, bool | None, Any], None]] = {
    "tf_saved_model": _saved_model,
    "onnx": _with_message(_onnx),
    "stablehlo": _with_message(_stablehlo),
    "litert": _with_message(_litert),
}


def export_step(
    model: Model,
    filepath: str | os.PathLike[str],
    format: str,
    verbose: bool | None,
    input_signature: Tree,
    batch_size: int | None,
) -> None:
    """Write one training step: `Model.export(training=True)`."""
    if format != "onnx":
        raise ValueError(f'training=True needs format="onnx", got format={format!r}')
    from hornbeam.export.onnx_step import export_onnx_step

    written = export_onnx_step(model, filepath, input_signature, batch_size)
    if verbose is not False:
        print(f"Saved to {written}")


if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__)
