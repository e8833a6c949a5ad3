"""For extensions: state of running code."""

from hornbeam._internal.context import ThreadSetting as ThreadSetting
from hornbeam._internal.context import context_variable as context_variable
from hornbeam._internal.context import override as override
