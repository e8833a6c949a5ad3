"""Scripts for maintainers: `python tools/NAME.py --help`."""
