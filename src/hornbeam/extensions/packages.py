"""For extensions: the registry of serializable classes, errors and warnings as users see them, commands."""

from hornbeam._internal import warning_policy as _warning_policy
from hornbeam._internal.extras import install_command as install_command
from hornbeam._internal.naming import to_snake_case as to_snake_case
from hornbeam._internal.naming import unique_name as unique_name
from hornbeam._internal.tracebacks import displayable as displayable
from hornbeam._internal.warn import warn_user as warn_user
from hornbeam.cli.arguments import add_engine_option as add_engine_option
from hornbeam.cli.arguments import choose_engine as choose_engine
from hornbeam.core.registry import exported as exported
from hornbeam.core.registry import find_exported as find_exported
from hornbeam.core.registry import set_module_names as set_module_names

# What is done about training that would hardly make sense, and whether `trainable` of compile() counts.
ON_WARNING = (_warning_policy, "on_warning")
KEEPS_TRAINABLE = (_warning_policy, "keeps_trainable_of_compile")
