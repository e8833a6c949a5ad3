"""Methods of a model that write and read it: files, exports, state trees, JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from hornbeam._internal.call_errors import explain_arguments
from hornbeam._internal.entry_points import entry_point
from hornbeam._internal.typing import Tree
from hornbeam.core.registry import serialize
from hornbeam.layers.network import Network

if TYPE_CHECKING:
    from hornbeam.models.model import Model
    from hornbeam.saving.arrays import Names


class SavingMethods(Network):
    """Part of a model that saves, exports and restores it."""

    @explain_arguments
    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: bool | None = None,
        *,
        include_optimizer: bool = True,
        save_format: str | None = None,
    ) -> None:
        """Save architecture, weights and optimizer; see `saving.save_model`.

        Args:
            filepath: Path that ends in `.keras`, or in `.h5` for the legacy format of Keras 2.
            overwrite: Replace an existing file.
            zipped: False writes a folder instead of a file.
            include_optimizer: Whether an `.h5` file has compile settings and optimizer state.
            save_format: Deprecated: the suffix chooses the format.
        """
        from hornbeam.saving import save_model

        options = {"include_optimizer": include_optimizer, "save_format": save_format}
        save_model(cast("Model", self), filepath, overwrite, zipped, **options)

    @explain_arguments
    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: float | None = None,
        *,
        names: Names | None = None,
        objects_to_skip: Sequence[Any] | None = None,
    ) -> None:
        """Save the weights; see `saving.save_weights`.

        Args:
            filepath: Path that ends in `.weights.h5`, `.safetensors` or `.npz`, or in `.h5` for the legacy
                format of Keras 2.
            overwrite: Replace an existing file.
            max_shard_size: Largest size of one file in GiB, for a path that ends in `.weights.json`.
            names: Dict or function from the names of weights to names in the file.
            objects_to_skip: Layers that the file is not to have.
        """
        from hornbeam.saving import save_weights

        skip = objects_to_skip
        save_weights(self, filepath, overwrite, max_shard_size, names=names, objects_to_skip=skip)

    @explain_arguments
    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        *,
        names: Names | None = None,
        by_name: bool = False,
        objects_to_skip: Sequence[Any] | None = None,
    ) -> None:
        """Load weights; see `saving.load_weights`.

        Args:
            filepath: `.weights.h5`, `.safetensors`, `.npz` or `.keras` file, `.weights.json` that lists
                several files, or an `.h5` file as Keras 2 wrote it.
            skip_mismatch: Keep weights whose shapes differ.
            names: Dict or function from the names of weights to names in the file.
            by_name: For an `.h5` file of Keras 2: load only the layers whose names are in the file.
            objects_to_skip: Layers that keep their values.
        """
        from hornbeam.saving import load_weights

        skip = objects_to_skip
        load_weights(self, filepath, skip_mismatch, names, by_name, objects_to_skip=skip)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy (`copy.deepcopy`) by the bytes of the `.keras` file."""
        from hornbeam.saving.pickling import packed, unpacked

        return unpacked, packed(cast("Model", self))

    @explain_arguments
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Tree = None,
        *,
        training: bool = False,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model's inference, or a step of its training, for programs without Hornbeam.

        Args:
            filepath: A folder; for "onnx" also a file that ends in ".onnx", for "litert" one that ends in
                ".tflite"; for "hornbeam" a file, for "web" one that ends in ".html".
            format: "tf_saved_model" for TensorFlow, "onnx" for onnxruntime and others (the folder has an
                example that runs), "hornbeam" for `hornbeam.runtime`, `hornbeam serve` and programs in C and
                Rust, "web" for a page in which the model answers (docs/web_page.md), "stablehlo" for
                XLA's compilers, "litert" for phones.
            verbose: Print what was written; None for True.
            input_signature: A structure for each argument (see `hornbeam.export.ExportArchive`), by default
                the model's inputs with any number of rows, or with one for the last two formats. With
                `training`, `(x, y)`: by default the model's inputs, and targets of the shapes that its
                losses need.
            training: With "onnx" and a file that ends in ".onnx", write one training step: forward pass,
                backward pass and the optimizer's update (see docs/saving.md). With "hornbeam", write such a
                step beside the inference (docs/frozen.md). The model must be compiled, and stays as it is.
            batch_size: Rows of a training batch; None for any number, or for 32 in a page that trains.
            **kwargs: With "onnx", `opset_version`, the version of its operators (17 to 28; 20 by default,
                which runtimes of recent years have; attention is one operator from 23 on);
                `data_format="channels_first"` for images that come and go as (batch, channels, height,
                width); and `fold_batch_normalization=False`, with which batch normalizations keep their own
                weights. With "hornbeam" and "web", `labels`, a list of names of classes, and
                `preprocessing`, a dict that says how an input is made of what a person has; with "web" also
                the page's `title`, and `training_data=(x, y)`, `validation_data` and `epochs`, with which the
                page trains the model (docs/web_page.md).

        Raises:
            NotImplementedError: For another format, and for arguments that a format does not take.
            ImportError: Without the library of the format.
            ValueError: For a model that is not built (or not compiled, for training) or cannot be written for
                any number of rows.

        Example:
            >>> model.export("step.onnx", format="onnx", training=True)  # doctest: +SKIP
        """
        export = entry_point("export")
        export(self, filepath, format, verbose, input_signature, training, batch_size, kwargs)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """Return all variables as nested dicts, one level for each part of a path.

        Args:
            value_format: "backend_tensor" for Tensors, "numpy_array" for arrays.

        Returns:
            Dict with "trainable_variables", "non_trainable_variables", "optimizer_variables" and
            "metrics_variables", each as in `{"dense": {"kernel": ..., "bias": ...}}`.

        Raises:
            ValueError: If two variables have the same path.
        """
        from hornbeam.saving.state_tree import state_tree

        return state_tree(self, value_format)

    def set_state_tree(self, state_tree: dict[str, dict[str, Any]]) -> None:
        """Assign variables by path.

        Args:
            state_tree: Result of `get_state_tree`, or parts of it.

        Raises:
            ValueError: For paths that the model does not have.
        """
        from hornbeam.saving.state_tree import assign_state_tree

        assign_state_tree(self, state_tree)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as JSON, without weights.

        Args:
            **kwargs: Arguments of `json.dumps`.

        Returns:
            Text that `models.model_from_json` reads.
        """
        return json.dumps(serialize(self), **kwargs)
