"""What a file of a model may cost to read: limits that every reader looks at before it makes room."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from hornbeam._internal.validation import check_int

# Weights hardly compress, but for the zeros of a fresh optimizer.
MAX_RATIO = 4
SLACK_BYTES = 128 << 20


@dataclass(frozen=True)
class Budget:
    """Limits on one file. Raise them with `hornbeam.saving.budget` for a file that you trust.

    bytes: what its arrays may take in memory, and a model that is built for them; None stands for 4 times
    what is stored and 128 MiB.
    parameters: numbers in all its arrays.
    members: files in an archive (`.keras`, `.npz`). A `.safetensors` file may have 10 times as many arrays,
    an HDF5 file 100 times as many groups and arrays, an ONNX file 10 times as many nodes and 150 times as
    many fields.
    nesting: levels of lists and dicts in a model's description. An ONNX file may have 0.3 times as many
    messages inside of each other, and 0.04 times as many graphs.
    text: bytes of a model's description. Vocabularies, or the state of a training, may take 8 times as many.
    work: operations that are applied while a model is built; None stands for 1 for every byte of the
    description, and 150,000 (300,000 for ONNX).
    """

    bytes: int | None = None
    parameters: int = 1 << 34
    members: int = 10_000
    nesting: int = 200
    text: int = 8 << 20
    work: int | None = None

    def bytes_for(self, stored: int) -> int:
        """What so many stored bytes may take when they are unpacked."""
        return stored * MAX_RATIO + SLACK_BYTES if self.bytes is None else self.bytes

    def work_for(self, described: int, start: int) -> int:
        """Operations that a description of so many bytes may ask for."""
        return described + start if self.work is None else self.work


_USUAL = Budget()
_budget: ContextVar[Budget] = ContextVar("budget", default=_USUAL)


def current_budget() -> Budget:
    """The budget that is in force here."""
    return _budget.get()


@contextmanager
def budget(
    *,
    bytes: int | None = None,
    parameters: int | None = None,
    members: int | None = None,
    nesting: int | None = None,
    text: int | None = None,
    work: int | None = None,
) -> Iterator[Budget]:
    """Inside, files may cost as much as said, and what is not said stays as it was; see `Budget`.

    It holds for whatever reads a file of a model: `load_model`, `load_weights`, `load_onnx`,
    `fit(resume=...)`, `inspect_model`, `verify_model`, `KerasFileEditor`; in this thread. Limits are raised
    or lowered, and no other rule changes. Raises ValueError for what is no whole number from 1 on.

    >>> with hornbeam.saving.budget(bytes=64 << 30, members=100_000):  # doctest: +SKIP
    ...     model = hornbeam.saving.load_model("large.keras")
    """
    given = {
        "bytes": bytes, "parameters": parameters, "members": members, "nesting": nesting, "text": text,
        "work": work,
    }  # fmt: skip
    said = {name: check_int(name, value, 1) for name, value in given.items() if value is not None}
    token = _budget.set(dataclasses.replace(_budget.get(), **said))
    try:
        yield _budget.get()
    finally:
        _budget.reset(token)
