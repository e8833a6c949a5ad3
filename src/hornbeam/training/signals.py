"""Ctrl-C and SIGTERM during `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds after which a Ctrl-C that still waits is explained.
_PATIENCE = 1.0


class _Interrupts:
    """Handler of SIGINT that sets a flag, which `check` reads between two steps.

    An exception that a handler raises is printed and forgotten wherever Python ignores exceptions
    (finalizers, callbacks of weak references), and becomes another one in imports of compiled modules.
    A flag is never lost, and splits no step. Only a second Ctrl-C raises at once, for what does not end.
    """

    def __init__(self) -> None:
        self._blocks = 0
        self._delays = 0
        self._pending = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Let Ctrl-C wait for `check`, at the latest for the end of the block."""
        if not _in_main_thread():
            yield
            return
        if self._blocks == 0:
            if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, self.handle):
                yield  # the program's own handler
                return
            signal.signal(signal.SIGINT, self.handle)
        self._blocks += 1
        try:
            yield
            self.check()
        finally:
            self._blocks -= 1
            if self._blocks == 0:
                self._pending = False  # another error is already on its way
                if signal.getsignal(signal.SIGINT) == self.handle:
                    signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Let `check` in the block wait for its end, so that weights are always those of a completed step."""
        if not _in_main_thread():
            yield
            return
        with self.handled():
            self.check()
            self._delays += 1
            try:
                yield
            finally:
                self._delays -= 1

    def check(self) -> None:
        """Raise KeyboardInterrupt if a Ctrl-C waits."""
        if self._pending and not self._delays and _in_main_thread():
            self._pending = False
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Set the flag. Raises KeyboardInterrupt if it is set already."""
        if self._pending:
            raise KeyboardInterrupt
        self._pending = True
        _thread.start_new_thread(self._explain, ())  # `threading` holds locks, which a handler may meet

    def _explain(self) -> None:
        time.sleep(_PATIENCE)
        if self._pending:
            text = "\nCtrl-C: stopping after this step; press it again to stop at once"
            print(text, file=sys.stderr, flush=True)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


_interrupts = _Interrupts()
handled_interrupts = _interrupts.handled
uninterrupted = _interrupts.delayed
check_interrupts = _interrupts.check


class GracefulShutdown:
    """Context in which the first SIGINT or SIGTERM sets `requested`, which the loop checks between chunks.

    A second SIGINT ends the process at once, even during a step. Outside of the main thread nothing changes,
    and signals with a handler of the program keep it.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._handlers: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1
        self._reader: threading.Thread | None = None

    def __enter__(self) -> GracefulShutdown:
        if not _in_main_thread():
            return self
        for number in _SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _interrupts.handle):
                self._handlers[number] = signal.signal(number, self._handle)
        if self._handlers and os.name != "nt":  # Windows needs a socket
            # Python runs handlers between its own instructions, which a long step does not reach. A thread
            # can read meanwhile what the system writes into a pipe.
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            self._reader = threading.Thread(target=self._read, args=(self._pipe[0],), daemon=True)
            self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._pipe is not None and self._reader is not None:
            signal.set_wakeup_fd(self._wakeup)
            os.write(self._pipe[1], b"\0")
            self._reader.join()
            for end in self._pipe:
                os.close(end)
        self._handlers, self._pipe, self._reader = {}, None, None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested = number

    def _read(self, pipe: int) -> None:
        interrupts, announced = 0, False
        while True:
            for number in os.read(pipe, 64):
                if number == 0:
                    return
                interrupts += number == signal.SIGINT
                if interrupts >= 2:
                    os._exit(128 + signal.SIGINT)
                if not announced:
                    announced, self.requested = True, self.requested or number
                    name = signal.Signals(number).name
                    print(f"\n{name}: saving after this step", file=sys.stderr, flush=True)

    def exit(self, message: str) -> None:
        """End as the signal asks for: KeyboardInterrupt, or SystemExit with the status that shells expect."""
        if self.requested == signal.SIGINT:
            raise KeyboardInterrupt(message)
        print(message, file=sys.stderr, flush=True)
        raise SystemExit(128 + signal.SIGTERM)
