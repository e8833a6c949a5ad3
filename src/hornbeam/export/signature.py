"""Input signatures of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.models.host import host_layers

if TYPE_CHECKING:
    from hornbeam.models import Model


def signature_of(model: Model) -> list[Any]:
    """Return the model's inputs, as one structure for its one argument.

    Raises ValueError for a model that is not built, or whose inputs are unknown.
    """
    if not model.built:
        raise ValueError(f"model {model.name!r} is not built: call it on data, or build(shape), first")
    symbols = getattr(model, "_symbolic_inputs", None)
    if symbols is None:
        raise ValueError(
            f"the inputs of model {model.name!r} are unknown. Pass export() an input_signature, such as "
            "[hornbeam.InputSpec(shape=(None, 3))]."
        )
    return [symbols]


def check_graph(model: Model) -> None:
    """Raise ValueError if a part of the model runs outside its graph."""
    if host := host_layers(model):
        raise ValueError(
            f"{model.describe()} has layers for strings or hashes, which are not part of a graph: "
            f"{', '.join(part.describe() for part in host)}. Export the part of the model after them."
        )


def outside_dtype(dtype: str) -> str:
    """Return the dtype of an input or output in a file: float32 for bfloat16.

    NumPy, C and most runtimes have no bfloat16; float32 represents it exactly.
    """
    return "float32" if dtype == "bfloat16" else dtype


def names_of(model_names: Any, kind: str, structure: Tree) -> list[str]:
    """Return names of inputs or outputs: those of the model, else keys of their structure, else numbers."""
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    if model_names is not None and len(model_names) == len(paths):
        return list(model_names)
    if any(isinstance(key, str) for path in paths for key in path):
        return ["_".join(map(str, path)) for path in paths]
    return [kind] if len(paths) == 1 else [f"{kind}_{i}" for i in range(len(paths))]
