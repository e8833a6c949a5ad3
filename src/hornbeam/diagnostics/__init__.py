"""Look into training: captured activations, profiles, NaN search, learning rates, the doctor."""
