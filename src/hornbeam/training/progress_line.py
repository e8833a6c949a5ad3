"""The text of a progress line, as wide as the terminal: numbers are never cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hornbeam._internal.formatting import shortened
from hornbeam._internal.terminal import STYLES, folded, shortened_inside

# Widths of the bar, the widest that fits is drawn. Steps instead of single characters keep it still.
_BARS = (24, 16, 10, 6, 0)
_SHORTEST_NAME = 3
Metrics = Sequence[tuple[str, str]]


def fitted_line(
    counter: str, fraction: float | None, times: Sequence[str], metrics: Metrics, width: int
) -> str:
    """Return `counter ━━━── times name: value - name: value` in at most `width` characters.

    The bar shrinks first, then the times are dropped from the left, then names are shortened, and at last
    metrics at the end give way to an ellipsis.

    counter: number of steps. fraction: of the steps done, None without a bar.
    """
    longest = max((len(name) for name, _ in metrics), default=0)
    bars = _BARS if fraction is not None else (0,)
    for bar in bars:
        line = _joined(counter, _bar(fraction, bar), times, _shown(metrics, longest))
        if len(line) <= width:
            return line
    for start in range(len(times) + 1):
        line = _joined(counter, "", times[start:], _shown(metrics, longest))
        if len(line) <= width:
            return line
    for size in range(longest, _SHORTEST_NAME - 1, -1):
        line = _joined(counter, "", (), _shown(metrics, size))
        if len(line) <= width:
            return line
    for count in range(len(metrics), -1, -1):
        line = _joined(counter, "", (), f"{_shown(metrics[:count], _SHORTEST_NAME)} …".lstrip())
        if len(line) <= width:
            return line
    return shortened(counter, width)


def folded_line(parts: Sequence[str], width: int | None) -> str:
    """Join the parts of a finished line by dashes; lines that do not fit `width` break between parts."""
    if width is None:
        return " - ".join(parts)
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" - {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return folded("\n".join(lines), width, "        ")


def colored_line(line: str) -> str:
    """Paint the bar of a line: what is done in the accent, the rest dim."""
    line = re.sub("━+", lambda match: f"\x1b[{STYLES['accent']}m{match[0]}\x1b[0m", line)
    return re.sub("─+", lambda match: f"\x1b[{STYLES['dim']}m{match[0]}\x1b[0m", line)


def _bar(fraction: float | None, width: int) -> str:
    filled = round(min(fraction or 0.0, 1.0) * width)
    return "━" * filled + "─" * (width - filled)


def _shown(metrics: Metrics, size: int) -> str:
    return " - ".join(f"{shortened_inside(name, size)}: {value}" for name, value in metrics)


def _joined(counter: str, bar: str, times: Sequence[str], metrics: str) -> str:
    return " ".join(part for part in (counter, bar, *times, metrics) if part)
