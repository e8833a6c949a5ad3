"""Input signatures of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam import tree

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
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


def fixed_specs(model: Model, input_signature: Tree) -> tuple[list[Any], list[tuple[tuple[int, ...], str]]]:
    """Return the signature, and shape and dtype of each input; an unknown first size is 1."""
    structure = signature_of(model) if input_signature is None else list(input_signature)
    fixed = []
    for spec in tree.flatten(structure):
        shape = tuple(spec.shape)
        if None in shape[1:]:
            raise ValueError(
                f"only the first size of an input may be unknown, got {shape}. Pass input_signature."
            )
        fixed.append(((1, *shape[1:]) if shape[:1] == (None,) else shape, str(spec.dtype or "float32")))
    return structure, fixed
