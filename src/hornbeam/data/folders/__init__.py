"""Folders of images, texts and sounds, and series in memory, as Datasets."""
