"""Input signatures of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
