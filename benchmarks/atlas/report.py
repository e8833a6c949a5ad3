"""Tables, files and the heat map of an atlas."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.atlas.measure import Row
from benchmarks.atlas.table import CASES
from hornbeam._internal.formatting import short_time
from hornbeam._internal.terminal import folded
from hornbeam.visualization.display import Table
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import ImagePanel

# Dtype and pass (True with gradients), in the order of columns.
Column = tuple[str, bool]
PASSES = {False: "forward", True: "backward"}
MARKDOWN_COLUMNS = 100
ROW_HEADS = ("case", "dtype", "pass", "time", "peer", "times quicker", "rate", "roof", "peer's setting")


@dataclass
class Atlas:
    """Measured rows.

    Args:
        rows: The rows.
        ours: Name of our side.
        peers: Names of the others.
        peak: Peaks of the machine, of `Engine.peak`; None if unknown.
    """

    rows: Sequence[Row]
    ours: str
    peers: Sequence[str]
    peak: Mapping[str, Any] | None = None

    def ratio(self, row: Row) -> float | None:
        """Return the time of the quickest peer divided by ours."""
        return row.ratio(self.ours, self.peers)

    def ratios(self, rows: Iterable[Row]) -> list[float]:
        """Return the ratios of the rows that have one."""
        return [ratio for row in rows if (ratio := self.ratio(row)) is not None]

    def roof_share(self, row: Row) -> float | None:
        """Return our speed as a fraction of the machine's roof for the case."""
        seconds = row.seconds.get(self.ours)
        return None if self.peak is None or not seconds else row.roof_seconds(self.peak) / seconds

    @property
    def columns(self) -> list[Column]:
        """Dtypes and passes that were measured."""
        return list(dict.fromkeys((row.dtype, row.backward) for row in self.rows))

    @property
    def families(self) -> dict[str, list[Row]]:
        """Rows by family."""
        families: dict[str, list[Row]] = {}
        for row in self.rows:
            families.setdefault(row.case.family, []).append(row)
        return families

    def failures(self) -> list[str]:
        """List what failed, a line each."""
        return [f"{side}: {row.name}: {why}" for row in self.rows for side, why in row.failures.items()]

    def disagreements(self) -> list[str]:
        """List results that differ by more than their tolerance, a line each."""
        return [
            f"{side}: {row.name}: results differ by {error:.1e}, more than {row.difference_allowed():.0e}"
            for row in self.rows
            for side, error in row.differences.items()
            if not error <= row.difference_allowed()
        ]

    def worst(self, count: int | None = None) -> list[Row]:
        """Return the rows with the least ratios; without peers, those farthest below the roof."""
        score = self.ratio if self.peers else self.roof_share
        scored = [(value, row) for row in self.rows if (value := score(row)) is not None]
        return [row for _, row in sorted(scored, key=lambda pair: pair[0])[:count]]


def geometric_mean(values: Sequence[float]) -> float | None:
    """Return the geometric mean, None of nothing."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def summary(atlas: Atlas) -> str:
    """Return the main numbers in one sentence."""
    ratios = atlas.ratios(atlas.rows)
    if not ratios:
        return f"{len(atlas.rows)} rows, without a peer"
    return (
        f"{len(ratios)} rows beside {' and '.join(atlas.peers)}: geometric mean {geometric_mean(ratios):.2f} "
        f"times quicker, median {statistics.median(ratios):.2f}, {sum(r < 1 for r in ratios)} slower, "
        f"{sum(r < 0.8 for r in ratios)} below 0.8, worst {min(ratios):.2f}"
    )


def _overview(atlas: Atlas) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of the table by family."""
    columns = atlas.columns
    heads = ["family", "cases", *(f"{dtype} {PASSES[backward]}" for dtype, backward in columns)]
    heads += ["slower"] if atlas.peers else []
    rows = []
    for family, members in [*atlas.families.items(), ("all", list(atlas.rows))]:
        cells = [family, str(len({row.case.name for row in members}))]
        for column in columns:
            cells.append(_mean_cell(atlas, [r for r in members if (r.dtype, r.backward) == column]))
        if atlas.peers:
            ratios = atlas.ratios(members)
            cells.append(f"{sum(r < 1 for r in ratios)} of {len(ratios)}")
        rows.append(cells)
    return heads, rows


def _mean_cell(atlas: Atlas, rows: Sequence[Row]) -> str:
    if atlas.peers:
        mean = geometric_mean(atlas.ratios(rows))
        return "–" if mean is None else f"{mean:.2f}"
    mean = geometric_mean([share for row in rows if (share := atlas.roof_share(row))])
    return "–" if mean is None else f"{mean:.0%}"


def overview(atlas: Atlas) -> Table:
    """Compare by family: geometric means of times quicker, or without peers of fractions of the roof."""
    heads, rows = _overview(atlas)
    title = "times quicker than the quickest peer" if atlas.peers else "fraction of the machine's roof"
    return Table(f"{title}, geometric means", heads, rows)


def _row_cells(atlas: Atlas, row: Row) -> list[str]:
    seconds = row.seconds.get(atlas.ours)
    peers = {name: row.seconds[name] for name in atlas.peers if name in row.seconds}
    best = min(peers, key=lambda name: peers[name], default="")
    share, ratio = atlas.roof_share(row), atlas.ratio(row)
    return [
        row.case.name,
        row.dtype,
        PASSES[row.backward],
        short_time(seconds) if seconds else "–",
        short_time(peers[best]) if best else "–",
        "–" if ratio is None else f"{ratio:.2f}",
        _rate(row, seconds) if seconds else "–",
        "–" if share is None else f"{share:.0%}",
        f"{best}, {row.settings[best]}" if best else "–",
    ]


def _rate(row: Row, seconds: float) -> str:
    if row.flops:
        return f"{row.flops / seconds * 1e-9:.3g} GFLOP/s"
    return f"{row.nbytes / seconds * 1e-9:.3g} GB/s"


def worst(atlas: Atlas, count: int) -> Table:
    """List the worst rows first."""
    rows = [_row_cells(atlas, row) for row in atlas.worst(count)]
    return Table(
        "worst first",
        ROW_HEADS,
        rows,
        text_columns=("dtype", "pass", "peer's setting"),
        folding=("case",),
        optional=("peer's setting", "rate", "roof"),
    )


def legend(peak: Mapping[str, Any]) -> str:
    """Explain the roof."""
    half = f" ({peak['bfloat16'] * 1e-9:.0f} in bfloat16)" if peak["bfloat16"] else ""
    memory = max(peak["memory"][-1][1:]) * 1e-9
    return (
        f"Roof: the measured {peak['float32'] * 1e-9:.0f} GFLOP/s{half} and {memory:.3g} GB/s from memory "
        f"(more from caches), with {_threads(peak['threads'])}: the longer of both times, with every operand "
        "read and every result written once. Algorithms that need fewer operations can be above it. "
        "Backward: the result and all gradients."
    )


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


def markdown(atlas: Atlas, heading: str) -> str:
    """Write the overview and all rows as Markdown."""
    paragraphs = [f"{heading}.", f"{summary(atlas)}."]
    paragraphs += [legend(atlas.peak)] if atlas.peak is not None else []
    lines = ["# Atlas", ""]
    for paragraph in paragraphs:
        lines += [folded(paragraph, MARKDOWN_COLUMNS), ""]
    lines += _markdown_table(*_overview(atlas))
    for family, members in atlas.families.items():
        lines += ["", f"## {family}", ""]
        lines += _markdown_table(ROW_HEADS, [_row_cells(atlas, row) for row in members])
    failures = [folded(f"- {line}", MARKDOWN_COLUMNS, "  ") for line in atlas.failures()]
    lines += ["", "## Missing or failing", "", *failures] if failures else []
    return "\n".join(lines)


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def write_json(path: str, atlas: Atlas, about: str) -> None:
    """Write all rows, as `read_json` reads them."""
    rows = [
        {
            "name": row.case.name,
            "dtype": row.dtype,
            "backward": row.backward,
            "seconds": row.seconds,
            "settings": row.settings,
            "failures": row.failures,
            "differences": row.differences,
            "bytes": row.nbytes,
            # Computed from the others, for readers.
            "family": row.case.family,
            "flops": row.flops,
            "times_quicker": atlas.ratio(row),
            "roof": atlas.roof_share(row),
        }
        for row in atlas.rows
    ]
    content = {
        "about": about, "summary": summary(atlas), "ours": atlas.ours, "peers": list(atlas.peers),
        "peak": atlas.peak, "rows": rows,
    }  # fmt: skip
    Path(path).write_text(json.dumps(content, indent=1) + "\n")


def read_json(paths: Sequence[str]) -> tuple[Atlas, str]:
    """Read the rows of runs in pieces, and the description of the first one.

    Rows whose cases the table no longer has are skipped. Raises ValueError for other files, or if the sides
    differ.
    """
    cases = {case.name: case for case in CASES}
    rows, contents = [], []
    for path in paths:
        try:
            content = json.loads(Path(path).read_text())
            rows += [
                Row(
                    cases[row["name"]], row["dtype"], row["backward"], row["seconds"], row["settings"],
                    row["failures"], row["differences"], row["bytes"],
                )
                for row in content["rows"]
                if row["name"] in cases
            ]  # fmt: skip
            contents.append((content["ours"], content["peers"], content["peak"], content["about"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ValueError(f"{path} is no atlas that --json wrote: {error}") from error
    ours, peers, peak, about = contents[0]
    for path, (name, others, *_) in zip(paths, contents, strict=True):
        if (name, others) != (ours, peers):
            raise ValueError(f"{path} compares {name} with {others}, {paths[0]} {ours} with {peers}")
    return Atlas(rows, ours, peers, peak), about


def heat_map(atlas: Atlas, heading: str) -> Figure:
    """Draw the geometric mean and the least ratio of each family, or without peers fractions of the roof."""
    families, columns = atlas.families, atlas.columns
    score = atlas.ratio if atlas.peers else atlas.roof_share
    mean, least = (np.full((len(families), len(columns)), np.nan) for _ in range(2))
    for i, rows in enumerate(families.values()):
        for j, column in enumerate(columns):
            members = [row for row in rows if (row.dtype, row.backward) == column]
            values = [value for row in members if (value := score(row))]
            if values:
                mean[i, j], least[i, j] = geometric_mean(values) or np.nan, min(values)
    kind = "times quicker than the quickest peer" if atlas.peers else "fraction of the roof"
    panels = [
        ImagePanel(
            -np.log2(values),  # slow is red
            title,
            "signed",
            low=-2.0,
            high=2.0,
            row_names=list(families),
            column_names=[f"{dtype} {PASSES[backward]}" for dtype, backward in columns],
            annotations=values.round(2),
        )
        for title, values in (("geometric mean", mean), ("worst case", least))
    ]
    size = (2.5 + 0.8 * len(columns), 1.2 + 0.26 * len(families))
    return Figure(f"{kind}, {heading}", f"{kind}: {summary(atlas)}", panels, columns=2, panel_size=size)
