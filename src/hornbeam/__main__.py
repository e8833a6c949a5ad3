"""`python -m hornbeam`: the command line."""

import sys

from hornbeam.cli import main

if __name__ == "__main__":
    sys.exit(main())
