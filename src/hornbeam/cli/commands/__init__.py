"""The commands, one module each with `HELP`, `add_arguments(parser)` and `run(args)`.

The modules import nothing heavy: a command imports its work when it runs.
"""

import importlib
from types import ModuleType

from hornbeam.cli.commands import (
    bench,
    convert,
    course,
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


def all_commands() -> list[ModuleType]:
    """Return the modules of the commands, in the order of `hornbeam --help`."""
    run, keras_compat = map(importlib.import_module, EXTENSIONS)
    return [
        run,
        launch,
        mnist,
        course,
        bench,
        runs,
        watch,
        report,
        inspect,
        verify,
        convert,
        link,
        serve,
        tune,
        keras_compat,
        doctor,
    ]
