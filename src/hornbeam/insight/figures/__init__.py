"""Figures of models, their outputs and their training."""
