"""Time of a step by kernel and layer: `model.profile()` and `fit(profile=True)`.

Every instruction of compiled code is timed. Its FLOPs and bytes follow from shapes, and the machine's peaks
are measured. A kernel belongs to the layers whose calls created its nodes; the time of a kernel that serves
several layers is divided between them by the number of nodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam._internal.formatting import short_time, shortened, with_unit
from hornbeam.ir.scope import BACKWARD
from hornbeam.visualization.display import Block, Document, Report, Table, Text

ELSEWHERE = "(elsewhere)"


@dataclass
class Kernel:
    """An instruction of compiled code, per step.

    Args:
        name: Kind of the instruction.
        label: Description with shapes and fused operations.
        layers: Proportion of its time by (layer, backward).
        runs: Number of runs in a step.
        seconds: Time in a step.
        flops: Floating-point operations in a step.
        nbytes: Bytes read and written in a step.
        peak_fraction: Fraction of its time that the machine would need at its measured peaks. It is above 1
            where a kernel saves arithmetic or finds its operands in a nearer cache, and None where it is
            unknown.
    """

    name: str
    label: str
    layers: dict[tuple[str, bool], float]
    runs: float
    seconds: float
    flops: float
    nbytes: float
    peak_fraction: float | None = None


@dataclass
class LayerTime:
    """Time of a layer in a step, in seconds, with its FLOPs and bytes.

    Args:
        name: Path of the layer.
        forward: Time of the forward pass.
        backward: Time of the backward pass.
        flops: Floating-point operations.
        nbytes: Bytes read and written.
        ideal: Time at the machine's peaks, None where it is unknown.
        kernels: Descriptions of its kernels.
    """

    name: str
    forward: float = 0.0
    backward: float = 0.0
    flops: float = 0.0
    nbytes: float = 0.0
    ideal: float | None = 0.0
    kernels: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time of the forward and the backward pass."""
        return self.forward + self.backward

    @property
    def peak_fraction(self) -> float | None:
        """Fraction of the time that the machine would need at its peaks, as `Kernel.peak_fraction`."""
        return None if self.ideal is None or not self.seconds else self.ideal / self.seconds


class Profile(Report):
    """Time, FLOPs and bytes of a step, by kernel and by layer, compared with the machine's peaks.

    Attributes `kernels` and `layers` are lists of `Kernel` and `LayerTime`, the costliest first. `seconds` is
    the wall time of a step, of which `kernel_seconds` are spent in kernels; the rest gathers batches and
    dispatches instructions.

    Args:
        reports: Reports of the engine, one a graph.
        steps: Number of measured steps.
        seconds: Wall time of all steps.
        peaks: Measured peaks of the machine, None where they are unknown.

    Example:
        >>> profile = model.profile(x, y)  # doctest: +SKIP
        >>> print(profile)  # doctest: +SKIP
    """

    width = 150

    def __init__(
        self,
        reports: Sequence[Mapping[str, Any]],
        steps: int,
        seconds: float,
        peaks: Mapping[str, Any] | None,
    ) -> None:
        self.steps = steps
        self.seconds = seconds / max(steps, 1)
        self.machine = peaks
        self._reports = [report for report in reports if report]
        self.kernels = sorted(self._merged(), key=lambda kernel: -kernel.seconds)
        self.layers = sorted(self._by_layer(), key=lambda layer: -layer.seconds)

    @property
    def kernel_seconds(self) -> float:
        """Time of a step in kernels."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def flops(self) -> float:
        """FLOPs of a step, counted from shapes."""
        return sum(kernel.flops for kernel in self.kernels)

    def _merged(self) -> Iterable[Kernel]:
        """Merge instructions that do the same for the same layers."""
        kernels: dict[tuple[Any, ...], Kernel] = {}
        for report in self._reports:
            for item in report["instructions"]:
                if not item["runs"]:
                    continue
                layers = _proportions(item["scopes"])
                runs, nanos = item["runs"] / self.steps, item["nanos"] / self.steps
                key = (item["kind"], item["what"], *sorted(layers.items()))
                kernel = kernels.setdefault(key, Kernel(item["kind"], item["what"], layers, 0, 0, 0, 0, 0.0))
                kernel.runs += runs
                kernel.seconds += nanos * 1e-9
                kernel.flops += runs * item["flops"]
                kernel.nbytes += runs * item["bytes"]
                ideal = self._ideal(item)
                kernel.peak_fraction = None if ideal is None else (kernel.peak_fraction or 0.0) + runs * ideal
        for kernel in kernels.values():
            kernel.peak_fraction = (
                kernel.peak_fraction / kernel.seconds if kernel.peak_fraction and kernel.seconds else None
            )
        return kernels.values()

    def _ideal(self, item: Mapping[str, Any]) -> float | None:
        """Return the seconds of one run at the peak of arithmetic or of memory, whichever is longer."""
        machine = self.machine
        if machine is None:
            return None
        peak = machine["float32"]
        if item["dtype"] == "bfloat16" and machine["bfloat16"]:
            peak = machine["bfloat16"]
        elif item["dtype"] == "float64":
            peak /= 2
        levels = machine["memory"]
        # The nearest level that holds all of the operands.
        _, read, _ = next((level for level in levels if item["bytes"] <= level[0]), levels[-1])
        return max(item["flops"] / peak, item["bytes"] / read)

    def _by_layer(self) -> Iterable[LayerTime]:
        layers: dict[str, LayerTime] = {}
        for kernel in self.kernels:
            for (name, backward), proportion in kernel.layers.items():
                layer = layers.setdefault(name, LayerTime(name))
                if backward:
                    layer.backward += proportion * kernel.seconds
                else:
                    layer.forward += proportion * kernel.seconds
                layer.flops += proportion * kernel.flops
                layer.nbytes += proportion * kernel.nbytes
                if kernel.peak_fraction is not None and layer.ideal is not None:
                    layer.ideal += proportion * kernel.peak_fraction * kernel.seconds
                layer.kernels.append(kernel.label)
        if self.machine is None:
            for layer in layers.values():
                layer.ideal = None
        return layers.values()

    # -- text ------------------------------------------------------------------------------------------------

    def blocks(self, rows: int | None = 20) -> Iterator[Block]:
        """Yield a summary and the tables of layers and kernels, the costliest first.

        Args:
            rows: Most rows of each table, None for all.
        """
        yield Text(self._summary())
        layers = [self._layer_row(layer) for layer in self.layers[:rows]]
        yield Table("per layer", _LAYER_HEADS, layers, optional=_OPTIONAL)
        kernels = [self._kernel_row(kernel) for kernel in self.kernels[:rows]]
        yield Table("per kernel", _KERNEL_HEADS, kernels, text_columns=_KERNEL_HEADS[1:2], optional=_OPTIONAL)
        hidden = len(self.kernels) - len(kernels)
        if hidden:
            yield Text(f"and {hidden} kernels more")

    def table(self, rows: int | None = 20) -> str:
        """Return the tables of layers and kernels as text, the costliest first.

        Args:
            rows: Most rows of each table, None for all.
        """
        return str(Document(list(self.blocks(rows)), self.width))

    def __repr__(self) -> str:
        return f"<Profile of {self.steps} steps, {self.seconds * 1e3:.3g} ms each>"

    def _summary(self) -> str:
        kernels = self.kernel_seconds
        text = (
            f"one of {self.steps} steps: {short_time(self.seconds)}, of which {short_time(kernels)} in "
            f"kernels; {with_unit(self.flops)}FLOPs, {with_unit(self.flops / max(kernels, 1e-12))}FLOP/s"
        )
        if self.machine is None:
            return text
        half, memory = self.machine["bfloat16"], self.machine["memory"]
        peaks = [f"{with_unit(self.machine['float32'])}FLOP/s in float32"]
        peaks += [f"{with_unit(half)}FLOP/s in bfloat16"] if half else []
        reads = [
            f"{with_unit(level[1])}B/s from {name}"
            for name, level in zip(("L2", "L3", "memory"), memory, strict=False)
        ]
        threads = self.machine["threads"]
        return f"{text}\npeak with {threads} threads: {', '.join(peaks)}; reading {', '.join(reads)}"

    def _local_name(self, name: str) -> str:
        """Return the path of a layer without the model's own name, if all paths begin with it."""
        paths = [layer.name for layer in self.layers if "/" in layer.name]
        model = paths[0].split("/")[0] + "/" if paths else ""
        return name.removeprefix(model) if all(path.startswith(model) for path in paths) else name

    def _layer_row(self, layer: LayerTime) -> list[str]:
        backward = short_time(layer.backward) if layer.backward else ""
        name = shortened(self._local_name(layer.name), 60)
        return [name, short_time(layer.forward), backward, *self._rates(layer)]

    def _kernel_row(self, kernel: Kernel) -> list[str]:
        layers = [self._local_name(name) + ("'" if backward else "") for name, backward in kernel.layers]
        return [
            shortened(kernel.label, 52),
            shortened(", ".join(layers), 30),
            f"{kernel.runs:.3g}",
            short_time(kernel.seconds),
            *self._rates(kernel),
        ]

    def _rates(self, cost: Kernel | LayerTime) -> list[str]:
        """Return the proportion of the time, FLOP/s, B/s, and the fraction of the peak."""
        seconds, total = cost.seconds, self.kernel_seconds
        return [
            f"{seconds / total:.1%}" if total else "",
            with_unit(cost.flops / seconds) if seconds else "",
            with_unit(cost.nbytes / seconds) if seconds else "",
            "" if cost.peak_fraction is None else f"{cost.peak_fraction:.0%}",
        ]

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the recorded runs as a trace for chrome://tracing, Perfetto and speedscope.

        Each instruction is a complete event; those of nested programs lie inside of their loop's.

        Args:
            path: JSON file that is written.
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


# Columns that narrow terminals omit, the first one first.
_OPTIONAL = ("B/s", "FLOP/s", "runs", "of peak", "backward", "time")
_LAYER_HEADS = ("layer", "forward", "backward", "time", "FLOP/s", "B/s", "of peak")
_KERNEL_HEADS = ("kernel", "layers (' backward)", "runs", "seconds", "time", "FLOP/s", "B/s", "of peak")


def _proportions(scopes: Sequence[tuple[str, int]]) -> dict[tuple[str, bool], float]:
    """Return the proportion of each (layer, backward), from scopes and their numbers of nodes."""
    total = sum(count for _, count in scopes)
    if not total:
        return {(ELSEWHERE, False): 1.0}
    return {(name.removesuffix(BACKWARD), name.endswith(BACKWARD)): count / total for name, count in scopes}
