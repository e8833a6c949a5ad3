"""Outputs of a cell: recorded in the notebook's format, and shown in the terminal meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


class Recorder:
    """Outputs of the cells of one notebook.

    Args:
        screen: Stream of the terminal, to which texts are written at once.
    """

    def __init__(self, screen: TextIO) -> None:
        self.screen = screen
        self.outputs: list[dict[str, Any]] = []
        # Number of the present cell among those with code, from 1.
        self.count = 0
        # Outputs that are updated by the identifier of their display.
        self._displays: dict[str, list[dict[str, Any]]] = {}

    def begin(self) -> None:
        """Begin the next cell."""
        self.outputs = []
        self.count += 1

    def text(self, name: str, text: str) -> None:
        """Record what is written to "stdout" or "stderr"."""
        if not text:
            return
        last = self.outputs[-1] if self.outputs else {}
        if last.get("output_type") != "stream" or last["name"] != name:
            last = {"output_type": "stream", "name": name, "text": ""}
            self.outputs.append(last)
        last["text"] = after_carriage_returns(last["text"] + text)

    def display(
        self,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        display_id: str | None = None,
        update: bool = False,
    ) -> None:
        """Record an object that a cell displays, or that replaces a displayed one."""
        content = {"data": _storable(data), "metadata": dict(metadata or {})}
        if update:
            for output in self._displays.get(display_id or "", ()):
                output.update(content)
            return
        output = {"output_type": "display_data", **content}
        self.outputs.append(output)
        if display_id:
            self._displays.setdefault(display_id, []).append(output)
        self._show(data)

    def result(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record the value of the last expression of a cell."""
        output = {"output_type": "execute_result", "execution_count": self.count}
        self.outputs.append({**output, "data": _storable(data), "metadata": dict(metadata)})
        self._show(data)

    def error(self, error: BaseException, traceback: Sequence[str]) -> None:
        """Record the error that ends a cell."""
        name, text = type(error).__name__, str(error)
        self.outputs.append(
            {"output_type": "error", "ename": name, "evalue": text, "traceback": list(traceback)}
        )

    def clear(self) -> None:
        """Remove the outputs of the present cell."""
        self.outputs.clear()

    def _show(self, data: Mapping[str, Any]) -> None:
        if "text/plain" in data:
            self.screen.write(f"{data['text/plain']}\n")


class Tee:
    """A stream whose text is written to the terminal and recorded."""

    def __init__(self, name: str, screen: TextIO, recorder: Recorder) -> None:
        self._name, self._screen, self._recorder = name, screen, recorder

    def write(self, text: str) -> int:
        """Write and record a text."""
        self._screen.write(text)
        self._recorder.text(self._name, text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._screen, name)


def after_carriage_returns(text: str) -> str:
    r"""Return the text that remains on screen: "\r" lets a line be written over.

    >>> after_carriage_returns("1/3\r2/3\r3/3 \nend")
    '3/3\nend'
    """
    if "\r" not in text:
        return text
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip() if "\r" in line else shown)
    return "\n".join(lines)


def _storable(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bundle that JSON can hold: bytes as base64."""
    import base64

    texts = {
        kind: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for kind, value in data.items()
    }
    json.dumps(texts)
    return texts
