"""`keras.version()`; not in a module of that name, which would hide the function."""

from hornbeam import __version__


def version() -> str:
    """Hornbeam's version."""
    return __version__
