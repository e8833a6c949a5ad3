"""Portable hashes of strings and integers, with the values of TensorFlow."""
