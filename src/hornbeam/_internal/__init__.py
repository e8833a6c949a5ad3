"""Private helpers without knowledge of graphs or layers: validation, naming, limits, hashing."""
