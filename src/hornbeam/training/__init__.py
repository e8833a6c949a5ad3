"""Training: compile, fit, evaluate, predict, and what watches them."""
