"""Folders of pictures, texts and sounds, and series in memory, as Datasets."""
