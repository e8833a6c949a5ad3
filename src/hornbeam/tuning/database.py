"""Trials in a database that several machines share: who is alive, who began first."""

from __future__ import annotations

import contextlib
import threading
import time

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

# Seconds between two signs of life, and after which a trial without one is repeated.
INTERVAL, GRACE = 10, 60
# Attempts to create the tables, which another process may be creating just now.
_ATTEMPTS = 10


def database(url: str) -> RDBStorage:
    """Connect to a database, and create its tables if there are none.

    Args:
        url: URL of the database.

    Raises:
        ConnectionError: If the database does not answer.
        ImportError: If its driver is not installed.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return RDBStorage(url, heartbeat_interval=INTERVAL, grace_period=GRACE)
        except OperationalError as error:
            raise ConnectionError(
                f"storage={str(make_url(url))!r}: the database does not answer, or refuses: {error.orig}"
            ) from None
        except (IntegrityError, ProgrammingError):  # another process creates the same tables
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


class Heartbeat:
    """Reports, until it is stopped, that the process of a trial is alive.

    Args:
        storage: The database.
        trial: The trial.
    """

    def __init__(self, storage: RDBStorage, trial: optuna.Trial) -> None:
        self._storage, self._trial_id = storage, trial._trial_id
        self._stopped = threading.Event()
        self._report()  # at once: a trial that has none is never given up
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """End the reports."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._storage.get_heartbeat_interval()):
            self._report()

    def _report(self) -> None:
        # If the connection was lost, the next report makes up for it.
        with contextlib.suppress(optuna.exceptions.StorageInternalError):
            self._storage.record_heartbeat(self._trial_id)
