"""The comparison with real Keras that tests/parity and its tools share."""
