"""Build the model of a config from a file, within limits that follow from the file's size."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from hornbeam._internal.limits import current_budget
from hornbeam.core import registry
from hornbeam.core.variable import allocation_budget
from hornbeam.errors import AllocationError, ModelFileError, UnknownObjectError, WorkLimitError
from hornbeam.ir.limits import work_limit
from hornbeam.layers.context import shapes_only
from hornbeam.layers.weights import flatten_layers
from hornbeam.saving.files import how_to_raise, parse_json

# Operations allowed while the model is built, besides one for every byte of the config.
WORK = 150_000


def parse_config(text: bytes) -> dict[str, Any]:
    """Parse the config of a model.

    Raises:
        ModelFileError: If it is not a JSON object, or is nested too deeply.
    """
    config = parse_json(text, "the config")
    limit = current_budget().nesting
    if not isinstance(config, dict) or _depth(config, limit) > limit:
        raise ModelFileError(
            f"the config is not an object, or is nested more than {limit} deep. {how_to_raise('nesting')}"
        )
    return config


def _depth(value: Any, limit: int) -> int:
    """Return the nesting depth, at most `limit` + 1, by levels instead of recursion."""
    depth, level = 0, [value]
    while level and depth <= limit:
        depth += 1
        level = [
            child
            for container in level
            if isinstance(container, (dict, list))
            for child in (container.values() if isinstance(container, dict) else container)
        ]
    return depth


def _check_layers(path: str, config: Any) -> None:
    """Raise ModelFileError for a model of too many layers and calls, which would take minutes to build."""
    limit, count, pending = current_budget().layers, 0, [config]
    while pending:
        entry = pending.pop()
        settings = entry.get("config") if isinstance(entry, dict) else None
        nodes = entry.get("inbound_nodes") if isinstance(entry, dict) else None
        inner = settings.get("layers") if isinstance(settings, dict) else settings
        count += 1 + (len(nodes) if isinstance(nodes, list) else 0)
        pending += inner if isinstance(inner, list) else []
        if count + len(pending) > limit:
            raise ModelFileError(
                f"the model in {path!r} has more than {limit:,} layers and calls of layers. "
                f"{how_to_raise('layers')}"
            )


def check_names(path: str, config: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
    """Raise an error that lists all unknown names of a config."""
    missing = registry.missing_names(config, custom_objects)
    if "__lambda__" in missing:
        raise ModelFileError(
            f"{path!r} contains the code of a lambda, which is never run. Save the model with a named "
            "function that is decorated with @register_keras_serializable()"
        )
    if missing:
        raise UnknownObjectError(
            f"the file uses {', '.join(map(repr, missing))}, which Hornbeam does not know. Decorate them "
            "with @register_keras_serializable() before loading, or pass custom_objects={name: class}"
        )


def has_weights(model: Any) -> bool:
    """Return whether a model is built; one that is never called itself is, if all of its layers are."""
    layers = flatten_layers(model, include_self=False)
    return model.built or (bool(layers) and all(layer.built for layer in layers))


def build_model(
    path: str,
    config: dict[str, Any],
    custom_objects: Mapping[str, Any] | None,
    described: int,
    nbytes: int,
    initialized: bool = False,
) -> Any:
    """Build the model of a config within limits that follow from the file's size.

    It has no weights if the config has no shapes. They are zero, or `initialized` as those of a new model.
    """
    _check_layers(path, config)
    # float16 on disk may be float32 in memory, and an optimizer may create more state than it saved.
    budget = current_budget()
    allocations = allocation_budget(budget.bytes_for(nbytes), budget.parameters)
    weights = nullcontext() if initialized else shapes_only()
    try:
        with allocations, work_limit(budget.work_for(described, WORK)), weights:
            model = registry.deserialize(config, custom_objects)
    except UnknownObjectError:
        raise
    except AllocationError as error:
        raise ModelFileError(
            f"the model in {path!r} cannot be built: {error}. {how_to_raise('bytes=..., parameters')}"
        ) from error
    except WorkLimitError as error:
        raise ModelFileError(
            f"the model in {path!r} cannot be built: {error}. {how_to_raise('work')}"
        ) from error
    except Exception as error:
        raise ModelFileError(f"the model in {path!r} cannot be built: {error}{_dict_hint(error)}") from error
    if not hasattr(model, "layers") and not getattr(model, "saved_alone", False):
        raise ModelFileError(f"{path!r} contains a {type(model).__name__}, not a model")
    return model


def _dict_hint(error: Exception) -> str:
    """Return advice for a class that got the config of an object in the place of the object."""
    if "'dict' object is not callable" not in str(error) and "'dict' object has no attribute" not in str(
        error
    ):
        return ""
    return (
        "\n  A class whose arguments are layers or other objects needs a from_config() that rebuilds them: "
        "hornbeam.saving.deserialize_keras_object(config[...])"
    )


def check_built(path: str, model: Any) -> None:
    """Raise ModelFileError for a model whose file has weights, but no shapes to build it with."""
    if not has_weights(model):
        raise ModelFileError(f"{path!r} has no input shapes, so the model has no weights")
