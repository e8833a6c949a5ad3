"""`keras.version()`."""

from hornbeam import __version__


def version() -> str:
    """Hornbeam's version."""
    return __version__
