"""For extensions: options that commands of `hornbeam` share."""

from hornbeam.cli.arguments import add_engine_option as add_engine_option
from hornbeam.cli.arguments import choose_engine as choose_engine
