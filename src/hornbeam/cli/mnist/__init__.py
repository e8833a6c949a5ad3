"""The programs of `hornbeam mnist`."""
