"""`python -m benchmarks.atlas`, from the root of the checkout."""

import sys

from benchmarks.atlas.command import main

sys.exit(main())
