"""Time of a step by layer and kernel: `model.profile()` and `fit(profile=True)`.

Every instruction of compiled code is timed. Its FLOPs and bytes follow from shapes, the machine's peak is
measured, and an instruction belongs to the layers whose calls created its nodes; the time of a kernel for
several layers is divided among them by the number of nodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.ir.scope import BACKWARD

ELSEWHERE = "(elsewhere)"


@dataclass
class Kernel:
    """One instruction of compiled code. `seconds`, `runs`, `flops` and `nbytes` are those of one step.

    label: instruction with its epilogues and shapes. layers: (layer, backward) -> proportion of the kernel.
    roof: fraction of its time that the machine would need at its measured peak (above 1 if a kernel saves
    arithmetic or finds its operands in a nearer cache), None if unknown.
    """

    name: str
    label: str
    layers: dict[tuple[str, bool], float]
    runs: float
    seconds: float
    flops: float
    nbytes: float
    roof: float | None = None


@dataclass
class LayerTime:
    """Time of one layer in a step, in seconds, with its FLOPs and the bytes that it moves."""

    name: str
    forward: float = 0.0
    backward: float = 0.0
    flops: float = 0.0
    nbytes: float = 0.0
    ideal: float | None = 0.0
    kernels: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time of forward and backward pass."""
        return self.forward + self.backward

    @property
    def roof(self) -> float | None:
        """As `Kernel.roof`."""
        return None if self.ideal is None or not self.seconds else self.ideal / self.seconds


class Profile:
    """Time, FLOPs and fraction of the machine's peak for each kernel and each layer.

    Attributes:
        kernels: `Kernel` objects, the costliest first.
        layers: `LayerTime` objects, the costliest first.
        steps: Number of measured steps.
        seconds: Wall time of one, of which `kernel_seconds` were spent in kernels; the rest gathers batches
            and passes from one instruction to the next.

    Example:
        >>> profile = model.profile(x, y)  # doctest: +SKIP
        >>> profile.table()  # doctest: +SKIP
    """

    def __init__(
        self, reports: Sequence[Mapping[str, Any]], steps: int, seconds: float, roof: Mapping[str, Any] | None
    ) -> None:
        self.steps = steps
        self.seconds = seconds / max(steps, 1)
        self.machine = roof
        self._reports = [report for report in reports if report]
        self.kernels = sorted(self._merged(), key=lambda kernel: -kernel.seconds)
        self.layers = sorted(self._by_layer(), key=lambda layer: -layer.seconds)

    @property
    def kernel_seconds(self) -> float:
        """Time of kernels in one step."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def flops(self) -> float:
        """FLOPs of one step, counted from shapes."""
        return sum(kernel.flops for kernel in self.kernels)

    def _merged(self) -> Iterable[Kernel]:
        """Merge instructions that do the same for the same layers."""
        kernels: dict[tuple, Kernel] = {}
        for report in self._reports:
            for item in report["instructions"]:
                if not item["runs"]:
                    continue
                layers = _shares(item["scopes"])
                runs, nanos = item["runs"] / self.steps, item["nanos"] / self.steps
                key = (item["kind"], item["what"], *sorted(layers.items()))
                kernel = kernels.setdefault(key, Kernel(item["kind"], item["what"], layers, 0, 0, 0, 0, 0.0))
                kernel.runs += runs
                kernel.seconds += nanos * 1e-9
                kernel.flops += runs * item["flops"]
                kernel.nbytes += runs * item["bytes"]
                ideal = self._ideal(item)
                kernel.roof = None if ideal is None else (kernel.roof or 0.0) + runs * ideal
        for kernel in kernels.values():
            kernel.roof = kernel.roof / kernel.seconds if kernel.roof and kernel.seconds else None
        return kernels.values()

    def _ideal(self, item: Mapping[str, Any]) -> float | None:
        """Return the seconds of one run at the machine's peak, of arithmetic or of memory."""
        machine = self.machine
        if machine is None:
            return None
        peak = machine["float32"]
        if item["dtype"] == "bfloat16" and machine["bfloat16"]:
            peak = machine["bfloat16"]
        elif item["dtype"] == "float64":
            peak = peak / 2
        levels = machine["memory"]
        # The nearest level that holds all of the operands.
        _, read, _ = next((level for level in levels if item["bytes"] <= level[0]), levels[-1])
        return max(item["flops"] / peak, item["bytes"] / read)

    def _by_layer(self) -> Iterable[LayerTime]:
        layers: dict[str, LayerTime] = {}
        for kernel in self.kernels:
            for (name, backward), share in kernel.layers.items():
                layer = layers.setdefault(name, LayerTime(name))
                if backward:
                    layer.backward += share * kernel.seconds
                else:
                    layer.forward += share * kernel.seconds
                layer.flops += share * kernel.flops
                layer.nbytes += share * kernel.nbytes
                if kernel.roof is not None and layer.ideal is not None:
                    layer.ideal += share * kernel.roof * kernel.seconds
                layer.kernels.append(kernel.label)
        if self.machine is None:
            for layer in layers.values():
                layer.ideal = None
        return layers.values()

    # -- for people ----------------------------------------------------------------------------------------

    def table(self, rows: int | None = 20) -> str:
        """Return layers and kernels as tables, the costliest first.

        Args:
            rows: Largest number of rows of each table, None for all.

        Returns:
            Text of both tables.
        """
        from rich.console import Group
        from rich.text import Text

        from hornbeam.visualization.terminal import plain_text

        parts = [
            Text(self._head()),
            _table(_LAYER_COLUMNS, [self._layer_row(x) for x in self.layers[:rows]], "per layer"),
            _table(_KERNEL_COLUMNS, [self._kernel_row(x) for x in self.kernels[:rows]], "per kernel"),
        ]
        hidden = len(self.kernels) - len(self.kernels[:rows])
        if hidden:
            parts.append(Text(f"and {hidden} kernels more"))
        return plain_text(Group(*parts), 150)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Profile of {self.steps} steps, {self.seconds * 1e3:.3g} ms each>"

    def _head(self) -> str:
        kernels, seconds = self.kernel_seconds, self.seconds
        text = (
            f"one of {self.steps} steps: {_time(seconds)}, of which {_time(kernels)} in kernels; "
            f"{_number(self.flops)}FLOPs, {_number(self.flops / max(kernels, 1e-12))}FLOP/s"
        )
        if self.machine is not None:
            peak, memory = self.machine["float32"], self.machine["memory"]
            text += (
                f"\nroof with {self.machine['threads']} threads: {_number(peak)}FLOP/s in float32"
                + (
                    f", {_number(self.machine['bfloat16'])}FLOP/s in bfloat16"
                    if self.machine["bfloat16"]
                    else ""
                )
                + f"; reading {_number(memory[0][1])}B/s from L2, {_number(memory[1][1])}B/s from L3, "
                f"{_number(memory[2][1])}B/s from memory"
            )
        return text

    def _local(self, name: str) -> str:
        """Return a layer's path without the model's own name, if all paths begin with it."""
        paths = [layer.name for layer in self.layers if "/" in layer.name]
        first = paths[0].split("/")[0] + "/" if paths else ""
        return name.removeprefix(first) if all(path.startswith(first) for path in paths) else name

    def _layer_row(self, layer: LayerTime) -> list[str]:
        seconds = layer.seconds
        return [
            _short(self._local(layer.name), 60),
            _time(layer.forward),
            _time(layer.backward) if layer.backward else "",
            _percent(seconds, self.kernel_seconds),
            _number(layer.flops / seconds) if seconds else "",
            _number(layer.nbytes / seconds) if seconds else "",
            "" if layer.roof is None else f"{layer.roof:.0%}",
        ]

    def _kernel_row(self, kernel: Kernel) -> list[str]:
        seconds = kernel.seconds
        layers = [self._local(name) + ("'" if backward else "") for name, backward in kernel.layers]
        return [
            _short(kernel.label, 52),
            _short(", ".join(layers), 30),
            f"{kernel.runs:.3g}",
            _time(seconds),
            _percent(seconds, self.kernel_seconds),
            _number(kernel.flops / seconds) if seconds else "",
            _number(kernel.nbytes / seconds) if seconds else "",
            "" if kernel.roof is None else f"{kernel.roof:.0%}",
        ]

    # -- for tools -----------------------------------------------------------------------------------------

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the recorded runs as a trace for chrome://tracing, Perfetto and speedscope.

        Each instruction is a complete event; those of nested programs lie inside of their loop's.

        Args:
            path: Path of a JSON file.
        """
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": self._events(), "displayTimeUnit": "ms"}, file)

    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for process, report in enumerate(self._reports):
            if not report["events"]:
                continue
            label = {"name": "process_name", "ph": "M", "pid": process, "tid": 0}
            events.append({**label, "args": {"name": f"graph {process}"}})
            for number, start, nanos in report["events"]:
                item = report["instructions"][number]
                events.append(
                    {
                        "name": item["kind"],
                        "cat": "kernel",
                        "ph": "X",
                        "pid": process,
                        "tid": 0,
                        "ts": start / 1e3,
                        "dur": nanos / 1e3,
                        "args": {
                            "what": item["what"],
                            "layers": [name for name, _ in item["scopes"]],
                            "flops": item["flops"],
                            "bytes": item["bytes"],
                        },
                    }
                )
        return events


_LAYER_COLUMNS = ("layer", "forward", "backward", "share", "FLOP/s", "B/s", "roof")
_KERNEL_COLUMNS = ("kernel", "for (' backward)", "runs", "time", "share", "FLOP/s", "B/s", "roof")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for head in heads:
        words = head in ("layer", "kernel") or head.startswith("for")
        table.add_column(head, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _shares(scopes: Sequence[tuple[str, int]]) -> dict[tuple[str, bool], float]:
    """Return (layer, backward) -> proportion, from scopes and numbers of nodes."""
    total = sum(count for _, count in scopes)
    if not total:
        return {(ELSEWHERE, False): 1.0}
    return {(name.removesuffix(BACKWARD), name.endswith(BACKWARD)): count / total for name, count in scopes}


def _number(value: float) -> str:
    """Format with a unit prefix, for a unit to follow: "1.5 M", "12 "."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value:.0f} "


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def _percent(part: float, total: float) -> str:
    return f"{part / total:.1%}" if total else ""


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
