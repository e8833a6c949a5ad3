"""Programs of books, courses and guides, run under Keras and under Hornbeam on small data."""
