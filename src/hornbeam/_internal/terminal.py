"""The terminal: its width, its colors, texts that fit, and the command that started this process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TextIO

# Colors of the 16 that every theme defines: an accent for headings and bars, the
# others only where they mean something.
STYLES = {"heading": "1;36", "accent": "36", "good": "32", "bad": "1;31", "warning": "33", "dim": "2"}
_CODES = re.compile(r"\x1b\[[0-9;]*m")
# Characters of a line that the output of a notebook's cell does not break.
NOTEBOOK = 100
# Narrower terminals are written to as if they had this width.
NARROWEST = 40


def is_terminal(stream: TextIO) -> bool:
    """Return True if a line can be drawn over."""
    return has_columns(stream) and os.environ.get("TERM") != "dumb"


def has_columns(stream: TextIO) -> bool:
    """Return True if the stream is a terminal of any kind, which breaks long lines."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no such method; a closed file
        return False


def columns(stream: TextIO | None = None) -> int | None:
    """Return the width of the stream's terminal or of a notebook, or None if it is a file or a pipe.

    The variable COLUMNS overrides the width of a terminal, as everywhere.
    """
    stream = sys.stdout if stream is None else stream
    if not has_columns(stream):
        return NOTEBOOK if type(stream).__module__.startswith("ipykernel.") else None
    return max(shutil.get_terminal_size().columns, NARROWEST)


def uses_color(stream: TextIO | None = None) -> bool:
    """Return True for a terminal that is not dumb, unless NO_COLOR is set (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or not is_terminal(sys.stdout if stream is None else stream):
        return False
    # Consoles of Windows before Windows Terminal print the codes as they are.
    return os.name != "nt" or bool(os.environ.get("WT_SESSION") or os.environ.get("TERM"))


def in_ipython() -> bool:
    """Return True inside of an IPython kernel or shell."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def paint(text: str, style: str, colored: bool = True) -> str:
    """Return a text in one of the `STYLES`."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if colored and text else text


# -- texts that fit ------------------------------------------------------------------------------------------


def shortened_inside(text: str, width: int) -> str:
    """Return a text of at most `width` characters: begin and end are kept, an ellipsis replaces the middle.

    >>> shortened_inside("block_12_depthwise_batch_norm", 17)
    'block_12…tch_norm'
    """
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def folded(text: str, width: int | None, indent: str = "") -> str:
    """Break the lines of a text between words, to fit `width` columns; None leaves it as it is.

    Further lines of a paragraph begin with `indent`. Words that are longer, such as paths, stay in one piece.
    """
    if width is None:
        return text
    return "\n".join(_folded_line(line, width, indent) for line in text.split("\n"))


def _folded_line(line: str, width: int, indent: str) -> str:
    if len(_CODES.sub("", line)) <= width:
        return line
    first, *others = re.split(r"(?<=\S)(\s+)(?=\S)", line)
    lines = [first]
    for space, word in zip(others[::2], others[1::2], strict=True):
        if len(_CODES.sub("", lines[-1] + space + word)) <= width:
            lines[-1] += space + word
        else:
            lines.append(indent + word)
    return "\n".join(lines)


def print_wrapped(text: str, stream: TextIO | None = None, indent: str = "") -> None:
    """Print a text whose lines fit the stream's terminal."""
    stream = sys.stdout if stream is None else stream
    print(folded(text, columns(stream), indent), file=stream)


# -- commands ------------------------------------------------------------------------------------------------


def program() -> str:
    """Return the command that runs `hornbeam` again, as the user would type it here.

    A process that `hornbeam` or `python -m hornbeam` started gets the words that started it. Others get
    "hornbeam" if the PATH finds the one of this environment, else the path of that.
    """
    interpreter, *words = getattr(sys, "orig_argv", None) or [sys.executable]
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
        words = words[2:] if words[0] in ("-X", "-W") else words[1:]
    if words[:2] == ["-m", "hornbeam"]:
        return f"{_python(interpreter)} -m hornbeam"
    if words and Path(words[0]).stem == "hornbeam" and Path(words[0]).is_file():
        return _typed(words[0], "hornbeam")
    beside = Path(sys.executable).with_name("hornbeam.exe" if os.name == "nt" else "hornbeam")
    if beside.is_file():
        return _typed(str(beside), "hornbeam")
    return f"{_python(sys.executable)} -m hornbeam"


def command(*words: str | os.PathLike[str]) -> str:
    """Return a command line of this program, for messages."""
    return " ".join([program(), *(shlex.quote(os.fspath(word)) for word in words)])


def _typed(path: str, *names: str) -> str:
    """Return what a shell in this folder runs a program by: a name that is on the PATH, or its path."""
    for name in names:
        on_path = shutil.which(name)
        if on_path is not None and os.path.abspath(on_path) == os.path.abspath(path):
            return name
    return shlex.quote(_relative(path))


def _python(path: str) -> str:
    """Return the name by which a shell runs this interpreter."""
    return _typed(path, "python", "python3") if os.path.dirname(path) else path


def _relative(path: str) -> str:
    """Return a path below the current folder without it."""
    absolute, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(absolute, here) if absolute.startswith(here + os.sep) else absolute
