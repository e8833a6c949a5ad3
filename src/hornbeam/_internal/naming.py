"""Names for people: snake case, numbers for repetitions, the nearest known name to a wrong one."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from hornbeam._internal.context import context_variable, override

_path = context_variable("path of layers", "")
_counts: dict[str, int] = {}
_lock = threading.Lock()

# In messages; more are not read.
MOST_NAMES = 5


def to_snake_case(name: str) -> str:
    """Convert to snake case as Keras names its layers: `Conv2DTranspose` -> `conv2d_transpose`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """Return a numbered name: `dense`, then `dense_1`, `dense_2`, ..."""
    with _lock:
        count = _counts.get(prefix, 0)
        _counts[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def reset_names() -> None:
    """Restart the numbering (`clear_session`)."""
    _counts.clear()


@contextmanager
def preserve_name_counters() -> Iterator[None]:
    """Restore the numbering of names at the end of a `with` block."""
    before = dict(_counts)
    try:
        yield
    finally:
        with _lock:
            _counts.clear()
            _counts.update(before)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the known name closest to a wrong one, or an empty string."""
    spellings: dict[str, list[str]] = {}
    for known_name in known:
        spellings.setdefault(_folded(known_name), []).append(known_name)
    folded = _folded(name)
    matches = difflib.get_close_matches(folded, spellings, n=1, cutoff=0.6)
    if not matches and len(folded) >= 3:  # an abbreviation, such as "acc"
        matches = [each for each in spellings if each.startswith(folded)]
    if len(matches) != 1:
        return ""
    return f" Did you mean {difflib.get_close_matches(name, spellings[matches[0]], n=1, cutoff=0)[0]!r}?"


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def suggest(name: str, known: Iterable[str], kind: str = "", where: str = "") -> str:
    """Return what a wrong name may have meant, with at most five names, and where to find all of them.

    Args:
        name: The wrong name.
        known: All names.
        kind: Kind of the name, such as "loss", to recognize what other libraries call it.
        where: Module that has the names, for the reader.

    Returns:
        Sentences that begin with a space.
    """
    from hornbeam._internal.other_libraries import IDENTIFIERS

    names = list(dict.fromkeys(known))
    meanings = IDENTIFIERS.get(kind, {}).get(name.lower().replace("_", "").replace(" ", ""))
    if meanings is not None:
        hint = f" Did you mean {_alternatives(meanings)}?"
    else:
        # Lower case is what such names are written in, though classes may be meant.
        spellings = [to_snake_case(n) for n in names] if kind and name.islower() else names
        hint = nearest(name, spellings)
    if len(names) <= MOST_NAMES:
        return f"{hint} Known: {', '.join(names)}."
    return hint + (f" All are in {where}." if where else f" Known: {abbreviate(name, names)}.")


def abbreviate(name: str, names: Sequence[str]) -> str:
    """Join names, of more than five the five that are closest to `name`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    close = difflib.get_close_matches(name, names, n=MOST_NAMES, cutoff=0)
    return f"{', '.join(n for n in names if n in close)}, ... ({len(names)} in all)"


def _alternatives(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


class NamedValues(dict[str, Any]):
    """Dict of what a run recorded, whose KeyError names the key that was meant."""

    def __init__(self, kind: str, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values or {})
        self._kind = kind

    def __missing__(self, name: str) -> NoReturn:
        known = ", ".join(self) or "nothing yet"
        raise KeyError(f"{self._kind} has no {name!r}.{nearest(str(name), self)} It has: {known}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a plain dict."""
        return dict, (dict(self),)


def current_path() -> str:
    """Return the path of the layer that is built or called, or of the open name scopes; "" outside."""
    return _path.get()


def path_scope(path: str) -> override[str]:
    """Make layers and variables that are created inside children of `path`."""
    return override(_path, path)
