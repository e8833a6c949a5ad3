"""What is shown in a terminal, as text: tables of rich, shades for pictures, bars for curves."""

from __future__ import annotations

import io
from typing import Any

# From dark to light, and from low to high.
SHADES, BARS = " ░▒▓█", "▁▂▃▄▅▆▇█"


def plain_text(shown: Any, width: int) -> str:
    """What rich prints of something, without colours and blanks at the ends of lines."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False, legacy_windows=False).print(shown)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
