"""Recorded trainings in the tools that teams keep them in: MLflow, Weights & Biases, TensorBoard."""
