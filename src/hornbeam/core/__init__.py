"""Tensors, variables, symbolic inputs and function transforms: what layers are written in."""
