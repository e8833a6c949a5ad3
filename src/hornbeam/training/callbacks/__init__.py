"""Callbacks of the training loop. `hornbeam.callbacks` has their public names."""
