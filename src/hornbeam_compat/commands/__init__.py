"""Commands of `hornbeam`, which `hornbeam.cli.commands` lists by name."""
