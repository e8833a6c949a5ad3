"""Tests of Hornbeam. Modules are imported from the root of the repository: `tests.helpers.builders`."""
