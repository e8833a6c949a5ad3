"""The commands, one module each with `HELP`, `add_arguments(parser)` and `run(args)`.

The modules import nothing heavy: a command imports its work when it runs.
"""

import importlib
from types import ModuleType

from hornbeam.cli.commands import (
    bench,
    convert,
    course,
    devices,
    doctor,
    fit,
    inspect,
    launch,
    link,
    mnist,
    report,
    runs,
    serve,
    tune,
    verify,
    watch,
)

# Package with the commands of extensions: it imports the library, which imports it when it runs as a program.
EXTENSION = "hornbeam_compat.commands"


def commands_by_purpose() -> dict[str, list[ModuleType]]:
    """Return the modules of the commands by what they are for, in the order of `hornbeam --help`."""
    extension = importlib.import_module(EXTENSION)
    return {
        "learn": [mnist, course],
        "train": [extension.run, fit, launch, tune],
        "look": [runs, watch, report, inspect],
        "give away": [serve, convert, link],
        "maintain": [doctor, devices, verify, bench, extension.keras_compat, extension.keras_backend],
    }
