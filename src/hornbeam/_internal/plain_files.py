"""Opening files that lie in folders of others."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

# Neither follow links nor wait for the other end of a pipe, where the system has such flags.
PLAINLY = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading.

    Raises:
        OSError: If it cannot be read, or is a link, a pipe or a device: those lead out of the folder, or
            have no end.
    """
    if not os.path.islink(path):
        handle = os.open(path, PLAINLY)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return os.fdopen(handle, "rb")
        os.close(handle)
    raise OSError(f"{os.fspath(path)} is a link or no file: copy what it leads to")
