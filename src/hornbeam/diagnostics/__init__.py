"""Tools that look into training: captured activations, predictions, learning rates, engines, the doctor."""
