# ruff: noqa: E501
"""Tables of the records of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
    """Return a Markdown table: programs and cells of each suite that pass, on both sides."""
    lines = [
        "| suite | programs | pass under Keras | of these, pass here | too old for Keras 3, pass here | cells | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted((results / "ours").iterdir()):
        ours, keras = _load(folder), _load(results / "keras" / folder.name)
        both = [name for name in ours if name in keras]
        passed = [name for name in both if not failures(keras[name])]
        also = [name for name in passed if not failures(ours[name])]
        rest = [name for name in ours if name not in passed and not failures(ours[name])]
        good = fine = 0
        for name in both:
            for a, b in zip(keras[name]["cells"], ours[name]["cells"], strict=False):
                good += not a["error"]
                fine += not a["error"] and not b["error"]
        times = [sum(side[name]["seconds"] for name in also) for side in (ours, keras)]
        lines.append(
            f"| {folder.name} | {len(ours)} | {len(passed)} | {len(also)} | {len(rest)} of {len(ours) - len(passed)} "
            f"| {fine} of {good} | {times[0]:.0f} against {times[1]:.0f} |"
        )
    return "\n".join(lines)
