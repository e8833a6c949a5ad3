"""Chains of stages with the names of tf.data, and how they are run."""
