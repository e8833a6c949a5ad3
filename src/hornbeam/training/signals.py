"""SIGINT and SIGTERM while a `fit` keeps checkpoints: it finishes the step, saves everything, and leaves."""

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
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = signal.signal(number, self._handle)
        if self._before and os.name != "nt":  # Windows wants a socket there
            # Python runs handlers between its own instructions, which a long step does not reach. What the
            # system writes into a pipe, a thread can read meanwhile.
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            self._watcher = threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True)
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._pipe is not None and self._watcher is not None:
            signal.set_wakeup_fd(self._wakeup)
            os.write(self._pipe[1], b"\0")
            self._watcher.join()
            for end in self._pipe:
                os.close(end)
        self._before, self._pipe, self._watcher = {}, None, None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested = number

    def _watch(self, pipe: int) -> None:
        interrupts, said = 0, False
        while True:
            for number in os.read(pipe, 64):
                if number == 0:
                    return
                interrupts += number == signal.SIGINT
                if interrupts >= 2:
                    os._exit(128 + signal.SIGINT)
                if not said:
                    said, self.requested = True, self.requested or number
                    name = signal.Signals(number).name
                    print(f"\n{name}: saving after this step", file=sys.stderr, flush=True)

    def exit(self, where: str) -> None:
        """End as the signal asked to: KeyboardInterrupt, or SystemExit with the status that shells expect."""
        if self.requested == signal.SIGINT:
            raise KeyboardInterrupt(where)
        print(where, file=sys.stderr, flush=True)
        raise SystemExit(128 + signal.SIGTERM)
