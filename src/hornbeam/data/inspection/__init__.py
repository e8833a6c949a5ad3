"""What data look like, and what is wrong with them: ranges, labels, twins, leaks."""
