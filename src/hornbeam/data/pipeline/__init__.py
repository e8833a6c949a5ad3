"""Chains of stages with the names of tf.data, and their execution."""
