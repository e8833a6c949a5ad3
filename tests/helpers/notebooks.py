"""Notebooks for tests: made of cells, and run in a kernel."""

from __future__ import annotations

import gc
import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def notebook(cells: Sequence[str], **metadata: Any) -> dict[str, Any]:
    """Return a notebook of code cells."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, **metadata},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
    }


def write(path: Path, cells: Sequence[str], **metadata: Any) -> Path:
    """Write a notebook of code cells."""
    path.write_text(json.dumps(notebook(cells, **metadata)))
    return path


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    """Return the outputs of the cells of a notebook file."""
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"]]


class Kernel:
    """A kernel of Jupyter, as a notebook uses it.

    `run` executes a cell; `messages` counts those of the last cell by type.
    """

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3")
        self.messages: Counter[str] = Counter()

    def run(self, code: str, interrupt_after: float | None = None) -> list[dict[str, Any]]:
        """Run a cell, and return its outputs; streams of one name in a row are one output."""
        self.messages = Counter()
        outputs: list[dict[str, Any]] = []
        displays: dict[str, dict[str, Any]] = {}

        def collect(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            self.messages[kind] += 1
            display_id = content.get("transient", {}).get("display_id")
            if kind == "stream":
                if outputs and outputs[-1]["type"] == "stream" and outputs[-1]["name"] == content["name"]:
                    outputs[-1]["text"] += content["text"]
                else:
                    outputs.append({"type": kind, **content})
            elif kind == "update_display_data":
                displays[display_id]["data"] = content["data"]
            elif kind in ("display_data", "execute_result", "error"):
                outputs.append({"type": kind, **content})
                if display_id:
                    displays[display_id] = outputs[-1]

        timer = threading.Timer(interrupt_after or 0, self.manager.interrupt_kernel)
        if interrupt_after is not None:
            timer.start()
        self.client.execute_interactive(code, output_hook=collect, timeout=60)
        timer.cancel()
        return outputs

    def text(self, code: str, **options: Any) -> str:
        """Run a cell, and return all that is shown of it as text, errors included."""
        parts = []
        for output in self.run(code, **options):
            if output["type"] == "stream":
                parts.append(output["text"])
            elif output["type"] == "error":
                parts.append(f"{output['ename']}: {output['evalue']}\n")
            else:
                parts.append(output["data"].get("text/plain", "") + "\n")
        return "".join(parts)

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        del self.client, self.manager
        gc.collect()  # sockets and event loops, while their warnings are expected
