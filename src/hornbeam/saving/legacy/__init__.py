"""Read the files of Keras 1 and 2."""
