"""For extensions: state of running code."""

from hornbeam._internal.context import ThreadSetting as ThreadSetting
