"""Training, validation and test samples without overlap."""
