"""Schema of the training state in a checkpoint, checked before anything is restored from it.

A schema is a predicate on a value, or a dict from names to schemas for a dict with these names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Schema = Callable[[Any], bool] | Mapping[str, Any]

# No counter of a training run is larger; larger ones would overflow.
_LARGEST = 1 << 53


def natural(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _integer(value: object) -> bool:
    return type(value) is int and abs(value) <= 1 << 64


def number(value: object) -> bool:
    return type(value) in (int, float)


def string(value: object) -> bool:
    return isinstance(value, str)


def boolean(value: object) -> bool:
    return isinstance(value, bool)


def _array(*shape: int | None, kinds: str = "ui") -> Callable[[Any], bool]:
    def schema(value: object) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.dtype.kind in kinds
            and len(value.shape) == len(shape)
            and all(expected in (None, size) for size, expected in zip(value.shape, shape, strict=True))
        )

    return schema


def any_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def optional(schema: Schema) -> Callable[[Any], bool]:
    return lambda value: value is None or not list(mismatches(value, schema, ""))


def list_of(schema: Schema) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(not list(mismatches(x, schema, "")) for x in value)


def dict_of(schema: Schema) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(not list(mismatches(x, schema, "")) for x in value.values())
    )


def _python_state(value: Any) -> bool:
    """Check the state of Python's generator: 624 words, and an index into them."""
    words: Any = value.get("words") if isinstance(value, dict) else None
    valid = _array(625)(words) and bool((words < 1 << 32).all()) and int(words[-1]) <= 624
    return valid and value.get("version") == 3 and optional(number)(value.get("gauss", "missing"))


def _position(value: Any) -> bool:
    if not isinstance(value, dict) or not {"taken", "orders"} <= set(value):
        return False
    orders = optional(
        list_of(lambda pair: isinstance(pair, list) and len(pair) == 2 and all(map(_integer, pair)))
    )
    rest = {"random": RANDOM, "ahead": boolean} if value["taken"] is not None else {}
    schema = {"taken": optional(natural), "orders": orders, **rest}
    rows = value.get("rows")
    return not list(mismatches(value, schema, "")) and (rows is None or _array(None)(rows))


RANDOM = {
    "hornbeam": lambda value: _array(2)(value) and value.dtype == np.uint32,
    "numpy": {
        "bit_generator": lambda value: value == "MT19937",
        "state": {
            "key": lambda value: _array(624)(value) and value.dtype == np.uint32,
            "pos": lambda value: natural(value) and value <= 624,
        },
        "has_gauss": lambda value: value in (0, 1),
        "gauss": number,
    },
    "python": _python_state,
}
RUN: Mapping[str, Schema] = {
    "epoch": natural,
    "done": natural,
    "updates": natural,
    "logs": dict_of(number),
    "stopped": boolean,
    "form": lambda value: isinstance(value, dict) and (
        (natural(value.get("samples")) and natural(value.get("batch_size")))
        or optional(natural)(value.get("batches", ""))
    ),
    "data": _position,
    "validation": optional(_position),
    "random": RANDOM,
    "metrics": list_of(any_array),
    "callbacks": list_of({"class": string, "state": lambda value: isinstance(value, dict)}),
}  # fmt: skip


def mismatches(value: object, schema: Schema, name: str) -> Iterator[str]:
    """Yield the names of values that are missing or do not fit the schema."""
    if callable(schema):
        if not schema(value):
            yield name
    elif not isinstance(value, dict):
        yield name
    else:
        for key, inner in schema.items():
            path = f"{name}/{key}" if name else key
            if key in value:
                yield from mismatches(value[key], inner, path)
            else:
                yield path


def check_state(state: object) -> None:
    """Raise ModelFileError for a state that no run has written."""
    from hornbeam.errors import ModelFileError

    bad = list(mismatches(state, RUN, ""))
    if bad:
        raise ModelFileError(
            f"the checkpoint's state lacks values, or has values that no training writes: {', '.join(bad)}"
        )


def check_callback_state(
    callback: str, state: Mapping[str, Any], present: Mapping[str, Any], schemas: Mapping[str, Any]
) -> None:
    """Raise ModelFileError for values that a callback of a class cannot have saved.

    They must fit its `schemas`, else be of the type in its present state. An attribute that is None now may
    be a number, a string or arrays.
    """
    from hornbeam.errors import ModelFileError

    for name, value in state.items():
        if not (schemas[name] if name in schemas else _same_type(present.get(name)))(value):
            raise ModelFileError(f"{callback}.{name} is {value!r:.60} in the checkpoint, which is not valid")


def _same_type(present: Any) -> Callable[[Any], bool]:
    if isinstance(present, (bool, np.bool_)):
        return boolean
    if isinstance(present, (int, float, np.number)):
        return number
    kind = next((kind for kind in (str, list, dict, np.ndarray) if isinstance(present, kind)), None)
    if kind is not None:
        return lambda value: isinstance(value, kind)
    return optional(lambda value: number(value) or string(value) or list_of(any_array)(value))
