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

# Commands of extensions: these modules import the library, which imports them when it runs as a program.
EXTENSIONS = ("hornbeam_compat.commands.run", "hornbeam_compat.commands.keras_compat")


def commands_by_purpose() -> dict[str, list[ModuleType]]:
    """Return the modules of the commands by what they are for, in the order of `hornbeam --help`."""
    run, keras_compat = map(importlib.import_module, EXTENSIONS)
    return {
        "learn": [mnist, course],
        "train": [run, launch, tune],
        "look": [runs, watch, report, inspect],
        "give away": [serve, convert, link],
        "maintain": [doctor, devices, verify, bench, keras_compat],
    }
