"""What a model is and does, for people: summaries, reports, pictures."""
