"""SIGINT and SIGTERM during a `fit` with checkpoints: it finishes the step, saves everything, and stops."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
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
