"""What the state of a run in a checkpoint has to look like, looked at before anything is taken from it.

A form is a function that says whether a value has it; `{name: form}` is that of a dict with all these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Form = Callable[[Any], bool] | Mapping[str, Any]

# No counter of a training is as large; more would overflow somewhere.
_LARGEST = 1 << 53


def natural(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= 1 << 64


def number(value: Any) -> bool:
    return type(value) in (int, float)


def text(value: Any) -> bool:
    return isinstance(value, str)


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def _array(*shape: int | None, kinds: str = "ui") -> Callable[[Any], bool]:
    def form(value: Any) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.dtype.kind in kinds
            and len(value.shape) == len(shape)
            and all(wanted in (None, size) for size, wanted in zip(value.shape, shape, strict=True))
        )

    return form


def any_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def maybe(form: Form) -> Callable[[Any], bool]:
    return lambda value: value is None or not list(problems(value, form, ""))


def each(form: Form) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(not list(problems(x, form, "")) for x in value)


def named(form: Form) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(not list(problems(x, form, "")) for x in value.values())
    )


def _python(value: Any) -> bool:
    """Words of Python's generator: 624 of its state, and where in them it stands."""
    words: Any = value.get("words") if isinstance(value, dict) else None
    good = _array(625)(words) and bool((words < 1 << 32).all()) and int(words[-1]) <= 624
    return good and value.get("version") == 3 and maybe(number)(value.get("gauss", "missing"))


def _position(value: Any) -> bool:
    if not isinstance(value, dict) or not {"taken", "orders"} <= set(value):
        return False
    orders = maybe(each(lambda pair: isinstance(pair, list) and len(pair) == 2 and all(map(_whole, pair))))
    rest = {"random": RANDOM, "ahead": flag} if value["taken"] is not None else {}
    forms = {"taken": maybe(natural), "orders": orders, **rest}
    rows = value.get("rows")
    return not list(problems(value, forms, "")) and (rows is None or _array(None)(rows))


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
    "python": _python,
}
RUN: Mapping[str, Form] = {
    "epoch": natural,
    "done": natural,
    "updates": natural,
    "logs": named(number),
    "stopped": flag,
    "form": lambda value: isinstance(value, dict) and (
        (natural(value.get("samples")) and natural(value.get("batch_size")))
        or maybe(natural)(value.get("batches", ""))
    ),
    "data": _position,
    "validation": maybe(_position),
    "random": RANDOM,
    "metrics": each(any_array),
    "callbacks": each({"class": text, "state": lambda value: isinstance(value, dict)}),
}  # fmt: skip


def problems(value: Any, form: Form, name: str) -> Any:
    """The names of what is missing, or has another form."""
    if callable(form):
        if not form(value):
            yield name
    elif not isinstance(value, dict):
        yield name
    else:
        for key, inner in form.items():
            place = f"{name}/{key}" if name else key
            if key in value:
                yield from problems(value[key], inner, place)
            else:
                yield place


def check_state(state: Any) -> None:
    """Raises ModelFileError for a state that no run has written."""
    from hornbeam.saving.files import ModelFileError

    bad = list(problems(state, RUN, ""))
    if bad:
        raise ModelFileError(
            f"the checkpoint's state lacks something, or has what no training writes: {', '.join(bad)}"
        )


def check_kept(callback: Any, state: dict[str, Any]) -> None:
    """Raises ModelFileError for what a callback cannot have kept: values of another form than its `forms`
    say, else of another kind than what it has now. What is not there yet may be a number, a text or arrays.
    """
    from hornbeam.saving.files import ModelFileError

    own, forms = callback.get_state(), callback.forms
    for name, value in state.items():
        if not (forms[name] if name in forms else _kind(own.get(name)))(value):
            raise ModelFileError(
                f"{type(callback).__name__}.{name} is {value!r:.60} in the checkpoint, which cannot be"
            )


def _kind(own: Any) -> Callable[[Any], bool]:
    if isinstance(own, (bool, np.bool_)):
        return flag
    if isinstance(own, (int, float, np.number)):
        return number
    kind = next((kind for kind in (str, list, dict, np.ndarray) if isinstance(own, kind)), None)
    if kind is not None:
        return lambda value: isinstance(value, kind)
    return maybe(lambda value: number(value) or text(value) or each(any_array)(value))
