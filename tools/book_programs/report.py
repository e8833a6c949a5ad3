# ruff: noqa: E501
"""Tables of the records of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Sides that run the original, and their backends.
BACKENDS = {
    "keras": "tensorflow", "keras-jax": "jax", "keras-torch": "torch", "keras-hornbeam": "hornbeam",
}  # fmt: skip


def failures(record: dict[str, Any]) -> list[str]:
    """Return the errors of a record."""
    errors = [cell["error"] for cell in record["cells"] if cell["error"]]
    return errors if record["complete"] else [*errors, "incomplete"]


def summary(record: dict[str, Any], count: int) -> str:
    """Return one line about a record."""
    errors = failures(record)
    passed = sum(not cell["error"] for cell in record["cells"])
    return f"{passed}/{count} {record['seconds']:.0f}s " + (
        errors[0].replace("\n", " ")[:150] if errors else "ok"
    )


def _load(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def table(results: Path) -> str:
    """Return a Markdown table of the programs and cells that pass on both sides, as far as both were run."""
    lines = [
        "| suite | programs | all cells pass under Keras | of these, here | cells that pass under Keras | of these, here | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted((results / "ours").iterdir()):
        ours, keras = _load(folder), _load(results / "keras" / folder.name)
        both = [name for name in ours if name in keras]
        complete = [name for name in both if not failures(keras[name])]
        also = [name for name in complete if not failures(ours[name])]
        good = fine = 0
        for name in both:
            here = ours[name]["cells"]
            for number, cell in enumerate(keras[name]["cells"]):
                good += not cell["error"]
                fine += not cell["error"] and number < len(here) and not here[number]["error"]
        times = [sum(side[name]["seconds"] for name in also) for side in (ours, keras)]
        lines.append(
            f"| {folder.name} | {len(both)} | {len(complete)} | {len(also)} | {good} | {fine} "
            f"| {times[0]:.0f} against {times[1]:.0f} |"
        )
    return "\n".join(lines)


def backends(results: Path, suites: list[str]) -> str:
    """Return a Markdown table of the programs that ran on all sides: seconds, or cells that pass."""
    sides = [side for side in ("ours", *BACKENDS) if (results / side).exists()]
    lines = [
        f"| program | {' | '.join(sides)} |",
        "|---" * (len(sides) + 1) + "|",
    ]
    for suite in suites:
        records = {side: _load(results / side / suite) for side in sides}
        for name in sorted(set.intersection(*(set(programs) for programs in records.values()))):
            cells = []
            for side in sides:
                record = records[side][name]
                passed = sum(not cell["error"] for cell in record["cells"])
                part = f"{passed} of {len(record['cells'])} cells"
                cells.append(part if failures(record) else f"{record['seconds']:.0f} s")
            lines.append(f"| {name.rpartition('__')[2]} | {' | '.join(cells)} |")
    return "\n".join(lines)
