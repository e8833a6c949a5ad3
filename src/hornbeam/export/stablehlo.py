"""A model's inference as StableHLO, the input language of XLA, through JAX."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hornbeam import tree
from hornbeam._internal.extras import install_command
from hornbeam.export.signature import fixed_specs
from hornbeam.interop import jax_function
from hornbeam.saving.files import replace_file

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.layers.layer import Layer
    from hornbeam.models import Model


class _FlatInputs:
    """A model as a function of its flat inputs."""

    built = True

    def __init__(self, model: Model, structure: list[Any]) -> None:
        self._model, self._structure = model, structure
        self.variables = model.variables

    def __call__(self, *inputs: Any, training: bool) -> Any:
        return self._model(*tree.pack_sequence_as(self._structure, list(inputs)), training=training)


def export_stablehlo(model: Model, filepath: str | os.PathLike[str], input_signature: Tree = None) -> Path:
    """Write the inference of a model as `model.mlir` (text with its weights) and `model.jax`, in a folder.

    `jax.export.deserialize(bytes).call(*inputs)` runs `model.jax`.

    Args:
        model: A built model.
        filepath: The folder.
        input_signature: Structure of InputSpecs that fixes all sizes. By default a batch is one row.

    Returns:
        The folder.

    Raises:
        ImportError: If JAX or flatbuffers is not installed.
        ValueError: If the model is not built.
    """
    structure, specs = fixed_specs(model, input_signature)
    function, weights = jax_function(cast("Layer", _FlatInputs(model, structure)))
    import jax
    import jax.export

    if importlib.util.find_spec("flatbuffers") is None:
        raise ImportError(f"StableHLO files need flatbuffers: {install_command('stablehlo')}")

    with jax.enable_x64(True):
        arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in specs]
        exported = jax.export.export(jax.jit(lambda *xs: function(weights, *xs)))(*arguments)
    target = Path(filepath)
    target.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("model.mlir", str(exported.mlir_module()).encode()),
        ("model.jax", bytes(exported.serialize())),
    ):
        with replace_file(target / name) as file:
            file.write(data)
    return target
