"""Models to files, with the operators that people expect in them."""
