"""Limits on reading untrusted files, which every reader checks before it allocates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.validation import check_int

# Weights hardly compress, except for the zeros of a new optimizer.
MAX_RATIO = 4
SLACK_BYTES = 128 << 20
TEXT_BYTES = 8 << 20


@dataclass(frozen=True)
class Budget:
    """Limits on one file. Raise them with `hornbeam.saving.budget` for a file that you trust.

    Args:
        bytes: Memory of its arrays, and of a model that is built for them. None allows 4 times the stored
            bytes, and 128 MiB.
        parameters: Elements of all its arrays.
        members: Files in an archive (`.keras`, `.npz`). A `.safetensors` file may have 10 times as many
            arrays, an HDF5 file 100 times as many groups and arrays, an ONNX file 10 times as many nodes and
            150 times as many fields.
        nesting: Levels of lists and dicts in a model's config. An ONNX file may have 0.3 times as many nested
            messages, and 0.04 times as many nested graphs.
        text: Bytes of a config. None allows 8 MiB, and 4 times the stored bytes if what they hold (the
            array of a `Constant`) is within `bytes`. Vocabularies, or the state of a training, may have 8
            times as many, without the latter.
        layers: Layers of a model, and their calls.
        work: Operations that are applied while a model is built. None allows 1 for every byte of the config,
            and 150,000 (300,000 for ONNX).
    """

    bytes: int | None = None
    parameters: int = 1 << 34
    members: int = 10_000
    nesting: int = 200
    text: int | None = None
    layers: int = 10_000
    work: int | None = None

    def bytes_for(self, stored: int) -> int:
        """Return the allowed memory for `stored` bytes.

        Args:
            stored: Bytes in the file.
        """
        return stored * MAX_RATIO + SLACK_BYTES if self.bytes is None else self.bytes

    def text_for(self, stored: int) -> int:
        """Return the allowed bytes of a config of `stored` bytes; see `parsed_bytes` for those beyond 8 MiB.

        Args:
            stored: Bytes in the file.
        """
        return TEXT_BYTES + stored * MAX_RATIO if self.text is None else self.text

    @property
    def short_text(self) -> int:
        """Allowed bytes of texts without arrays."""
        return TEXT_BYTES if self.text is None else self.text

    def work_for(self, described: int, start: int) -> int:
        """Return the allowed operations for a config.

        Args:
            described: Bytes of the config.
            start: Operations allowed besides.
        """
        return described + start if self.work is None else self.work


def parsed_bytes(text: bytes) -> int:
    """Return an upper bound on the memory of parsed JSON: its characters, values, lists and dicts.

    Args:
        text: JSON text.
    """
    containers = text.count(b"[") + text.count(b"{")
    values = text.count(b",") + containers
    return len(text) * (1 if text.isascii() else 4) + 64 * values + 240 * containers


_USUAL = Budget()
_budget = context_variable("budget of files", _USUAL)


def current_budget() -> Budget:
    """Return the current budget."""
    return _budget.get()


@contextmanager
def budget(
    *,
    bytes: int | None = None,
    parameters: int | None = None,
    members: int | None = None,
    nesting: int | None = None,
    text: int | None = None,
    layers: int | None = None,
    work: int | None = None,
) -> Iterator[Budget]:
    """Change the limits on files inside a `with` block.

    They apply to everything that reads a file of a model: `load_model`, `load_weights`, `load_onnx`,
    `fit(resume=...)`, `inspect_model`, `verify_model`, `KerasFileEditor`. No other safety rule changes.
    Limits that are not passed keep their values.

    Args:
        bytes: As in `Budget`.
        parameters: As in `Budget`.
        members: As in `Budget`.
        nesting: As in `Budget`.
        text: As in `Budget`.
        layers: As in `Budget`.
        work: As in `Budget`.

    Raises:
        ValueError: If a limit is not a positive integer.

    Example:
        >>> with hornbeam.saving.budget(bytes=64 << 30, members=100_000):  # doctest: +SKIP
        ...     model = hornbeam.saving.load_model("large.keras")
    """
    arguments = {
        "bytes": bytes, "parameters": parameters, "members": members, "nesting": nesting, "text": text,
        "layers": layers, "work": work,
    }  # fmt: skip
    changes = {name: check_int(name, value, 1) for name, value in arguments.items() if value is not None}
    with override(_budget, dataclasses.replace(_budget.get(), **changes)) as limits:
        yield limits
