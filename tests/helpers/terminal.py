"""A terminal for tests: programs run behind a pseudo-terminal, and a small emulator draws what they print."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Sequences that programs send: CSI with its parameters and final byte, OSC up to its end, two-byte escapes.
_ESCAPES = re.compile(r"\x1b\[([0-9;?]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()#78][A-Z0-9]?")


@dataclass
class Screen:
    """The lines that a terminal of `columns` characters shows, and those that scrolled away.

    lines: texts of the lines. wrapped: texts that reached the right edge and went on in the next line.
    """

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    wrapped: list[str] = field(default_factory=list)
    colors: int = 0
    row: int = 0
    column: int = 0
    # True after a character in the last column: the next one begins a new line.
    _full: bool = False

    def feed(self, text: str) -> None:
        """Draw the output of a program."""
        position = 0
        while position < len(text):
            match = _ESCAPES.match(text, position)
            if match:
                self._escape(match)
                position = match.end()
                continue
            self._character(text[position])
            position += 1

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column, self._full = 0, False
        elif character == "\n":
            self._down()
            self._full = False
        elif character == "\b":
            self.column, self._full = max(self.column - 1, 0), False
        elif character == "\t":
            self.column = min(self.column // 8 * 8 + 8, self.columns - 1)
        elif character.isprintable():
            width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
            if self._full or self.column + width > self.columns:
                self.wrapped.append(self.lines[self.row])
                self.column, self._full = 0, False
                self._down()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += width
            if self.column >= self.columns:
                self.column, self._full = self.columns - 1, True

    def _down(self) -> None:
        self.row += 1
        while self.row >= len(self.lines):
            self.lines.append("")

    def _escape(self, match: re.Match[str]) -> None:
        numbers, final = match[1] or "", match[2]
        count = int(numbers) if numbers.isdigit() else 1
        if final == "m" and numbers not in ("", "0"):
            self.colors += 1
        elif final == "A":
            self.row = max(self.row - count, 0)
        elif final == "B":
            self.row = min(self.row + count, len(self.lines) - 1)
        elif final == "G":
            self.column, self._full = count - 1, False
        elif final == "K":
            line = self.lines[self.row]
            self.lines[self.row] = "" if numbers == "2" else line[: self.column]
            self._full = False

    @property
    def text(self) -> str:
        """The lines without spaces at their ends."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")


@dataclass
class Session:
    """A finished program: its screen, all it sent, and its exit status."""

    screen: Screen
    sent: str
    status: int

    @property
    def text(self) -> str:
        return self.screen.text


def run_in_terminal(
    command: Sequence[str | os.PathLike[str]],
    columns: int,
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    interrupt: Callable[[str], bool] | None = None,
    timeout: float = 180,
) -> Session:
    """Run a program behind a pseudo-terminal.

    interrupt: function of the text sent so far; when it first returns True, Ctrl-C is pressed.
    """
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {
        k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "src"), **(env or {})}
    process = subprocess.Popen(
        [os.fspath(word) for word in command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
    )
    os.close(theirs)
    sent, pressed, end = b"", False, time.monotonic() + timeout
    try:
        while True:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # the program's end of the terminal is closed
                    break
                if not part:
                    break
                sent += part
                if interrupt is not None and not pressed and interrupt(sent.decode(errors="ignore")):
                    pressed = True
                    os.write(ours, b"\x03")
            elif process.poll() is not None:
                break
            if time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                raise TimeoutError(f"{command}: after {timeout} s the terminal shows {sent[-2000:]!r}")
        status = process.wait(timeout=10)
    finally:
        os.close(ours)
    screen, text = Screen(columns), sent.decode(errors="replace")
    screen.feed(text)
    return Session(screen, text, status)


def hornbeam(*words: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    """Return the command line of `hornbeam` in this environment."""
    return [sys.executable, "-m", "hornbeam", *words]


def install_command(folder: Path) -> dict[str, str]:
    """Write the program `hornbeam` into a folder, as pip does; return the PATH on which a shell finds it."""
    program = folder / "hornbeam"
    folder.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom hornbeam.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
