"""The commands, one module each with `add_parser(commands)` and `run(args)`.

The modules import nothing heavy: a command imports its work when it runs.
"""

import importlib

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

# Commands of extensions.
run, keras_compat = map(
    importlib.import_module, ("hornbeam_compat.commands.run", "hornbeam_compat.commands.keras_compat")
)

# In the order of `hornbeam --help`.
COMMANDS = (
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
)
