"""Programs of beginners with one mistake each, and right ones, grouped by topic."""
