"""Training, validation and test samples that stay apart."""
