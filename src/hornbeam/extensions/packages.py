"""For extensions: names of modules and classes, hints and warnings, the registry of serializable classes."""

from hornbeam._internal import warning_policy as warning_policy
from hornbeam._internal.extras import install_command as install_command
from hornbeam._internal.naming import nearest as nearest
from hornbeam._internal.naming import to_snake_case as to_snake_case
from hornbeam._internal.naming import unique_name as unique_name
from hornbeam._internal.tracebacks import displayable as displayable
from hornbeam._internal.warn import warn_user as warn_user
from hornbeam.core import registry as registry
from hornbeam.core.registry import exported as exported
from hornbeam.core.registry import find_exported as find_exported
