"""Files to models."""

# First, since it imports parts of this package.
import hornbeam.saving  # noqa: F401
