"""The commands, one module each with `add_parser(commands)` and `run(args)`.

The modules import nothing heavy: a command imports its work when it runs.
"""

from hornbeam.cli.commands import (
    bench,
    convert,
    course,
    doctor,
    inspect,
    keras_compat,
    launch,
    link,
    mnist,
    report,
    run,
    runs,
    serve,
    tune,
    verify,
    watch,
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
