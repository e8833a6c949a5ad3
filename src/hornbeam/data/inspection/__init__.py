"""Checks of data before training: ranges, labels, duplicates, data leakage."""
